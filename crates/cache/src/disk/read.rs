//! Reading objects. Nothing is handed out before its checksum has been compared.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

use super::layout::{Layout, TRAILER, chunk_sum};
use super::name::Name;
use super::tier::{Fault, Tier, count};
use super::{CHUNK, Loaded, LoadedBody, WHOLE};

/// How long a request waits for the disk.
pub(super) const READ_WAIT: Duration = Duration::from_secs(2);

/// How long a request waits for a write.
pub(super) const WRITE_WAIT: Duration = Duration::from_secs(5);

/// Files up to this length are read at once.
const AT_ONCE: u64 = 2 * CHUNK as u64;

/// Bytes from the end of a longer file that are read first: the tail of most.
const FIRST_LOOK: u64 = 32 * 1024;

/// Looks at the head slots before a file without a valid one counts as damaged: one may be written at the moment.
const LOOKS: usize = 3;

/// Why a chunk cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is beyond the end, or not on disk yet.
    #[error("the chunk is not there")]
    NotThere,
    /// It is not what was written; the object is removed.
    #[error("the chunk is damaged")]
    Corrupt,
    /// The disk failed, or does not answer in time.
    #[error("the chunk cannot be read")]
    Unreadable,
    /// Too many reads wait already.
    #[error("too many reads wait")]
    Overloaded,
}

