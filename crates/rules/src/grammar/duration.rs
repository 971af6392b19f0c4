//! Durations as policies write them.

use std::time::Duration;

use super::Invalid;

/// A duration in whole seconds: digits and at most one unit of `s m h d`; bare digits are seconds.
///
/// Capped at 2^31-1 seconds. Source: policy-language 4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize)]
#[serde(transparent)]
pub struct DeltaTime(u32);

impl DeltaTime {
    /// The longest duration.
    pub const MAX: Self = Self(i32::MAX as u32);
    /// Stale at once.
    pub const ZERO: Self = Self(0);

    /// So many seconds, capped at [`DeltaTime::MAX`].
    #[must_use]
    pub fn from_secs(seconds: u64) -> Self {
        u32::try_from(seconds).map_or(Self::MAX, |seconds| Self(seconds).min(Self::MAX))
    }

    /// Whole seconds.
    #[must_use]
    pub fn as_secs(self) -> u32 {
        self.0
    }

    /// As a standard duration.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

impl std::str::FromStr for DeltaTime {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || {
            Invalid::new(format!("{text:?} is not a duration"))
                .hint("write whole seconds, or digits and one of s, m, h, d: 90, 30m, 1d")
        };
        let (digits, unit) = match text.as_bytes().last() {
            Some(b's') => (text.get(..text.len() - 1), 1),
            Some(b'm') => (text.get(..text.len() - 1), 60),
            Some(b'h') => (text.get(..text.len() - 1), 3_600),
            Some(b'd') => (text.get(..text.len() - 1), 86_400),
            _ => (Some(text), 1),
        };
        let digits = digits.filter(|digits| !digits.is_empty()).ok_or_else(invalid)?;
        let mut number: u64 = 0;
        for byte in digits.bytes() {
            if !byte.is_ascii_digit() {
                return Err(invalid());
            }
            number = number.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
        }
        Ok(Self::from_secs(number.saturating_mul(unit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_digits_and_at_most_one_unit() {
        let table: &[(&str, Option<u32>)] = &[
            ("0", Some(0)),
            ("0s", Some(0)),
            ("30", Some(30)),
            ("86400s", Some(86_400)),
            ("30m", Some(1_800)),
            ("1h", Some(3_600)),
            ("7d", Some(604_800)),
            ("2147483647", Some(2_147_483_647)),
            ("2147483648", Some(2_147_483_647)),
            ("99999999999999999999999d", Some(2_147_483_647)),
            ("", None),
            ("s", None),
            ("1 day", None),
            ("1d12h", None),
            ("-1", None),
            ("+1", None),
            ("1.5h", None),
            ("1H", None),
            ("1ms", None),
            (" 1", None),
            ("1 ", None),
            ("1é", None),
        ];
        for (text, expected) in table {
            let got = text.parse::<DeltaTime>().ok().map(DeltaTime::as_secs);
            assert_eq!(got, *expected, "{text:?}");
        }
    }
}
