//! Fields that tell how an answer came about, for those who know the secret: `X-Leeward-Debug`, and the five of `X-EC-Debug`
//! in the form that customers' tools read (delivery spec 2.12, 2.13).

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use crate::access_log::Attempt;
use crate::words::{CacheState, Reason};

/// The field that bears the secret, and in the answer says what happened.
pub const LEEWARD: &str = "x-leeward-debug";
/// The field that asks for fields.
pub const EC: &str = "x-ec-debug";

/// What `X-EC-Debug` can ask for, in the order of the answer's fields.
pub const DIRECTIVES: [&str; 5] =
    ["x-ec-cache", "x-ec-cache-remote", "x-ec-check-cacheable", "x-ec-cache-key", "x-ec-cache-state"];

/// Which fields of [`DIRECTIVES`] a request asks for, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Directives(u8);

impl Directives {
    /// Reads `X-EC-Debug: x-ec-cache,x-ec-cache-key`. What is unknown is passed over.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let lists = headers.get_all(EC).iter().filter_map(|value| value.to_str().ok());
        let wanted = lists.flat_map(|list| list.split(',')).map(str::trim);
        let bit = |name: &str| DIRECTIVES.iter().position(|known| known.eq_ignore_ascii_case(name)).map(|at| 1 << at);
        Self(wanted.filter_map(bit).fold(0, |all, bit: u8| all | bit))
    }

    /// The names asked for.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        DIRECTIVES.into_iter().enumerate().filter(move |(at, _)| self.0 & (1 << at) != 0).map(|(_, name)| name)
    }
}

/// The cache status code of an answer (delivery spec 2.13). `refused` is why it was not stored, in the words of the log.
#[must_use]
pub const fn status(state: CacheState, refused: Option<&str>, reason: Option<Reason>) -> &'static str {
    match state {
        CacheState::Hit => "TCP_HIT",
        // no code is documented for what is served after its expiry without the origin's word
        CacheState::Stale | CacheState::Revalidated => "TCP_EXPIRED_HIT",
        CacheState::Expired => "TCP_EXPIRED_MISS",
        CacheState::Miss | CacheState::Deferred => "TCP_MISS",
        CacheState::Uncacheable => match refused {
            Some(_) => "UNCACHEABLE",
            None => "TCP_MISS",
        },
        CacheState::Bypass => "CONFIG_NOCACHE",
        CacheState::None if denied(reason) => "TCP_DENIED",
        CacheState::None => "NONE",
    }
}

/// Whether the security phase said no.
const fn denied(reason: Option<Reason>) -> bool {
    use Reason::{
        DenyAccess, GeoBlacklist, GeoWhitelist, IpBlacklist, IpWhitelist, RefererBlacklist, RefererWhitelist,
    };
    matches!(
        reason,
        Some(
            DenyAccess | GeoBlacklist | GeoWhitelist | IpBlacklist | IpWhitelist | RefererBlacklist | RefererWhitelist
        )
    )
}

/// `x-ec-check-cacheable`
#[must_use]
pub const fn cacheable(state: CacheState) -> &'static str {
    match state {
        CacheState::Uncacheable | CacheState::Bypass => "NO",
        CacheState::None => "UNKNOWN",
        _ => "YES",
    }
}

/// `x-ec-cache`, `x-ec-cache-remote`: `TCP_HIT from ECAcc (europe/fra1-7)`.
#[must_use]
pub fn from(status: &str, platform: &str, place: &str, id: &str) -> String {
    format!("{status} from {platform} ({place}/{id})")
}

/// The times of a stored answer.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    /// From when on its age counts.
    pub since: SystemTime,
    /// When it expires.
    pub until: SystemTime,
    /// What its `Expires` says.
    pub expires: Option<SystemTime>,
}

