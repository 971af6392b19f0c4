//! What a request learns from the one it waited for. Many clients ask for one cold object, one of them asks the origin, and
//! it fails: the others must not ask again one after the other, each waiting for its own timeout.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use leeward_rules::decide::plan::Failed;
use leeward_telemetry::Reason;
use pingora_cache::key::HashBinary;

use crate::context::Context;

/// How long a failure is remembered. Only requests that were waiting when it happened ask for it.
const REMEMBERED_FOR: Duration = Duration::from_secs(10);
/// Failures remembered, over all shards.
const REMEMBERED: usize = 16 * 1024;
const SHARDS: usize = 16;

/// How the ways at origins ended for one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How the last of them failed.
    pub(crate) failed: Failed,
    /// Why.
    pub(crate) reason: Reason,
    /// The status that was given up for a backup origin.
    pub(crate) given_up: Option<u16>,
    /// Whether the backup origin was the last.
    pub(crate) at_backup: bool,
    at: Instant,
}

/// Whether an error speaks of who asked, so that it says nothing to another client.
const fn is_personal(failed: Failed) -> bool {
    matches!(failed, Failed::Status(400..=403 | 405..=409 | 411..=499))
}

/// Failures by cache key.
#[derive(Debug, Default)]
pub(crate) struct Collapsed([Mutex<HashMap<HashBinary, Outcome, RandomState>>; SHARDS]);

impl Collapsed {
    fn shard(&self, key: &HashBinary) -> Option<&Mutex<HashMap<HashBinary, Outcome, RandomState>>> {
        self.0.get(usize::from(*key.first()?) % SHARDS)
    }

    /// Remembers how the request failed at its origins, unless it learned that from another itself.
    pub(super) fn record(&self, ctx: &Context, failed: Failed, reason: Reason) {
        if ctx.fetch.shared_failure || is_personal(failed) {
            return;
        }
        let Some(key) = ctx.lookup.key else { return };
        let Some(Ok(mut known)) = self.shard(&key).map(Mutex::lock) else { return };
        let at = Instant::now();
        if known.len() >= REMEMBERED / SHARDS {
            known.retain(|_, outcome| at.duration_since(outcome.at) < REMEMBERED_FOR);
        }
        if known.len() < REMEMBERED / SHARDS {
            let (given_up, at_backup) = (ctx.fetch.given_up, ctx.fetch.asked_backup);
            known.insert(key, Outcome { failed, reason, given_up, at_backup, at });
        }
    }

    /// Forgets what was remembered of an object: its origin answers now.
    pub(super) fn forget(&self, ctx: &Context) {
        let Some(key) = ctx.lookup.key else { return };
        if let Some(Ok(mut known)) = self.shard(&key).map(Mutex::lock) {
            known.remove(&key);
        }
    }

    /// The failure of the request that this one waited for, if that failed while this one waited.
    pub(super) fn recall(&self, ctx: &Context, waited: Duration) -> Option<Outcome> {
        let key = ctx.lookup.key?;
        let known = self.shard(&key)?.lock().ok()?;
        let outcome = known.get(&key).copied()?;
        (outcome.at.elapsed() <= waited.min(REMEMBERED_FOR)).then_some(outcome)
    }
}
