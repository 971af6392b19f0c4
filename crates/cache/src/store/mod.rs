//! Where objects are: a memory tier bounded in bytes, with fills that readers follow while they arrive, over an optional disk tier.
//!
//! The index is cut into shards, each with its own lock; nothing is locked by all requests. Eviction belongs to the store, so no
//! `EvictionManager` is given to the framework.
//!
//! ```text
//!  fill ── small ──> memory ── queue ──> disk          a hit looks into memory, then on disk; what it finds there
//!    └──── large ──> a file that grows ──> disk        and is small moves into memory
//! ```

mod disk_hit;
mod entry;
mod fill;
mod head;
mod hit;
mod named;
mod reader;
mod record;
mod room;
mod shard;
mod storage;
mod tiers;
mod variants;
mod write;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use pingora_cache::{CacheKey, CacheMeta};

use crate::disk::Disk;
use crate::purge::Ledger;
use entry::Place;
pub use hit::{arrived, is_followed, is_passing};
pub use named::{Named, ObjectName};
use shard::Shard;
use tiers::Loads;
use variants::Variants;

/// Most shards; a power of two.
const MOST_SHARDS: usize = 64;

/// Bytes of the limit for each shard at least: with few objects a shard, the order of eviction would be chance.
const BYTES_PER_SHARD: u64 = 8 * 1024 * 1024;

/// The largest part of the limit that one object may take, as a divisor.
const OBJECT_SHARE: u64 = 4;

/// Bodies above this many bytes live on disk only, where there is a disk; or above a part of the memory tier, as a divisor.
const LARGE: u64 = 8 * 1024 * 1024;
const LARGE_SHARE: u64 = 16;

/// Where and how much is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes for objects, their headers and the fills that arrive.
    pub bytes: u64,
    /// Largest body that is kept, in bytes. A quarter of its tier's size at most is kept of one object in any case.
    pub max_object: u64,
    /// Variants of one URL that are kept besides the first.
    pub variants: usize,
    /// The disk tier.
    pub disk: Option<Arc<Disk>>,
    /// What was purged.
    pub ledger: Arc<Ledger>,
}

impl Options {
    /// Memory only, with a ledger that lives as long as the process.
    #[must_use]
    pub fn memory(bytes: u64, max_object: u64) -> Self {
        Self { bytes, max_object, variants: 32, disk: None, ledger: Ledger::in_memory() }
    }
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

/// All objects.
#[derive(Debug)]
pub struct Store {
    shards: Box<[RwLock<Shard>]>,
    limit: AtomicU64,
    max_object: AtomicU64,
    /// Bytes of objects and fills.
    used: AtomicU64,
    /// Those of fills.
    filling: AtomicU64,
    /// Bytes of the disk tier's index, as last measured.
    index: AtomicU64,
    /// The shard that eviction looks at next.
    hand: AtomicUsize,
    generations: AtomicU64,
    objects: AtomicU64,
    evictions: AtomicU64,
    fills_ok: AtomicU64,
    fills_failed: AtomicU64,
    variants: Variants,
    loads: Loads,
    disk: Option<Arc<Disk>>,
    ledger: Arc<Ledger>,
}

impl Store {
    /// A store that lives as long as the process, as the framework demands.
    #[must_use]
    pub fn leak(options: Options) -> &'static Self {
        let wanted = usize::try_from(options.bytes / BYTES_PER_SHARD).unwrap_or(MOST_SHARDS).clamp(1, MOST_SHARDS);
        let count = if wanted.is_power_of_two() { wanted } else { wanted.next_power_of_two() / 2 };
        // a generation of this process is higher than any on disk
        let generation = options.disk.as_ref().map_or(0, |disk| disk.highest_generation()) + 1;
        let store = Box::leak(Box::new(Self {
            shards: (0..count).map(|_| RwLock::default()).collect(),
            limit: AtomicU64::new(options.bytes),
            max_object: AtomicU64::new(options.max_object),
            used: AtomicU64::new(0),
            filling: AtomicU64::new(0),
            index: AtomicU64::new(0),
            hand: AtomicUsize::new(0),
            generations: AtomicU64::new(generation),
            objects: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            fills_ok: AtomicU64::new(0),
            fills_failed: AtomicU64::new(0),
            variants: Variants::new(options.variants),
            loads: Loads::default(),
            disk: options.disk,
            ledger: options.ledger,
        }));
        store.measure_index();
        store
    }

    /// Changes the number of bytes for objects in memory. Downwards it evicts at once.
    pub fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Ordering::Relaxed);
        self.make_room();
    }

    /// Changes the size of the disk tier, in bytes.
    pub fn set_disk_limit(&self, bytes: u64) {
        if let Some(disk) = &self.disk {
            disk.set_limit(bytes);
        }
    }

    /// Changes the largest body that is kept, in bytes.
    pub fn set_max_object(&self, bytes: u64) {
        self.max_object.store(bytes, Ordering::Relaxed);
    }

    /// Changes how many variants of one URL are kept besides the first.
    pub fn set_variants(&self, variants: usize) {
        self.variants.set_most(variants);
    }

    /// The largest body that is kept, in bytes.
    #[must_use]
    pub fn max_object(&self) -> u64 {
        let tier = self.disk.as_ref().map_or(0, |disk| disk.limit()).max(self.limit.load(Ordering::Relaxed));
        self.max_object.load(Ordering::Relaxed).min(tier / OBJECT_SHARE)
    }

    /// The largest body that is kept in memory, in bytes.
    fn max_in_memory(&self) -> u64 {
        let limit = self.limit.load(Ordering::Relaxed);
        let most = if self.disk.is_some() { LARGE.min(limit / LARGE_SHARE) } else { limit / OBJECT_SHARE };
        self.max_object.load(Ordering::Relaxed).min(most)
    }

    /// What was purged.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The disk tier.
    #[must_use]
    pub fn disk(&self) -> Option<&Arc<Disk>> {
        self.disk.as_ref()
    }

    /// Whether a fresh answer, no error, is in memory or arriving.
    #[must_use]
    pub fn has_answer(&self, key: &CacheKey) -> bool {
        let Some(meta) = self.meta_of(key) else { return false };
        // the framework uses no variant from before its primary: those of a purged one are left behind
        let outlived = key.get_variance_key().is_some() && {
            let mut primary = key.clone();
            primary.remove_variance_key();
            self.meta_of(&primary).is_none_or(|primary| meta.created() < primary.provenance())
        };
        !outlived && meta.is_fresh(SystemTime::now()) && meta.response_header().status.as_u16() < 400
    }

    /// What is in memory or arriving under a key.
    fn meta_of(&self, key: &CacheKey) -> Option<CacheMeta> {
        let place = Place::of(key);
        let shard = self.read(place);
        let arriving = shard.fill(place, key).filter(|fill| self.stands(fill)).map(|fill| fill.head.meta());
        let meta = arriving.or_else(|| {
            let entry = shard.entry(place, key).filter(|entry| self.entry_stands(entry));
            entry.map(|entry| entry.head.meta())
        });
        drop(shard);
        meta?.ok()
    }

    /// Figures of the memory tier and of fills.
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

    fn count_done(&self) {
        self.fills_ok.fetch_add(1, Ordering::Relaxed);
    }

    fn count_failed(&self) {
        self.fills_failed.fetch_add(1, Ordering::Relaxed);
    }
}