/// Opens a file without noting the time: that note would make every first read a write, which waits for the disk.
#[cfg(target_os = "linux")]
fn open_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NOATIME.bits().cast_signed();
    match File::options().read(true).custom_flags(flags).open(path) {
        // Only the file's owner may ask for that.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(path),
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_file(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Exactly the bytes of `length` at `offset`, appended.
fn read_exact(file: &File, offset: u64, length: usize, to: &mut Vec<u8>) -> io::Result<()> {
    let end = to.len() + length;
    to.reserve_exact(length);
    while to.len() < end {
        let (before, missing) = (to.len(), end - to.len());
        let offset = offset + (length - missing) as u64;
        // The reserved room may be larger than asked for; what is read beyond the end is cut off.
        match rustix::io::pread(file, spare_capacity(to), offset) {
            Ok(_) if to.len() == before => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => to.truncate(end),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// One chunk of a body, compared with its checksum.
pub(super) fn read_chunk(file: &File, name: Name, index: u64, at: (u64, usize), sum: u32) -> Result<Bytes, Fault> {
    let (offset, length) = at;
    let mut chunk = Vec::new();
    read_exact(file, offset, length, &mut chunk)?;
    check(name, index, &chunk, sum)?;
    Ok(Bytes::from(chunk))
}

fn check(name: Name, index: u64, chunk: &[u8], sum: u32) -> Result<(), Fault> {
    if chunk_sum(name.version, index, chunk) == sum { Ok(()) } else { Err(Fault::Corrupt("a chunk of the body")) }
}

/// A file whose trailer and table of checksums are in order.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) layout: Layout,
    pub(super) sums: Vec<u32>,
    pub(super) head: Vec<u8>,
}

/// Opens a file and reads everything but its body. `scratch` is left with what was read from the end of the file.
pub(super) fn open(root: &Path, name: Name, scratch: &mut Vec<u8>) -> Result<Opened, Fault> {
    let file = open_file(&name.path(root))?;
    let first_look = if name.length <= AT_ONCE { name.length } else { FIRST_LOOK };
    let (layout, sums, mut head) = {
        let layout = read_tail(&file, name, first_look, scratch)?;
        let tail = last(scratch, layout.tail_length()).and_then(|tail| layout.tail(name.version, tail));
        let tail = tail.ok_or(Fault::Corrupt("the table of checksums"))?;
        let head = layout.head(name.version, tail.slots).map(|head| head.bytes.to_vec());
        (layout, tail.sums().collect::<Vec<_>>(), head)
    };
    let mut slots = Vec::new();
    for _ in 1..LOOKS {
        if head.is_some() {
            break;
        }
        slots.clear();
        read_exact(&file, layout.body, layout.slots_length(), &mut slots)?;
        head = layout.head(name.version, &slots).map(|head| head.bytes.to_vec());
    }
    let head = head.ok_or(Fault::Corrupt("both heads"))?;
    Ok(Opened { file, layout, sums, head })
}

/// Reads at least the whole tail of a file, the end of it last.
pub(super) fn read_tail(file: &File, name: Name, first_look: u64, scratch: &mut Vec<u8>) -> Result<Layout, Fault> {
    let look = |length: u64, scratch: &mut Vec<u8>| {
        scratch.clear();
        let offset = name.length.checked_sub(length).ok_or(Fault::Corrupt("its length"))?;
        let length = usize::try_from(length).map_err(|_| Fault::Corrupt("its length"))?;
        read_exact(file, offset, length, scratch).map_err(Fault::from)
    };
    look(first_look, scratch)?;
    let trailer = last(scratch, TRAILER as u64).ok_or(Fault::Corrupt("its length"))?;
    let layout = Layout::parse(trailer, &name).ok_or(Fault::Corrupt("the trailer"))?;
    if layout.tail_length() > first_look {
        look(layout.tail_length(), scratch)?;
    }
    Ok(layout)
}

/// The last bytes of what was read.
pub(super) fn last(bytes: &[u8], length: u64) -> Option<&[u8]> {
    let from = bytes.len().checked_sub(usize::try_from(length).ok()?)?;
    bytes.get(from..)
}

impl Tier {
    /// Loads the object of a place, or says that there is none. Blocks.
    pub(super) fn load(self: &Arc<Self>, mut name: Name, scratch: &mut Vec<u8>) -> Option<Loaded> {
        loop {
            match self.try_load(name, scratch) {
                Ok(loaded) => return Some(loaded),
                Err(fault) => self.give_up_on(name, &fault),
            }
            // Replaced since it was looked up.
            let newer = self.index.get(name.version.place);
            name = newer.filter(|newer| newer.version.generation > name.version.generation)?;
        }
    }

    fn try_load(self: &Arc<Self>, name: Name, scratch: &mut Vec<u8>) -> Result<Loaded, Fault> {
        let Opened { file, layout, sums, head } = open(self.directory.root(), name, scratch)?;
        let (generation, length) = (name.version.generation, layout.body);
        if layout.body > WHOLE {
            let source = Arc::new(Source { tier: Arc::clone(self), file, name, layout, sums });
            let first = source.read(0)?;
            let reader = Reader { source, ahead: Ahead::Ready(0, first) };
            return Ok(Loaded { generation, head, length, body: LoadedBody::Large(reader) });
        }
        let read_already = scratch.len() as u64 == name.length;
        let mut body = Vec::with_capacity(sums.len());
        for (index, sum) in (0..).zip(sums) {
            let (offset, length) = layout.chunk(index).ok_or(Fault::Corrupt("its length"))?;
            let chunk = if read_already {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let chunk = scratch.get(from..from.saturating_add(length)).ok_or(Fault::Corrupt("its length"))?;
                check(name, index, chunk, sum)?;
                Bytes::copy_from_slice(chunk)
            } else {
                read_chunk(&file, name, index, (offset, length), sum)?
            };
            body.push(chunk);
        }
        Ok(Loaded { generation, head, length, body: LoadedBody::Whole(body) })
    }
}

/// A large object's open file: it can be read to the end even when the object is evicted meanwhile.
struct Source {
    tier: Arc<Tier>,
    file: File,
    name: Name,
    layout: Layout,
    sums: Vec<u32>,
}

impl Source {
    fn read(&self, index: u64) -> Result<Bytes, Fault> {
        let at = self.layout.chunk(index);
        let sum = usize::try_from(index).ok().and_then(|index| self.sums.get(index));
        let (at, sum) = at.zip(sum).ok_or(Fault::Corrupt("its length"))?;
        read_chunk(&self.file, self.name, index, at, *sum)
    }
}

/// A chunk, and the right to hold it before it is wanted.
type Read = Result<(Bytes, Option<OwnedSemaphorePermit>), ReadError>;

/// One chunk that was asked for before it was wanted.
enum Ahead {
    Nothing,
    Ready(u64, Bytes),
    Coming(u64, oneshot::Receiver<Read>),
}

/// Reads a large object chunk by chunk, one ahead.
pub struct Reader {
    source: Arc<Source>,
    ahead: Ahead,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reader").field(&self.source.name).finish()
    }
}

impl Clone for Reader {
    /// A reader of the same file; what this one has read ahead is not shared.
    fn clone(&self) -> Self {
        Self { source: Arc::clone(&self.source), ahead: Ahead::Nothing }
    }
}

impl Reader {
    /// Bytes of the body.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.source.layout.body
    }

    /// One chunk: [`CHUNK`] bytes, the last one fewer. It has been compared with its checksum. Waits at most 2 s for the disk.
    pub async fn chunk(&mut self, index: u64) -> Result<Bytes, ReadError> {
        if self.source.layout.chunk(index).is_none() {
            return Err(ReadError::NotThere);
        }
        let asked = matches!(&self.ahead, Ahead::Ready(at, ..) | Ahead::Coming(at, ..) if *at == index);
        if !asked {
            self.ahead = Ahead::Coming(index, self.ask(index, None).ok_or(ReadError::Overloaded)?);
        }
        // The answer stays in place until it is there: whoever stops waiting may come back for it.
        let answer = match &mut self.ahead {
            Ahead::Coming(_, answer) => {
                let tier = &self.source.tier;
                match timeout(READ_WAIT, answer).await {
                    Ok(answer) => {
                        tier.patience.in_time();
                        answer.unwrap_or(Err(ReadError::Unreadable))
                    }
                    Err(_) => {
                        count(&tier.counts.late_reads);
                        tier.patience.late();
                        Err(ReadError::Unreadable)
                    }
                }
            }
            Ahead::Ready(_, chunk) => Ok((std::mem::take(chunk), None)),
            Ahead::Nothing => Err(ReadError::Unreadable),
        };
        self.ahead = Ahead::Nothing;
        let (chunk, _) = answer?;
        self.read_ahead(index + 1);
        Ok(chunk)
    }

    fn read_ahead(&mut self, index: u64) {
        if self.source.layout.chunk(index).is_none() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.source.tier.ahead).try_acquire_owned() else { return };
        if let Some(answer) = self.ask(index, Some(permit)) {
            self.ahead = Ahead::Coming(index, answer);
        }
    }

    fn ask(&self, index: u64, permit: Option<OwnedSemaphorePermit>) -> Option<oneshot::Receiver<Read>> {
        let (reply, answer) = oneshot::channel();
        let source = Arc::clone(&self.source);
        let run = move |_: &mut Vec<u8>| {
            if reply.is_closed() {
                return;
            }
            let read = source.read(index).map(|chunk| (chunk, permit)).map_err(|fault| {
                source.tier.give_up_on(source.name, &fault);
                if let Fault::Corrupt(_) = fault { ReadError::Corrupt } else { ReadError::Unreadable }
            });
            let _ = reply.send(read);
        };
        self.source.tier.pool.read(CHUNK as u64, run).then_some(answer)
    }
}
