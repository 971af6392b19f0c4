//! Deadlines: nothing in the bed waits without one.

use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer};

/// How long anything may take that no test gave its own deadline: generous, because the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks `probe` again and again until it gives a value, or panics with `what` when the deadline has passed.
///
/// # Panics
/// When `within` has passed.
pub fn until<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {within:?} for {what}, in vain");
        pause(Duration::from_millis(10));
    }
}

/// Lets time pass between two looks at something that cannot be waited for.
#[allow(clippy::disallowed_methods, reason = "a thread of a test, not of the edge")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A duration as configurations write it: `500ms`, `10s`, `2m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text)
            .map(Span)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no duration: write 500ms, 10s or 2m")))
    }
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number * 60)),
        _ => None,
    }
}
