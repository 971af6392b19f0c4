//! A large object while it arrives: one writer, any number of readers of what is on disk already.
//!
//! ```text
//!            finish                          rename
//!   Arriving ──────> Finishing (tail written) ──────> in the index
//!      │                 │
//!      ├── dropped ──────┴──> Over: the file goes away, who reads it reads on
//!      └── the disk fails, is full or too slow: Over, an error to the writer
//! ```
//!
//! Chunks wait in a queue of the spool's own; one job of the pool at a time writes them in their order. Memory is bounded by the
//! queue of each spool and by what the queues of all hold together.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::CHUNK;
use super::layout::{chunk_sum, new_tail};
use super::name::{Name, Version, cost};
use super::read::{READ_WAIT, ReadError, read_chunk};
use super::tier::{Fault, Tier, count};
use super::write::remove_unfinished;

/// Chunks of one spool that wait to be written: 4 MiB.
const QUEUE: usize = 4 * 1024 * 1024 / CHUNK;

/// How long the writer waits for room in the queue.
const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// How long the end of an object waits for what is queued.
const FINISH_WAIT: Duration = Duration::from_secs(10);

/// Chunks written before another spool has its turn.
const TURN: usize = 8;

/// Why a spool takes nothing more. What is on disk already can be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// The object is larger than the tier keeps, or what arrives takes too much of it.
    #[error("no room")]
    NoRoom,
    /// The disk took longer than 5 s for 4 MiB.
    #[error("the disk is too slow")]
    TooSlow,
    /// The disk fails, or writing is given up.
    #[error("the disk fails")]
    Disk,
    /// A chunk after one that is not [`CHUNK`] bytes long, or one that is longer.
    #[error("not a chunk")]
    Irregular,
}

/// What waits to be written.
struct Waiting {
    chunk: Bytes,
    /// Room in the queue of this spool and in those of all.
    _room: [OwnedSemaphorePermit; 2],
}

/// The end of an object that waits for its chunks.
struct Finish {
    head: Vec<u8>,
    reply: oneshot::Sender<bool>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Waiting>,
    /// A job for this spool waits or runs.
    busy: bool,
    finish: Option<Finish>,
    /// Why it takes nothing more; also when it is dropped.
    over: Option<SpoolError>,
    path: Option<PathBuf>,
    /// Of each chunk on disk.
    sums: Vec<u32>,
    /// Bytes on disk.
    written: u64,
    /// Bytes of the budget.
    charged: u64,
}

struct Shared {
    tier: Arc<Tier>,
    version: Version,
    file: OnceLock<File>,
    state: Mutex<State>,
}

/// The writing side. Dropped before [`Spool::finish`], the file goes away.
pub struct Spool {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    /// Bytes taken so far.
    length: u64,
    landed: bool,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("version", &self.shared.version).field("length", &self.length).finish()
    }
}

impl Spool {
    pub(super) fn new(tier: &Arc<Tier>, version: Version) -> Option<Self> {
        if tier.breaker.is_given_up() || !tier.index.begin(version, true) {
            return None;
        }
        let shared =
            Shared { tier: Arc::clone(tier), version, file: OnceLock::new(), state: Mutex::new(State::default()) };
        Some(Self { shared: Arc::new(shared), room: Arc::new(Semaphore::new(QUEUE)), length: 0, landed: false })
    }

