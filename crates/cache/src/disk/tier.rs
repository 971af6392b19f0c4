//! What every part of the tier shares.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::CHUNK;
use super::breaker::{Breaker, Patience};
use super::directory::Directory;
use super::index::Index;
use super::name::Name;
use super::pool::Pool;

/// One object may take this part of the budget, as a divisor.
const OBJECT_SHARE: u64 = 2;

/// Chunks that all readers together hold read ahead.
const MOST_AHEAD: usize = 128;

/// Chunks that wait in the queues of all spools together: 64 MiB.
const MOST_SPOOLED: usize = 64 * 1024 * 1024 / CHUNK;

/// The part of the budget that objects which arrive may take together, as a divisor: they must not push out everything that is there.
const SPOOL_SHARE: u64 = 2;

/// The part of the budget that is evicted when the disk is full before the budget is, as a divisor.
const RELIEF_SHARE: u64 = 20;

/// Between two such evictions; whoever finds the disk full meanwhile only tries again.
const RELIEF_EVERY: Duration = Duration::from_secs(1);

/// Between two lines about damaged or unreadable files.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Places that can be written to at the same time.
const TURNS: usize = 64;

/// How often what failed.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) read_errors: AtomicU64,
    pub(super) write_errors: AtomicU64,
    pub(super) update_errors: AtomicU64,
    pub(super) remove_errors: AtomicU64,
    pub(super) index_errors: AtomicU64,
    pub(super) late_reads: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) corrupt: AtomicU64,
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Why a file gave nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not there (any more).
    Gone,
    /// The process or the system is short of something; the file may be fine.
    Busy(io::Error),
    /// It cannot be read.
    Failed(io::Error),
    /// It is not what was written.
    Corrupt(&'static str),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        use rustix::io::Errno;
        let code = error.raw_os_error().unwrap_or_default();
        let busy = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::ACCESS, Errno::PERM];
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            io::ErrorKind::UnexpectedEof => Self::Corrupt("too short"),
            _ if busy.iter().any(|errno| errno.raw_os_error() == code) => Self::Busy(error),
            _ => Self::Failed(error),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) directory: Directory,
    pub(super) index: Index,
    pub(super) pool: Pool,
    pub(super) breaker: Breaker,
    pub(super) patience: Patience,
    pub(super) counts: Counts,
    pub(super) ahead: Arc<Semaphore>,
    pub(super) spool_room: Arc<Semaphore>,
    /// Bytes of the budget that spools take.
    spooled: AtomicU64,
    /// Every file is in the index: the names have been looked at, without an error.
    pub(super) all_in: watch::Sender<Option<bool>>,
    /// A file that is to go could not be noted; a look at the names finds it.
    pub(super) left_behind: AtomicBool,
    /// Tells the thread of [`care`](super::care) that the tier ends.
    pub(super) ended: Mutex<bool>,
    pub(super) ending: Condvar,
    relief: Mutex<Option<Instant>>,
    complained: Mutex<Option<Instant>>,
    turns: [Mutex<()>; TURNS],
}

impl Tier {
    pub(super) fn new(directory: Directory, budget: u64, pool: Pool) -> Self {
        Self {
            directory,
            index: Index::new(budget),
            pool,
            breaker: Breaker::default(),
            patience: Patience::default(),
            counts: Counts::default(),
            ahead: Arc::new(Semaphore::new(MOST_AHEAD)),
            spool_room: Arc::new(Semaphore::new(MOST_SPOOLED)),
            spooled: AtomicU64::new(0),
            all_in: watch::Sender::new(None),
            left_behind: AtomicBool::new(false),
            ended: Mutex::default(),
            ending: Condvar::new(),
            relief: Mutex::default(),
            complained: Mutex::default(),
            turns: [const { Mutex::new(()) }; TURNS],
        }
    }

    /// Held by whoever writes into the file of a place, which two may not do at the same time. Places share turns.
    pub(super) fn turn(&self, place: u128) -> Option<MutexGuard<'_, ()>> {
        let turn = self.turns.get(place as usize % TURNS)?;
        Some(turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes of the largest file that is kept.
    pub(super) fn most(&self) -> u64 {
        self.index.budget() / OBJECT_SHARE
    }

    /// Removes a file that the index does not name any more. Blocks.
    pub(super) fn unlink(&self, name: Name) {
        match fs::remove_file(name.path(self.directory.root())) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => {
                count(&self.counts.remove_errors);
                self.left_behind.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Removes such a file soon.
    pub(super) fn unlink_soon(self: &Arc<Self>, name: Name) {
        let tier = Arc::clone(self);
        if !self.pool.duty(move |_| tier.unlink(name)) {
            self.left_behind.store(true, Ordering::Relaxed);
        }
    }

    /// Charges bytes to the budget and removes what is evicted for them. Blocks.
    pub(super) fn charge(&self, bytes: u64) -> bool {
        let mut evicted = Vec::new();
        let charged = self.index.charge(bytes, &mut evicted);
        evicted.into_iter().for_each(|name| self.unlink(name));
        charged
    }

    /// Takes bytes of what spools may take together; false when that is too much.
    pub(super) fn take_spooled(&self, bytes: u64) -> bool {
        let taken = self.spooled.fetch_add(bytes, Ordering::AcqRel) + bytes;
        if taken <= self.index.budget() / SPOOL_SHARE {
            return true;
        }
        self.release_spooled(bytes);
        false
    }

    pub(super) fn release_spooled(&self, bytes: u64) {
        self.spooled.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Takes back what [`Tier::relieve`] did when the disk has room again. Blocks.
    pub(super) fn expand(&self) {
        if !self.index.is_lowered() {
            return;
        }
        // Half of what is free, so that this ends where there is enough for others too.
        match rustix::fs::statvfs(self.directory.root()) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                self.index.raise_ceiling(self.index.used().saturating_add(free / 2));
            }
            Err(_) => count(&self.counts.read_errors),
        }
    }

    /// Evicts a part of everything and keeps to less, because the disk is full before the budget is. Blocks.
    pub(super) fn relieve(&self) {
        let mut last = self.relief.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < RELIEF_EVERY) {
            return;
        }
        let mut evicted = Vec::new();
        self.index.lower_ceiling(self.index.budget() / RELIEF_SHARE, &mut evicted);
        evicted.into_iter().for_each(|name| self.unlink(name));
        *last = Some(Instant::now());
    }

    /// Draws the consequences of a file that gave nothing. Blocks.
    pub(super) fn give_up_on(&self, name: Name, fault: &Fault) {
        match fault {
            Fault::Gone => _ = self.index.forget(name),
            Fault::Busy(error) => {
                count(&self.counts.read_errors);
                self.complain(&format_args!("{name} cannot be read: {error}"));
            }
            Fault::Failed(error) => {
                count(&self.counts.read_errors);
                self.complain(&format_args!("{name} cannot be read and is forgotten: {error}"));
                self.index.forget(name);
                self.unlink(name);
            }
            Fault::Corrupt(what) => {
                // Of several readers that find it, one counts.
                if self.index.forget(name) {
                    count(&self.counts.corrupt);
                    self.complain(&format_args!("{name} is damaged ({what}) and is removed"));
                }
                self.unlink(name);
            }
        }
    }

    /// One line at a time: a broken disk must not fill the log.
    pub(super) fn complain(&self, what: &dyn std::fmt::Display) {
        let mut last = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY) {
            *last = Some(Instant::now());
            drop(last);
            log::warn!("disk tier: {what} (further files are only counted for {} s)", COMPLAIN_EVERY.as_secs());
        }
    }
}
