//! The store as the framework sees it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use async_trait::async_trait;
use pingora::Result;
use pingora_cache::storage::{HitHandler, MissHandler, PurgeOutcome, PurgeTarget, PurgeType, Storage};
use pingora_cache::trace::SpanHandle;
use pingora_cache::{CacheEntryId, CacheEntryKey, CacheKey, CacheMeta};

use super::Store;
use super::disk_hit::FromDisk;
use super::entry::{Entry, Identity, Place};
use super::fill::Fill;
use super::head::Head;
use super::hit::{Complete, Follow};
use super::reader::{Reader, Role};
use super::write::Writer;
use crate::admission::Trial;
use crate::purge::Verdict;

/// Fills between two looks at how much memory the index of the disk tier takes.
const FILLS_BETWEEN_LOOKS: u64 = 256;

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
        let (fill, entry) = {
            let shard = self.read(place);
            match shard.fill(place, key).filter(|fill| self.stands(fill)) {
                Some(fill) => (Some(fill), None),
                None => (None, shard.entry(place, key)),
            }
        };
        if let Some(fill) = fill {
            let meta = fill.meta()?;
            return Ok(Some((meta, Box::new(Follow(Reader::new(fill, Role::Follower))))));
        }
        match entry {
            Some(entry) => self.in_memory(place, entry),
            None => self.recall(place, key).await,
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
        if generation.is_multiple_of(FILLS_BETWEEN_LOOKS) {
            self.measure_index();
        }
        let stamp = self.stamp_of(meta);
        let trial = meta.extensions().get::<Trial>().cloned();
        let fill = Arc::new(Fill::new(generation, Identity::of(key), head, stamp, trial, keep));
        self.write(place).begin(place, Arc::clone(&fill));
        Ok(Box::new(Writer::new(self, place, fill)))
    }

    async fn purge(&'static self, target: PurgeTarget<'_>, _: PurgeType, _: &SpanHandle) -> Result<PurgeOutcome> {
        let Some(generation) = generation_of(target) else {
            return Ok(PurgeOutcome::NotFound);
        };
        Ok(match self.forget(Place::of_compact(target.key()), generation) {
            Some(generation) => PurgeOutcome::Purged(generation.map(CacheEntryId::new)),
            None => PurgeOutcome::NotFound,
        })
    }

    async fn expire(&'static self, target: PurgeTarget<'_>, trace: &SpanHandle) -> Result<PurgeOutcome> {
        let Some(generation) = generation_of(target) else {
            return Ok(PurgeOutcome::NotFound);
        };
        let place = Place::of_compact(target.key());
        let now = SystemTime::now();
        let wanted = |entry: &Entry| generation.is_none_or(|generation| generation == entry.generation);
        let expired = |entry: &Entry| wanted(entry).then(|| entry.with_head(entry.head.expired_at(now), None));
        match self.rehead(place, expired) {
            Some(entry) => {
                self.update_on_disk(place, &entry);
                Ok(PurgeOutcome::Expired)
            }
            // what is on disk only would have to be read for it; without it the next request fetches it anew
            None => self.purge(target, PurgeType::Invalidation, trace).await,
        }
    }

    async fn update_meta(&'static self, key: &CacheKey, meta: &CacheMeta, _: &SpanHandle) -> Result<bool> {
        let head = Head::of(meta)?;
        let place = Place::of(key);
        let stamp = self.stamp_of(meta);
        if let Some(FromDisk { generation, stamp: found }) = meta.extensions().get() {
            // who found it before it was purged does not bring it back, whatever its origin said since
            if self.ledger.verdict(found) == Verdict::Gone {
                return Ok(false);
            }
            return Ok(self.rehead_on_disk(place, *generation, &Identity::of(key), &head, &stamp).await);
        }
        // The framework hands back the creation time of what it looked up: a newer object must not get an older one's header.
        let same = |entry: &Entry| {
            let found = entry.identity.is(key) && entry.head.times().created == meta.created();
            found && self.verdict(entry) != Verdict::Gone
        };
        let replace =
            |entry: &Entry| same(entry).then(|| entry.with_head(head.complete(entry.body.length), Some(stamp)));
        let Some(entry) = self.rehead(place, replace) else { return Ok(false) };
        self.update_on_disk(place, &entry);
        Ok(true)
    }

    fn support_streaming_partial_write(&self) -> bool {
        true
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

impl Store {
    /// An object in memory, as far as purges let it stand.
    fn in_memory(&'static self, place: Place, entry: Arc<Entry>) -> Result<Option<(CacheMeta, HitHandler)>> {
        let mut meta = entry.head.meta()?;
        match self.verdict(&entry) {
            Verdict::Stands => {}
            Verdict::Stale(since) => meta.expire_at(since),
            Verdict::Gone => {
                self.forget(place, Some(entry.generation));
                return Ok(None);
            }
        }
        Ok(Some((meta, Box::new(Complete::new(entry)))))
    }
}
