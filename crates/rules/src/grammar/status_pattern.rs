//! Statuses that do not fail over, written as codes and patterns.

use super::Invalid;
use super::status_set::StatusSet;

/// One pattern over statuses: `403`, `40x` (one digit open), `41*` or `4*` (the rest open).
///
/// Source: policy-language 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusPattern([Option<u8>; 3]);

impl StatusPattern {
    /// Whether the status fits.
    #[must_use]
    pub fn matches(&self, status: u16) -> bool {
        let digits = [status / 100, status / 10 % 10, status % 10];
        (100..1000).contains(&status)
            && self.0.iter().zip(digits).all(|(want, digit)| want.is_none_or(|want| u16::from(want) == digit))
    }

    /// A whole list, separated by spaces or commas; `low:high` ranges are accepted too.
    ///
    /// # Errors
    /// The first item that is neither a code, a pattern nor a range.
    pub fn set(list: &str) -> Result<StatusSet, Invalid> {
        let mut set = StatusSet::default();
        for item in list.split(',').flat_map(super::tokens::split) {
            if item.contains(':') {
                set.insert_item(item)?;
                continue;
            }
            let pattern: Self = item.parse()?;
            (400..=599).filter(|status| pattern.matches(*status)).for_each(|status| set.insert(status));
        }
        Ok(set)
    }
}

impl std::str::FromStr for StatusPattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || {
            Invalid::new(format!("{text:?} is not a status pattern"))
                .hint("write 403, 40x, 41* or 4*; only 4xx and 5xx statuses can be named")
        };
        let mut bytes = text.bytes();
        let first = bytes.next().filter(|byte| matches!(byte, b'4' | b'5')).ok_or_else(invalid)?;
        let rest: Vec<u8> = bytes.collect();
        let digit = |byte: u8| byte.is_ascii_digit().then(|| byte - b'0');
        let (second, third) = match rest.as_slice() {
            b"*" | b"**" => (None, None),
            [tens, b'*'] => (Some(digit(*tens).ok_or_else(invalid)?), None),
            [tens, ones] => {
                let part = |byte: u8| {
                    if matches!(byte, b'x' | b'X') { Ok(None) } else { digit(byte).map(Some).ok_or_else(invalid) }
                };
                (part(*tens)?, part(*ones)?)
            }
            _ => return Err(invalid()),
        };
        Ok(Self([digit(first), second, third]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_leaves_digits_open() {
        let table: &[(&str, Option<(u16, u16)>)] = &[
            ("403", Some((403, 403))),
            ("40x", Some((400, 409))),
            ("40X", Some((400, 409))),
            ("4*", Some((400, 499))),
            ("4**", Some((400, 499))),
            ("4xx", Some((400, 499))),
            ("41*", Some((410, 419))),
            ("5*", Some((500, 599))),
            ("*", None),
            ("5", None),
            ("600", None),
            ("20*", None),
            ("3*", None),
            ("4x*", None),
            ("4***", None),
            ("40*0", None),
            ("4é", None),
            ("", None),
        ];
        for (text, expected) in table {
            let members = text
                .parse::<StatusPattern>()
                .ok()
                .map(|pattern| (0..=1000).filter(|status| pattern.matches(*status)).collect::<Vec<_>>());
            let expected = expected.map(|(low, high)| (low..=high).collect::<Vec<_>>());
            assert_eq!(members, expected, "{text:?}");
        }
    }

    #[test]
    fn a_list_is_separated_by_spaces_or_commas() {
        let set = StatusPattern::set("403 40x, 41*,451 500:502").unwrap();
        let expected: Vec<u16> = (400..=419).chain([451, 500, 501, 502]).collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), expected);
        assert!(StatusPattern::set("403 20x").is_err());
        assert!(StatusPattern::set("504:500").is_err());
    }
}
