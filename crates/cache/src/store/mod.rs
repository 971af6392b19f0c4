//! The memory tier: a `Storage` bounded in bytes, with fills that readers follow while they arrive.
//!
//! The index is cut into shards, each with its own lock; nothing is locked by all requests. Eviction belongs to the store, so no
//! `EvictionManager` is given to the framework.

mod entry;
mod fill;
mod hit;
mod shard;
mod write;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use async_trait::async_trait;
use pingora::Result;
use pingora_cache::storage::{HitHandler, MissHandler, PurgeOutcome, PurgeTarget, PurgeType, Storage};
use pingora_cache::trace::SpanHandle;
use pingora_cache::{CacheEntryId, CacheEntryKey, CacheKey, CacheMeta};

use entry::{Entry, Head, Identity, Place};
use fill::{Fill, Reader, Role};
pub use hit::is_passing;
use hit::{Complete, Follow};
use shard::{Shard, Step};
use write::Writer;

/// Most shards; a power of two.
const MOST_SHARDS: usize = 64;

/// Bytes of the limit for each shard at least: with few objects a shard, the order of eviction would be chance.
const BYTES_PER_SHARD: u64 = 8 * 1024 * 1024;

/// The largest part of the limit that one object may take, as a divisor.
const OBJECT_SHARE: u64 = 4;

/// The part of the limit that fills may take together, as a divisor: what arrives must not push out everything that is there.
const FILL_SHARE: u64 = 2;

/// Looks of the eviction at objects, for each shard, before it gives up for now.
const STEPS_PER_SHARD: usize = 64 * 1024;

/// Sizes of a [`Store`].
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes for objects, their headers and the fills that arrive.
    pub bytes: u64,
    /// Largest body that is kept, in bytes. A quarter of `bytes` at most is kept of one object in any case.
    pub max_object: u64,
}

/// Figures for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Complete objects.
    pub objects: u64,
    /// Bytes of objects, headers and fills.
    pub bytes: u64,
    /// Objects evicted so far.
    pub evictions: u64,
    /// Fills that ended with the whole body, kept or not.
    pub fills_ok: u64,
    /// Fills that ended early.
    pub fills_failed: u64,
}

/// The memory tier.
#[derive(Debug)]
pub struct Store {
    shards: Box<[RwLock<Shard>]>,
    limit: AtomicU64,
    max_object: AtomicU64,
    /// Bytes of objects and fills.
    used: AtomicU64,
    /// Those of fills.
    filling: AtomicU64,
    /// The shard that eviction looks at next.
    hand: AtomicUsize,
    generations: AtomicU64,
    objects: AtomicU64,
    evictions: AtomicU64,
    fills_ok: AtomicU64,
    fills_failed: AtomicU64,
}

