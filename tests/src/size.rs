//! Sizes as configurations write them: `1000`, `1KiB`, `1MiB`, `1GiB`.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_yaml::Value;

/// So many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size(pub usize);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = match &value {
            Value::Number(number) => number.as_u64().and_then(|bytes| usize::try_from(bytes).ok()),
            Value::String(text) => parse(text),
            _ => None,
        };
        read.map(Size).ok_or_else(|| D::Error::custom(format!("{value:?} is no size: write 1000, 1KiB or 1MiB")))
    }
}

fn parse(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: usize = number.parse().ok()?;
    match unit {
        "" | "B" => Some(number),
        "KiB" => Some(number * 1024),
        "MiB" => Some(number * 1024 * 1024),
        "GiB" => Some(number * 1024 * 1024 * 1024),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn a_size_is_a_number_of_bytes_with_or_without_a_unit() {
        let cases = [
            ("7", Some(7)),
            ("7B", Some(7)),
            ("2KiB", Some(2048)),
            ("1MiB", Some(1_048_576)),
            ("2GiB", Some(2_147_483_648)),
            ("1kB", None),
            ("x", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(serde_yaml::from_str::<Size>(text).ok(), bytes.map(Size), "{text}");
        }
    }
}
