//! How often names are asked for.

use std::time::Duration;

/// The times by which a name is followed. Tests run on shorter ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Floor of an answer's time to live: a zero must not mean a query per moment.
    pub(super) floor: Duration,
    /// Cap of an answer's time to live: a wrong record must not stay for a day.
    pub(super) cap: Duration,
    /// From the first "no such record" about a name that has addresses to the query that confirms it.
    pub(super) confirm: Duration,
    /// From the first failure to the next query; doubled after each further one.
    pub(super) retry: Duration,
    /// The longest pause between two queries about a name that has no answer.
    pub(super) retry_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            floor: Duration::from_secs(5),
            cap: Duration::from_secs(300),
            confirm: Duration::from_secs(1),
            retry: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
        }
    }
}

impl Pace {
    /// How long an answer is believed.
    pub(super) fn lifetime(&self, ttl: Duration) -> Duration {
        ttl.max(self.floor).min(self.cap)
    }

    /// The pause after so many failures in a row, counted from 1.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.retry.saturating_mul(doubled).min(self.retry_max)
    }
}
