//! A complete object, and what names it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use pingora_cache::CacheKey;
use pingora_cache::key::{CacheHashKey as _, CompactCacheKey, HashBinary};

use super::head::Head;
use super::record;
use crate::purge::Stamp;

/// Bytes that one object costs beside its body, its key and its head: index, queues, allocator.
pub(super) const FIXED_COST: u64 = 512;

/// Where an object stands in the index: its primary hash, mixed with the variance of a secondary variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place(u128);

impl Place {
    pub(super) fn of(key: &CacheKey) -> Self {
        Self::mix(key.primary_bin(), key.variance_bin())
    }

    pub(super) fn of_compact(key: &CompactCacheKey) -> Self {
        Self::mix(key.primary, key.variance.as_deref().copied())
    }

    fn mix(primary: HashBinary, variance: Option<HashBinary>) -> Self {
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        let primary = u128::from_le_bytes(primary);
        match variance {
            None => Self(primary),
            Some(variance) => Self(primary.wrapping_mul(ODD) ^ u128::from_le_bytes(variance).rotate_left(64)),
        }
    }

    /// As the disk tier knows it.
    pub(super) fn number(self) -> u128 {
        self.0
    }

    /// The part that chooses a shard.
    pub(super) fn top(self) -> usize {
        (self.0 >> 112) as usize
    }
}

/// The whole key: compared on every hit, because a hash is not an identity.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    primary: Box<[u8]>,
    variance: Option<HashBinary>,
}

impl Identity {
    pub(super) fn of(key: &CacheKey) -> Self {
        Self { primary: key.primary_key().into(), variance: key.variance_bin() }
    }

    pub(super) fn from_parts(primary: Vec<u8>, variance: Option<HashBinary>) -> Self {
        Self { primary: primary.into(), variance }
    }

    pub(super) fn primary(&self) -> &[u8] {
        &self.primary
    }

    pub(super) fn variance(&self) -> Option<HashBinary> {
        self.variance
    }

    pub(super) fn is(&self, key: &CacheKey) -> bool {
        *self.primary == *key.primary_key() && self.variance == key.variance_bin()
    }
}

/// The bytes of a complete object, in chunks of [`crate::disk::CHUNK`]; only the last one may be shorter.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) chunks: Vec<Bytes>,
    pub(super) length: u64,
}

/// A complete object.
#[derive(Debug)]
pub(super) struct Entry {
    /// Counts the fills: the identity of these bytes, also across restarts.
    pub(super) generation: u64,
    pub(super) identity: Arc<Identity>,
    pub(super) head: Head,
    pub(super) body: Arc<Body>,
    /// What purges can name it by.
    pub(super) stamp: Stamp,
    /// Counts the entries of the process: no two of them, and no two heads of the same bytes, have the same.
    pub(super) serial: u64,
    /// The version of the ledger at which no purge had been about it.
    checked: AtomicU64,
}

/// The serial number of the next entry.
static NEXT_SERIAL: AtomicU64 = AtomicU64::new(0);

/// No version of the ledger.
const NEVER: u64 = u64::MAX;

impl Entry {
    pub(super) fn new(generation: u64, identity: Arc<Identity>, head: Head, stamp: Stamp, body: Arc<Body>) -> Self {
        let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
        Self { generation, identity, head, body, stamp, serial, checked: AtomicU64::new(NEVER) }
    }

    /// Bytes this object takes of the store's limit.
    pub(super) fn cost(&self) -> u64 {
        let labels = self.stamp.labels.encode().len() as u64;
        self.body.length + self.head.cost() + self.identity.primary.len() as u64 + labels + FIXED_COST
    }

    /// The same bytes under another head, and stamp where there is one.
    pub(super) fn with_head(&self, head: Head, stamp: Option<Stamp>) -> Self {
        let stamp = stamp.unwrap_or_else(|| self.stamp.clone());
        Self::new(self.generation, Arc::clone(&self.identity), head, stamp, Arc::clone(&self.body))
    }

    /// The head as it is written to disk.
    pub(super) fn record(&self) -> Vec<u8> {
        record::encode(&self.identity, &self.head, &self.stamp)
    }

    pub(super) fn checked_at(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    pub(super) fn check_at(&self, version: u64) {
        self.checked.store(version, Ordering::Relaxed);
    }
}
