//! Which objects are not worth a lookup, because their last answer was not to be stored.

use std::sync::atomic::{AtomicU64, Ordering};

use pingora_cache::key::CacheHashKey as _;
use pingora_cache::predictor::CacheablePredictor;
use pingora_cache::{CacheKey, NoCacheReason};

/// The low bits of a word say why; it is empty when they are 0. The others name the key.
const WHY: u64 = 0b11;
const NOT_STORED: u64 = 1;
const TOO_LARGE: u64 = 2;

/// What the processor fetches at once.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; 8]);

/// Remembers keys in a table of atomic words: without a lock, an allocation, or more than one place to look at.
///
/// A ninth key in a line pushes one out. Whoever asks for that one waits for others who do, and looks for it in vain, once.
#[derive(Debug)]
pub struct Uncacheable {
    lines: Box<[Line]>,
    passing: fn(&'static str) -> bool,
}

impl Uncacheable {
    /// An empty table for so many keys, rounded up to a power of two; eight bytes each. `passing` says which reasons of the edge's
    /// own say nothing about the next answer.
    #[must_use]
    pub fn new(keys: usize, passing: fn(&'static str) -> bool) -> Self {
        let lines = (keys / 8).max(1).next_power_of_two();
        Self { lines: (0..lines).map(|_| Line::default()).collect(), passing }
    }

    /// The line of a key, and its word but for the reason.
    fn place(&self, key: &CacheKey) -> (&[AtomicU64], u64) {
        // variants are not known yet when this is asked
        let hash = u128::from_le_bytes(key.primary_bin());
        let (low, high) = (hash as u64, (hash >> 64) as u64);
        let line = self.lines.get(usize::try_from(low).unwrap_or(usize::MAX) & (self.lines.len() - 1));
        (line.map_or(&[], |line| &line.0), high & !WHY)
    }

    fn find(&self, key: &CacheKey) -> Option<(&AtomicU64, u64)> {
        let (line, name) = self.place(key);
        let found =
            |word: &AtomicU64| Some(word.load(Ordering::Relaxed)).filter(|is| is & WHY != 0 && is & !WHY == name);
        line.iter().find_map(|word| found(word).map(|is| (word, is)))
    }
}

impl CacheablePredictor for Uncacheable {
    fn cacheable_prediction(&self, key: &CacheKey) -> bool {
        self.find(key).is_none()
    }

    fn predicted_uncacheable_reason(&self, key: &CacheKey) -> Option<NoCacheReason> {
        self.find(key).map(|(_, is)| match is & WHY {
            TOO_LARGE => NoCacheReason::ResponseTooLarge,
            _ => NoCacheReason::OriginNotCache,
        })
    }

    fn mark_cacheable(&self, key: &CacheKey) -> bool {
        let Some((word, is)) = self.find(key) else { return true };
        // another key that took the place meanwhile keeps it
        let _ = word.compare_exchange(is, 0, Ordering::Relaxed, Ordering::Relaxed);
        false
    }

    fn mark_uncacheable(&self, key: &CacheKey, reason: NoCacheReason) -> Option<bool> {
        let why = match reason {
            NoCacheReason::OriginNotCache => NOT_STORED,
            NoCacheReason::ResponseTooLarge => TOO_LARGE,
            NoCacheReason::Custom(reason) if !(self.passing)(reason) => NOT_STORED,
            // what happened to this request
            _ => return None,
        };
        if let Some((word, is)) = self.find(key) {
            let _ = word.compare_exchange(is, is & !WHY | why, Ordering::Relaxed, Ordering::Relaxed);
            return Some(false);
        }
        let (line, name) = self.place(key);
        let free = line.iter().find(|word| word.load(Ordering::Relaxed) & WHY == 0);
        // whose place it is else says its name, which is as good as a die
        let place = free.or_else(|| line.get((name >> 61) as usize));
        if let Some(place) = place {
            place.store(name | why, Ordering::Relaxed);
        }
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSING: NoCacheReason = NoCacheReason::Custom("passing");

    fn table(keys: usize) -> Uncacheable {
        Uncacheable::new(keys, |reason| PASSING == NoCacheReason::Custom(reason))
    }

    fn key(n: usize) -> CacheKey {
        CacheKey::new(format!("/{n}"), "")
    }

    #[test]
    fn what_was_not_to_be_stored_is_remembered_until_it_is() {
        let table = table(64);
        for (reason, remembered) in [
            (NoCacheReason::InternalError, None),
            (NoCacheReason::StorageError, None),
            (NoCacheReason::UpstreamError, None),
            (NoCacheReason::CacheLockTimeout, None),
            (NoCacheReason::Deferred, None),
            (PASSING, None),
            (NoCacheReason::OriginNotCache, Some(NoCacheReason::OriginNotCache)),
            (NoCacheReason::ResponseTooLarge, Some(NoCacheReason::ResponseTooLarge)),
            (NoCacheReason::Custom("other"), Some(NoCacheReason::OriginNotCache)),
        ] {
            let key = key(1);
            let marked = remembered.map(|_| true);
            assert_eq!(table.mark_uncacheable(&key, reason), marked, "{reason:?}");
            assert_eq!(table.predicted_uncacheable_reason(&key), remembered, "{reason:?}");
            assert_eq!(table.cacheable_prediction(&key), remembered.is_none(), "{reason:?}");
            assert_eq!(table.mark_uncacheable(&key, reason), marked.map(|_| false), "{reason:?}, again");
            assert_eq!(table.mark_uncacheable(&key, PASSING), None);
            assert_eq!(table.predicted_uncacheable_reason(&key), remembered, "{reason:?}, after one that passes");
            assert_eq!(table.mark_cacheable(&key), remembered.is_none(), "{reason:?}");
            assert!(table.cacheable_prediction(&key) && table.mark_cacheable(&key), "{reason:?}");
        }
    }

    #[test]
    fn the_last_reason_counts() {
        let (table, key) = (table(64), key(1));
        table.mark_uncacheable(&key, NoCacheReason::OriginNotCache);
        assert_eq!(table.mark_uncacheable(&key, NoCacheReason::ResponseTooLarge), Some(false));
        assert_eq!(table.predicted_uncacheable_reason(&key), Some(NoCacheReason::ResponseTooLarge));
    }

    #[test]
    fn nobody_is_taken_for_another_and_the_last_keys_are_known() {
        let table = table(8192);
        for n in 0..100_000 {
            table.mark_uncacheable(&key(n), NoCacheReason::OriginNotCache);
        }
        let known = |from: usize| (from..from + 1000).filter(|n| !table.cacheable_prediction(&key(*n))).count();
        assert_eq!(known(200_000), 0, "never marked");
        assert!(known(99_000) > 850, "{} of the last thousand", known(99_000));
        assert!((0..100_000).filter(|n| !table.cacheable_prediction(&key(*n))).count() <= 8192);
    }
}
