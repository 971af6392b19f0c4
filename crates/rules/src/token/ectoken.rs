//! Whether a request holds a good ectoken.

use super::seal::{Key, Sealed};
use super::{Code, Place, requirements};
use crate::facts::Facts;

/// The keys of a platform.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    primary: Option<Key>,
    backup: Option<Key>,
}

impl Keys {
    /// The key that tokens are made with, and the one that is accepted beside it while keys are changed.
    #[must_use]
    pub fn new(primary: Option<Key>, backup: Option<Key>) -> Self {
        Self { primary, backup }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.primary.is_none() && self.backup.is_none()
    }

    /// What a token says that one of the keys made: the primary is tried first.
    #[must_use]
    pub fn open(&self, token: &str) -> Option<Sealed> {
        self.primary.iter().chain(&self.backup).find_map(|key| key.decrypt(token))
    }
}

/// What is asked of a request.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The keys that count.
    pub keys: &'a Keys,
    /// Where the token stands.
    pub place: Place<'a>,
    /// Whether paths and Referers are compared without regard to case.
    pub ignore_case: bool,
}

impl Asked<'_> {
    /// Whether the request may go on.
    #[must_use]
    pub fn judge(&self, facts: &Facts<'_>) -> Code {
        if self.keys.is_empty() {
            return Code::NoKey;
        }
        let Some(token) = self.place.find(facts.query) else { return Code::NoToken };
        let plaintext = self.keys.open(token);
        match plaintext.as_deref().map(std::str::from_utf8) {
            Some(Ok(plaintext)) => requirements::check(plaintext, self.ignore_case, facts),
            _ => Code::Decrypt,
        }
    }
}

#[cfg(test)]
#[path = "ectoken_tests.rs"]
mod tests;
