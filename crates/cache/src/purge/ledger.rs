//! The ledger: what is in force, in memory for hits and on disk for the next start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use super::journal::{Journal, Record};
use super::rules::{Marks, Rules};
use super::{LONGEST_FILL, MAX_RULES, Purge, Rule, SOFT_KEPT, Sequence, Stamp, Verdict};

/// Why the ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

/// Why a purge is not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// [`MAX_RULES`] are in force; nothing was purged.
    #[error("{MAX_RULES} purges wait for the sweep")]
    Full,
    /// In force, but not on disk: a restart may forget it. Recording it again tries to write everything again.
    #[error("in force, but not on disk: {0}")]
    Journal(String),
}

/// The purges in force. Hits read it without a lock.
#[derive(Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
    journal: Option<Arc<tokio::sync::Mutex<Journal>>>,
}

/// What the thread that writes the journal needs too.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) rules: ArcSwap<Rules>,
    version: AtomicU64,
    /// No sequence above it was given to anybody.
    highest: AtomicU64,
    writing: Mutex<Writing>,
}

/// What changes with every purge; hits do not need it.
#[derive(Debug, Default)]
struct Writing {
    /// Records that are in force and not in the journal.
    unwritten: Vec<Record>,
    /// Purges ever put in force, to tell which of them are in the journal.
    purges: u64,
    /// The version that the last sweep began with.
    swept: u64,
    /// When a rule will have had its time.
    due: Option<Sequence>,
}

/// A sweep under way.
#[derive(Debug)]
pub struct Sweep {
    began: Sequence,
    version: u64,
}

impl Ledger {
    /// Opens the journal `purges/journal` in the cache's directory, or remembers purges in memory only. A journal that is broken
    /// anywhere but at its end counts as a purge of everything: nobody can tell any more what was purged.
    ///
    /// # Errors
    /// When the directory cannot be made, or the journal is there and cannot be read.
    pub fn open(directory: Option<&Path>) -> Result<Arc<Self>, OpenError> {
        let Some(directory) = directory else { return Ok(Self::in_memory()) };
        let directory = directory.join("purges");
        let (journal, found) = Journal::open(&directory).map_err(|source| OpenError { path: directory, source })?;
        let ledger = Self::of(found.rules, found.highest.saturating_add(1).max(now()), Some(journal));
        if let Some(what) = found.broken {
            let gone = Purge { soft: false, rules: vec![Rule::Everything] };
            let _ = ledger.shared.publish(&gone);
            log::error!("the journal of purges is broken ({what}): everything stored counts as purged");
        }
        if let Some(journal) = &ledger.journal
            && let Ok(mut journal) = journal.try_lock()
            && let Err(error) = journal.rewrite(&ledger.shared)
        {
            log::error!("the journal of purges cannot be written, tried again with the next purge: {error}");
        }
        Ok(Arc::new(ledger))
    }

    /// A ledger that forgets with the process.
    #[must_use]
    pub fn in_memory() -> Arc<Self> {
        Arc::new(Self::of(Rules::default(), now(), None))
    }

    fn of(rules: Rules, highest: Sequence, journal: Option<Journal>) -> Self {
        let version = u64::from(rules.len() > 0);
        let shared = Shared {
            rules: ArcSwap::from_pointee(rules),
            version: version.into(),
            highest: highest.into(),
            writing: Mutex::default(),
        };
        Self { shared: Arc::new(shared), journal: journal.map(|journal| Arc::new(tokio::sync::Mutex::new(journal))) }
    }

