//! How much: a test is played small in every run, and in full by `tests/full.sh`.

/// Set to anything, everything is played in full.
const FULL: &str = "LEEWARD_TEST_FULL";

/// Whether everything is played in full.
#[must_use]
pub fn full() -> bool {
    std::env::var_os(FULL).is_some_and(|value| !value.is_empty())
}

/// The one number in every run, the other in full.
#[must_use]
pub fn of(small: u64, full_size: u64) -> u64 {
    if full() { full_size } else { small }
}

/// The number that a variable of the environment gives, or that of [`of`].
///
/// # Panics
/// When the variable is no number.
#[must_use]
pub fn given(variable: &str, small: u64, full_size: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}: {text:?} is no number")),
        Err(_) => of(small, full_size),
    }
}