impl Stored {
    /// `x-ec-cache-state`; `date` writes the HTTP date of a time.
    #[must_use]
    pub fn state(&self, now: SystemTime, date: fn(SystemTime) -> String) -> String {
        let seconds = |from: SystemTime, to: SystemTime| to.duration_since(from).map_or(0, |span| span.as_secs());
        let (max_age, age) = (seconds(self.since, self.until), seconds(self.since, now));
        let stamp = seconds(SystemTime::UNIX_EPOCH, self.since);
        let expires = self.expires.map_or_else(|| "none".to_owned(), |at| about(seconds(now, at)));
        format!(
            "max-age={}; cache-ts={stamp} ({}); cache-age={}; remaining-ttl={}; expires-delta={expires}",
            about(max_age),
            date(self.since),
            about(age),
            about(max_age.saturating_sub(age)),
        )
    }
}

/// Seconds, and about how many of a larger unit: `604800 (7d)`.
fn about(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const WEEK: u64 = 7 * DAY;
    const YEAR: u64 = 365 * DAY;
    let (unit, name) = match seconds {
        0..MINUTE => (1, "s"),
        MINUTE..HOUR => (MINUTE, "m"),
        HOUR..DAY => (HOUR, "h"),
        // weeks only from where days are hard to read
        DAY.. if seconds < 5 * WEEK => (DAY, "d"),
        DAY..YEAR => (WEEK, "w"),
        _ => (YEAR, "y"),
    };
    format!("{seconds} ({}{name})", seconds / unit)
}

/// A dictionary (RFC 9651 3.2), written member by member.
#[derive(Debug, Default)]
pub struct Dictionary(String);

impl Dictionary {
    /// A member whose value is one of the edge's own words.
    pub fn word(&mut self, key: &str, word: impl std::fmt::Display) {
        let _ = write!(self.0, "{}{key}={word}", self.separator());
    }

    /// A member whose value is text from elsewhere.
    pub fn text(&mut self, key: &str, text: &str) {
        let _ = write!(self.0, "{}{key}={}", self.separator(), quoted(text));
    }

    /// One attempt after the other, as one list.
    pub fn attempts(&mut self, attempts: &[Attempt]) {
        let _ = write!(self.0, "{}attempts=(", self.separator());
        for (at, attempt) in attempts.iter().enumerate() {
            let space = if at > 0 { " " } else { "" };
            let _ = write!(self.0, "{space}{}; server={}", quoted(&attempt.origin), quoted(&attempt.server));
            if let Some(address) = attempt.address {
                let _ = write!(self.0, "; address=\"{address}\"");
            }
            let _ = write!(self.0, "; result={}", attempt.result);
            if let Some(reason) = attempt.reason {
                let _ = write!(self.0, "; reason={reason}");
            }
            if let Some(status) = attempt.status {
                let _ = write!(self.0, "; status={status}");
            }
            let _ =
                write!(self.0, "; ms={}", Duration::try_from_secs_f64(attempt.seconds).unwrap_or_default().as_millis());
        }
        self.0.push(')');
    }

    /// The field's value.
    #[must_use]
    pub fn value(self) -> String {
        self.0
    }

    fn separator(&self) -> &'static str {
        if self.0.is_empty() { "" } else { ", " }
    }
}

