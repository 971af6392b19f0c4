//! Which objects have been asked for often enough to be stored.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pingora_cache::CacheKey;
use pingora_cache::admission::{AdmissionPolicy, Decision};
use pingora_cache::key::CacheHashKey as _;

#[cfg(test)]
mod tests;

/// Counters that one key has in a table; its count is the least of them.
const COUNTERS: usize = 3;

/// Keys, as a share of a table's counters, that end a period early: beyond it strangers would share counters too often.
const FULL_SHARE: u64 = 4;

/// Sizes of a [`Sketch`].
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Requests from which an object is stored: 1 stores the first, 2 the second.
    pub requests: u8,
    /// How long a request is remembered at least; at most twice as long.
    pub window: Duration,
    /// Counters of one table, rounded up to a power of two; one byte each, two tables.
    pub counters: usize,
}

impl Default for Options {
    /// Two requests within a day, two tables of 1 MiB.
    fn default() -> Self {
        Self {
            requests: 2,
            window: Duration::from_secs(86_400),
            counters: 1 << 20,
        }
    }
}

/// Counts requests for objects that are not stored, in two tables of atomic counters that take turns.
///
/// No lock and no allocation: of two concurrent requests for a cold key, one counts as the second. Keys that share all their
/// counters are taken for each other, so now and then an object is stored too early; never too late.
#[derive(Debug)]
pub struct Sketch {
    tables: [Box<[AtomicU8]>; 2],
    requests: u32,
    window: Duration,
    start: Instant,
    /// Periods ended so far; the table of the running one is this number's lowest bit.
    period: AtomicU64,
    /// When the running period began, in milliseconds since `start`.
    began: AtomicU64,
    /// Keys first seen in the running period.
    keys: AtomicU64,
}

impl Sketch {
    /// An empty sketch.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let counters = options.counters.max(64).next_power_of_two();
        let table = || (0..counters).map(|_| AtomicU8::new(0)).collect();
        Self {
            tables: [table(), table()],
            requests: options.requests.max(1).into(),
            window: options.window,
            start: Instant::now(),
            period: AtomicU64::new(0),
            began: AtomicU64::new(0),
            keys: AtomicU64::new(0),
        }
    }

    /// A sketch that lives as long as the process, as the framework demands.
    #[must_use]
    pub fn leak(options: Options) -> &'static Self {
        Box::leak(Box::new(Self::new(options)))
    }

    fn observe_at(&self, hash: u128, now: Instant) -> Decision {
        self.rotate(now);
        let turn = (self.period.load(Ordering::Acquire) & 1) as usize;
        let [even, odd] = &self.tables;
        let (running, previous) = if turn == 0 { (even, odd) } else { (odd, even) };
        let (mut here, mut before) = (u8::MAX, u8::MAX);
        for place in places(hash, running.len()) {
            if let (Some(counter), Some(old)) = (running.get(place), previous.get(place)) {
                here = here.min(
                    counter
                        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                            count.checked_add(1)
                        })
                        .unwrap_or(u8::MAX),
                );
                before = before.min(old.load(Ordering::Relaxed));
            }
        }
        if here == 0 {
            self.keys.fetch_add(1, Ordering::Relaxed);
        }
        let observed = u32::from(here) + u32::from(before) + 1;
        if observed >= self.requests {
            Decision::Ready { observed }
        } else {
            Decision::Defer { observed }
        }
    }

    /// Ends the running period when its time is over or its table is full. One of the threads that notice does it.
    fn rotate(&self, now: Instant) {
        let elapsed = |since: Instant| {
            u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX)
        };
        let now = elapsed(self.start);
        let began = self.began.load(Ordering::Acquire);
        let over = u128::from(now.saturating_sub(began)) >= self.window.as_millis();
        let full = self.keys.load(Ordering::Relaxed) > self.tables[0].len() as u64 / FULL_SHARE;
        if !(over || full)
            || self
                .began
                .compare_exchange(
                    began,
                    now.max(began + 1),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_err()
        {
            return;
        }
        let period = self.period.load(Ordering::Acquire);
        let [even, odd] = &self.tables;
        let next = if period & 1 == 0 { odd } else { even };
        for counter in next {
            counter.store(0, Ordering::Relaxed);
        }
        self.keys.store(0, Ordering::Relaxed);
        self.period.store(period + 1, Ordering::Release);
    }
}

impl AdmissionPolicy for Sketch {
    fn observe(&self, key: &CacheKey) -> Decision {
        let primary = u128::from_le_bytes(key.primary_bin());
        let variance = key.variance_bin().map_or(0, u128::from_le_bytes);
        self.observe_at(primary ^ variance.rotate_left(32), Instant::now())
    }
}

/// The counters of a key: independent cuts of its hash.
fn places(hash: u128, counters: usize) -> [usize; COUNTERS] {
    let mask = counters - 1;
    [
        hash as usize & mask,
        (hash >> 42) as usize & mask,
        (hash >> 84) as usize & mask,
    ]
}
