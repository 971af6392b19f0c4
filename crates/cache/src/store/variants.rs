//! How many variants of one URL are kept: what a `Vary` on a field that clients choose freely could fill the cache with.
//!
//! The first variant of a URL lives in the place of the URL itself; only the others are counted, by the framework's design.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::entry::Place;

const SHARDS: usize = 16;

/// URLs with several variants that one shard counts. Beyond it some family is no longer counted; its variants leave as all
/// objects do.
const MOST_FAMILIES: usize = 8192;

type Families = HashMap<u64, VecDeque<Place>, foldhash::fast::RandomState>;

/// The variants of each URL that has several, oldest first.
#[derive(Debug)]
pub(super) struct Variants {
    most: AtomicUsize,
    hasher: foldhash::fast::RandomState,
    shards: [Mutex<Families>; SHARDS],
}

impl Variants {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: AtomicUsize::new(most),
            hasher: foldhash::fast::RandomState::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Counts a variant that was stored; answers the oldest ones of its URL that have to leave for it.
    pub(super) fn add(&self, primary: &[u8], place: Place) -> Vec<Place> {
        let most = self.most.load(Ordering::Relaxed).max(1);
        let family = self.hasher.hash_one(primary);
        let Some(shard) = self.shards.get(family as usize % SHARDS) else { return Vec::new() };
        let mut families = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if families.len() >= MOST_FAMILIES
            && !families.contains_key(&family)
            && let Some(other) = families.keys().next().copied()
        {
            families.remove(&other);
        }
        let places = families.entry(family).or_default();
        places.retain(|known| *known != place);
        places.push_back(place);
        let surplus = places.len().saturating_sub(most);
        places.drain(..surplus).collect()
    }
}
