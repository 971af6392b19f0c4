//! One of those who read an object while it arrives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use pingora::{Error, ErrorType, Result};
use tokio::sync::watch;

use super::fill::{End, FILL_FAILED, Fill, GONE, Progress, slice};
use crate::disk::CHUNK;

/// Bytes that a leader far behind in an object that is not kept gets at once. The framework reads from the origin several times
/// for each time it writes to the client, so a leader that gets a chunk each time would never catch up.
const LEAP: u64 = 2 * 1024 * 1024;

/// Whose reader it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The request that fills: it reads what it writes.
    Leader,
    /// Any other.
    Follower,
}

/// One reader of a fill.
#[derive(Debug)]
pub(super) struct Reader {
    fill: Arc<Fill>,
    progress: watch::Receiver<Progress>,
    /// Where this reader shows its position when it is not the leader.
    shown: Option<Arc<AtomicU64>>,
    position: u64,
    end: u64,
    reading: bool,
}

impl Reader {
    pub(super) fn new(fill: Arc<Fill>, role: Role) -> Self {
        let shown = match role {
            Role::Leader => {
                fill.leader.store(0, Ordering::Release);
                None
            }
            Role::Follower => Some(fill.followers.lock().unwrap_or_else(PoisonError::into_inner).join()),
        };
        let progress = fill.progress.subscribe();
        Self { fill, progress, shown, position: 0, end: u64::MAX, reading: true }
    }

    pub(super) fn generation(&self) -> u64 {
        self.fill.generation
    }

    pub(super) fn passing(&self) -> bool {
        self.fill.passing()
    }

    pub(super) fn arrived(&self) -> u64 {
        self.progress.borrow().written
    }

    pub(super) fn followed(&self) -> bool {
        self.fill.slowest_follower().is_some()
    }

    /// Seeking is possible where the length is known: the bytes come when they have arrived.
    pub(super) fn can_seek(&self) -> bool {
        self.fill.head.declared_length().is_some()
    }

    pub(super) fn seek(&mut self, start: u64, end: Option<u64>) -> Result<()> {
        if self.fill.head.declared_length().is_none_or(|length| start >= length) {
            return Error::e_explain(ErrorType::InternalError, "seek beyond the end of a fill");
        }
        (self.position, self.end) = (start, end.unwrap_or(u64::MAX));
        self.note_position();
        Ok(())
    }

    /// The next bytes, waiting for them; `None` at the end. A fill that failed is an error, never an end.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Progress { written, end } = *self.progress.borrow_and_update();
            if self.position >= self.end {
                self.leave();
                return Ok(None);
            }
            if self.position < written {
                let end = self.end.min(written);
                let bytes = match self.next(end) {
                    Some(bytes) => bytes,
                    None => self.read_file(end).await?,
                };
                self.position += bytes.len() as u64;
                self.note_position();
                return Ok(Some(bytes));
            }
            // behind what has arrived: a part that is there is whole, whatever becomes of the rest
            if end == End::Failed {
                self.leave();
                return Error::e_explain(FILL_FAILED, "the fill ended early");
            }
            if end == End::Done {
                self.leave();
                return Ok(None);
            }
            if self.progress.changed().await.is_err() {
                return Error::e_explain(FILL_FAILED, "the fill is gone");
            }
        }
    }

    fn next(&self, end: u64) -> Option<Bytes> {
        let pieces = self.fill.pieces();
        let leaps = self.shown.is_none() && self.fill.passing() && end - self.position > 2 * CHUNK as u64;
        if leaps { pieces.run(self.position, end.min(self.position + LEAP)) } else { pieces.at(self.position, end) }
    }

    /// What is no longer in memory of an object that grows in a file.
    async fn read_file(&mut self, end: u64) -> Result<Bytes> {
        let offset = self.position % CHUNK as u64;
        let read = match self.fill.spool.get() {
            Some(spool) => spool.chunk(self.position / CHUNK as u64).await.ok(),
            None => None,
        };
        let bytes = read.map(|chunk| slice(&chunk, offset, end - self.position)).filter(|bytes| !bytes.is_empty());
        match bytes {
            Some(bytes) => Ok(bytes),
            None => {
                self.leave();
                Error::e_explain(FILL_FAILED, "the reader fell behind an object that is not kept")
            }
        }
    }

    fn note_position(&self) {
        if self.reading {
            self.show(self.position);
        }
    }

    fn show(&self, position: u64) {
        self.shown.as_deref().unwrap_or(&self.fill.leader).store(position, Ordering::Release);
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.reading) {
            self.show(GONE);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.leave();
    }
}
