//! The threads that wait for the disk, so that nothing else does: a bounded pool with one queue of reads and one of writes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

/// Threads, at least and at most; two for each core between them. They wait more than they compute.
const THREADS: std::ops::RangeInclusive<usize> = 4..=16;

/// Of so many threads one may write at a time; the others are there for reads.
const WRITING_SHARE: usize = 2;

/// Reads that wait at most, in number and in bytes to read.
const READS: usize = 4096;
const READ_BYTES: u64 = 256 * 1024 * 1024;

/// Writes that wait or run at most, in number and in bytes held in memory for them.
const WRITES: usize = 4096;
const WRITE_BYTES: u64 = 32 * 1024 * 1024;

/// Writes that must not be refused (removals, the end of a spool), on top.
const DUTIES: usize = 64 * 1024;

/// Bytes of a thread's buffer that are kept for the next job.
const SCRATCH_KEPT: usize = 512 * 1024;

/// Stack of one thread: nothing here recurses or keeps buffers on it.
const STACK: usize = 256 * 1024;

type Run = Box<dyn FnOnce(&mut Vec<u8>) + Send>;

struct Job {
    bytes: u64,
    run: Run,
}

#[derive(Default)]
struct Queues {
    reads: VecDeque<Job>,
    writes: VecDeque<Job>,
    read_bytes: u64,
    write_bytes: u64,
    writing: usize,
    threads: usize,
    stopped: bool,
}

struct Shared {
    queues: Mutex<Queues>,
    wake: Condvar,
    /// Told when a write has ended, and when a thread has.
    quiet: Condvar,
    writers: usize,
}

/// See the module. Dropping it ends the threads after the jobs that they are at.
pub(super) struct Pool(Arc<Shared>);

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queues = self.0.lock();
        f.debug_struct("Pool").field("reads", &queues.reads.len()).field("writes", &queues.writes.len()).finish()
    }
}

impl Pool {
    pub(super) fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = (2 * cores).clamp(*THREADS.start(), *THREADS.end());
        let shared = Arc::new(Shared {
            queues: Mutex::new(Queues { threads, ..Queues::default() }),
            wake: Condvar::new(),
            quiet: Condvar::new(),
            writers: threads / WRITING_SHARE,
        });
        let pool = Self(Arc::clone(&shared));
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            let builder = thread::Builder::new().name(format!("disk-{number}")).stack_size(STACK);
            builder.spawn(move || shared.work(number == 0))?;
        }
        Ok(pool)
    }

    /// Queues a read of about so many bytes; false when too much waits already.
    pub(super) fn read(&self, bytes: u64, run: impl FnOnce(&mut Vec<u8>) + Send + 'static) -> bool {
        let mut queues = self.0.lock();
        if queues.stopped || queues.reads.len() >= READS || queues.read_bytes + bytes > READ_BYTES {
            return false;
        }
        queues.read_bytes += bytes;
        queues.reads.push_back(Job { bytes, run: Box::new(run) });
        drop(queues);
        self.0.wake.notify_one();
        true
    }

    /// Queues a write that holds so many bytes; false when too much waits already.
    pub(super) fn write(&self, bytes: u64, run: impl FnOnce(&mut Vec<u8>) + Send + 'static) -> bool {
        self.queue(WRITES, bytes, Box::new(run))
    }

    /// Queues a write that is owed: removals, and what a spool has its own limits for. False only beyond a generous number.
    pub(super) fn duty(&self, run: impl FnOnce(&mut Vec<u8>) + Send + 'static) -> bool {
        self.queue(DUTIES, 0, Box::new(run))
    }

    fn queue(&self, most: usize, bytes: u64, run: Run) -> bool {
        let mut queues = self.0.lock();
        // One of any size is taken when nothing else waits.
        let bytes_left = queues.write_bytes == 0 || queues.write_bytes + bytes <= WRITE_BYTES;
        let full = queues.writes.len() >= most || (bytes > 0 && !bytes_left);
        if queues.stopped || full {
            return false;
        }
        queues.write_bytes += bytes;
        queues.writes.push_back(Job { bytes, run });
        drop(queues);
        self.0.wake.notify_one();
        true
    }

    /// Threads that run.
    #[cfg(test)]
    pub(super) fn threads(&self) -> usize {
        self.0.lock().threads
    }

    /// Waits until no write waits or runs, at most so long; true when none does.
    pub(super) fn settle(&self, within: Duration) -> bool {
        self.0.wait(within, |queues| queues.writes.is_empty() && queues.writing == 0)
    }

    /// Ends the threads, dropping what waits; true when all have ended in time.
    pub(super) fn stop(&self, within: Duration) -> bool {
        let mut queues = self.0.lock();
        queues.stopped = true;
        let dropped = (std::mem::take(&mut queues.reads), std::mem::take(&mut queues.writes));
        drop(queues);
        drop(dropped);
        self.0.wake.notify_all();
        self.0.wait(within, |queues| queues.threads == 0)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, within: Duration, done: impl Fn(&Queues) -> bool) -> bool {
        let deadline = Instant::now() + within;
        let mut queues = self.lock();
        while !done(&queues) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            queues = self.quiet.wait_timeout(queues, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// One thread. Reads go first, but for one thread that writes first: under reads without end, writes go on too.
    fn work(&self, writes_first: bool) {
        let mut scratch = Vec::new();
        let mut queues = self.lock();
        while !queues.stopped {
            let may_write = queues.writing < self.writers && !queues.writes.is_empty();
            if may_write && (writes_first || queues.reads.is_empty()) {
                let Some(job) = queues.writes.pop_front() else { continue };
                queues.writing += 1;
                drop(queues);
                run(job.run, &mut scratch);
                queues = self.lock();
                queues.writing -= 1;
                queues.write_bytes -= job.bytes;
                self.quiet.notify_all();
            } else if let Some(job) = queues.reads.pop_front() {
                queues.read_bytes -= job.bytes;
                drop(queues);
                run(job.run, &mut scratch);
                queues = self.lock();
            } else {
                queues = self.wake.wait(queues).unwrap_or_else(PoisonError::into_inner);
            }
        }
        queues.threads -= 1;
        drop(queues);
        self.quiet.notify_all();
    }
}

/// Runs one job. A panic costs that job, not the thread: its reply is dropped, which the asker takes as a failure.
fn run(job: Run, scratch: &mut Vec<u8>) {
    if catch_unwind(AssertUnwindSafe(|| job(scratch))).is_err() {
        log::error!("a job of the disk tier panicked");
    }
    scratch.clear();
    scratch.shrink_to(SCRATCH_KEPT);
}
