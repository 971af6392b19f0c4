//! Gives up what a disk cannot do for now, and finds out when it can again.
//!
//! ```text
//!            a write fails (of a full disk: also after making room)
//!   Writing ────────────────────────────────────────────────────────> GivenUp
//!      └──────────────── a probe every few seconds succeeds ─────────────┘
//! ```

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whether the tier writes. Reads go on in both states.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    given_up: AtomicBool,
    /// When writing was given up or last probed.
    tried: Mutex<Option<Instant>>,
}

impl Breaker {
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// A write failed.
    pub(super) fn give_up(&self, why: &dyn fmt::Display) {
        if !self.given_up.swap(true, Ordering::Relaxed) {
            *self.tried() = Some(Instant::now());
            log::warn!("the disk tier writes nothing for now, what it holds is served on: {why}");
        }
    }

    fn tried(&self) -> MutexGuard<'_, Option<Instant>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the disk is to be tried again; notes that it is.
    pub(super) fn is_probe_due(&self, every: Duration) -> bool {
        if !self.is_given_up() {
            return false;
        }
        let mut tried = self.tried();
        let due = tried.is_none_or(|tried| tried.elapsed() >= every);
        if due {
            *tried = Some(Instant::now());
        }
        due
    }

    /// A probe succeeded.
    pub(super) fn resume(&self) {
        if self.given_up.swap(false, Ordering::Relaxed) {
            log::info!("the disk tier writes again");
        }
    }
}

/// Reads in a row that were too slow before none is asked for.
const MOST_LATE: u32 = 3;

/// How long none is asked for then.
const REST: Duration = Duration::from_secs(5);

/// Keeps requests from waiting, one after the other, for a disk that does not answer.
#[derive(Debug)]
pub(super) struct Patience {
    began: Instant,
    late: AtomicU32,
    /// Milliseconds since `began` until which nothing is read.
    rests_until: AtomicU64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { began: Instant::now(), late: AtomicU32::new(0), rests_until: AtomicU64::new(0) }
    }
}

impl Patience {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn is_over(&self) -> bool {
        let until = self.rests_until.load(Ordering::Relaxed);
        until > 0 && self.now() < until
    }

    /// A read came in time.
    pub(super) fn in_time(&self) {
        if self.late.load(Ordering::Relaxed) > 0 {
            self.late.store(0, Ordering::Relaxed);
        }
        if self.rests_until.load(Ordering::Relaxed) > 0 && self.rests_until.swap(0, Ordering::Relaxed) > 0 {
            log::info!("the disk tier answers in time again");
        }
    }

    /// A read came too late.
    pub(super) fn late(&self) {
        if self.late.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_LATE {
            self.late.store(0, Ordering::Relaxed);
            let until = self.now() + u64::try_from(REST.as_millis()).unwrap_or(0);
            if self.rests_until.swap(until, Ordering::Relaxed) == 0 {
                log::warn!(
                    "the disk tier does not answer in time and is left alone for {} s at a time",
                    REST.as_secs()
                );
            }
        }
    }
}