    /// Takes the next chunk: [`CHUNK`] bytes, only the last one fewer. Waits while 4 MiB wait to be written, at most 5 s.
    ///
    /// # Errors
    ///
    /// The spool takes nothing more: see [`SpoolError`]. The object will not be kept.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), SpoolError> {
        if chunk.is_empty() {
            return Ok(());
        }
        let length = self.length + chunk.len() as u64;
        if !self.length.is_multiple_of(CHUNK as u64) || chunk.len() > CHUNK {
            return Err(self.shared.end(SpoolError::Irregular));
        }
        if length > self.shared.tier.most() {
            return Err(self.shared.end(SpoolError::NoRoom));
        }
        if let Some(over) = self.shared.state().over {
            return Err(over);
        }
        let room = async {
            let own = Arc::clone(&self.room).acquire_owned().await;
            let of_all = Arc::clone(&self.shared.tier.spool_room).acquire_owned().await;
            own.ok().zip(of_all.ok())
        };
        let Ok(Some((own, of_all))) = timeout(QUEUE_WAIT, room).await else {
            return Err(self.shared.end(SpoolError::TooSlow));
        };
        self.length = length;
        self.shared.change(|state| state.queue.push_back(Waiting { chunk, _room: [own, of_all] }))
    }

    /// A reader of what is on disk.
    #[must_use]
    pub fn reader(&self) -> SpoolReader {
        SpoolReader { shared: Arc::clone(&self.shared) }
    }

    /// Ends the object with its head and takes it into the index; waits for what is queued, at most 10 s. False when it is not kept.
    pub async fn finish(mut self, head: Vec<u8>) -> bool {
        let (reply, answer) = oneshot::channel();
        if self.shared.change(|state| state.finish = Some(Finish { head, reply })).is_err() {
            return false;
        }
        self.landed = timeout(FINISH_WAIT, answer).await.is_ok_and(|landed| landed.unwrap_or(false));
        self.landed
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if !self.landed {
            // It may have landed while nobody waited for it any more: who asked was told that it is not kept.
            let Version { place, generation } = self.shared.version;
            if let Some(name) = self.shared.tier.index.remove(place, Some(generation)).name {
                self.shared.tier.unlink_soon(name);
            }
            self.shared.end(SpoolError::Disk);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what there is to do and sees to it that a job does it.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut State)) -> Result<(), SpoolError> {
        let mut state = self.state();
        if let Some(over) = state.over {
            return Err(over);
        }
        change(&mut state);
        if !std::mem::replace(&mut state.busy, true) {
            drop(state);
            self.queue_turn();
        }
        Ok(())
    }

    fn queue_turn(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        if !self.tier.pool.duty(move |_| shared.turn()) {
            // Nothing will come to it any more: what it wrote is removed at the next start, or by a look at `tmp/`.
            self.state().busy = false;
            self.end(SpoolError::Disk);
        }
    }

    /// Ends the spool; answers why, which is the first reason that was given.
    fn end(self: &Arc<Self>, why: SpoolError) -> SpoolError {
        let mut state = self.state();
        let why = *state.over.get_or_insert(why);
        state.queue.clear();
        state.finish = None;
        // A job that is at it sees to the rest.
        if !std::mem::replace(&mut state.busy, true) {
            let (path, charged) = (state.path.take(), std::mem::take(&mut state.charged));
            state.busy = false;
            drop(state);
            self.clear(path, charged);
        }
        why
    }

    /// Gives back what an object took that is not kept.
    fn clear(&self, path: Option<PathBuf>, charged: u64) {
        self.tier.index.release(charged);
        self.tier.release_spooled(charged);
        let Some(path) = path else { return };
        if !self.tier.pool.duty(move |_| remove_unfinished(&path)) {
            count(&self.tier.counts.remove_errors);
        }
    }

    /// A few chunks, or the end. Blocks.
    fn turn(self: &Arc<Self>) {
        for _ in 0..TURN {
            let mut state = self.state();
            if state.over.is_some() {
                break;
            }
            let done = if let Some(waiting) = state.queue.pop_front() {
                drop(state);
                self.write(&waiting.chunk)
            } else if let Some(finish) = state.finish.take() {
                drop(state);
                return self.finish(finish);
            } else {
                state.busy = false;
                return;
            };
            if let Err(why) = done {
                self.end(why);
            }
        }
        let mut state = self.state();
        if state.over.is_some() {
            let (path, charged) = (state.path.take(), std::mem::take(&mut state.charged));
            state.busy = false;
            drop(state);
            return self.clear(path, charged);
        }
        drop(state);
        self.queue_turn();
    }

    /// Charges the object up to so many bytes.
    fn charge(&self, length: u64) -> Result<(), SpoolError> {
        let more = cost(length).saturating_sub(self.state().charged);
        if more == 0 {
            return Ok(());
        }
        if !self.tier.take_spooled(more) {
            return Err(SpoolError::NoRoom);
        }
        if !self.tier.charge(more) {
            self.tier.release_spooled(more);
            return Err(SpoolError::NoRoom);
        }
        self.state().charged += more;
        Ok(())
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let (path, file) = self.tier.directory.unfinished()?;
        self.state().path = Some(path);
        Ok(self.file.get_or_init(|| file))
    }

    fn write(&self, chunk: &Bytes) -> Result<(), SpoolError> {
        let (offset, index) = {
            let state = self.state();
            (state.written, state.sums.len() as u64)
        };
        self.charge(offset + chunk.len() as u64)?;
        self.write_at(chunk, offset)?;
        let sum = chunk_sum(self.version, index, chunk);
        let mut state = self.state();
        state.sums.push(sum);
        state.written += chunk.len() as u64;
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), SpoolError> {
        if self.tier.breaker.is_given_up() {
            return Err(SpoolError::Disk);
        }
        let written = self.tier.with_relief(|| self.file()?.write_all_at(bytes, offset));
        written.map_err(|error| {
            count(&self.tier.counts.write_errors);
            self.tier.breaker.give_up(&error);
            SpoolError::Disk
        })
    }

    fn finish(self: &Arc<Self>, finish: Finish) {
        let ended = self.land(&finish.head);
        let mut state = self.state();
        state.busy = false;
        state.over.get_or_insert(SpoolError::Disk);
        let (path, charged) = (state.path.take(), std::mem::take(&mut state.charged));
        drop(state);
        match ended {
            // The file is the index's business, or was removed and given back by it.
            Ok(_) => self.tier.release_spooled(charged),
            Err(_) => {
                self.tier.index.abandon(self.version);
                self.clear(path, charged);
            }
        }
        let _ = finish.reply.send(ended == Ok(true));
    }

    /// Writes the tail and gives the file its name. False when it was removed or replaced meanwhile.
    fn land(&self, head: &[u8]) -> Result<bool, SpoolError> {
        let (written, sums) = {
            let state = self.state();
            (state.written, state.sums.clone())
        };
        let newer = self.tier.index.take_newer_head(self.version);
        let tail = new_tail(self.version, newer.as_deref().unwrap_or(head), written, &sums);
        let tail = tail.ok_or(SpoolError::NoRoom)?;
        let name = Name::new(self.version, written + tail.len() as u64).ok_or(SpoolError::NoRoom)?;
        self.charge(name.length)?;
        self.write_at(&tail, written)?;
        let path = self.state().path.clone().ok_or(SpoolError::Disk)?;
        if let Err(error) = self.tier.directory.rename(&path, &name.path(self.tier.directory.root())) {
            count(&self.tier.counts.write_errors);
            self.tier.breaker.give_up(&error);
            return Err(SpoolError::Disk);
        }
        Ok(self.tier.land(name))
    }
}

