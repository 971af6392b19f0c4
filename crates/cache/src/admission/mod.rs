//! Which objects have been asked for often enough to be stored.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pingora_cache::CacheKey;
use pingora_cache::key::CacheHashKey as _;

mod trial;

pub use trial::Trial;

#[cfg(test)]
mod tests;

/// Bits of one key in a bucket: a tag of twelve bits over a count of four.
const KEY_BITS: u32 = 16;
const COUNT: u64 = 0xf;
const TAG: u64 = 0xfff0;
const KEYS_PER_BUCKET: u32 = u64::BITS / KEY_BITS;

/// Sizes of a [`Sketch`].
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long a request is remembered at least; at most twice as long.
    pub window: Duration,
    /// Keys that one of the two tables is made for, rounded up to a power of two; eight bytes each. More end a window early.
    pub keys: usize,
}

impl Default for Options {
    /// A week (delivery spec 2.4), two tables of 8 MiB.
    fn default() -> Self {
        Self { window: Duration::from_secs(604_800), keys: 1 << 20 }
    }
}

/// Counts requests for objects that are not stored, in two tables of atomic words that take turns.
///
/// No lock and no allocation. A key lives in one word, so of concurrent requests for a cold key exactly one counts as the first.
/// A word holds the tags of its last four keys: now and then (one in a thousand) a stranger has the same tag and an object is
/// stored one request early, or a fifth key pushes one out and it is stored one request late.
#[derive(Debug)]
pub struct Sketch {
    even: Box<[AtomicU64]>,
    odd: Box<[AtomicU64]>,
    window: Duration,
    start: Instant,
    /// Windows ended so far; an even number fills the even table.
    windows: AtomicU64,
    /// When the running window began, in milliseconds since `start`.
    began: AtomicU64,
    /// Keys first seen in the running window.
    keys: AtomicU64,
}

impl Sketch {
    /// An empty sketch.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let table = || (0..options.keys.max(1).next_power_of_two()).map(|_| AtomicU64::new(0)).collect();
        Self {
            even: table(),
            odd: table(),
            window: options.window,
            start: Instant::now(),
            windows: AtomicU64::new(0),
            began: AtomicU64::new(0),
            keys: AtomicU64::new(0),
        }
    }

    /// A sketch that lives as long as the process.
    #[must_use]
    pub fn leak(options: Options) -> &'static Self {
        Box::leak(Box::new(Self::new(options)))
    }

    /// Counts a request for an object that is not stored; answers how many there were with it, 15 or more for many.
    pub fn observe(&self, key: &CacheKey) -> u8 {
        self.observe_at(hash_of(key), Instant::now())
    }

    /// How many requests for an object were counted.
    pub fn count(&self, key: &CacheKey) -> u8 {
        let hash = hash_of(key);
        let tag = tag_of(hash);
        let of =
            |table: &[AtomicU64]| bucket(table, hash).map_or(0, |bucket| count_of(bucket.load(Ordering::Relaxed), tag));
        of(&self.even) + of(&self.odd)
    }

    fn observe_at(&self, hash: u128, now: Instant) -> u8 {
        self.rotate(now);
        let even = self.windows.load(Ordering::Acquire).is_multiple_of(2);
        let (running, previous) = if even { (&self.even, &self.odd) } else { (&self.odd, &self.even) };
        let tag = tag_of(hash);
        let earlier = bucket(previous, hash).map_or(0, |bucket| count_of(bucket.load(Ordering::Relaxed), tag));
        let mut seen = 0;
        if let Some(bucket) = bucket(running, hash) {
            let counted = |word| {
                seen = count_of(word, tag);
                Some(count(word, tag))
            };
            // The closure never gives up, so this cannot fail.
            let _ = bucket.fetch_update(Ordering::AcqRel, Ordering::Acquire, counted);
        }
        if seen == 0 {
            self.keys.fetch_add(1, Ordering::Relaxed);
        }
        earlier + seen + 1
    }

    /// Ends the running window when its time is over or its table is full. One of the threads that notice does it.
    fn rotate(&self, now: Instant) {
        let now = u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX);
        let began = self.began.load(Ordering::Acquire);
        let over = u128::from(now.saturating_sub(began)) >= self.window.as_millis();
        let full = self.keys.load(Ordering::Relaxed) > self.even.len() as u64;
        if !(over || full) {
            return;
        }
        // The new beginning differs from the old one, so that only one thread succeeds.
        if self.began.compare_exchange(began, now.max(began + 1), Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        let windows = self.windows.load(Ordering::Acquire);
        let next = if windows.is_multiple_of(2) { &self.odd } else { &self.even };
        for bucket in next {
            bucket.store(0, Ordering::Relaxed);
        }
        self.keys.store(0, Ordering::Relaxed);
        self.windows.store(windows + 1, Ordering::Release);
    }
}

fn hash_of(key: &CacheKey) -> u128 {
    let variance = key.variance_bin().map_or(0, u128::from_le_bytes);
    u128::from_le_bytes(key.primary_bin()) ^ variance.rotate_left(64)
}

fn tag_of(hash: u128) -> u64 {
    (hash >> 100) as u64 & TAG
}

/// The word of a key; tables have a power of two of them.
fn bucket(table: &[AtomicU64], hash: u128) -> Option<&AtomicU64> {
    table.get(hash as usize & (table.len() - 1))
}

/// How often a tag was counted in a word.
fn count_of(word: u64, tag: u64) -> u8 {
    let keys = (0..KEYS_PER_BUCKET).map(|place| word >> (place * KEY_BITS));
    keys.filter(|key| key & COUNT > 0 && key & TAG == tag).map(|key| (key & COUNT) as u8).next().unwrap_or(0)
}

/// The word with one more for a tag; a new tag pushes the oldest out.
fn count(word: u64, tag: u64) -> u64 {
    for place in 0..KEYS_PER_BUCKET {
        let key = word >> (place * KEY_BITS);
        if key & COUNT > 0 && key & TAG == tag {
            return if key & COUNT == COUNT { word } else { word + (1 << (place * KEY_BITS)) };
        }
    }
    word << KEY_BITS | tag | 1
}
