//! `content-refresh`: what was stored before an instant must be confirmed. Source: policy-language 4.4.

use super::fields::Fields;
use crate::grammar::Invalid;
use crate::reading::Context;

/// What was stored or last confirmed before `since` may not be used without asking the origin, once that instant has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refresh {
    /// Unix time in seconds.
    pub since: u64,
    /// Without the origin's answer the stored copy may not be served (504 instead).
    pub must_revalidate: bool,
}

impl Refresh {
    /// Whether something stored or last confirmed at `stored` has to be confirmed at `now`; Unix seconds.
    #[must_use]
    pub fn applies(&self, stored: u64, now: u64) -> bool {
        stored < self.since && self.since <= now
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Epoch,
    DateTime,
    Date,
    Natural,
}

const TYPES: &[(&str, Kind)] = &[
    ("epoch", Kind::Epoch),
    ("date-time", Kind::DateTime),
    ("datetime", Kind::DateTime),
    ("date", Kind::Date),
    ("natural", Kind::Natural),
];

pub(super) fn parse(fields: &mut Fields<'_, '_>, context: &Context<'_>) -> Option<Refresh> {
    let (published_at, publishing) = (context.published_at, context.publishing);
    let must_revalidate = fields.flag("mustRevalidate");
    let kind = fields.kind(TYPES)?;
    let hint = match kind {
        Kind::Epoch => "write Unix seconds, such as 1893456000",
        Kind::DateTime => "write an instant in GMT: 2030-01-01T12:00:00Z",
        Kind::Date => "write a date, which begins at midnight GMT: 2030-01-01",
        Kind::Natural => "the only value is now",
    };
    let value = fields.required_value(hint)?;
    let since = fields.read_value(value, |text| {
        let instant = match kind {
            Kind::Natural if text == "now" => return Ok(published_at),
            Kind::Natural => None,
            Kind::Epoch => text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten(),
            Kind::Date => date(text),
            Kind::DateTime => date_time(text),
        };
        match instant {
            None => Err(Invalid::new(format!("{text:?} is not what this type of content-refresh takes")).hint(hint)),
            Some(instant) if publishing && instant <= published_at => {
                Err(Invalid::new(format!("{text} is not in the future"))
                    .hint("to refresh at once, write type natural and value now"))
            }
            Some(instant) => Ok(instant),
        }
    })?;
    Some(Refresh { since, must_revalidate: must_revalidate?.unwrap_or(false) })
}

fn number(text: Option<&str>, digits: usize) -> Option<u64> {
    text.filter(|text| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// `YYYY-MM-DD`, from 1970, as Unix seconds of its midnight in GMT.
fn date(text: &str) -> Option<u64> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (number(parts.next(), 4)?, number(parts.next(), 2)?, number(parts.next(), 2)?);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = |month: u64| match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap(year) => 29,
        2 => 28,
        _ => 31,
    };
    if year < 1970 || !(1..=12).contains(&month) || !(1..=length(month)).contains(&day) {
        return None;
    }
    let before = year - 1;
    // Days since 1970-01-01; 719162 days lie between year 1 and 1970.
    let days =
        before * 365 + before / 4 - before / 100 + before / 400 - 719_162 + (1..month).map(length).sum::<u64>() + day
            - 1;
    Some(days * 86_400)
}

/// `YYYY-MM-DDThh:mm:ssZ` as Unix seconds.
fn date_time(text: &str) -> Option<u64> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = time.splitn(3, ':');
    let (hour, minute, second) = (number(parts.next(), 2)?, number(parts.next(), 2)?, number(parts.next(), 2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(date(day)? + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_in_gmt() {
        let table = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2030-01-01T00:00:00Z", Some(1_893_456_000)),
            ("2030-01-01T12:34:56Z", Some(1_893_501_296)),
            ("2000-02-29T00:00:00Z", Some(951_782_400)),
            ("2024-12-31T23:59:59Z", Some(1_735_689_599)),
            ("2023-02-29T00:00:00Z", None),
            ("2100-02-29T00:00:00Z", None),
            ("2030-01-01T12:00:00+09:00", None),
            ("2030-01-01 12:00:00Z", None),
            ("2030-13-01T00:00:00Z", None),
            ("2030-01-01T24:00:00Z", None),
            ("2030-1-1T0:0:0Z", None),
            ("2030-01-01T12:00:00", None),
            ("1969-12-31T23:59:59Z", None),
        ];
        for (text, expected) in table {
            assert_eq!(date_time(text), expected, "{text}");
        }
    }
}
