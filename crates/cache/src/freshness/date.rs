//! `HTTP-date` (RFC 9110 section 5.6.7), strictly: what is not one of the three forms is no date, since a cache that guesses
//! keeps an answer for longer than its origin meant. Only the case of the names is free, as in what servers send.

use std::time::{Duration, SystemTime};

use http::HeaderValue;

const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// A two-digit year that seems more than this many years ahead is one of the past.
const AHEAD: i64 = 50;
const DAY: i64 = 24 * 60 * 60;

/// The time that a field says, `None` when that is no date. `now` decides about years of two digits.
#[must_use]
pub(super) fn parse(value: &HeaderValue, now: SystemTime) -> Option<SystemTime> {
    let text = value.to_str().ok()?;
    let stamp = imf(text).or_else(|| rfc850(text, now)).or_else(|| asctime(text))?;
    let seconds = stamp.days() * DAY + stamp.time;
    let span = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { SystemTime::UNIX_EPOCH.checked_sub(span) } else { SystemTime::UNIX_EPOCH.checked_add(span) }
}

struct Stamp {
    year: i64,
    /// From 1.
    month: i64,
    day: i64,
    /// Seconds of the day.
    time: i64,
}

impl Stamp {
    fn new(year: i64, month: i64, day: i64, time: i64) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let longest = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        (1..=longest).contains(&day).then_some(Self { year, month, day, time })
    }

    /// Days since 1970-01-01 in the Gregorian calendar: years begin in March, so that the leap day is the last.
    fn days(&self) -> i64 {
        let year = if self.month > 2 { self.year } else { self.year - 1 };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf(text: &str) -> Option<Stamp> {
    let (day_name, rest) = text.split_once(", ")?;
    let [day, month, year, time, zone] = fields(rest, ' ')?;
    (short_day(day_name) && zone.eq_ignore_ascii_case("gmt")).then_some(())?;
    Stamp::new(number(year, 4)?, month_of(month)?, number(day, 2)?, clock(time)?)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &str, now: SystemTime) -> Option<Stamp> {
    let (day_name, rest) = text.split_once(", ")?;
    let [date, time, zone] = fields(rest, ' ')?;
    let [day, month, year] = fields(date, '-')?;
    let long_day = DAYS.iter().any(|known| known.eq_ignore_ascii_case(day_name));
    (long_day && zone.eq_ignore_ascii_case("gmt")).then_some(())?;
    let this_year = year_of(now);
    let mut year = this_year - this_year.rem_euclid(100) + number(year, 2)?;
    if year > this_year + AHEAD {
        year -= 100;
    }
    Stamp::new(year, month_of(month)?, number(day, 2)?, clock(time)?)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<Stamp> {
    let (day_name, rest) = text.split_once(' ')?;
    let (month, rest) = rest.split_once(' ')?;
    let (day, rest) = rest.split_at_checked(2)?;
    let [nothing, time, year] = fields(rest, ' ')?;
    (short_day(day_name) && nothing.is_empty()).then_some(())?;
    let day = match day.strip_prefix(' ') {
        Some(digit) => number(digit, 1)?,
        None => number(day, 2)?,
    };
    Stamp::new(number(year, 4)?, month_of(month)?, day, clock(time)?)
}

/// Exactly so many parts.
fn fields<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    let mut parts = text.split(separator);
    let mut all = [""; N];
    for part in &mut all {
        *part = parts.next()?;
    }
    parts.next().is_none().then_some(all)
}

fn number(digits: &str, width: usize) -> Option<i64> {
    let fits = digits.len() == width && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| digits.parse().ok())?
}

/// `08:49:37`; a leap second is the second before it.
fn clock(text: &str) -> Option<i64> {
    let [hour, minute, second] = fields(text, ':')?;
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second.min(59))
}

fn short_day(name: &str) -> bool {
    DAYS.iter().any(|known| known.get(..3).is_some_and(|short| short.eq_ignore_ascii_case(name)))
}

fn month_of(name: &str) -> Option<i64> {
    let place = MONTHS.iter().position(|known| known.eq_ignore_ascii_case(name))?;
    i64::try_from(place).ok().map(|place| place + 1)
}

/// The year of a time, right to a day.
fn year_of(now: SystemTime) -> i64 {
    let days = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    1970 + i64::try_from(days * 400 / 146_097).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let time = parse(&HeaderValue::from_str(text).unwrap(), now)?;
        Some(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_secs() as i64,
            Err(before) => -(before.duration().as_secs() as i64),
        })
    }

    #[test]
    fn three_forms_are_dates_whatever_the_case_of_their_names() {
        let table = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("SUN, 06 NOV 1994 08:49:37 gmt", 784_111_777),
            ("sun, 06 nov 1994 08:49:37 GmT", 784_111_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000),
            ("Tue, 19 Jan 2038 14:14:08 GMT", 2_147_523_248),
            ("Thu Aug 18 02:01:18 2050", 2_544_400_878),
            ("Thursday, 18-Aug-50 02:01:18 GMT", 2_544_400_878),
            ("Monday, 18-Aug-80 02:01:18 GMT", 335_412_078),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_799),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ];
        for (text, want) in table {
            assert_eq!(seconds(text), Some(want), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_second_is_read_as_it_is_written(seconds in 0_u64..253_402_300_800) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let written = HeaderValue::from_str(&httpdate::fmt_http_date(time)).unwrap();
            prop_assert_eq!(parse(&written, SystemTime::now()), Some(time));
        }

        #[test]
        fn no_text_panics(text in "[ -~]{0,40}") {
            let _ = parse(&HeaderValue::from_str(&text).unwrap(), SystemTime::now());
        }
    }

    #[test]
    fn everything_else_is_no_date() {
        for text in [
            "",
            "0",
            "-1",
            "tomorrow",
            "784111777",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18 +0000",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu,18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 8 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01 GMT",
            "Thu, 18 Aug 2050 24:00:00 GMT",
            "Thu, 18 Aug 2050 02:60:00 GMT",
            "Thu, 31 Apr 2050 02:01:18 GMT",
            "Wed, 29 Feb 2023 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aux 2050 02:01:18 GMT",
            "Xyz, 18 Aug 2050 02:01:18 GMT",
            "Thursday, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18-Aug-50 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug +050 02:01:18 GMT",
            "Thu Aug 8 02:01:18 2050",
            "Thu Aug  18 02:01:18 2050",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