/// Reads an object that arrives.
#[derive(Clone)]
pub struct SpoolReader {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for SpoolReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SpoolReader").field(&self.shared.version).finish()
    }
}

impl SpoolReader {
    /// Chunks that are on disk.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.shared.state().sums.len() as u64
    }

    /// One chunk that is on disk, compared with its checksum. Waits at most 2 s for the disk.
    ///
    /// # Errors
    ///
    /// It is not there yet, damaged, or cannot be read now.
    pub async fn chunk(&self, index: u64) -> Result<Bytes, ReadError> {
        let (written, sum) = {
            let state = self.shared.state();
            (state.written, usize::try_from(index).ok().and_then(|index| state.sums.get(index).copied()))
        };
        let sum = sum.ok_or(ReadError::NotThere)?;
        let offset = index * CHUNK as u64;
        let length = usize::try_from(written - offset).map_or(CHUNK, |left| left.min(CHUNK));
        let name = Name { version: self.shared.version, length: written };
        let (reply, answer) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let run = move |_: &mut Vec<u8>| {
            let Some(file) = shared.file.get().filter(|_| !reply.is_closed()) else { return };
            let read = read_chunk(file, name, index, (offset, length), sum).map_err(|fault| {
                count(&shared.tier.counts.read_errors);
                if let Fault::Corrupt(_) = fault { ReadError::Corrupt } else { ReadError::Unreadable }
            });
            let _ = reply.send(read);
        };
        if !self.shared.tier.pool.read(length as u64, run) {
            return Err(ReadError::Overloaded);
        }
        match timeout(READ_WAIT, answer).await {
            Ok(read) => read.unwrap_or(Err(ReadError::Unreadable)),
            Err(_) => {
                count(&self.shared.tier.counts.late_reads);
                Err(ReadError::Unreadable)
            }
        }
    }
}
