//! What the tier does by itself, on one thread: looks at the names of its files after a start, saves the order of use, and probes
//! a disk that failed.

use std::fs;
use std::io::{self, Write as _};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::index::Found;
use super::saved::{self, Restored};
use super::scan::{BATCH, LATE_BATCH, Listing, list};
use super::tier::{Tier, count};

/// Between two looks at what there is to do.
const TICK: Duration = Duration::from_secs(1);

/// Between two probes of a disk that failed.
const PROBE_EVERY: Duration = Duration::from_secs(3);

/// Bytes of a probe.
const PROBE: usize = 64 * 1024;

/// Between two index files.
const SAVE_EVERY: Duration = Duration::from_secs(5 * 60);

/// Between two looks for files that were left behind.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// How long a start without an index file waits for the names.
pub(super) const NAMES_WAIT: Duration = Duration::from_millis(1500);

impl Tier {
    /// Takes in what the last run knew. False when that is nothing: then the names of the files have to tell.
    pub(super) fn restore(&self) -> bool {
        self.index.begin_scan();
        if self.directory.is_foreign {
            return false;
        }
        match saved::restore(&self.directory, &self.index, self.most()) {
            Restored::Whole => true,
            Restored::Missing => false,
            Restored::Broken(error) => {
                count(&self.counts.index_errors);
                log::warn!("disk tier: the index file is not usable ({error}), the names of the files are looked at");
                false
            }
        }
    }

    /// The thread. `known` is told when everything is in the index that a start waits for.
    pub(super) fn care(self: &Arc<Self>, known: Sender<()>) {
        self.look_at_names(known);
        let (mut saved, mut tidied) = (Instant::now(), Instant::now());
        while !self.wait(TICK) {
            self.probe_when_due();
            self.expand();
            // The budget may have become smaller.
            self.charge(0);
            if saved.elapsed() >= SAVE_EVERY {
                self.save();
                saved = Instant::now();
            }
            if tidied.elapsed() >= TIDY_EVERY && self.left_behind.swap(false, Ordering::Relaxed) {
                self.tidy();
                tidied = Instant::now();
            }
        }
    }

    /// Waits; true when the tier ends.
    fn wait(&self, most: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ending.wait_timeout_while(ended, most, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Ends the thread soon.
    pub(super) fn end_care(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ending.notify_all();
    }

    /// Writes the index file.
    pub(super) fn save(&self) {
        if self.breaker.is_given_up() {
            return;
        }
        if let Err(error) = saved::save(&self.directory, &self.index) {
            count(&self.counts.index_errors);
            self.complain(&format_args!("the index file cannot be written: {error}"));
        }
    }

    /// Puts the index right by the names of the files. Whoever waits for it waits until all are in, or for [`NAMES_WAIT`].
    fn look_at_names(self: &Arc<Self>, known: Sender<()>) {
        let began = Instant::now();
        // What nobody asks for any more is not waited for.
        let mut known = Some(known).filter(|_| !self.directory.is_foreign);
        let mut complete = true;
        let mut listing = Listing::default();
        for folder in 0..=u8::MAX {
            if self.wait(Duration::ZERO) {
                self.all_in.send_replace(Some(false));
                return;
            }
            if list(self.directory.root(), folder, &mut listing).is_err() {
                count(&self.counts.index_errors);
                complete = false;
            }
            let most = if known.is_some() { BATCH } else { LATE_BATCH };
            if listing.names.len() >= most || (known.is_some() && began.elapsed() >= NAMES_WAIT * 2 / 3) {
                self.take_in(&mut listing);
                known = None;
            }
            self.probe_when_due();
        }
        self.take_in(&mut listing);
        self.index.end_scan(complete);
        self.all_in.send_replace(Some(complete));
        drop(known);
    }

    /// Takes in a part of the files, the oldest first, and removes those that are of no use.
    fn take_in(self: &Arc<Self>, listing: &mut Listing) {
        listing.names.sort_unstable_by_key(|name| name.version.generation);
        for name in listing.names.drain(..) {
            if self.directory.is_foreign {
                // What this run has written is not.
                if !self.index.knows(name) {
                    self.unlink(name);
                }
                continue;
            }
            if name.length > self.most() {
                self.unlink(name);
                continue;
            }
            match self.index.found(name) {
                Found::Kept => {}
                Found::Instead(old) => self.unlink(old),
                Found::Unwanted => self.unlink(name),
            }
        }
        for path in listing.strangers.drain(..) {
            count(&self.counts.corrupt);
            let _ = fs::remove_file(path);
        }
        // The budget may be smaller than it was.
        self.charge(0);
    }

    /// Removes files that nothing names, because their removal could not be noted or failed.
    pub(super) fn tidy(&self) {
        let mut listing = Listing::default();
        for folder in 0..=u8::MAX {
            if self.wait(Duration::ZERO) {
                return;
            }
            if list(self.directory.root(), folder, &mut listing).is_err() {
                count(&self.counts.index_errors);
            }
            listing.strangers.clear();
            listing.names.drain(..).filter(|name| !self.index.knows(*name)).for_each(|name| self.unlink(name));
        }
    }

    fn probe_when_due(&self) {
        if self.breaker.is_probe_due(PROBE_EVERY) && self.probe().is_ok() {
            self.breaker.resume();
        }
    }

    /// Writes and removes a small file.
    fn probe(&self) -> io::Result<()> {
        self.directory.save()?;
        let (path, mut file) = self.directory.unfinished()?;
        let written = file.write_all(&[0; PROBE]);
        drop(file);
        fs::remove_file(path)?;
        written
    }
}
