//! Between memory and disk, and what purges say of both.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pingora::Result;
use pingora_cache::storage::HitHandler;
use pingora_cache::{CacheKey, CacheMeta};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Store;
use super::disk_hit::{FromDisk, OnDisk};
use super::entry::{Body, Entry, Identity, Place};
use super::fill::Fill;
use super::head::Head;
use super::hit::Complete;
use super::record::{self, Record};
use crate::disk::{Disk, Loaded, LoadedBody};
use crate::purge::{Labels, Names, Stamp, Verdict};

/// The part of the memory limit that an object from disk may take, as a divisor; larger ones are read from disk each time.
const PROMOTED_SHARE: u64 = 8;

/// How long an answer waits for the file of what it outdates to go.
const REMOVAL_WAIT: Duration = Duration::from_secs(1);

impl Store {
    /// The stamp that the server put on a meta; what has none can be purged only together with everything.
    pub(super) fn stamp_of(&self, meta: &CacheMeta) -> Stamp {
        let stamp = meta.extensions().get::<Stamp>().cloned();
        stamp.unwrap_or_else(|| Stamp { sequence: self.ledger.sequence(), labels: nameless() })
    }

    /// What purges say of an object. A look at one number where there was none since the last look.
    pub(super) fn verdict(&self, entry: &Entry) -> Verdict {
        let version = self.ledger.version();
        if entry.checked_at() == version {
            return Verdict::Stands;
        }
        let verdict = self.ledger.verdict(&entry.stamp);
        if verdict == Verdict::Stands {
            entry.check_at(version);
        }
        verdict
    }

    pub(super) fn entry_stands(&self, entry: &Entry) -> bool {
        self.verdict(entry) == Verdict::Stands
    }

    /// Whether a fill may be joined: no purge since its origin was asked.
    pub(super) fn stands(&self, fill: &Fill) -> bool {
        self.ledger.verdict_of_fill(&fill.stamp) == Verdict::Stands
    }

    /// Puts a complete object in the place of its fill, in one step, and sends it to the disk.
    pub(super) fn commit(&self, place: Place, fill: &Fill, mut entry: Entry, charged: &mut u64) {
        let kept = fill.listed() && self.settle(fill, &mut entry.head);
        let entry = Arc::new(entry);
        let cost = entry.cost();
        let mut record = self.disk.as_ref().map(|_| entry.record());
        let mut shard = self.write(place);
        shard.end(place, fill.generation);
        // A purge that came in between takes effect: it unlisted the fill under this lock. What is newer may be on disk only.
        let newer = self.disk.as_ref().is_some_and(|disk| disk.has_newer(place.number(), fill.generation));
        let kept = kept && fill.listed() && !newer;
        let inserted = kept.then(|| shard.insert(place, Arc::clone(&entry))).filter(|inserted| inserted.taken);
        // Counted before the lock is given up, so that whoever evicts the object takes off what is there.
        if let Some(inserted) = inserted {
            self.used.fetch_add(cost, Ordering::AcqRel);
            match inserted.replaced {
                Some(freed) => self.release(freed),
                None => _ = self.objects.fetch_add(1, Ordering::Relaxed),
            }
            if let Some((disk, record)) = self.disk.as_ref().zip(record.take()) {
                // what it replaces must not come back when memory forgets it
                disk.remove_older(place.number(), entry.generation);
                disk.put(place.number(), entry.generation, record, entry.body.chunks.clone());
            }
        }
        drop(shard);
        self.uncharge(std::mem::take(charged));
        self.make_room();
        if kept {
            self.count_variant(place, &fill.identity);
        }
    }

    /// Applies the purges since a fill began to its head. False when nothing of it may stay.
    pub(super) fn settle(&self, fill: &Fill, head: &mut Head) -> bool {
        match self.ledger.verdict_of_fill(&fill.stamp) {
            Verdict::Stands => true,
            Verdict::Stale(since) => {
                *head = head.expired_at(since);
                true
            }
            Verdict::Gone => false,
        }
    }

