//! An object that is known before it is asked for: no framework in between, no copy of its head.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use pingora_cache::{CacheKey, CacheMeta};

use super::Store;
use super::entry::{Entry, Place};
use crate::freshness::is_of_the_future;
use crate::purge::Verdict;

/// Names one complete object in memory as it is now: these bytes under this head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectName {
    place: Place,
    serial: u64,
}

/// A fresh object that was asked for by its name.
#[derive(Debug)]
pub struct Named(Arc<Entry>);

impl Named {
    /// The body, in order.
    #[must_use]
    pub fn chunks(&self) -> &[Bytes] {
        &self.0.body.chunks
    }

    /// Bytes of the body.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.0.body.length
    }
}

impl Store {
    /// Names the object that a lookup of this key found with this meta. Nothing when it is not in memory, not complete, or another by now;
    /// nor when there are variants of it.
    #[must_use]
    pub fn name(&self, key: &CacheKey, meta: &CacheMeta) -> Option<ObjectName> {
        if key.get_variance_key().is_some() || meta.variance().is_some() {
            return None;
        }
        let place = Place::of(key);
        let entry = self.read(place).entry(place, key)?;
        let times = entry.head.times();
        let same = times.created == meta.updated() && times.fresh_until == meta.fresh_until();
        same.then_some(ObjectName { place, serial: entry.serial })
    }

    /// The object of this name, while it is what a lookup of its key would find, and fresh. Counts a hit.
    #[must_use]
    pub fn take(&self, name: &ObjectName, now: SystemTime) -> Option<Named> {
        let entry = self.read(name.place).named(name.place, name.serial)?;
        let times = entry.head.times();
        let in_time = times.fresh_until >= now && !is_of_the_future(times.created, now);
        let fresh = in_time && self.verdict(&entry) == Verdict::Stands;
        fresh.then_some(Named(entry))
    }
}
