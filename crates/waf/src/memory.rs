//! What is remembered of verdicts: that a request without a body was let through. Refusals are not kept: who is refused by
//! mistake and is put right by a new exclusion must not wait.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::Verdict;

/// Parts with a lock each, so that workers seldom meet. A power of two.
const SHARDS: usize = 64;
/// Verdicts of one part. A power of two.
const SLOTS: usize = 1024;
/// Places that a key may have.
const WAYS: usize = 4;
/// How long a verdict holds.
const LIFETIME: Duration = Duration::from_secs(60);

/// Verdicts of requests that were let through: at most 65,536, each for a minute.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[Mutex<Box<[Slot]>>]>,
    seed: (u64, u64),
}

#[derive(Debug, Clone, Default)]
struct Slot {
    key: u128,
    /// Absent: free.
    until: Option<Instant>,
    /// Rules that matched without refusing the request. Absent: none did, as for most.
    verdict: Option<Arc<Verdict>>,
}

/// What a verdict depends on, hashed with a key of the process's own.
#[derive(Debug, Clone)]
pub struct Key(SipHasher13);

impl Default for Memory {
    fn default() -> Self {
        let shard = || Mutex::new(vec![Slot::default(); SLOTS].into_boxed_slice());
        let draw = || RandomState::new().hash_one(0);
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), seed: (draw(), draw()) }
    }
}

impl Key {
    /// Adds a part; where it ends is a part of the key.
    pub fn add(&mut self, part: &[u8]) {
        self.0.write_usize(part.len());
        self.0.write(part);
    }

    fn hash(&self) -> u128 {
        self.0.finish128().as_u128()
    }
}

impl Memory {
    /// The beginning of a key under one rule set.
    #[must_use]
    pub fn key(&self, generation: u64) -> Key {
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        hasher.write_u64(generation);
        Key(hasher)
    }

    /// The verdict on an equal request.
    #[must_use]
    pub fn recall(&self, key: &Key, now: Instant) -> Option<Option<Arc<Verdict>>> {
        let hash = key.hash();
        self.with(hash, |ways| {
            let slot = ways.iter().find(|slot| slot.key == hash && slot.until.is_some_and(|until| now < until))?;
            Some(slot.verdict.clone())
        })?
    }

    /// Keeps a verdict, unless it is a refusal.
    pub fn keep(&self, key: &Key, verdict: &Arc<Verdict>, now: Instant) {
        if verdict.refuse {
            return;
        }
        let hash = key.hash();
        let verdict = (!verdict.rules.is_empty()).then(|| Arc::clone(verdict));
        self.with(hash, |ways| {
            // its own place, else a free one, else the one that ends first
            let place = ways.iter_mut().min_by_key(|slot| (slot.key != hash, slot.until));
            if let Some(slot) = place {
                *slot = Slot { key: hash, until: Some(now + LIFETIME), verdict };
            }
        });
    }

    fn with<T>(&self, hash: u128, then: impl FnOnce(&mut [Slot]) -> T) -> Option<T> {
        let bits = usize::try_from(hash & 0xffff_ffff).unwrap_or_default();
        let shard = self.shards.get(bits % SHARDS)?;
        let first = (bits / SHARDS) % (SLOTS / WAYS) * WAYS;
        let mut slots = shard.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get_mut(first..first + WAYS).map(then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(refuse: bool, rules: &[u32]) -> Arc<Verdict> {
        Arc::new(Verdict { refuse, rules: rules.to_vec(), score: 0 })
    }

    fn key(memory: &Memory, generation: u64, parts: &[&str]) -> Key {
        let mut key = memory.key(generation);
        parts.iter().for_each(|part| key.add(part.as_bytes()));
        key
    }

    #[test]
    fn only_an_equal_request_under_the_same_rules_is_remembered_and_for_a_minute() {
        let memory = Memory::default();
        let now = Instant::now();
        memory.keep(&key(&memory, 1, &["GET", "/a?b", "x"]), &verdict(false, &[]), now);
        for (generation, parts, later, want) in [
            (1, &["GET", "/a?b", "x"][..], 0, true),
            (1, &["GET", "/a?b", "x"], 59, true),
            (1, &["GET", "/a?b", "x"], 60, false),
            (2, &["GET", "/a?b", "x"], 0, false),
            (1, &["HEAD", "/a?b", "x"], 0, false),
            (1, &["GET", "/a?c", "x"], 0, false),
            (1, &["GET", "/a?b", "y"], 0, false),
            (1, &["GET", "/a?bx", ""], 0, false),
            (1, &["GET", "/a?b"], 0, false),
            (1, &["GET", "/a?b", "x", ""], 0, false),
        ] {
            let got = memory.recall(&key(&memory, generation, parts), now + Duration::from_secs(later)).is_some();
            assert_eq!(got, want, "{generation} {parts:?} after {later} s");
        }
    }

    #[test]
    fn refusals_are_forgotten_and_findings_are_not() {
        let memory = Memory::default();
        let now = Instant::now();
        for (name, verdict, want) in [
            ("clean", verdict(false, &[]), Some(None)),
            ("found", verdict(false, &[942_100]), Some(Some(verdict(false, &[942_100])))),
            ("refused", verdict(true, &[942_100, 949_110]), None),
        ] {
            let key = key(&memory, 1, &[name]);
            memory.keep(&key, &verdict, now);
            assert_eq!(memory.recall(&key, now), want, "{name}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_was_kept_last_is_there() {
        let memory = Memory::default();
        let now = Instant::now();
        let keys: Vec<Key> = (0..200_000).map(|n: u32| key(&memory, 1, &[&n.to_string()])).collect();
        for (n, key) in (0..).zip(&keys) {
            memory.keep(key, &verdict(false, &[]), now + Duration::from_micros(n));
            assert!(memory.recall(key, now + Duration::from_micros(n)).is_some(), "{n}");
        }
        let there = keys.iter().filter(|key| memory.recall(key, now + Duration::from_secs(1)).is_some()).count();
        assert!((SHARDS * SLOTS * 9 / 10..=SHARDS * SLOTS).contains(&there), "{there}");
    }
}
