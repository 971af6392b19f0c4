//! The disk tier: one file for each object, and an index of their names in memory. It knows bytes, not HTTP.
//!
//! Nothing here fails a request. What is missing, unreadable, damaged or too slow is a miss; what cannot be written is not kept.
//! Nothing is handed out before its checksum has been compared ([`layout`]), and no bytes are synced: after a power cut the
//! checksums say which files are whole. Files are written under `tmp/` and renamed, their names say everything the index needs
//! ([`name`]), so a killed process leaves a directory that opens.

mod breaker;
mod care;
mod directory;
mod index;
mod layout;
mod name;
mod order;
mod pool;
mod read;
mod saved;
mod scan;
mod spool;
mod sweep;
mod tier;
mod write;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub use directory::OpenError;
pub use read::{ReadError, Reader};
pub use spool::{Spool, SpoolError, SpoolReader};

use care::NAMES_WAIT;
use directory::Directory;
use name::Version;
use pool::Pool;
use read::{READ_WAIT, WRITE_WAIT};
use tier::{Tier, count};
use write::{Complete, in_chunks};

/// Bytes of one chunk of a body: what is checksummed, read and handed out at once. Only the last one is shorter.
pub const CHUNK: usize = 128 * 1024;

/// Bodies up to this many bytes are read and compared with their checksums whole before anything is served of them.
pub const WHOLE: u64 = 1024 * 1024;

/// How long the end of the tier waits for its threads.
const FAREWELL: Duration = Duration::from_secs(1);

/// Between two looks whether a thread has ended.
const POLL: Duration = Duration::from_millis(2);

/// Where the tier is and what it may take.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its directory, which no other process may use. It is made when it is not there.
    pub path: PathBuf,
    /// Bytes of the files; each counts in blocks of 4 KiB.
    pub bytes: u64,
}

/// Figures for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Objects.
    pub objects: u64,
    /// Bytes of their files, in blocks of 4 KiB, and of those that are being written.
    pub bytes: u64,
    /// Objects evicted so far.
    pub evictions: u64,
    /// Reads that failed.
    pub read_errors: u64,
    /// Writes of objects that failed.
    pub write_errors: u64,
    /// Writes of heads that failed.
    pub update_errors: u64,
    /// Removals that failed.
    pub remove_errors: u64,
    /// Reads and writes of the index file, and looks at the names of files, that failed.
    pub index_errors: u64,
    /// Reads that were not waited for, or not to the end: the disk is too slow, or too many wait.
    pub late_reads: u64,
    /// Objects that were not taken: too large, a full queue, writing given up.
    pub refused: u64,
    /// Files that were not what had been written, and were removed.
    pub corrupt: u64,
    /// Bytes of memory that the index takes.
    pub index_bytes: u64,
    /// Whether writing is given up at the moment.
    pub writing_given_up: bool,
}

/// An object.
#[derive(Debug)]
pub struct Loaded {
    /// The generation it was stored with.
    pub generation: u64,
    /// The head it was stored with, or the last that [`Disk::update_head`] wrote.
    pub head: Vec<u8>,
    /// Bytes of the body.
    pub length: u64,
    /// The body.
    pub body: LoadedBody,
}

/// The body of an object.
#[derive(Debug)]
pub enum LoadedBody {
    /// All of it, in chunks of [`CHUNK`].
    Whole(Vec<Bytes>),
    /// Longer than [`WHOLE`]: the first chunk has been read.
    Large(Reader),
}

/// The disk tier. Dropped, it ends its threads and lets the directory go; what waits to be written is lost.
#[derive(Debug)]
pub struct Disk {
    tier: Arc<Tier>,
    care: Mutex<Option<JoinHandle<()>>>,
}

impl Disk {
    /// Makes or takes over a directory and finds what is in it.
    ///
    /// # Errors
    ///
    /// Another process uses the directory, or it cannot be made, read or written.
    pub fn open(options: Options) -> Result<Arc<Self>, OpenError> {
        let Options { path, bytes } = options;
        let directory = Directory::open(&path)?;
        let pool = Pool::start().map_err(OpenError::Threads)?;
        let tier = Arc::new(Tier::new(directory, bytes, pool));
        if tier.directory.is_unsaved() {
            tier.breaker.give_up(&"its state file cannot be written");
        }
        let known = tier.restore();
        let (all_in, wait) = mpsc::channel();
        let caring = Arc::clone(&tier);
        let care = thread::Builder::new().name("disk-care".into()).spawn(move || caring.care(all_in));
        let care = Some(care.map_err(OpenError::Threads)?);
        if !known {
            // Told by hanging up, when all are in.
            let _ = wait.recv_timeout(NAMES_WAIT);
        }
        Ok(Arc::new(Self { tier, care: Mutex::new(care) }))
    }

