//! Which objects are fetched in slices.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use pingora_cache::key::HashBinary;

use super::Version;

/// Objects remembered, over all shards. The oldest is forgotten for a new one, which costs the head of an answer later.
const REMEMBERED: usize = 16 * 1024;
const SHARDS: usize = 16;

/// How long an origin that ignores `Range`, or an object that changes all the time, is not asked for slices.
const NOT_AGAIN_FOR: Duration = Duration::from_secs(600);

/// Changes of an object, none of them later than [`CALM`] after the one before, from which it is not fetched in slices.
const MOST_CHANGES: u8 = 16;
const CALM: Duration = Duration::from_secs(60);

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It is large and can be had in slices.
    Slices {
        /// Its version when it was seen last.
        version: Arc<Version>,
        /// It was asked for often enough for its slices to be stored.
        admitted: bool,
    },
    /// It is only had as a whole.
    Whole {
        /// Bytes of it, as far as that is known.
        total: u64,
    },
}

#[derive(Debug)]
struct Entry {
    known: Known,
    changes: u8,
    /// When the object changed last, or was found to be had as a whole only.
    since: Instant,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<HashBinary, Entry, RandomState>,
    order: VecDeque<HashBinary>,
}

/// A bounded memory of large objects, by the hash of their key.
#[derive(Debug, Default)]
pub struct Sliced([Mutex<Shard>; SHARDS]);

impl Sliced {
    /// What is known of an object.
    #[must_use]
    pub fn get(&self, object: &HashBinary, now: Instant) -> Option<Known> {
        let shard = self.shard(object)?;
        let entry = shard.entries.get(object)?;
        let over = matches!(entry.known, Known::Whole { .. }) && now.duration_since(entry.since) > NOT_AGAIN_FOR;
        (!over).then(|| entry.known.clone())
    }

    /// Notes the version of an object that can be had in slices; `admitted` once stays. False when it is had as a whole all the
    /// same: its origin ignores ranges, or it changes too often.
    pub fn learn(&self, object: &HashBinary, version: &Version, admitted: bool, now: Instant) -> bool {
        let Some(mut shard) = self.shard(object) else { return false };
        let Some(entry) = shard.entries.get_mut(object) else {
            let known = Known::Slices { version: Arc::new(version.clone()), admitted };
            shard.insert(*object, Entry { known, changes: 0, since: now });
            return true;
        };
        match &mut entry.known {
            Known::Whole { .. } if now.duration_since(entry.since) <= NOT_AGAIN_FOR => return false,
            Known::Slices { version: old, admitted: before } => {
                *before |= admitted;
                if **old == *version {
                    return true;
                }
                entry.changes = if now.duration_since(entry.since) > CALM { 1 } else { entry.changes + 1 };
                entry.since = now;
                *old = Arc::new(version.clone());
                if entry.changes >= MOST_CHANGES {
                    (entry.known, entry.changes) = (Known::Whole { total: version.total }, 0);
                    return false;
                }
            }
            known @ Known::Whole { .. } => {
                *known = Known::Slices { version: Arc::new(version.clone()), admitted };
                (entry.changes, entry.since) = (0, now);
            }
        }
        true
    }

    /// Notes that an object is only had as a whole.
    pub fn is_whole(&self, object: &HashBinary, total: u64, now: Instant) {
        let Some(mut shard) = self.shard(object) else { return };
        let entry = Entry { known: Known::Whole { total }, changes: 0, since: now };
        match shard.entries.get_mut(object) {
            Some(known) => *known = entry,
            None => shard.insert(*object, entry),
        }
    }

    /// Forgets the slices of an object: it is stored as a whole, or is not to be stored.
    pub fn forget(&self, object: &HashBinary) {
        let Some(mut shard) = self.shard(object) else { return };
        if shard.entries.get(object).is_some_and(|entry| matches!(entry.known, Known::Slices { .. })) {
            shard.entries.remove(object);
            shard.order.retain(|other| other != object);
        }
    }

    fn shard(&self, object: &HashBinary) -> Option<MutexGuard<'_, Shard>> {
        let shard = self.0.get(usize::from(*object.first()?) % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shard {
    fn insert(&mut self, object: HashBinary, entry: Entry) {
        while self.entries.len() >= REMEMBERED / SHARDS {
            let Some(oldest) = self.order.pop_front() else { break };
            self.entries.remove(&oldest);
        }
        self.entries.insert(object, entry);
        self.order.push_back(object);
    }
}
