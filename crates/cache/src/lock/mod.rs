//! One fetch at a time for each object.

use std::time::Duration;

use pingora_cache::CacheKey;
use pingora_cache::lock::{CacheKeyLock, CacheLock, LockStatus, Locked, WritePermit};

use crate::Store;
use crate::admission::Sketch;

/// The framework's lock, and a second look at the store by whoever gets it.
///
/// A request looks an object up, finds nothing, and asks for the lock. In between another may have fetched the object and let
/// the lock go; the framework would have this one fetch it again. It is sent to look once more instead. Those who wait are counted
/// for admission, so that whoever fetches knows of them.
#[derive(Debug)]
pub struct FetchLock {
    inner: CacheLock,
    store: &'static Store,
    admission: &'static Sketch,
}

impl FetchLock {
    /// A lock over the objects of a store. A fetch that holds it for longer than `age` is no longer waited for.
    #[must_use]
    pub fn new(store: &'static Store, admission: &'static Sketch, age: Duration) -> Self {
        Self { inner: CacheLock::new(age), store, admission }
    }
}

impl CacheKeyLock for FetchLock {
    fn lock(&self, key: &CacheKey, stale_writer: bool) -> Locked {
        match self.inner.lock(key, stale_writer) {
            // a stale copy may be one that rules want fetched again, however fresh it seems
            Locked::Write(permit) if !stale_writer && self.store.has_answer(key) => {
                let follower = self.inner.lock(key, false);
                self.inner.release(key, permit, LockStatus::Done);
                follower
            }
            locked => {
                if !stale_writer && !locked.is_write() {
                    self.admission.observe(key);
                }
                locked
            }
        }
    }

    fn release(&self, key: &CacheKey, permit: WritePermit, reason: LockStatus) {
        self.inner.release(key, permit, reason);
    }
}

#[cfg(test)]
mod tests;