    /// The seed for the hash that makes places of keys: the same after a restart, as long as the objects are.
    #[must_use]
    pub fn seed(&self) -> [u8; 16] {
        self.tier.directory.seed()
    }

    /// Above or equal to every generation that was stored here, by this process or one before it.
    #[must_use]
    pub fn highest_generation(&self) -> u64 {
        self.tier.index.highest().max(self.tier.directory.first_generation())
    }

    /// Whether an object stands in a place, for all that is known without looking. Counts no use.
    #[must_use]
    pub fn contains(&self, place: u128) -> bool {
        self.tier.index.get(place).is_some()
    }

    /// Whether an object of this generation stands in a place. Counts no use.
    #[must_use]
    pub fn holds(&self, place: u128, generation: u64) -> bool {
        self.tier.index.get(place).is_some_and(|name| name.version.generation == generation)
    }

    /// Whether an object of this generation stands in a place or is on its way there. Counts no use.
    #[must_use]
    pub fn expects(&self, place: u128, generation: u64) -> bool {
        self.holds(place, generation) || self.tier.index.is_wanted(Version { place, generation })
    }

    /// Whether an object of a higher generation stands in a place. Counts no use.
    #[must_use]
    pub fn has_newer(&self, place: u128, generation: u64) -> bool {
        self.tier.index.get(place).is_some_and(|name| name.version.generation > generation)
    }

