//! Active checks: a server that is down is found before a client finds it, and brought back without one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leeward_config::Snapshot;
use leeward_config::ready::{HealthCheck, Origin, OriginServer};
use leeward_telemetry::Reason;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::overview::servers;
use super::probe::{Probe, host};
use super::{Condition, Health};
use crate::{Known, Question, Target};

/// Checks under way at once; others wait.
const TOGETHER: usize = 64;
/// How long a new configuration, a new address or the end of an exclusion may go unnoticed.
const LOOK: Duration = Duration::from_millis(500);
/// The shortest time from one look to the next, also while a check is overdue because the last one is still under way.
const LEAST: Duration = Duration::from_millis(20);

/// One address as a server of one origin.
type Checked = (u64, bool, SocketAddr);

/// The last check of an address.
struct Begun {
    at: Instant,
    task: AbortHandle,
}

/// Checks every address of every origin that has `health_check`.
pub struct Checks<S, R> {
    health: Arc<Health>,
    snapshot: S,
    known: R,
    /// Made with the first check: it reads the machine's certificate authorities.
    probe: Option<Arc<Probe>>,
    room: Arc<Semaphore>,
    begun: HashMap<Checked, Begun>,
}

impl<S, R> std::fmt::Debug for Checks<S, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checks").field("begun", &self.begun.len()).finish_non_exhaustive()
    }
}

impl<S, R> Checks<S, R>
where
    S: Fn() -> Arc<Snapshot>,
    R: Fn(&str, Question) -> Known,
{
    /// Checks what `snapshot` says at the time, at the addresses that are `known` at the time.
    pub fn new(health: Arc<Health>, snapshot: S, known: R) -> Self {
        let room = Arc::new(Semaphore::new(TOGETHER));
        Self { health, snapshot, known, probe: None, room, begun: HashMap::new() }
    }

    /// Checks until the future is dropped. Needs a runtime of Tokio.
    pub async fn run(mut self) {
        loop {
            let next = self.begin_what_is_due();
            let pause = next.map_or(LOOK, |next| next.saturating_duration_since(Instant::now()).clamp(LEAST, LOOK));
            tokio::time::sleep(pause).await;
        }
    }

    /// Begins every check that is due. Returns when the next one is.
    fn begin_what_is_due(&mut self) -> Option<Instant> {
        let snapshot = (self.snapshot)();
        // what is gone is not carried over
        let mut before = std::mem::take(&mut self.begun);
        let mut next: Option<Instant> = None;
        for origin in snapshot.all_origins() {
            let Some(check) = &origin.health_check else { continue };
            for server in servers(origin) {
                let Known::Addresses(all) = (self.known)(&server.host, (&**origin).into()) else { continue };
                for ip in all.iter() {
                    let address = SocketAddr::new(*ip, server.port);
                    let key = (origin.group_key, server.tls, address);
                    if self.begun.contains_key(&key) {
                        continue; // the same server in two lists or two origins
                    }
                    let begun = match before.remove(&key) {
                        Some(last) if !self.is_due(origin, check, address, &last) => last,
                        _ => self.begin(origin, check, server, address),
                    };
                    let due = self.due(origin, check, address, begun.at);
                    next = Some(next.map_or(due, |earlier| earlier.min(due)));
                    self.begun.insert(key, begun);
                }
            }
        }
        next
    }

    fn is_due(&self, origin: &Origin, check: &HealthCheck, address: SocketAddr, last: &Begun) -> bool {
        last.task.is_finished() && self.due(origin, check, address, last.at) <= Instant::now()
    }

    /// After the interval, and when an exclusion is over: the trial is the check's.
    fn due(&self, origin: &Origin, check: &HealthCheck, address: SocketAddr, last: Instant) -> Instant {
        let regular = last + check.interval;
        match self.health.state(origin, address).condition {
            Condition::Excluded { until } if until > last => regular.min(until),
            _ => regular,
        }
    }

    fn begin(
        &mut self,
        origin: &Arc<Origin>,
        check: &HealthCheck,
        server: &OriginServer,
        address: SocketAddr,
    ) -> Begun {
        let probe = Arc::clone(self.probe.get_or_insert_default());
        let (health, room) = (Arc::clone(&self.health), Arc::clone(&self.room));
        let (origin, check) = (Arc::clone(origin), check.clone());
        let target = Target { server: server.clone(), address };
        let task = tokio::spawn(async move {
            let Ok(_permit) = room.acquire().await else { return };
            let began = Instant::now();
            let result = ask(&probe, &origin, &check, &target).await;
            health.checked(&origin, &target.server, address, result, began, Instant::now());
        });
        Begun { at: Instant::now(), task: task.abort_handle() }
    }
}

/// One check: whether the answer is below 400, or there is a connection where no path is asked for.
async fn ask(probe: &Probe, origin: &Origin, check: &HealthCheck, target: &Target) -> Result<(), Reason> {
    let Some(path) = &check.path else {
        return probe.connection(origin, target, check.timeout).await;
    };
    let status = probe.status(origin, target, &host(origin, &target.server), path, check.timeout).await?;
    if (200..400).contains(&status) { Ok(()) } else { Err(Reason::Status) }
}
