//! The writing side of a fill.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::{Error, Result};
use pingora_cache::CacheEntryId;
use pingora_cache::storage::{HandleMiss, MissFinishType};
use tokio::time::{Instant, sleep};

use super::Store;
use super::entry::{Entry, Place};
use super::fill::{End, FILL_FAILED, Fill};
use super::record;
use crate::disk::{CHUNK, Spool};

/// Bytes of an object that is not kept which the leader may be behind before the origin is read more slowly.
const WINDOW: u64 = 1024 * 1024;

/// Bytes behind which a reader of an object that is not kept is given up, or as many as were there when it became clear.
const WIDEST: u64 = 8 * WINDOW;

/// Pause before the next reads from the origin while the leader is a whole [`WIDEST`] behind. The leader writes to its client in
/// the task that also reads from the origin, so this side may pause, but never wait for it.
const PACE: Duration = Duration::from_secs(4);

/// Bytes for each pause: the framework hands over a few pieces at a time, and a pause for each would keep it from the client.
const BYTES_PER_PAUSE: u64 = 256 * 1024;

/// How long a leader may stand still in an object that is not kept before it counts as gone.
const STANDSTILL: Duration = Duration::from_secs(60);

/// How long an object on trial stays for those who waited for its fetch, and may not have looked before its end.
const LINGER: Duration = Duration::from_secs(1);

/// Writes one fill; dropped before `finish`, it fails the fill.
pub(super) struct Writer {
    store: &'static Store,
    place: Place,
    fill: Arc<Fill>,
    tag: [u8; 8],
    declared: Option<u64>,
    written: u64,
    charged: u64,
    /// The file it grows in, when it is large and there is a disk.
    spool: Option<Spool>,
    /// Whole chunks handed to the file.
    spooled: u64,
    /// Bytes of the body that are held at most while it passes.
    widest: u64,
    /// Where the leader was when it moved last, and when that was.
    leader_moved: (u64, Instant),
    /// Bytes written at the last pause.
    paused: u64,
    finished: bool,
}

impl Writer {
    pub(super) fn new(store: &'static Store, place: Place, fill: Arc<Fill>) -> Self {
        let declared = fill.head.declared_length();
        let tag = fill.generation.to_be_bytes();
        let leader_moved = (0, Instant::now());
        Self {
            store,
            place,
            fill,
            tag,
            declared,
            written: 0,
            charged: 0,
            spool: None,
            spooled: 0,
            widest: WIDEST,
            leader_moved,
            paused: 0,
            finished: false,
        }
    }

    /// The object outgrew memory: it goes on in a file, or when there is none it is not kept.
    fn outgrow(&mut self) {
        let size = self.declared.unwrap_or_default().max(self.written);
        // one that is on trial goes into a file only for others than who fetches it
        let shared = self.fill.wanted() || self.fill.awaited() || self.fill.slowest_follower().is_some();
        let wanted = size <= self.store.max_object() && self.fill.listed() && shared;
        let disk = self.store.disk.as_ref().filter(|_| wanted);
        self.spool = disk.and_then(|disk| disk.spool(self.place.number(), self.fill.generation));
        match &self.spool {
            Some(spool) => self.fill.grow_in(spool.reader()),
            None => self.pass(),
        }
    }

    /// Hands whole chunks to the file and forgets those that are in it. A disk that fails ends it: then the object is not kept,
    /// and what the file has stays for those who read it.
    async fn spool(&mut self) {
        let Some(spool) = &mut self.spool else { return };
        while let Some(chunk) = self.fill.chunk(self.spooled) {
            if spool.write(chunk).await.is_err() {
                return self.pass();
            }
            self.spooled += 1;
        }
        let on_disk = spool.reader().written() * CHUNK as u64;
        let held = self.fill.keep_from(on_disk.min(self.written.saturating_sub(WINDOW)));
        self.store.recharge(&mut self.charged, held);
    }

    /// Whether somebody reads what only the file has: then it grows on although the object is not kept.
    fn is_needed(&self) -> bool {
        let slowest = self.fill.leader().into_iter().chain(self.fill.slowest_follower()).min();
        slowest.is_some_and(|slowest| slowest < self.written.saturating_sub(WINDOW))
    }

    /// The object is not kept: from here on only those who read already get it.
    fn pass(&mut self) {
        self.spool = None;
        self.widest = WIDEST.max(self.fill.held());
        self.fill.pass();
        self.leader_moved = (self.fill.leader().unwrap_or(0), Instant::now());
    }