impl Store {
    /// A store that lives as long as the process, as the framework demands.
    #[must_use]
    pub fn leak(options: Options) -> &'static Self {
        let wanted = usize::try_from(options.bytes / BYTES_PER_SHARD).unwrap_or(MOST_SHARDS).clamp(1, MOST_SHARDS);
        let count = if wanted.is_power_of_two() { wanted } else { wanted.next_power_of_two() / 2 };
        Box::leak(Box::new(Self {
            shards: (0..count).map(|_| RwLock::default()).collect(),
            limit: AtomicU64::new(options.bytes),
            max_object: AtomicU64::new(options.max_object),
            used: AtomicU64::new(0),
            filling: AtomicU64::new(0),
            hand: AtomicUsize::new(0),
            generations: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            fills_ok: AtomicU64::new(0),
            fills_failed: AtomicU64::new(0),
        }))
    }

    /// Changes the number of bytes for objects. Downwards it evicts at once.
    pub fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Ordering::Relaxed);
        self.make_room();
    }

    /// Changes the largest body that is kept, in bytes.
    pub fn set_max_object(&self, bytes: u64) {
        self.max_object.store(bytes, Ordering::Relaxed);
    }

    /// The largest body that is kept, in bytes.
    #[must_use]
    pub fn max_object(&self) -> u64 {
        self.max_object.load(Ordering::Relaxed).min(self.limit.load(Ordering::Relaxed) / OBJECT_SHARE)
    }

    /// Whether a fresh answer, no error, is stored or arriving.
    #[must_use]
    pub fn has_answer(&self, key: &CacheKey) -> bool {
        let place = Place::of(key);
        let shard = self.read(place);
        let arriving = shard.fill(place, key).map(|fill| fill.head.meta());
        let meta = arriving.or_else(|| shard.entry(place, key).map(|entry| entry.head.meta()));
        drop(shard);
        let answer =
            |meta: &CacheMeta| meta.is_fresh(SystemTime::now()) && meta.response_header().status.as_u16() < 400;
        meta.is_some_and(|meta| meta.is_ok_and(|meta| answer(&meta)))
    }

    /// Figures for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            objects: self.objects.load(Ordering::Relaxed),
            bytes: self.used.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
            fills_ok: self.fills_ok.load(Ordering::Relaxed),
            fills_failed: self.fills_failed.load(Ordering::Relaxed),
        }
    }

    fn lock_of(&self, place: Place) -> &RwLock<Shard> {
        self.shard(place.top())
    }

    /// The count of shards is a power of two and at least one, so every number chooses one.
    #[expect(clippy::indexing_slicing, reason = "masked by the length, which is a power of two")]
    fn shard(&self, number: usize) -> &RwLock<Shard> {
        &self.shards[number & (self.shards.len() - 1)]
    }

    fn read(&self, place: Place) -> RwLockReadGuard<'_, Shard> {
        self.lock_of(place).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, place: Place) -> RwLockWriteGuard<'_, Shard> {
        self.lock_of(place).write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes bytes of the limit for a fill, evicting for them. False when there is no room; then nothing is taken.
    fn charge(&self, bytes: u64) -> bool {
        let filling = self.filling.fetch_add(bytes, Ordering::AcqRel) + bytes;
        self.used.fetch_add(bytes, Ordering::AcqRel);
        if filling <= self.limit.load(Ordering::Relaxed) / FILL_SHARE && self.make_room() {
            return true;
        }
        self.uncharge(bytes);
        false
    }

    fn uncharge(&self, bytes: u64) {
        self.filling.fetch_sub(bytes, Ordering::AcqRel);
        self.release(bytes);
    }

    /// Corrects what a fill that passes has taken to what it holds.
    fn recharge(&self, charged: &mut u64, held: u64) {
        self.filling.fetch_add(held, Ordering::AcqRel);
        self.used.fetch_add(held, Ordering::AcqRel);
        self.uncharge(std::mem::replace(charged, held));
    }

    fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Evicts until the limit holds. One shard is locked at a time, for one step.
    fn make_room(&self) -> bool {
        let over = || self.used.load(Ordering::Acquire) > self.limit.load(Ordering::Relaxed);
        let mut empty = 0;
        for _ in 0..STEPS_PER_SHARD * self.shards.len() {
            if !over() {
                return true;
            }
            let number = self.hand.fetch_add(1, Ordering::Relaxed);
            let step = self.shard(number).write().unwrap_or_else(PoisonError::into_inner).step();
            match step {
                Step::Empty => empty += 1,
                Step::Moved => empty = 0,
                Step::Evicted(bytes) => {
                    empty = 0;
                    self.release(bytes);
                    self.objects.fetch_sub(1, Ordering::Relaxed);
                    self.evictions.fetch_add(1, Ordering::Relaxed);
                }
            }
            if empty >= self.shards.len() {
                break;
            }
        }
        !over()
    }

    /// Puts a complete object in the place of its fill, in one step.
    fn commit(&self, place: Place, fill: &Fill, entry: Entry, charged: &mut u64) {
        let cost = entry.cost();
        let mut shard = self.write(place);
        shard.end(place, fill.generation);
        // A purge that came in between takes effect: it unlisted the fill under this lock.
        let inserted = fill.listed().then(|| shard.insert(place, Arc::new(entry))).filter(|inserted| inserted.taken);
        // Counted before the lock is given up, so that whoever evicts the object takes off what is there.
        if let Some(inserted) = inserted {
            self.used.fetch_add(cost, Ordering::AcqRel);
            match inserted.replaced {
                Some(freed) => self.release(freed),
                None => _ = self.objects.fetch_add(1, Ordering::Relaxed),
            }
        }
        drop(shard);
        self.uncharge(std::mem::take(charged));
        self.make_room();
    }

    fn end_fill(&self, place: Place, generation: u64, charged: &mut u64) {
        self.write(place).end(place, generation);
        self.uncharge(std::mem::take(charged));
    }

    fn count_done(&self) {
        self.fills_ok.fetch_add(1, Ordering::Relaxed);
    }

    fn count_failed(&self) {
        self.fills_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Replaces the head of a stored object; false when there is none that `replace` accepts.
    fn rehead(&self, place: Place, replace: impl FnOnce(&Entry) -> Option<Entry>) -> bool {
        let mut shard = self.write(place);
        let Some((old, new)) = shard.rehead(place, replace) else { return false };
        self.used.fetch_add(new, Ordering::AcqRel);
        self.release(old);
        drop(shard);
        self.make_room();
        true
    }
}