/// A string (RFC 9651 3.3.3); bytes that it cannot have are percent-encoded.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => _ = write!(out, "%{byte:02X}"),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::AttemptResult;

    #[test]
    fn directives_are_read_in_any_case_and_order_and_told_in_one() {
        for (fields, want) in [
            (
                &["x-ec-cache,x-ec-check-cacheable,x-ec-cache-key,x-ec-cache-state,x-ec-cache-remote"][..],
                &DIRECTIVES[..],
            ),
            (&["X-EC-Cache-State , x-ec-cache"], &["x-ec-cache", "x-ec-cache-state"]),
            (&["x-ec-cache-key", "x-ec-cache"], &["x-ec-cache", "x-ec-cache-key"]),
            (&["x-ec-cach, , all, x-ec-cache-keys"], &[]),
            (&[], &[]),
        ] {
            let mut headers = HeaderMap::new();
            fields.iter().for_each(|field| _ = headers.append(EC, field.parse().unwrap()));
            assert_eq!(Directives::read(&headers).iter().collect::<Vec<_>>(), want, "{fields:?}");
        }
    }

    #[test]
    fn the_state_of_a_stored_answer_is_told_as_documented() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_341_802_519);
        let after = |seconds| since + Duration::from_secs(seconds);
        let date = |_| "Mon, 09 Jul 2012 02:55:19 GMT".to_owned();
        let stored = |until, expires| Stored { since, until: after(until), expires };
        let ts = "cache-ts=1341802519 (Mon, 09 Jul 2012 02:55:19 GMT)";
        for (stored, now, want) in [
            (
                stored(604_800, None),
                0,
                format!("max-age=604800 (7d); {ts}; cache-age=0 (0s); remaining-ttl=604800 (7d); expires-delta=none"),
            ),
            (
                stored(60, Some(after(90))),
                30,
                format!("max-age=60 (1m); {ts}; cache-age=30 (30s); remaining-ttl=30 (30s); expires-delta=60 (1m)"),
            ),
            (
                stored(60, Some(after(60))),
                7_300,
                format!("max-age=60 (1m); {ts}; cache-age=7300 (2h); remaining-ttl=0 (0s); expires-delta=0 (0s)"),
            ),
        ] {
            assert_eq!(stored.state(after(now), date), want);
        }
        for (seconds, want) in [(2_592_000, "30d"), (8_640_000, "14w"), (31_536_000, "1y"), (70_000_000, "2y")] {
            assert_eq!(about(seconds), format!("{seconds} ({want})"));
        }
    }

    #[test]
    fn every_way_an_answer_can_come_about_has_the_documented_code() {
        use CacheState::{Bypass, Deferred, Expired, Hit, Miss, None as Own, Revalidated, Stale, Uncacheable};
        for (state, refused, reason, code, can) in [
            (Hit, None, None, "TCP_HIT", "YES"),
            (Stale, None, None, "TCP_EXPIRED_HIT", "YES"),
            (Revalidated, None, None, "TCP_EXPIRED_HIT", "YES"),
            (Expired, None, None, "TCP_EXPIRED_MISS", "YES"),
            (Miss, None, None, "TCP_MISS", "YES"),
            (Deferred, None, None, "TCP_MISS", "YES"),
            (Uncacheable, Some("no_store"), None, "UNCACHEABLE", "NO"),
            (Uncacheable, None, None, "TCP_MISS", "NO"),
            (Bypass, None, None, "CONFIG_NOCACHE", "NO"),
            (Own, None, Some(Reason::DenyAccess), "TCP_DENIED", "UNKNOWN"),
            (Own, None, Some(Reason::UrlRedirect), "NONE", "UNKNOWN"),
            (Own, None, Some(Reason::UnknownSite), "NONE", "UNKNOWN"),
            (Own, None, None, "NONE", "UNKNOWN"),
        ] {
            assert_eq!((status(state, refused, reason), cacheable(state)), (code, can), "{state} {refused:?}");
        }
        assert_eq!(from("TCP_HIT", "ECD", "lga", "0FE8"), "TCP_HIT from ECD (lga/0FE8)");
    }

    #[test]
    fn a_dictionary_holds_any_text() {
        let attempt = Attempt {
            origin: "ma\"in".to_owned(),
            server: "http://o.example.net:80".to_owned(),
            address: Some("192.0.2.1:80".parse().unwrap()),
            result: AttemptResult::Timeout,
            reason: Some(Reason::ReadTimeout),
            status: None,
            seconds: 1.5,
        };
        let mut dictionary = Dictionary::default();
        dictionary.word("cache", CacheState::Miss);
        dictionary.text("key", "http h /ä\\\r\n");
        dictionary.attempts(&[attempt.clone(), Attempt { status: Some(200), address: None, ..attempt }]);
        let one = "\"ma\\\"in\"; server=\"http://o.example.net:80\"; address=\"192.0.2.1:80\"; result=timeout; reason=read_timeout; ms=1500";
        let two = "\"ma\\\"in\"; server=\"http://o.example.net:80\"; result=timeout; reason=read_timeout; status=200; ms=1500";
        assert_eq!(dictionary.value(), format!("cache=miss, key=\"http h /%C3%A4\\\\%0D%0A\", attempts=({one} {two})"));
    }
}