    /// The time to put into a [`Stamp`]: taken before the origin is asked.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        let now = now();
        self.shared.highest.fetch_max(now, Ordering::AcqRel).max(now)
    }

    /// Changes with every purge. What was judged after this was read need not be judged again while it is the same.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Acquire)
    }

    /// Whether an object may be served. Costs the depth of the purges (path lengths that were purged by prefix) and the object's
    /// tags, however many purges there are; less when the object is younger than all of them.
    #[must_use]
    pub fn verdict(&self, stamp: &Stamp) -> Verdict {
        let rules = self.shared.rules.load();
        if stamp.sequence > self.shared.highest.load(Ordering::Acquire) {
            // stored under a clock that was ahead, and the journal that would know is lost: purges cannot reach it
            return Verdict::Gone;
        }
        if stamp.sequence > rules.latest() {
            return Verdict::Stands;
        }
        let marks = rules.marks(&stamp.labels);
        if stamp.sequence <= marks.hard {
            Verdict::Gone
        } else if stamp.sequence <= marks.soft {
            Verdict::Stale(time(marks.soft))
        } else {
            Verdict::Stands
        }
    }

    /// The same for an object that arrives. One that takes longer than [`LONGEST_FILL`] is gone: a purge of it may be forgotten.
    #[must_use]
    pub fn verdict_of_fill(&self, stamp: &Stamp) -> Verdict {
        let now = now().max(self.shared.highest.load(Ordering::Acquire));
        let forgotten = now.saturating_sub(stamp.sequence) > micros(LONGEST_FILL);
        if forgotten { Verdict::Gone } else { self.verdict(stamp) }
    }

    /// Purges: in force for everybody at once, and on disk when this returns. Purges under way at the same time share one write.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub async fn record(&self, purge: &Purge) -> Result<Sequence, RecordError> {
        let (sequence, number) = self.shared.publish(purge)?;
        self.write(number).await.map_err(|error| RecordError::Journal(error.to_string()))?;
        Ok(sequence)
    }

    /// Rules in force.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.shared.rules.load().len()
    }

    /// Sees that this purge is in the journal.
    async fn write(&self, number: u64) -> io::Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let mut journal = Arc::clone(journal).lock_owned().await;
        if journal.written() >= number {
            // somebody else's write had it
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let write = tokio::task::spawn_blocking(move || journal.write(&shared));
        write.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Whether there is something to sweep: purges since the last sweep, or a rule that has had its time.
    #[must_use]
    pub fn sweep_due(&self) -> bool {
        let writing = self.shared.writing();
        self.rules() > 0 && (writing.swept != self.version() || writing.due.is_some_and(|due| due <= self.sequence()))
    }

    /// Before a sweep: soft purges that had their time count as hard ones.
    #[must_use]
    pub fn begin_sweep(&self) -> Sweep {
        let began = self.sequence();
        let _writing = self.shared.writing();
        let rules = self.shared.rules.load_full();
        let limit = began.saturating_sub(micros(SOFT_KEPT));
        let mut changed = false;
        let hardened = rules.map(|marks| {
            let old = marks.soft > 0 && marks.soft <= limit;
            changed |= old;
            if old { Marks { hard: marks.hard.max(marks.soft), soft: 0, ..marks } } else { marks }
        });
        if changed {
            self.shared.replace(hardened);
        }
        Sweep { began, version: self.version() }
    }

    /// After everything stored was judged: forgets what no object and no fill can be about any more, and writes the journal anew.
    ///
    /// # Errors
    /// When the journal cannot be written; it is tried again with the next purge or sweep.
    pub async fn end_sweep(&self, sweep: Sweep) -> io::Result<()> {
        let before = self.rules();
        {
            let mut writing = self.shared.writing();
            let limit = sweep.began.saturating_sub(micros(LONGEST_FILL));
            let kept = self
                .shared
                .rules
                .load_full()
                .map(|marks| if marks.hard <= limit { Marks { hard: 0, ..marks } } else { marks });
            let mut due: Option<Sequence> = None;
            kept.for_each(|_, marks| {
                let hard = (marks.hard > 0).then(|| marks.hard.saturating_add(micros(LONGEST_FILL)));
                let soft = (marks.soft > 0).then(|| marks.soft.saturating_add(micros(SOFT_KEPT)));
                due = due.into_iter().chain(hard).chain(soft).min();
            });
            writing.due = due;
            // no verdict changes: whatever these rules were about is gone
            self.shared.rules.store(Arc::new(kept));
            writing.swept = sweep.version;
        }
        if self.rules() < before { self.rewrite().await } else { Ok(()) }
    }
}

