//! Writing objects: under `tmp/`, then renamed, then in the index.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::CHUNK;
use super::layout::{chunk_sum, new_tail};
use super::name::{Name, Version};
use super::read::{last, read_tail};
use super::tier::{Fault, Tier, count};

/// Files up to this length are written at once.
const AT_ONCE: usize = 2 * CHUNK;

/// A complete object that waits to be written.
pub(super) struct Complete {
    pub(super) version: Version,
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<Bytes>,
}

/// The body in chunks of [`CHUNK`], the last one shorter. Costs nothing when it comes so.
pub(super) fn in_chunks(body: Vec<Bytes>) -> Vec<Bytes> {
    let regular = body.iter().rev().skip(1).all(|chunk| chunk.len() == CHUNK)
        && body.last().is_none_or(|chunk| (1..=CHUNK).contains(&chunk.len()));
    if regular {
        return body;
    }
    let mut chunks = Vec::new();
    let mut open = BytesMut::new();
    for mut piece in body {
        while !piece.is_empty() {
            let now = piece.split_to(piece.len().min(CHUNK - open.len()));
            open.extend_from_slice(&now);
            if open.len() == CHUNK {
                chunks.push(open.split().freeze());
            }
        }
    }
    if !open.is_empty() {
        chunks.push(open.freeze());
    }
    chunks
}

/// Whether the disk is full, not broken.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Tier {
    /// Writes a complete object, unless it was removed meanwhile. Blocks.
    pub(super) fn write(self: &Arc<Self>, object: Complete, scratch: &mut Vec<u8>) {
        let version = object.version;
        if self.breaker.is_given_up() || !self.index.is_wanted(version) {
            return self.index.abandon(version);
        }
        let head = self.index.take_newer_head(version).unwrap_or(object.head);
        let sums = object.body.iter().zip(0..).map(|(chunk, index)| chunk_sum(version, index, chunk));
        let sums = sums.collect::<Vec<_>>();
        let length = object.body.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        let tail = new_tail(version, &head, length, &sums);
        let Some((name, tail)) = tail.and_then(|tail| Some((Name::new(version, length + tail.len() as u64)?, tail)))
        else {
            return self.index.abandon(version);
        };
        if name.length > self.most() || !self.charge(name.cost()) {
            count(&self.counts.refused);
            return self.index.abandon(version);
        }
        let written = self.with_relief(|| self.write_file(name, &object.body, &tail, scratch));
        match written {
            Ok(()) => _ = self.land(name),
            Err(error) => {
                self.index.release(name.cost());
                self.index.abandon(version);
                count(&self.counts.write_errors);
                self.breaker.give_up(&error);
            }
        }
    }

    /// Tries a write; on a full disk makes room and tries once more.
    pub(super) fn with_relief<T>(&self, mut write: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match write() {
            Err(error) if is_full(&error) => {
                count(&self.counts.write_errors);
                self.relieve();
                write()
            }
            written => written,
        }
    }

    fn write_file(&self, name: Name, body: &[Bytes], tail: &[u8], scratch: &mut Vec<u8>) -> io::Result<()> {
        let (path, mut file) = self.directory.unfinished()?;
        let written = write_all(&mut file, body, tail, scratch);
        drop(file);
        let named = written.and_then(|()| self.directory.rename(&path, &name.path(self.directory.root())));
        named.inspect_err(|_| remove_unfinished(&path))
    }

    /// Takes a file that has its name and is charged into the index. Blocks.
    pub(super) fn land(self: &Arc<Self>, name: Name) -> bool {
        let Some(landed) = self.index.land(name) else {
            self.index.release(name.cost());
            self.unlink(name);
            return false;
        };
        if let Some(old) = landed.replaced {
            self.unlink(old);
        }
        if let Some(head) = landed.head {
            self.update(name, &head, &mut Vec::new());
        }
        true
    }
}

fn write_all(file: &mut File, body: &[Bytes], tail: &[u8], scratch: &mut Vec<u8>) -> io::Result<()> {
    let length = body.iter().map(Bytes::len).sum::<usize>() + tail.len();
    if length > AT_ONCE {
        body.iter().try_for_each(|chunk| file.write_all(chunk))?;
        return file.write_all(tail);
    }
    scratch.clear();
    scratch.reserve(length);
    body.iter().for_each(|chunk| scratch.extend_from_slice(chunk));
    scratch.extend_from_slice(tail);
    file.write_all(scratch)
}

/// What is left of a write that failed. Whatever stays is removed at the next start.
pub(super) fn remove_unfinished(path: &Path) {
    let _ = fs::remove_file(path);
}

/// What became of a new head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Updated {
    Written,
    DoesNotFit,
}

impl Tier {
    /// Writes a new head into the slot that does not count, so that it counts. Blocks.
    pub(super) fn update(self: &Arc<Self>, name: Name, head: &[u8], scratch: &mut Vec<u8>) -> bool {
        let _turn = self.turn(name.version.place);
        match self.try_update(name, head, scratch) {
            Ok(Updated::Written) => true,
            Ok(Updated::DoesNotFit) => {
                self.index.forget(name);
                self.unlink(name);
                false
            }
            Err(Fault::Failed(error) | Fault::Busy(error)) => {
                // The object stays: its other slot is whole.
                count(&self.counts.update_errors);
                self.breaker.give_up(&error);
                false
            }
            Err(fault) => {
                self.give_up_on(name, &fault);
                false
            }
        }
    }

    fn try_update(&self, name: Name, head: &[u8], scratch: &mut Vec<u8>) -> Result<Updated, Fault> {
        let file = OpenOptions::new().read(true).write(true).open(name.path(self.directory.root()))?;
        let layout = read_tail(&file, name, name.length.min(SHORT_TAIL), scratch)?;
        let tail = last(scratch, layout.tail_length()).and_then(|tail| layout.tail(name.version, tail));
        let slots = tail.ok_or(Fault::Corrupt("the table of checksums"))?.slots;
        let now = layout.head(name.version, slots).ok_or(Fault::Corrupt("both heads"))?;
        let Some((offset, slot)) = layout.next_slot(name.version, &now, head) else { return Ok(Updated::DoesNotFit) };
        file.write_all_at(&slot, offset)?;
        Ok(Updated::Written)
    }
}

/// Bytes from the end of a file that hold the tail of most.
const SHORT_TAIL: u64 = 8 * 1024;
