//! The head of an answer as it goes over the wire, with gaps for what changes from second to second.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use http::header::{AGE, DATE};
use pingora::http::ResponseHeader;
use smallvec::SmallVec;

/// A longer head is not kept.
const MAX_HEAD: usize = 8 * 1024;

/// How our own `Cache-Status` of a hit begins; what follows is the time to live.
const TTL: &[u8] = b"leeward; hit; ttl=";

/// What belongs into a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Date,
    Age,
    Ttl,
}

/// When an object was made and until when it is fresh.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// What its age is counted from.
    pub(super) epoch: SystemTime,
    pub(super) fresh_until: SystemTime,
}

/// The head of an answer with gaps.
#[derive(Debug)]
pub(super) struct Template {
    text: Box<[u8]>,
    /// How far the text before each gap reaches.
    gaps: SmallVec<[(u16, Gap); 4]>,
    times: Times,
}

impl Template {
    /// Of a head that was just written, which says this age and time to live. Nothing when it says something else: then
    /// somebody means these fields otherwise.
    pub(super) fn of(head: &ResponseHeader, times: Times, now: SystemTime) -> Option<Self> {
        let mut wire = BytesMut::with_capacity(1024);
        let reason = head.get_reason_phrase().unwrap_or_default();
        wire.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", head.status.as_u16()).as_bytes());
        head.header_to_h1_wire(&mut wire);
        wire.extend_from_slice(b"\r\n");
        if wire.len() > MAX_HEAD {
            return None;
        }
        let mut made = Self { text: Box::default(), gaps: SmallVec::new(), times };
        let mut text = Vec::with_capacity(wire.len());
        for line in wire.split_inclusive(|byte| *byte == b'\n') {
            let colon = line.iter().position(|byte| *byte == b':').map_or(0, |at| at + 2);
            let (name, value) = line.split_at_checked(colon)?;
            let value = value.strip_suffix(b"\r\n").unwrap_or(value);
            let is = |known: &http::HeaderName| {
                name.get(..colon.saturating_sub(2))
                    .is_some_and(|name| name.eq_ignore_ascii_case(known.as_str().as_bytes()))
            };
            let (kept, gap) = if is(&DATE) {
                (0, Gap::Date)
            } else if is(&AGE) {
                made.says(value, Gap::Age, now)?;
                (0, Gap::Age)
            } else if let Some(ttl) = value.strip_prefix(TTL) {
                made.says(ttl, Gap::Ttl, now)?;
                (TTL.len(), Gap::Ttl)
            } else {
                text.extend_from_slice(line);
                continue;
            };
            text.extend_from_slice(name);
            text.extend_from_slice(value.get(..kept)?);
            made.gaps.push((u16::try_from(text.len()).ok()?, gap));
            text.extend_from_slice(b"\r\n");
        }
        made.text = text.into();
        Some(made)
    }

    /// Whether a field says what would be put there, give or take the second that passed since.
    fn says(&self, value: &[u8], gap: Gap, now: SystemTime) -> Option<()> {
        let said: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
        let ours = self.seconds(gap, now);
        (said.abs_diff(ours) <= 1).then_some(())
    }

    fn seconds(&self, gap: Gap, now: SystemTime) -> u64 {
        let span = match gap {
            Gap::Age => now.duration_since(self.times.epoch),
            Gap::Ttl | Gap::Date => self.times.fresh_until.duration_since(now),
        };
        span.unwrap_or_default().as_secs()
    }

    /// Bytes that this takes.
    pub(super) fn cost(&self) -> usize {
        self.text.len() + size_of::<Self>()
    }

    /// Writes the head as it is at `now`.
    pub(super) fn write(&self, now: SystemTime, out: &mut BytesMut) {
        let mut done = 0;
        for (end, gap) in &self.gaps {
            let end = usize::from(*end);
            out.extend_from_slice(self.text.get(done..end).unwrap_or_default());
            done = end;
            match gap {
                Gap::Date => DATE_TEXT.with_borrow_mut(|date| out.extend_from_slice(date.at(now))),
                Gap::Age | Gap::Ttl => decimal(self.seconds(*gap, now), out),
            }
        }
        out.extend_from_slice(self.text.get(done..).unwrap_or_default());
    }
}

fn decimal(mut number: u64, out: &mut BytesMut) {
    let mut digits = [0_u8; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

thread_local! {
    static DATE_TEXT: RefCell<DateText> = RefCell::default();
}

/// `Date`, made once a second.
#[derive(Default)]
struct DateText {
    second: Option<u64>,
    text: String,
}

impl DateText {
    fn at(&mut self, now: SystemTime) -> &[u8] {
        let second = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        }
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    fn head(fields: &[(&'static str, &str)]) -> ResponseHeader {
        let mut head = ResponseHeader::build(200, None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    #[test]
    fn date_age_and_time_to_live_are_those_of_the_moment() {
        let head = head(&[
            ("X-First", "a:b"),
            ("Date", "Tue, 14 Nov 2023 22:13:25 GMT"),
            ("Cache-Status", "other; hit; ttl=7"),
            ("Cache-Status", "leeward; hit; ttl=95"),
            ("Age", "5"),
            ("X-Last", ""),
        ]);
        let times = Times { epoch: at(0), fresh_until: at(100) };
        let template = Template::of(&head, times, at(5)).unwrap();
        let mut out = BytesMut::new();
        template.write(at(60), &mut out);
        let want = "HTTP/1.1 200 OK\r\nX-First: a:b\r\nDate: Tue, 14 Nov 2023 22:14:20 GMT\r\nCache-Status: other; hit; ttl=7\r\n\
                    Cache-Status: leeward; hit; ttl=40\r\nAge: 60\r\nX-Last: \r\n\r\n";
        assert_eq!(std::str::from_utf8(&out).unwrap().to_lowercase(), want.to_lowercase());
    }

    #[test]
    fn a_head_that_says_something_else_is_not_kept() {
        let times = Times { epoch: at(0), fresh_until: at(100) };
        for (name, value) in
            [("Age", "30"), ("Age", "x"), ("Cache-Status", "leeward; hit; ttl=3"), ("X", &"a".repeat(9000))]
        {
            assert!(Template::of(&head(&[(name, value)]), times, at(5)).is_none(), "{name}: {value:.20}");
        }
    }

    #[test]
    fn a_number_is_written_as_it_is_read() {
        for number in [0, 9, 10, 604_800, u64::MAX] {
            let mut out = BytesMut::new();
            decimal(number, &mut out);
            assert_eq!(std::str::from_utf8(&out).unwrap(), number.to_string());
        }
    }
}