    /// A fill that went to disk is complete: what it replaces leaves memory, and a purge that came while it ended takes it away.
    pub(super) fn took_place(&self, place: Place, fill: &Fill) {
        let mut shard = self.write(place);
        let replaced = shard.drop_older(place, fill.generation);
        let purged = !fill.listed() || self.ledger.verdict_of_fill(&fill.stamp) == Verdict::Gone;
        if purged && let Some(disk) = &self.disk {
            disk.remove(place.number(), Some(fill.generation));
        }
        drop(shard);
        if let Some(freed) = replaced {
            self.release(freed);
            self.objects.fetch_sub(1, Ordering::Relaxed);
        }
        if !purged {
            self.count_variant(place, &fill.identity);
        }
    }

    /// Makes the oldest variants of a URL leave when it has too many.
    pub(super) fn count_variant(&self, place: Place, identity: &Identity) {
        if identity.variance().is_some() {
            for surplus in self.variants.add(identity.primary(), place) {
                self.forget(surplus, None);
            }
        }
    }

    pub(super) fn end_fill(&self, place: Place, generation: u64, charged: &mut u64) {
        self.write(place).end(place, generation);
        self.uncharge(std::mem::take(charged));
    }

    /// Takes an object out of both tiers, and its fills off the list; with a generation only what has it. Answers whether there was
    /// one, and its generation where that is known.
    pub(super) fn forget(&self, place: Place, generation: Option<u64>) -> Option<Option<u64>> {
        self.take_out(place, generation, |disk| disk.remove(place.number(), generation))
    }

    /// Takes out what an answer to somebody says is outdated: it must not come back when the process is killed behind that answer,
    /// so its file goes first. A disk that hangs is waited for a second.
    pub async fn invalidate(&self, key: &CacheKey) {
        let place = Place::of_compact(&key.to_compact());
        let mut going = None;
        let _ = self.take_out(place, None, |disk| {
            let (there, gone) = disk.remove_now(place.number(), None);
            going = gone;
            there
        });
        if let Some(gone) = going {
            let _ = timeout(REMOVAL_WAIT, gone).await;
        }
    }

    fn take_out(
        &self,
        place: Place,
        generation: Option<u64>,
        from_disk: impl FnOnce(&Disk) -> bool,
    ) -> Option<Option<u64>> {
        let mut shard = self.write(place);
        let purged = shard.purge(place, generation);
        // under the lock: what is being read from disk at this moment does not come back
        let on_disk = self.disk.as_ref().is_some_and(|disk| from_disk(disk));
        drop(shard);
        if let Some((_, freed)) = purged.filter(|(_, freed)| *freed > 0) {
            self.release(freed);
            self.objects.fetch_sub(1, Ordering::Relaxed);
        }
        purged.map(|(generation, _)| Some(generation)).or(on_disk.then_some(generation))
    }

    /// Looks for an object on disk. What is small moves into memory.
    pub(super) async fn recall(&'static self, place: Place, key: &CacheKey) -> Result<Option<(CacheMeta, HitHandler)>> {
        let Some(disk) = self.disk.as_ref().filter(|disk| disk.contains(place.number())) else {
            return Ok(None);
        };
        let turn = match self.loads.take_turn(place) {
            Ok(turn) => Some(turn),
            Err(mut first) => {
                // an error is the end of the one who reads: its result is in memory, or it is no use waiting
                let _ = first.changed().await;
                let entry = self.read(place).entry(place, key);
                if let Some(entry) = entry.filter(|entry| self.entry_stands(entry)) {
                    return Ok(Some((entry.head.meta()?, Box::new(Complete::new(entry)))));
                }
                None
            }
        };
        let loaded = disk.load(place.number()).await;
        let found = loaded.map_or(Ok(None), |loaded| self.take_in(place, key, loaded));
        drop(turn);
        found
    }

    fn take_in(&'static self, place: Place, key: &CacheKey, loaded: Loaded) -> Result<Option<(CacheMeta, HitHandler)>> {
        let Loaded { generation, head, length, body } = loaded;
        let Some(Record { identity, head, stamp }) = record::decode(&head) else {
            self.forget(place, Some(generation));
            return Ok(None);
        };
        if !identity.is(key) {
            return Ok(None);
        }
        let mut meta = head.meta()?;
        match self.ledger.verdict(&stamp) {
            Verdict::Stands => {}
            Verdict::Stale(since) => meta.expire_at(since),
            Verdict::Gone => {
                self.forget(place, Some(generation));
                return Ok(None);
            }
        }
        match body {
            LoadedBody::Whole(chunks) => {
                let body = Arc::new(Body { chunks, length });
                let entry = Arc::new(Entry::new(generation, Arc::new(identity), head, stamp, body));
                self.promote(place, &entry);
                Ok(Some((meta, Box::new(Complete::new(entry)))))
            }
            LoadedBody::Large(reader) => {
                meta.extensions_mut().insert(FromDisk { generation, stamp });
                Ok(Some((meta, Box::new(OnDisk::new(reader, generation, length)))))
            }
        }
    }

