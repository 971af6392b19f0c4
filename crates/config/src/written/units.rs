//! Durations and sizes as people write them.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

/// The longest duration taken, 100 years: far beyond any use, far below what timers overflow at.
pub const MAX_SPAN: Duration = Duration::from_secs(100 * 366 * 86_400);

const SPAN_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZE_UNITS: [(&str, u64); 5] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)];

/// A duration: a number and one of `ms`, `s`, `m`, `h`, `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A size: a number and one of `B`, `KiB`, `MiB`, `GiB`, `TiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Span {
    /// That many seconds.
    #[must_use]
    pub const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
    /// That many minutes.
    #[must_use]
    pub const fn mins(minutes: u64) -> Self {
        Self(Duration::from_secs(minutes * 60))
    }
    /// That many days.
    #[must_use]
    pub const fn days(days: u64) -> Self {
        Self(Duration::from_secs(days * 86_400))
    }
    /// Reads `500ms`, `10s`, `5m`, `2h`, `7d`; nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = split(text)?;
        let unit = SPAN_UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let span = Duration::from_millis(count.checked_mul(unit)?);
        (span <= MAX_SPAN).then_some(Self(span))
    }
}

impl Size {
    /// That many kibibytes.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }
    /// That many mebibytes.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }
    /// That many gibibytes.
    #[must_use]
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }
    /// Reads `512B`, `64KiB`, `1MiB`, `20GiB`, `1TiB`; nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = split(text)?;
        let unit = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?.1;
        count.checked_mul(unit).map(Self)
    }
}

/// A whole number and its unit.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at_checked(end)?;
    Some((count.parse().ok()?, unit))
}

/// The number with the largest unit that leaves no remainder.
fn write(f: &mut fmt::Formatter<'_>, count: u64, units: &[(&str, u64)], zero: &str) -> fmt::Result {
    let best = units.iter().filter(|(_, unit)| count.is_multiple_of(*unit)).max_by_key(|(_, unit)| *unit);
    match best {
        Some((name, unit)) if count > 0 => write!(f, "{}{name}", count / unit),
        _ => f.write_str(zero),
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        write(f, millis, &SPAN_UNITS, "0s")
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, &SIZE_UNITS, "0B")
    }
}

/// What the text forms of both units share.
struct Text<T> {
    parse: fn(&str) -> Option<T>,
    expecting: &'static str,
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

const A_SPAN: &str = "a duration such as `500ms`, `10s`, `5m`, `2h` or `7d`";
const A_SIZE: &str = "a size such as `512B`, `64KiB`, `100MiB` or `20GiB`";

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text { parse: Self::parse, expecting: A_SPAN })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text { parse: Self::parse, expecting: A_SIZE })
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "description": "A whole number and one of `ms`, `s`, `m`, `h`, `d`: `500ms`, `10s`, `7d`." })
    }
}

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|TiB)$", "description": "A whole number and one of `B`, `KiB`, `MiB`, `GiB`, `TiB`: `64KiB`, `20GiB`." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, millis) in [
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("7d", Some(604_800_000)),
            ("0s", Some(0)),
            ("007s", Some(7_000)),
            ("", None),
            ("10", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("+1s", None),
            ("1 s", None),
            (" 1s", None),
            ("1S", None),
            ("1d12h", None),
            ("1w", None),
            ("99999999999999999999s", None),
            ("40000d", None),
            ("１s", None),
        ] {
            assert_eq!(Span::parse(text).map(|span| span.0.as_millis()), millis, "{text}");
        }
    }

    #[test]
    fn a_size_is_a_whole_number_and_a_binary_unit() {
        for (text, bytes) in [
            ("512B", Some(512)),
            ("64KiB", Some(65_536)),
            ("1MiB", Some(1 << 20)),
            ("20GiB", Some(20 << 30)),
            ("1TiB", Some(1 << 40)),
            ("0B", Some(0)),
            ("", None),
            ("512", None),
            ("5MB", None),
            ("5K", None),
            ("5kib", None),
            ("1.5GiB", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(Size::parse(text).map(|size| size.0), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        for text in ["0s", "1ms", "1500ms", "10s", "90s", "5m", "36h", "7d"] {
            assert_eq!(Span::parse(text).map(|span| span.to_string()).as_deref(), Some(text));
        }
        for text in ["0B", "1B", "1025B", "64KiB", "5GiB", "1TiB"] {
            assert_eq!(Size::parse(text).map(|size| size.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Span::secs(60).to_string(), "1m");
    }
}