/// The generation that a target names; the outer `None` when it names something this store never has.
fn generation_of(target: PurgeTarget<'_>) -> Option<Option<u64>> {
    match target {
        PurgeTarget::Active(_) => Some(None),
        PurgeTarget::Exact(CacheEntryKey::Identified { id, .. }) => Some(Some(id.get())),
        PurgeTarget::Exact(CacheEntryKey::KeyOnly(_)) => None,
    }
}

#[async_trait]
impl Storage for Store {
    async fn lookup(&'static self, key: &CacheKey, _: &SpanHandle) -> Result<Option<(CacheMeta, HitHandler)>> {
        let place = Place::of(key);
        let shard = self.read(place);
        let (fill, entry) = match shard.fill(place, key) {
            Some(fill) => (Some(fill), None),
            None => (None, shard.entry(place, key)),
        };
        drop(shard);
        if let Some(fill) = fill {
            let meta = fill.head.meta()?;
            return Ok(Some((meta, Box::new(Follow(Reader::new(fill, Role::Follower))))));
        }
        match entry {
            Some(entry) => Ok(Some((entry.head.meta()?, Box::new(Complete::new(entry))))),
            None => Ok(None),
        }
    }

    async fn lookup_streaming_write(
        &'static self,
        key: &CacheKey,
        tag: Option<&[u8]>,
        trace: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let Some(tag) = tag else {
            return self.lookup(key, trace).await;
        };
        let Ok(tag) = tag.try_into() else {
            return Ok(None);
        };
        let place = Place::of(key);
        let Some(fill) = self.read(place).fill_of(place, u64::from_be_bytes(tag)) else {
            return Ok(None);
        };
        let meta = fill.head.meta()?;
        Ok(Some((meta, Box::new(Follow(Reader::new(fill, Role::Leader))))))
    }

    async fn get_miss_handler(&'static self, key: &CacheKey, meta: &CacheMeta, _: &SpanHandle) -> Result<MissHandler> {
        let place = Place::of(key);
        let head = Head::of(meta)?;
        let keep = head.declared_length().is_none_or(|length| length <= self.max_object());
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let fill = Arc::new(Fill::new(generation, Identity::of(key), head, keep));
        self.write(place).begin(place, Arc::clone(&fill));
        Ok(Box::new(Writer::new(self, place, fill)))
    }

    async fn purge(&'static self, target: PurgeTarget<'_>, _: PurgeType, _: &SpanHandle) -> Result<PurgeOutcome> {
        let Some(generation) = generation_of(target) else {
            return Ok(PurgeOutcome::NotFound);
        };
        let place = Place::of_compact(target.key());
        let purged = self.write(place).purge(place, generation);
        let Some((generation, freed)) = purged else {
            return Ok(PurgeOutcome::NotFound);
        };
        if freed > 0 {
            self.release(freed);
            self.objects.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(PurgeOutcome::Purged(Some(CacheEntryId::new(generation))))
    }

    async fn expire(&'static self, target: PurgeTarget<'_>, _: &SpanHandle) -> Result<PurgeOutcome> {
        let Some(generation) = generation_of(target) else {
            return Ok(PurgeOutcome::NotFound);
        };
        let now = SystemTime::now();
        let wanted = |entry: &Entry| generation.is_none_or(|generation| generation == entry.generation);
        let expired = |entry: &Entry| wanted(entry).then(|| entry.with_head(entry.head.expired_at(now)));
        let found = self.rehead(Place::of_compact(target.key()), expired);
        Ok(if found { PurgeOutcome::Expired } else { PurgeOutcome::NotFound })
    }

    async fn update_meta(&'static self, key: &CacheKey, meta: &CacheMeta, _: &SpanHandle) -> Result<bool> {
        let head = Head::of(meta)?;
        // The framework hands back the creation time of what it looked up: a newer object must not get an older one's header.
        let same = |entry: &Entry| entry.identity.is(key) && entry.head.created() == meta.created();
        Ok(self.rehead(Place::of(key), |entry| same(entry).then(|| entry.with_head(head.complete(entry.body.length)))))
    }

    fn support_streaming_partial_write(&self) -> bool {
        true
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}
