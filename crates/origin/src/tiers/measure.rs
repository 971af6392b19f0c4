//! Measuring tiers in the background, and what a gateway does when it is measured.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::{FixedState, RandomState};
use leeward_config::Snapshot;
use leeward_config::ready::{Origin, OriginServer, Shield, Validation};
use leeward_telemetry::Reason;
use pingora::http::RequestHeader;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::order::Took;
use super::{Tiers, key, list, shields};
use crate::health::{Probe, Verdict, host, validate_origin};
use crate::{Resolver, Target};

/// The field by which an edge asks a gateway to fetch the validation object of `<platform>/<directory>` from every server of
/// that origin.
pub const VALIDATE: &str = "x-leeward-validate";

/// Times from one measurement to the next, a tenth more or less by chance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) every: Duration,
    /// After one in which something failed.
    pub(super) after_failure: Duration,
}

const PACE: Pace = Pace { every: Duration::from_secs(300), after_failure: Duration::from_secs(30) };
/// The longest time for one fetch or connection.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest time that a gateway tries for: the edge that measures it waits no longer.
pub const PROVED_WITHIN: Duration = WITHIN;
/// Fetches or connections of which the fastest counts.
const SAMPLES: usize = 2;
/// Tiers measured at once.
const TOGETHER: usize = 16;
/// How long a new configuration may go unnoticed.
const LOOK: Duration = Duration::from_millis(500);

/// Measures the tiers of every origin, again and again.
pub struct Measuring<S, N> {
    shared: Arc<Shared<N>>,
    snapshot: S,
    under_way: HashMap<u64, AbortHandle, RandomState>,
}

struct Shared<N> {
    tiers: Arc<Tiers>,
    resolver: Arc<Resolver>,
    probe: Probe,
    room: Semaphore,
    loop_member: N,
    pace: Pace,
}

impl<S, N> std::fmt::Debug for Measuring<S, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Measuring").field("under_way", &self.under_way.len()).finish_non_exhaustive()
    }
}

impl<S, N> Measuring<S, N>
where
    S: Fn() -> Arc<Snapshot>,
    N: Fn() -> String + Send + Sync + 'static,
{
    /// Measures the tiers of what `snapshot` says at the time. `loop_member` is this edge's name in `CDN-Loop`.
    pub fn new(tiers: Arc<Tiers>, resolver: Arc<Resolver>, snapshot: S, loop_member: N) -> Self {
        Self::with_pace(tiers, resolver, snapshot, loop_member, PACE)
    }

    pub(super) fn with_pace(
        tiers: Arc<Tiers>,
        resolver: Arc<Resolver>,
        snapshot: S,
        loop_member: N,
        pace: Pace,
    ) -> Self {
        let room = Semaphore::new(TOGETHER);
        let shared = Shared { tiers, resolver, probe: Probe::default(), room, loop_member, pace };
        Self { shared: Arc::new(shared), snapshot, under_way: HashMap::default() }
    }

    /// Measures until the future is dropped. Needs a runtime of Tokio.
    pub async fn run(mut self) {
        let mut seen: Option<Arc<Snapshot>> = None;
        loop {
            let snapshot = (self.snapshot)();
            if !seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &snapshot)) {
                self.follow(&snapshot);
                seen = Some(snapshot);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Begins with the tiers that are new, and ends with those that are gone.
    fn follow(&mut self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut self.under_way);
        for (origin, shield) in shields(snapshot) {
            if !needed(shield) {
                continue;
            }
            let name = FixedState::default().hash_one((key(shield), origin.validation.as_ref().map(|v| &v.url)));
            let task = before.remove(&name).unwrap_or_else(|| {
                tokio::spawn(again_and_again(Arc::clone(&self.shared), Arc::clone(origin))).abort_handle()
            });
            self.under_way.insert(name, task);
        }
        before.into_values().for_each(|task| task.abort());
        self.shared.tiers.retain(snapshot);
    }
}

impl<S, N> Drop for Measuring<S, N> {
    fn drop(&mut self) {
        self.under_way.values().for_each(AbortHandle::abort);
    }
}

/// Whether there is anything to choose from.
fn needed(shield: &Shield) -> bool {
    match shield {
        Shield::Pops(pops) => pops.len() > 1,
        Shield::Gateways(gateways) => list(gateways).len() > 1,
    }
}

async fn again_and_again<N: Fn() -> String>(shared: Arc<Shared<N>>, origin: Arc<Origin>) {
    let Some(shield) = &origin.shield else { return };
    loop {
        let good = {
            let Ok(_turn) = shared.room.acquire().await else { return };
            let took = measure(&shared, &origin, shield).await;
            let good = took.iter().flatten().all(|took| took.result.is_ok());
            shared.tiers.learn(shield, &took);
            good
        };
        tokio::time::sleep(jittered(if good { shared.pace.every } else { shared.pace.after_failure })).await;
    }
}