    /// Puts an object from disk into memory, unless it was replaced or purged while it was read.
    fn promote(&self, place: Place, entry: &Arc<Entry>) {
        let cost = entry.cost();
        if cost > self.limit.load(Ordering::Relaxed) / PROMOTED_SHARE {
            return;
        }
        let mut shard = self.write(place);
        let there = self.disk.as_ref().is_some_and(|disk| disk.holds(place.number(), entry.generation));
        let inserted = there && shard.is_vacant(place) && shard.insert(place, Arc::clone(entry)).taken;
        if inserted {
            self.used.fetch_add(cost, Ordering::AcqRel);
            self.objects.fetch_add(1, Ordering::Relaxed);
        }
        drop(shard);
        self.make_room();
    }

    /// Writes the new head of an object in memory to its file. Nobody waits for it: the old head only asks the origin again.
    pub(super) fn update_on_disk(&'static self, place: Place, entry: &Entry) {
        let Some(disk) = self.disk.as_ref().filter(|disk| disk.expects(place.number(), entry.generation)) else {
            return;
        };
        let (generation, record) = (entry.generation, entry.record());
        tokio::spawn(async move { disk.update_head(place.number(), generation, record).await });
    }

    /// Replaces the head of an object that lives on disk only.
    pub(super) async fn rehead_on_disk(
        &self,
        place: Place,
        generation: u64,
        identity: &Identity,
        head: &Head,
        stamp: &Stamp,
    ) -> bool {
        let Some(disk) = &self.disk else { return false };
        disk.update_head(place.number(), generation, record::encode(identity, head, stamp)).await
    }

    /// Frees what was purged: in memory at once, on disk in the background. Whether all of it was judged.
    pub async fn sweep(&'static self) -> bool {
        for number in 0..self.shards.len() {
            let entries = self.shard(number).read().unwrap_or_else(PoisonError::into_inner).entries();
            for (place, entry) in entries {
                if self.verdict(&entry) == Verdict::Gone {
                    self.forget(place, Some(entry.generation));
                }
            }
            tokio::task::yield_now().await;
        }
        let Some(disk) = &self.disk else { return true };
        let ledger = Arc::clone(&self.ledger);
        let keep =
            move |head: &[u8]| record::stamp_of(head).is_some_and(|stamp| ledger.verdict(&stamp) != Verdict::Gone);
        disk.sweep(keep).await
    }
}

/// The labels of what was stored without any.
fn nameless() -> Arc<Labels> {
    let names = Names { key_host: "", key_path: "", client_host: "", client_path: "", query: b"" };
    Arc::new(Labels::new(&names, &http::HeaderMap::new()))
}

/// Reads from disk under way: a burst of requests for one object reads it once.
#[derive(Debug, Default)]
pub(super) struct Loads([Mutex<HashMap<Place, watch::Receiver<()>>>; LOAD_SHARDS]);

const LOAD_SHARDS: usize = 16;

impl Loads {
    /// The turn to read, or what tells when the one whose turn it is has read.
    fn take_turn(&self, place: Place) -> std::result::Result<Turn<'_>, watch::Receiver<()>> {
        let mut loads = self.shard(place).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = loads.get(&place) {
            return Err(first.clone());
        }
        let (done, reading) = watch::channel(());
        loads.insert(place, reading);
        Ok(Turn { loads: self, place, _done: done })
    }

    #[expect(clippy::indexing_slicing, reason = "the rest of a division by the length")]
    fn shard(&self, place: Place) -> &Mutex<HashMap<Place, watch::Receiver<()>>> {
        &self.0[place.top() % LOAD_SHARDS]
    }
}

/// The turn to read one object; given up when dropped.
struct Turn<'a> {
    loads: &'a Loads,
    place: Place,
    _done: watch::Sender<()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.loads.shard(self.place).lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
    }
}