    /// Bytes that the files may take.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.tier.index.budget()
    }

    /// Changes that. Downwards the next writes evict.
    pub fn set_limit(&self, bytes: u64) {
        self.tier.index.set_budget(bytes);
    }

    /// Bytes of memory that the index takes. Looks at every shard.
    #[must_use]
    pub fn index_bytes(&self) -> u64 {
        self.tier.index.memory()
    }

    /// Counts a use of an object that was served from elsewhere.
    pub fn touch(&self, place: u128) {
        self.tier.index.take_use(place);
    }

    /// The object of a place; counts a use. `None` when there is none, when it is unreadable or damaged (then it is removed), when the
    /// disk takes longer than 2 s, and when too many reads wait.
    pub async fn load(&self, place: u128) -> Option<Loaded> {
        let name = self.tier.index.take_use(place)?;
        if self.tier.patience.is_over() {
            count(&self.tier.counts.late_reads);
            return None;
        }
        let (reply, answer) = oneshot::channel();
        let tier = Arc::clone(&self.tier);
        let run = move |scratch: &mut Vec<u8>| {
            // Nobody waits any more for what was queued too long.
            if !reply.is_closed() {
                let _ = reply.send(tier.load(name, scratch));
            }
        };
        if !self.tier.pool.read(name.length.min(WHOLE), run) {
            count(&self.tier.counts.late_reads);
            return None;
        }
        match timeout(READ_WAIT, answer).await {
            Ok(loaded) => {
                self.tier.patience.in_time();
                loaded.ok().flatten()
            }
            Err(_) => {
                count(&self.tier.counts.late_reads);
                self.tier.patience.late();
                None
            }
        }
    }

    /// Writes a complete object soon; it takes the place of one of a lower generation. `body` is in chunks of [`CHUNK`] (other cuts
    /// are made so, at the cost of a copy). Never blocks. False when it is not taken: too large, already there, the queue is full or
    /// writing is given up. True is no promise: the disk may still fail.
    pub fn put(&self, place: u128, generation: u64, head: Vec<u8>, body: Vec<Bytes>) -> bool {
        let taken = self.try_put(Version { place, generation }, head, body);
        if !taken {
            count(&self.tier.counts.refused);
        }
        taken
    }

    fn try_put(&self, version: Version, head: Vec<u8>, body: Vec<Bytes>) -> bool {
        let bytes = body.iter().map(|chunk| chunk.len() as u64).sum::<u64>() + head.len() as u64;
        if self.tier.breaker.is_given_up() || bytes > self.tier.most() || head.len() > layout::MOST_HEAD {
            return false;
        }
        if !self.tier.index.begin(version, false) {
            return false;
        }
        let tier = Arc::clone(&self.tier);
        let object = Complete { version, head, body: in_chunks(body) };
        let queued = self.tier.pool.write(bytes, move |scratch| tier.write(object, scratch));
        if !queued {
            self.tier.index.abandon(version);
        }
        queued
    }

    /// Begins to keep a large object while it arrives. `None` when this version or a newer one is there, or writing is given up.
    #[must_use]
    pub fn spool(&self, place: u128, generation: u64) -> Option<Spool> {
        let spool = Spool::new(&self.tier, Version { place, generation });
        if spool.is_none() {
            count(&self.tier.counts.refused);
        }
        spool
    }

    /// Asks of the head of every object whether to keep it, in the background and gently, and removes those for which `keep` is
    /// false. Objects that are being stored when it begins are waited for, those that still arrive ([`Disk::spool`]) are not.
    ///
    /// True when every object was asked for. False when some could not be, or when the tier does not know all its files: then
    /// what calls for the sweep has to stay in force.
    pub async fn sweep(&self, keep: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> bool {
        sweep::sweep(&self.tier, Arc::new(keep)).await
    }

    /// Puts a new head on an object of this generation; its body stays. When it does not fit, the object is removed. False when the
    /// object does not have the new head, for whatever reason.
    pub async fn update_head(&self, place: u128, generation: u64, head: Vec<u8>) -> bool {
        let version = Version { place, generation };
        let Err(head) = self.tier.index.rehead_pending(version, head) else { return true };
        let name = self.tier.index.get(place).filter(|name| name.version == version);
        let Some(name) = name.filter(|_| !self.tier.breaker.is_given_up()) else { return false };
        let (reply, answer) = oneshot::channel();
        let tier = Arc::clone(&self.tier);
        let bytes = head.len() as u64;
        let queued = self.tier.pool.write(bytes, move |scratch| _ = reply.send(tier.update(name, &head, scratch)));
        queued && timeout(WRITE_WAIT, answer).await.is_ok_and(|updated| updated.unwrap_or(false))
    }

    /// Takes an object out, with a generation only that one, and calls off writes of it that are on their way. Its file goes soon.
    /// False when there was nothing.
    pub fn remove(&self, place: u128, generation: Option<u64>) -> bool {
        let removed = self.tier.index.remove(place, generation);
        if let Some(name) = removed.name {
            self.tier.unlink_soon(name);
        }
        removed.name.is_some() || removed.called_off
    }

    /// The same, and its file goes before everything that waits for the disk: the answer ends when it has gone, or could not be
    /// removed.
    pub fn remove_now(&self, place: u128, generation: Option<u64>) -> (bool, Option<oneshot::Receiver<()>>) {
        let removed = self.tier.index.remove(place, generation);
        let there = removed.name.is_some() || removed.called_off;
        let Some(name) = removed.name else { return (there, None) };
        let (reply, gone) = oneshot::channel();
        let tier = Arc::clone(&self.tier);
        // among the reads, since many writes may be queued
        let queued = self.tier.pool.read(0, move |_| {
            tier.unlink(name);
            let _ = reply.send(());
        });
        if !queued {
            self.tier.unlink_soon(name);
        }
        (there, Some(gone).filter(|_| queued))
    }

    /// Takes an object out that is older than a generation, and calls off older writes. Its file goes soon.
    pub fn remove_older(&self, place: u128, generation: u64) {
        if let Some(name) = self.tier.index.remove_older(place, generation) {
            self.tier.unlink_soon(name);
        }
    }

    /// Figures for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (index, counts) = (&self.tier.index, &self.tier.counts);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            objects: index.objects(),
            bytes: index.used(),
            evictions: index.evictions(),
            read_errors: read(&counts.read_errors),
            write_errors: read(&counts.write_errors),
            update_errors: read(&counts.update_errors),
            remove_errors: read(&counts.remove_errors),
            index_errors: read(&counts.index_errors),
            late_reads: read(&counts.late_reads),
            refused: read(&counts.refused),
            corrupt: read(&counts.corrupt),
            index_bytes: index.memory(),
            writing_given_up: self.tier.breaker.is_given_up(),
        }
    }

    /// Waits for queued writes, at most so long, writes the index file and ends the tier's threads. Blocks. From then on the tier has
    /// nothing and takes nothing; a second call does nothing.
    pub fn close(&self, within: Duration) {
        self.end(within, true);
    }

    fn end(&self, within: Duration, in_order: bool) {
        let Some(care) = self.care.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let deadline = Instant::now() + within;
        self.tier.end_care();
        if in_order {
            self.tier.pool.settle(within);
            self.tier.save();
        }
        self.tier.pool.stop(FAREWELL);
        // It may hang on the disk, so it is not waited for without end.
        let deadline = deadline.max(Instant::now() + FAREWELL);
        while !care.is_finished() && Instant::now() < deadline {
            thread::park_timeout(POLL);
        }
        // Another process may have the directory from here on.
        self.tier.directory.unlock();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.end(FAREWELL, false);
    }
}