    /// Narrows the window, and slows down while the leader is far behind. An error when nobody reads any more.
    async fn narrow(&mut self) -> Result<()> {
        if let Some(leader) = self.fill.leader() {
            if leader != self.leader_moved.0 {
                self.leader_moved = (leader, Instant::now());
            } else if self.written - leader.min(self.written) > WINDOW && self.leader_moved.1.elapsed() > STANDSTILL {
                self.fill.forget_leader();
            }
        }
        let leader = self.fill.leader();
        let Some(slowest) = leader.into_iter().chain(self.fill.slowest_follower()).min() else {
            return Error::e_explain(FILL_FAILED, "nobody reads an object that is not kept");
        };
        let oldest = slowest.max(self.written.saturating_sub(self.widest));
        let behind = self.written.saturating_sub(leader.unwrap_or(self.written));
        let held = self.fill.keep_from(oldest);
        self.store.recharge(&mut self.charged, held);
        if behind > WINDOW && self.written - self.paused >= BYTES_PER_PAUSE {
            self.paused = self.written;
            sleep(pause(behind)).await;
        }
        Ok(())
    }

    fn finish_in_memory(&mut self) {
        let kept = !self.fill.passing() && self.fill.listed() && self.fill.wanted();
        let Some(body) = kept.then(|| self.fill.body()).flatten() else {
            return self.store.end_fill(self.place, self.fill.generation, &mut self.charged);
        };
        let fill = Arc::clone(&self.fill);
        let head = fill.head.complete(body.length);
        let identity = Arc::clone(&fill.identity);
        let entry = Entry::new(fill.generation, identity, head, fill.stamp.clone(), Arc::new(body));
        self.store.commit(self.place, &fill, entry, &mut self.charged);
    }

    /// Whatever the disk does, readers have the whole body.
    async fn finish_in_file(&mut self, mut spool: Spool) {
        let fill = Arc::clone(&self.fill);
        let tail = fill.tail();
        let written = tail.is_empty() || spool.write(tail).await.is_ok();
        let mut head = fill.head.complete(self.written);
        if written && fill.listed() && fill.wanted() && self.store.settle(&fill, &mut head) {
            let record = record::encode(&fill.identity, &head, &fill.stamp);
            if spool.finish(record).await {
                self.store.took_place(self.place, &fill);
            }
        }
        self.store.end_fill(self.place, fill.generation, &mut self.charged);
    }

    fn fail(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            self.spool = None;
            self.store.end_fill(self.place, self.fill.generation, &mut self.charged);
            self.fill.end(End::Failed);
            self.store.count_failed();
        }
    }
}

/// Grows from nothing at one [`WINDOW`] to [`PACE`] at [`WIDEST`].
fn pause(behind: u64) -> Duration {
    let share = behind.saturating_sub(WINDOW) as f64 / (WIDEST - WINDOW) as f64;
    PACE.mul_f64(share.min(1.0))
}

#[async_trait]
impl HandleMiss for Writer {
    async fn write_body(&mut self, data: Bytes, _eof: bool) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let length = data.len() as u64;
        self.written += length;
        if self.declared.is_some_and(|declared| self.written > declared) {
            self.fail();
            return Error::e_explain(FILL_FAILED, "the body is longer than its Content-Length");
        }
        if self.spool.is_some() {
            // a purge, or a body that has become too large
            if self.written > self.store.max_object() {
                self.fill.unlist();
            }
            if !self.fill.listed() && !self.is_needed() {
                self.pass();
            }
        } else if !self.fill.passing() {
            let size = self.declared.unwrap_or_default().max(self.written);
            if size <= self.store.max_in_memory() && self.store.charge(length) {
                self.charged += length;
            } else {
                self.outgrow();
            }
        }
        // In pieces, so that the window moves while a large buffer is taken in.
        let mut data = data;
        while (self.fill.passing() || self.spool.is_some()) && data.len() > CHUNK {
            self.fill.append(data.split_to(CHUNK));
            self.spool().await;
        }
        self.fill.append(data);
        self.spool().await;
        if self.fill.passing() { self.narrow().await } else { Ok(()) }
    }

    async fn finish(mut self: Box<Self>) -> Result<MissFinishType> {
        if self.declared.is_some_and(|declared| self.written != declared) {
            self.fail();
            return Error::e_explain(FILL_FAILED, "the body is shorter than its Content-Length");
        }
        self.finished = true;
        let written = self.written;
        self.store.count_done();
        if let Some(spool) = self.spool.take() {
            // readers need not wait for the disk: what is not in the file yet is in memory
            self.fill.end(End::Done);
            self.finish_in_file(spool).await;
        } else if !self.fill.wanted() && self.fill.awaited() && self.fill.listed() {
            self.fill.end(End::Done);
            tokio::spawn(async move {
                sleep(LINGER).await;
                self.finish_in_memory();
            });
        } else {
            self.finish_in_memory();
            self.fill.end(End::Done);
        }
        Ok(MissFinishType::Created(usize::try_from(written).unwrap_or(usize::MAX)))
    }

    fn streaming_write_tag(&self) -> Option<&[u8]> {
        Some(&self.tag)
    }

    fn entry_id(&self) -> Option<CacheEntryId> {
        Some(CacheEntryId::new(self.fill.generation))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.fail();
    }
}
