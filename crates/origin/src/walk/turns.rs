//! Whose turn it is at each origin that spreads its requests.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use foldhash::fast::RandomState;
use leeward_config::ready::Origin;
use pingora_load_balancing::selection::SelectionAlgorithm;
use pingora_load_balancing::selection::algorithms::RoundRobin;

/// Origins whose turn is remembered; more only start their turns over.
const REMEMBERED: usize = 100_000;

/// Counts the turns of every origin. Survives reloads.
#[derive(Default)]
pub struct Turns(RwLock<HashMap<u64, Arc<RoundRobin>, RandomState>>);

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

impl Turns {
    /// The number of this turn.
    pub(super) fn next(&self, origin: &Origin) -> usize {
        let known = self.0.read().ok().and_then(|turns| turns.get(&origin.group_key).cloned());
        let turn = known.or_else(|| {
            let mut turns = self.0.write().ok()?;
            if turns.len() >= REMEMBERED {
                turns.clear();
            }
            Some(turns.entry(origin.group_key).or_insert_with(|| Arc::new(RoundRobin::new())).clone())
        });
        turn.map_or(0, |turn| usize::try_from(turn.next(&[])).unwrap_or(0))
    }
}
