//! `POST /v1/purge`.

mod resolve;
mod wanted;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use leeward_cache::purge::{Ledger, Purge, RecordError};
use leeward_config::Snapshot;
use leeward_telemetry::Metrics;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use resolve::{Purged, resolve};
use wanted::{ENTRIES, Wanted};

/// Requests to purge under way at once (delivery spec 2.14); more are told to come again.
const AT_ONCE: usize = 50;
/// Rules of one request: under a policy that varies its keys much, a URL stands for several.
const RULES: usize = 16 * ENTRIES;
/// Seconds until then.
const AGAIN: u32 = 1;
/// Seconds until a sweep may have made room for more rules.
const AFTER_A_SWEEP: u32 = 60;

/// Purges what requests name.
#[derive(Debug)]
pub struct Purges {
    snapshot: Arc<ArcSwap<Snapshot>>,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    room: Semaphore,
}

/// What becomes of a request to purge.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// What was purged, or what is wrong.
    pub body: Value,
    /// Seconds until it may be asked again.
    pub again: Option<u32>,
}

impl Reply {
    fn error(status: u16, why: &str) -> Self {
        Self { status, body: json!({ "error": why }), again: None }
    }
}

impl Purges {
    /// Writes into this ledger; URLs mean what they mean under the running configuration.
    #[must_use]
    pub fn new(snapshot: Arc<ArcSwap<Snapshot>>, ledger: Arc<Ledger>, metrics: Arc<Metrics>) -> Self {
        Self { snapshot, ledger, metrics, room: Semaphore::new(AT_ONCE) }
    }

    /// Does what the body says, all of it or nothing.
    pub async fn reply(&self, body: &[u8]) -> Reply {
        let began = Instant::now();
        let Ok(_room) = self.room.try_acquire() else {
            return Reply { again: Some(AGAIN), ..Reply::error(503, &format!("{AT_ONCE} purges are under way")) };
        };
        let (soft, purged) = match self.read(body) {
            Ok(read) => read,
            Err(why) => return Reply::error(400, &why),
        };
        let mut purge = Purge { soft, rules: Vec::new() };
        let mut said = Vec::new();
        for Purged { kind, what, keys, rules } in &purged {
            purge.rules.extend_from_slice(rules);
            said.push(json!({ "kind": kind.word(), "what": what, "keys": keys }));
        }
        if purge.rules.len() > RULES {
            return Reply::error(400, &format!("{} rules come of it, at most {RULES} at once", purge.rules.len()));
        }
        let recorded = self.ledger.record(&purge).await;
        if !matches!(recorded, Err(RecordError::Full)) {
            purged.iter().for_each(|one| self.metrics.purged(one.kind, 1));
        }
        match recorded {
            Ok(sequence) => {
                let seconds = began.elapsed().as_secs_f64();
                let body = json!({ "sequence": sequence, "soft": soft, "purged": said, "seconds": seconds });
                Reply { status: 200, body, again: None }
            }
            Err(error @ RecordError::Full) => {
                Reply { again: Some(AFTER_A_SWEEP), ..Reply::error(503, &error.to_string()) }
            }
            Err(error @ RecordError::Journal(_)) => {
                log::error!("a purge is {error}");
                Reply::error(500, &error.to_string())
            }
        }
    }

    fn read(&self, body: &[u8]) -> Result<(bool, Vec<Purged>), String> {
        let wanted = Wanted::read(body)?;
        let snapshot = self.snapshot.load_full();
        let purged = wanted
            .entries()
            .map(|(kind, text)| resolve(&snapshot, kind, text, wanted.force))
            .collect::<Result<_, _>>()?;
        Ok((wanted.soft, purged))
    }
}
