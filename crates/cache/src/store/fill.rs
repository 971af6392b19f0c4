//! An object while it arrives: one writer, any number of readers.
//!
//! ```text
//!            length known and too large, or no room
//!   Open ───────────────────────────────────────────> Passing (a window of the body, for those who read already)
//!    │  │ └── purged ────> Unlisted (whole body, for those who read already)    ^     │
//!    │  └──── large, and there is a disk ──> Spooled (a file that grows,        │     │
//!    │                         │              a window of it in memory) ────────┘     │
//!    │                         │                  │        the disk fails             │
//!    └── finish ──> Done <─────┴──────────────────┴───────────────────────── finish ──┘
//!    └── dropped, wrong length ──> Failed: an error to every reader
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::{Bytes, BytesMut};
use pingora::{ErrorType, Result};
use pingora_cache::CacheMeta;
use tokio::sync::watch;

use super::entry::{Body, Identity};
use super::head::Head;
use crate::admission::Trial;
use crate::disk::{CHUNK, SpoolReader};
use crate::purge::Stamp;

/// An error to readers whose fill ended early.
pub(super) const FILL_FAILED: ErrorType = ErrorType::Custom("CacheFillFailed");

/// How a fill stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Open,
    Done,
    Failed,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// Bytes that readers may have.
    pub(super) written: u64,
    pub(super) end: End,
}

/// An object that arrives.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) generation: u64,
    pub(super) identity: Arc<Identity>,
    pub(super) head: Head,
    /// Since when purges concern it, and by which names.
    pub(super) stamp: Stamp,
    /// It is kept only if others ask for it meanwhile.
    pub(super) trial: Option<Trial>,
    pub(super) pieces: Mutex<Pieces>,
    /// The file that it grows in, for readers that are behind the window.
    pub(super) spool: OnceLock<SpoolReader>,
    pub(super) progress: watch::Sender<Progress>,
    /// New lookups may join.
    listed: AtomicBool,
    /// The body goes through a window and is not kept.
    passing: AtomicBool,
    /// Where the reader of the request that fills has got to; [`GONE`] when it reads no more.
    pub(super) leader: AtomicU64,
    /// Where the other readers have got to.
    pub(super) followers: Mutex<Followers>,
}

/// The position of a reader that reads no more.
pub(super) const GONE: u64 = u64::MAX;

/// Positions of readers. Those that are gone are cleared away whenever the list has doubled.
#[derive(Debug, Default)]
pub(super) struct Followers {
    positions: Vec<Arc<AtomicU64>>,
    clear_at: usize,
}

impl Followers {
    pub(super) fn join(&mut self) -> Arc<AtomicU64> {
        if self.positions.len() >= self.clear_at {
            self.clear();
            self.clear_at = (self.positions.len() * 2).max(16);
        }
        let position = Arc::new(AtomicU64::new(0));
        self.positions.push(Arc::clone(&position));
        position
    }

    fn clear(&mut self) {
        self.positions.retain(|position| position.load(Ordering::Acquire) != GONE);
    }
}

/// The bytes present: full chunks, the growing tail, and the last piece as it came, which readers at the front share.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// Offset of the first chunk: above zero only where a window is kept.
    base: u64,
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    last: Option<(u64, Bytes)>,
}

impl Pieces {
    fn held(&self) -> u64 {
        self.chunks.len() as u64 * CHUNK as u64 + self.tail.len() as u64
    }

    fn tail_start(&self) -> u64 {
        self.base + self.chunks.len() as u64 * CHUNK as u64
    }

    fn append(&mut self, mut data: &[u8], hint: usize) {
        while !data.is_empty() {
            let room = CHUNK - self.tail.len();
            let (now, later) = data.split_at(room.min(data.len()));
            if self.tail.capacity() == 0 {
                self.tail.reserve(hint.clamp(now.len(), CHUNK));
            }
            self.tail.extend_from_slice(now);
            if self.tail.len() == CHUNK {
                self.chunks.push_back(exact(std::mem::take(&mut self.tail)));
            }
            data = later;
        }
    }

    /// All bytes from `offset` to `end` in one piece; `None` when some are gone.
    pub(super) fn run(&self, offset: u64, end: u64) -> Option<Bytes> {
        let mut run = BytesMut::with_capacity(usize::try_from(end - offset).ok()?);
        while offset + (run.len() as u64) < end {
            run.extend_from_slice(&self.at(offset + run.len() as u64, end)?);
        }
        Some(run.freeze())
    }

    /// Bytes from `offset` on, at least one and at most up to `end`; `None` when they are gone or not there yet.
    pub(super) fn at(&self, offset: u64, end: u64) -> Option<Bytes> {
        if let Some((start, last)) = &self.last
            && offset >= *start
            && offset - start < last.len() as u64
        {
            return Some(slice(last, offset - start, end - offset));
        }
        let inside = offset.checked_sub(self.base)?;
        let place = usize::try_from(inside / CHUNK as u64).ok()?;
        if let Some(chunk) = self.chunks.get(place) {
            return Some(slice(chunk, inside % CHUNK as u64, end - offset));
        }
        let from = usize::try_from(offset.checked_sub(self.tail_start())?).ok()?;
        let present = self.tail.get(from..).filter(|present| !present.is_empty())?;
        let most = usize::try_from(end - offset).unwrap_or(usize::MAX);
        Some(Bytes::copy_from_slice(present.get(..most).unwrap_or(present)))
    }
}