impl Ledger {
    /// Writes the journal anew when nobody else does so anyway.
    async fn rewrite(&self) -> io::Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let mut journal = Arc::clone(journal).lock_owned().await;
        let shared = Arc::clone(&self.shared);
        let write = tokio::task::spawn_blocking(move || journal.rewrite(&shared));
        write.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Keeps the journal ahead of the sequences that are given out, so that a clock that steps back over a restart does no harm.
    /// To be called every minute or so.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn tend(&self) -> io::Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let highest = self.shared.highest();
        let mut journal = Arc::clone(journal).lock_owned().await;
        if !journal.behind(highest) {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let write = tokio::task::spawn_blocking(move || journal.write(&shared));
        write.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Shared {
    fn writing(&self) -> MutexGuard<'_, Writing> {
        // nothing is half done where a panic could be
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a purge in force; the number tells when it is in the journal.
    fn publish(&self, purge: &Purge) -> Result<(Sequence, u64), RecordError> {
        let mut writing = self.writing();
        let mut rules = Rules::clone(&self.rules.load());
        // a hard purge of everything takes the place of all others, and one of nothing else takes one place that is kept for it
        let always = purge.rules == [Rule::Everything] || (!purge.soft && purge.rules.contains(&Rule::Everything));
        // more than it may come to, but not worth an exact answer
        if rules.len() + purge.rules.len() > MAX_RULES && !always {
            return Err(RecordError::Full);
        }
        let sequence = self.next();
        for rule in &purge.rules {
            writing.unwritten.push(rules.add(rule, purge.soft, sequence));
        }
        writing.purges += 1;
        self.replace(rules);
        Ok((sequence, writing.purges))
    }

    /// Not below any sequence that was given out, and below all that will be.
    fn next(&self) -> Sequence {
        let now = now();
        let next = |highest: Sequence| highest.max(now).saturating_add(1);
        let before = self.highest.fetch_update(Ordering::AcqRel, Ordering::Acquire, |highest| Some(next(highest)));
        before.unwrap_or_else(|highest| highest).max(now)
    }

    /// In this order: who sees the new version sees the new rules.
    fn replace(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// No sequence above it was given to anybody.
    pub(super) fn highest(&self) -> Sequence {
        self.highest.load(Ordering::Acquire)
    }

    /// Records that are not in the journal, and the number of the last purge among them.
    pub(super) fn unwritten(&self) -> (Vec<Record>, u64) {
        let mut writing = self.writing();
        (std::mem::take(&mut writing.unwritten), writing.purges)
    }

    /// Everything in force, and the number of the last purge in it.
    pub(super) fn all(&self) -> (Arc<Rules>, u64) {
        let mut writing = self.writing();
        writing.unwritten = Vec::new();
        (self.rules.load_full(), writing.purges)
    }
}

fn now() -> Sequence {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn micros(duration: Duration) -> Sequence {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The clock time of a sequence, which may be ahead of the clock.
fn time(sequence: Sequence) -> SystemTime {
    (UNIX_EPOCH + Duration::from_micros(sequence)).min(SystemTime::now())
}

#[cfg(test)]
impl Ledger {
    /// As if so much time had gone by.
    pub(crate) fn pass(&self, time: Duration) {
        self.shared.highest.fetch_add(micros(time), Ordering::AcqRel);
    }

    /// As after a write that failed.
    pub(super) async fn break_journal(&self) {
        if let Some(journal) = &self.journal {
            journal.lock().await.give_up();
        }
    }
}
