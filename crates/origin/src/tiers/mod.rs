//! Tiers between an edge and an origin: origin shields and gateways (delivery spec 1.8). Which node of a tier a request goes
//! to is decided here, from what was measured in the background; walking there is the walk's.
//!
//! * Of several POPs of a shield the nearest is used, by the time that a connection takes.
//! * Within a POP every object has its node, by rendezvous hashing: each edge finds the same one, whatever the order of the
//!   list, and a node that is gone moves only its own objects, each to the node that is next for it.
//! * Of the gateways the three that fetch the validation object fastest are used, the fastest first.

mod measure;
mod order;
mod rendezvous;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::fast::{FixedState, RandomState};
use leeward_config::Snapshot;
use leeward_config::ready::{Origin, OriginServer, Servers, Shield};
use leeward_telemetry::Reason;

pub use measure::{Measuring, PROVED_WITHIN, VALIDATE, prove};
pub use order::Took;

/// Nodes of a tier that one request may be sent to, before it goes to the origin itself.
pub const MAX_PARENTS: usize = 3;

/// What was measured of one tier.
#[derive(Debug, Clone, Default)]
struct Measured {
    /// Places of the POPs or gateways, the best first.
    best: Vec<usize>,
    /// What each of them took.
    took: Vec<Option<Took>>,
}

/// What is known about the tiers of every origin. One per process, survives reloads.
#[derive(Debug, Default)]
pub struct Tiers {
    measured: ArcSwap<HashMap<u64, Arc<Measured>, RandomState>>,
}

/// One POP or gateway, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The region, `all`, or the gateway.
    pub name: String,
    /// From 1 for those that requests are sent to; absent for others.
    pub rank: Option<usize>,
    /// What it took when it was last measured; absent: not measured yet, or nothing to choose from.
    pub took: Option<Took>,
}

impl Tiers {
    /// The nodes that a request with this cache key is sent to, in order, and the origin that they are servers of.
    #[must_use]
    pub fn order(&self, shield: &Shield, key: &[u8]) -> (Arc<Origin>, Vec<OriginServer>) {
        let measured = self.measured(shield);
        let best = measured.as_ref().map(|measured| measured.best.as_slice()).unwrap_or_default();
        match shield {
            Shield::Pops(pops) => {
                let nearest = best.first().and_then(|place| pops.get(*place)).or(pops.first());
                let nodes = nearest.map(|pop| Arc::clone(&pop.nodes)).unwrap_or_default();
                let order = rendezvous::order(key, list(&nodes), MAX_PARENTS);
                (nodes, order)
            }
            Shield::Gateways(gateways) => {
                let all = list(gateways);
                let order: Vec<_> = if best.is_empty() {
                    all.iter().take(MAX_PARENTS).cloned().collect()
                } else {
                    best.iter().filter_map(|place| all.get(*place)).take(MAX_PARENTS).cloned().collect()
                };
                (Arc::clone(gateways), order)
            }
        }
    }

    /// Every POP or gateway of a tier as it was measured, in the order written.
    #[must_use]
    pub fn list(&self, shield: &Shield) -> Vec<Seen> {
        let measured = self.measured(shield).map(|measured| Measured::clone(&measured)).unwrap_or_default();
        let names: Vec<String> = names(shield);
        let used = if matches!(shield, Shield::Gateways(_)) { MAX_PARENTS } else { 1 };
        let best: Vec<usize> = if measured.best.is_empty() { (0..names.len()).collect() } else { measured.best };
        let seen = |(place, name)| Seen {
            name,
            rank: best.iter().take(used).position(|one| *one == place).map(|rank| rank + 1),
            took: measured.took.get(place).copied().flatten(),
        };
        names.into_iter().enumerate().map(seen).collect()
    }

    fn measured(&self, shield: &Shield) -> Option<Arc<Measured>> {
        self.measured.load().get(&key(shield)).cloned()
    }

    /// Takes over what was measured of a tier, and decides what is best from now on.
    fn learn(&self, shield: &Shield, took: &[Option<Took>]) {
        let key = key(shield);
        self.measured.rcu(|all| {
            let current = all.get(&key).and_then(|measured| measured.best.first().copied());
            let best = order::best(took, current);
            let mut all = HashMap::clone(all);
            all.insert(key, Arc::new(Measured { best, took: took.to_vec() }));
            all
        });
        let (names, measured) = (names(shield), self.measured(shield));
        let best: Vec<_> = measured.iter().flat_map(|one| &one.best).filter_map(|place| names.get(*place)).collect();
        log::debug!("{}: {best:?}", label(shield));
    }

    /// Forgets the tiers that a configuration no longer has.
    pub fn retain(&self, snapshot: &Snapshot) {
        let kept: Vec<u64> = shields(snapshot).map(|(_, shield)| key(shield)).collect();
        self.measured.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.retain(|key, _| kept.contains(key));
            all
        });
    }
}

/// How long the servers of a tier have for their response head: longer than all their own attempts may take, so that it is
/// their answer that is heard, whatever it is.
#[must_use]
pub fn first_byte(origin: &leeward_config::ready::Timeouts) -> Duration {
    /// For the way between the tiers.
    const BETWEEN: Duration = Duration::from_secs(1);
    crate::walk::budget(origin) + BETWEEN
}

/// Every origin that has a tier.
fn shields(snapshot: &Snapshot) -> impl Iterator<Item = (&Arc<Origin>, &Shield)> {
    snapshot.origins.iter().filter_map(|origin| Some((origin, origin.shield.as_ref()?)))
}

/// Names a tier over reloads: the groups' keys cover the origin's name and platform and the nodes.
fn key(shield: &Shield) -> u64 {
    let keys: Vec<u64> = shield.groups().map(|group| group.group_key).collect();
    FixedState::default().hash_one(keys)
}

/// The servers of a tier's node list: the same for both schemes.
fn list(group: &Origin) -> &[OriginServer] {
    group.http.as_ref().map(|Servers { servers, .. }| servers.as_slice()).unwrap_or_default()
}

fn names(shield: &Shield) -> Vec<String> {
    match shield {
        Shield::Pops(pops) => {
            pops.iter().map(|pop| pop.region.map_or("all", |region| region.name()).to_owned()).collect()
        }
        Shield::Gateways(gateways) => list(gateways).iter().map(ToString::to_string).collect(),
    }
}

fn label(shield: &Shield) -> &str {
    shield.groups().next().map(|group| group.name.as_str()).unwrap_or_default()
}

impl Took {
    /// The time, in seconds, if it was a success.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.result.ok().map(|time| time.as_secs_f64())
    }

    /// Why it was none.
    #[must_use]
    pub fn error(&self) -> Option<Reason> {
        self.result.err()
    }
}
