//! The cache as the phases use it: one store, one lock, one memory of what is not worth asking for, one admission sketch.
//! They live as long as the process, since Pingora wants them `'static`.

use std::sync::Arc;
use std::time::Duration;

use leeward_cache::admission::{self, Sketch};
use leeward_cache::disk::{self, Disk};
use leeward_cache::purge::{self, Ledger};
use leeward_cache::range::Sliced;
use leeward_cache::{FetchLock, Store, Uncacheable, key};
use pingora_cache::NoCacheReason;
use pingora_cache::lock::CacheKeyLockImpl;

/// A fetch that holds its key longer than this is no longer waited for. Longer than all attempts of a request together, however
/// long their timeouts are; requests wait no longer than those.
const FILL_LOCK: Duration = Duration::from_secs(3600);
/// Keys remembered as uncacheable, of eight bytes each: requests for them do not queue behind each other.
const UNCACHEABLE_KEYS: usize = 128 * 1024;

/// Why a passing error is not stored. Not remembered, as against other answers that are not stored: the next
/// request looks up what is stored all the same, which is what it may need while the origin fails.
pub(crate) const ORIGIN_ERROR: NoCacheReason = NoCacheReason::Custom("origin error");

/// Why the answer to one request is not stored, whatever is with others for the same object. Not remembered either.
pub(crate) const ONE_REQUEST: NoCacheReason = NoCacheReason::Custom("one request");

/// How long the end of the process waits for the disk tier.
const CLOSING: Duration = Duration::from_secs(2);

/// Why the cache cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory.
    #[error("cache.disk: {0}")]
    Disk(#[from] disk::OpenError),
    /// The list of purges in it.
    #[error("cache.disk: {0}")]
    Purges(#[from] purge::OpenError),
}

/// The parts of the cache.
pub(crate) struct CacheParts {
    pub(crate) store: &'static Store,
    pub(crate) lock: &'static CacheKeyLockImpl,
    pub(crate) predictor: &'static Uncacheable,
    /// The same for requests with `Authorization`, whose answers are mostly not stored.
    pub(crate) predictor_authorized: &'static Uncacheable,
    pub(crate) admission: &'static Sketch,
    pub(crate) ledger: Arc<Ledger>,
    /// Large objects, of which ranges are had in slices.
    pub(crate) sliced: Sliced,
}

impl std::fmt::Debug for CacheParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheParts").finish_non_exhaustive()
    }
}

impl CacheParts {
    /// Opens the cache; it is kept until the process ends.
    ///
    /// # Errors
    /// When its directory cannot be used.
    pub(crate) fn open(config: &leeward_config::ready::Cache) -> Result<&'static Self, OpenError> {
        let disk = match &config.disk {
            Some(disk) => Some(Disk::open(disk::Options { path: disk.path.clone(), bytes: disk.size })?),
            None => None,
        };
        if let Some(disk) = &disk {
            // before the first key: what is on disk is found by the hash of its key
            key::seed(disk.seed());
        }
        let ledger = Ledger::open(config.disk.as_ref().map(|disk| disk.path.as_path()))?;
        let store = Store::leak(leeward_cache::Options {
            bytes: config.memory,
            max_object: config.max_object,
            variants: config.variants,
            disk,
            ledger: Arc::clone(&ledger),
        });
        let admission = Sketch::leak(admission::Options::default());
        let lock: &'static CacheKeyLockImpl = Box::leak(Box::new(FetchLock::new(store, admission, FILL_LOCK)));
        let predictor = || -> &'static Uncacheable { Box::leak(Box::new(Uncacheable::new(UNCACHEABLE_KEYS, passes))) };
        let (predictor, predictor_authorized) = (predictor(), predictor());
        Ok(Box::leak(Box::new(Self {
            store,
            lock,
            predictor,
            predictor_authorized,
            admission,
            ledger,
            sliced: Sliced::default(),
        })))
    }

    /// Writes what the next start wants to know. Waits for it, but not for long.
    pub(crate) fn close(&self) {
        if let Some(disk) = self.store.disk() {
            disk.close(CLOSING);
        }
    }
}

/// Whether a reason says nothing about the object's next answer.
fn passes(reason: &'static str) -> bool {
    [ORIGIN_ERROR, ONE_REQUEST].contains(&NoCacheReason::Custom(reason))
}