/// A tenth more or less: edges that started together must not measure together forever.
fn jittered(time: Duration) -> Duration {
    let chance = RandomState::default().hash_one(0) % 2001;
    time.mul_f64(0.9 + f64::from(u32::try_from(chance).unwrap_or(1000)) / 10_000.0)
}

async fn measure<N: Fn() -> String>(shared: &Shared<N>, origin: &Origin, shield: &Shield) -> Vec<Option<Took>> {
    let mut took = Vec::new();
    match shield {
        Shield::Pops(pops) => {
            for pop in pops {
                // a POP is as near as the nearest of its nodes
                let mut nearest = None;
                for node in list(&pop.nodes) {
                    nearest = better(nearest, fastest(shared, &pop.nodes, node, None).await);
                }
                took.push(nearest);
            }
        }
        Shield::Gateways(gateways) => {
            let Some(validation) = &origin.validation else { return took };
            let what = format!("{}/{}", origin.platform.name(), origin.name);
            for gateway in list(gateways) {
                took.push(Some(fastest(shared, gateways, gateway, Some((validation, &what))).await));
            }
        }
    }
    took
}

fn better(one: Option<Took>, other: Took) -> Option<Took> {
    match one {
        Some(one) if one.result.is_ok() && (other.result.is_err() || one.result <= other.result) => Some(one),
        _ => Some(other),
    }
}

/// The fastest of some samples, or the failure of the first that fails: fetches of a validation object, else connections.
async fn fastest<N: Fn() -> String>(
    shared: &Shared<N>,
    group: &Origin,
    node: &OriginServer,
    object: Option<(&Validation, &str)>,
) -> Took {
    let mut fastest = Duration::MAX;
    for _ in 0..SAMPLES {
        let sample = match object {
            Some((validation, what)) => fetch(shared, group, node, validation, what).await,
            None => connect(shared, group, node).await,
        };
        match sample {
            Ok(time) => fastest = fastest.min(time),
            Err(reason) => return Took { result: Err(reason), at: Instant::now() },
        }
    }
    Took { result: Ok(fastest), at: Instant::now() }
}

async fn target<N>(shared: &Shared<N>, group: &Origin, server: &OriginServer) -> Result<Target, Reason> {
    let addresses = shared.resolver.first(&server.host, group, WITHIN).await.map_err(|_| Reason::Dns)?;
    let ip = addresses.first().ok_or(Reason::Dns)?;
    Ok(Target { server: server.clone(), address: SocketAddr::new(*ip, server.port) })
}

async fn connect<N>(shared: &Shared<N>, group: &Origin, node: &OriginServer) -> Result<Duration, Reason> {
    let target = target(shared, group, node).await?;
    let began = Instant::now();
    shared.probe.connection(group, &target, WITHIN).await?;
    Ok(began.elapsed())
}

/// The validation object, from every server of the origin, through a gateway.
async fn fetch<N: Fn() -> String>(
    shared: &Shared<N>,
    group: &Origin,
    gateway: &OriginServer,
    validation: &Validation,
    what: &str,
) -> Result<Duration, Reason> {
    let target = target(shared, group, gateway).await?;
    let request = || {
        let mut request = RequestHeader::build("GET", validation.path.as_bytes(), Some(8))?;
        request.insert_header("Host", validation.authority.as_str())?;
        request.insert_header("X-Midgress", "1")?;
        request.insert_header("CDN-Loop", (shared.loop_member)())?;
        request.insert_header(VALIDATE, what)?;
        Ok(request)
    };
    let request = request().map_err(|_: Box<pingora::Error>| Reason::Internal)?;
    let began = Instant::now();
    match shared.probe.ask(group, &target, &host(group, gateway), request, WITHIN).await? {
        200 => Ok(began.elapsed()),
        _ => Err(Reason::Status),
    }
}

/// A gateway's part: fetches an origin's validation object from each of its servers. Gives what is wrong, one line for each
/// server that did not answer 200; nothing is wrong where there is nothing to fetch.
pub async fn prove(probe: &Probe, origin: &Origin, resolver: &Resolver) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut said = |verdict: Verdict| {
        if !verdict.good() {
            let why = verdict.result.map_or_else(|why| why, |status| status.to_string());
            wrong.push(format!("{}: {why}", verdict.server));
        }
    };
    validate_origin(probe, origin, resolver, &mut said).await;
    wrong
}