/// At most `length` bytes of `bytes` from `from` on; both are within it by the caller's arithmetic.
pub(super) fn slice(bytes: &Bytes, from: u64, length: u64) -> Bytes {
    let whole = bytes.len() as u64;
    let from = from.min(whole);
    let to = from.saturating_add(length).min(whole);
    bytes.slice(from as usize..to as usize)
}

/// Frozen without spare capacity that nobody would account for.
fn exact(buffer: BytesMut) -> Bytes {
    if buffer.capacity() > buffer.len() + buffer.len() / 16 { Bytes::copy_from_slice(&buffer) } else { buffer.freeze() }
}

impl Fill {
    pub(super) fn new(
        generation: u64,
        identity: Identity,
        head: Head,
        stamp: Stamp,
        trial: Option<Trial>,
        listed: bool,
    ) -> Self {
        let (progress, _) = watch::channel(Progress { written: 0, end: End::Open });
        Self {
            generation,
            identity: Arc::new(identity),
            head,
            stamp,
            trial,
            pieces: Mutex::default(),
            spool: OnceLock::new(),
            progress,
            listed: AtomicBool::new(listed),
            passing: AtomicBool::new(!listed),
            leader: AtomicU64::new(GONE),
            followers: Mutex::default(),
        }
    }

    pub(super) fn pieces(&self) -> MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn listed(&self) -> bool {
        self.listed.load(Ordering::Acquire)
    }

    /// Ends new joins. The object is not kept: whoever reads already goes on.
    pub(super) fn unlist(&self) {
        self.listed.store(false, Ordering::Release);
    }

    /// Whether it has been asked for often enough to be kept.
    pub(super) fn wanted(&self) -> bool {
        self.trial.as_ref().is_none_or(Trial::is_kept)
    }

    /// Whether others wait for the fetch of an object on trial, and are still to look.
    pub(super) fn awaited(&self) -> bool {
        self.trial.as_ref().is_some_and(Trial::awaited)
    }

    /// What a reader that joins is told of the object.
    pub(super) fn meta(&self) -> Result<CacheMeta> {
        let mut meta = self.head.meta()?;
        if let Some(trial) = self.trial.as_ref().filter(|trial| !trial.is_kept()) {
            meta.extensions_mut().insert(trial.clone());
        }
        Ok(meta)
    }

    pub(super) fn passing(&self) -> bool {
        self.passing.load(Ordering::Acquire)
    }

    /// From here on a window of the body is held, for those who read already.
    pub(super) fn pass(&self) {
        self.passing.store(true, Ordering::Release);
        self.unlist();
    }

    /// From here on readers find in a file what is no longer in memory.
    pub(super) fn grow_in(&self, file: SpoolReader) {
        let _ = self.spool.set(file);
    }

    /// The whole chunk of this number, while it is in memory.
    pub(super) fn chunk(&self, number: u64) -> Option<Bytes> {
        let pieces = self.pieces();
        let place = number.checked_sub(pieces.base / CHUNK as u64)?;
        pieces.chunks.get(usize::try_from(place).ok()?).cloned()
    }

    /// The bytes behind the last whole chunk.
    pub(super) fn tail(&self) -> Bytes {
        Bytes::copy_from_slice(&self.pieces().tail)
    }

    pub(super) fn append(&self, data: Bytes) {
        let length = data.len() as u64;
        let written = self.progress.borrow().written;
        let hint = self
            .head
            .declared_length()
            .map_or(data.len(), |all| usize::try_from(all - written.min(all)).unwrap_or(CHUNK));
        let mut pieces = self.pieces();
        pieces.append(&data, hint);
        pieces.last = Some((written, data));
        drop(pieces);
        self.progress.send_modify(|progress| progress.written += length);
    }

    /// Drops whole chunks before `offset`; answers how many bytes are left.
    pub(super) fn keep_from(&self, offset: u64) -> u64 {
        let mut pieces = self.pieces();
        while pieces.base + CHUNK as u64 <= offset && pieces.chunks.pop_front().is_some() {
            pieces.base += CHUNK as u64;
        }
        pieces.held()
    }

    /// Bytes in memory.
    pub(super) fn held(&self) -> u64 {
        self.pieces().held()
    }

    /// The whole body, when none of it was dropped.
    pub(super) fn body(&self) -> Option<Body> {
        let mut pieces = self.pieces();
        if pieces.base > 0 {
            return None;
        }
        // Readers go on after this, so the chunks stay here too; they are shared, not copied.
        let tail = exact(std::mem::take(&mut pieces.tail));
        let mut chunks: Vec<Bytes> = pieces.chunks.iter().cloned().collect();
        if !tail.is_empty() {
            pieces.chunks.push_back(tail.clone());
            chunks.push(tail);
        }
        pieces.last = None;
        let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Some(Body { chunks, length })
    }

    pub(super) fn end(&self, end: End) {
        self.progress.send_modify(|progress| progress.end = end);
    }

    /// Where the leader has got to, `None` when it reads no more.
    pub(super) fn leader(&self) -> Option<u64> {
        Some(self.leader.load(Ordering::Acquire)).filter(|offset| *offset != GONE)
    }

    pub(super) fn forget_leader(&self) {
        self.leader.store(GONE, Ordering::Release);
    }

    /// Where the slowest of the other readers has got to, `None` when there is none.
    pub(super) fn slowest_follower(&self) -> Option<u64> {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.clear();
        followers
            .positions
            .iter()
            .map(|position| position.load(Ordering::Acquire))
            .min()
            .filter(|position| *position != GONE)
    }
}
