//! Which addresses of origin servers may be asked (delivery spec 1.6).
//!
//! A server is unavailable when it refuses a connection or lets one time out, and for nothing else: a status, a reset or a
//! slow answer says something about the request. It is left alone for a while, tried once, left alone for a little
//! longer, and so on until it answers. The states and what moves them are in `machine.rs`.
//!
//! State is kept per origin and address, not per name: one of several addresses of a name can be down. It survives reloads.

mod check;
mod machine;
mod overview;
mod probe;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use leeward_config::ready::{Origin, OriginServer, Snapshot};
use leeward_telemetry::Reason;
use pingora::ErrorType;

pub use check::Checks;
pub use machine::{Admission, Checked, Condition, Finder, LastError};
use machine::{Change, Failed, Machine};
pub use overview::{AddressState, Addresses, ServerState, overview};
pub(crate) use probe::host;
pub use probe::{Probe, Verdict, validate, validate_origin};

/// Addresses whose state is kept. Names that keep changing their addresses leave some behind until the next reload.
const REMEMBERED: usize = 20_000;
/// What a trial may take besides its connection.
const LEASE: Duration = Duration::from_secs(1);

/// A connection that is not there after this time counts, if its timeout is no shorter.
const TELLING: Duration = Duration::from_millis(250);
/// How late an active check may begin after an exclusion is over.
const LATE: Duration = Duration::from_secs(1);

type Key = (u64, SocketAddr);

/// The state of every address. One per process, shared by reference; cheap to ask while all is well.
pub struct Health {
    entries: RwLock<HashMap<Key, Arc<Entry>, RandomState>>,
    /// Between 0 and 1.
    chance: Box<dyn Fn() -> f64 + Send + Sync>,
    /// Where [`Entry::reached`] counts from.
    epoch: Instant,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").finish_non_exhaustive()
    }
}

impl Default for Health {
    fn default() -> Self {
        let (state, count) = (RandomState::default(), AtomicU64::new(0));
        Self::with_chance(move || {
            let drawn = state.hash_one(count.fetch_add(1, Ordering::Relaxed));
            f64::from(u32::try_from(drawn >> 32).unwrap_or(0)) / f64::from(u32::MAX)
        })
    }
}

/// One address of one origin.
struct Entry {
    /// Whether the machine says available: what a request reads while all is well.
    open: AtomicBool,
    /// Nanoseconds from the epoch to the last connection, plus one; 0 for never.
    reached: AtomicU64,
    machine: Mutex<Machine>,
}

impl Default for Entry {
    fn default() -> Self {
        Self { open: AtomicBool::new(true), reached: AtomicU64::new(0), machine: Mutex::default() }
    }
}

impl Entry {
    /// Moves the machine. What others see without its lock follows before the lock is gone.
    fn moves<T>(&self, with: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let result = with(&mut machine);
        self.open.store(machine.is_available(), Ordering::Release);
        result
    }
}

/// What of an error of Pingora's makes a server unavailable, if anything: [`Health::unreachable`] wants no other.
#[must_use]
pub fn counts(error: &ErrorType) -> Option<Reason> {
    match error {
        ErrorType::ConnectRefused => Some(Reason::ConnectRefused),
        ErrorType::ConnectTimedout => Some(Reason::ConnectTimeout),
        ErrorType::ConnectNoRoute => Some(Reason::ConnectError),
        _ => None,
    }
}

impl Health {
    /// With a source of chance between 0 and 1 for the length of exclusions.
    #[must_use]
    pub fn with_chance(chance: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        // a little before now: what is told first may have happened before
        let epoch = Instant::now();
        let epoch = epoch.checked_sub(Duration::from_secs(60)).unwrap_or(epoch);
        Self { entries: RwLock::default(), chance: Box::new(chance), epoch }
    }

    /// Asks whether an attempt may be made at `now`. Who is given the trial must make it at once, begin it no earlier than
    /// `now`, and say what came of it; otherwise its lease ends by itself.
    #[must_use]
    pub fn admit(&self, origin: &Origin, address: SocketAddr, now: Instant) -> Admission {
        let Some(entry) = self.find(origin, address) else { return Admission::Open };
        if entry.open.load(Ordering::Acquire) {
            return Admission::Open;
        }
        entry.moves(|machine| machine.ask(now, yields(origin), lease(origin)))
    }

    /// A connection came about: resets everything. Also one whose TLS handshake failed after it.
    pub fn reached(&self, origin: &Origin, address: SocketAddr, now: Instant) {
        let Some(entry) = self.entry(origin, address) else { return };
        let since = now.saturating_duration_since(self.epoch);
        entry.reached.fetch_max(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX - 1) + 1, Ordering::AcqRel);
        self.connected(origin, address, Finder::Request, now);
    }

    /// A connection that was kept from before is used: a trial on it succeeded. Otherwise it says nothing about whether the
    /// server takes new ones.
    pub fn kept(&self, origin: &Origin, address: SocketAddr, now: Instant) {
        self.connected(origin, address, Finder::Request, now);
    }

    /// A connection did not come about: refused, timed out, or no route ([`counts`]); any other reason changes nothing.
    /// `began` is when the attempt began, no earlier than its [`Health::admit`].
    ///
    /// A timeout that the request's deadline cut short to next to nothing says nothing about the server, and changes nothing
    /// either.
    pub fn unreachable(
        &self,
        origin: &Origin,
        server: &OriginServer,
        address: SocketAddr,
        reason: Reason,
        began: Instant,
        now: Instant,
    ) {
        let waited = now.saturating_duration_since(began);
        let counts = match reason {
            // timers are coarse: a tenth is tolerated
            Reason::ConnectTimeout => waited >= TELLING.min(origin.timeouts.connect.mul_f64(0.9)),
            Reason::ConnectRefused | Reason::ConnectError => true,
            _ => false,
        };
        if counts {
            self.failed(origin, server, address, Failed { reason, by: Finder::Request, began, now });
        }
    }

    /// An active check that began at `began` ended: with the reason when it failed. As many failures one after another as
    /// `health_check` says exclude the address, one success brings it back.
    pub fn checked(
        &self,
        origin: &Origin,
        server: &OriginServer,
        address: SocketAddr,
        result: Result<(), Reason>,
        began: Instant,
        now: Instant,
    ) {
        let Some(entry) = self.entry(origin, address) else { return };
        let enough = origin.health_check.as_ref().map_or(1, |check| check.failures);
        let failure = entry.moves(|machine| machine.note_check(result.err(), enough, now));
        match result {
            Ok(()) => self.connected(origin, address, Finder::Check, now),
            Err(reason) if failure => {
                self.failed(origin, server, address, Failed { reason, by: Finder::Check, began, now });
            }
            Err(_) => {}
        }
    }

    /// When the next trial is due, or the lease of the one under way ends; absent while the address is available.
    #[must_use]
    pub fn next_trial(&self, origin: &Origin, address: SocketAddr) -> Option<Instant> {
        let entry = self.find(origin, address).filter(|entry| !entry.open.load(Ordering::Acquire))?;
        entry.moves(|machine| machine.next_trial(yields(origin)))
    }

    /// Forgets the state of origins that `snapshot` has no more. Called after a reload.
    pub fn retain(&self, snapshot: &Snapshot) {
        let keys: HashSet<u64> = snapshot.all_origins().map(|origin| origin.group_key).collect();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|(group_key, _), _| keys.contains(group_key));
    }

    fn connected(&self, origin: &Origin, address: SocketAddr, by: Finder, now: Instant) {
        let Some(entry) = self.find(origin, address).filter(|entry| !entry.open.load(Ordering::Acquire)) else {
            return;
        };
        let checked = origin.health_check.is_some();
        if let Some(Change::Back { down }) = entry.moves(|machine| machine.connected(by, checked, now)) {
            log::info!("origin {}: {address} answers again after {:.1} s", origin.name, down.as_secs_f64());
        }
    }

    fn failed(&self, origin: &Origin, server: &OriginServer, address: SocketAddr, failed: Failed) {
        let Some(entry) = self.entry(origin, address) else { return };
        let reached = entry.reached.load(Ordering::Acquire).checked_sub(1);
        let reached = reached.map(|nanos| self.epoch + Duration::from_nanos(nanos));
        let chance = (self.chance)();
        let change = entry.moves(|machine| machine.failed(failed, reached, &origin.unavailable, chance));
        if let Some(Change::Excluded { pause, reason, failures }) = change {
            let (name, pause) = (&origin.name, pause.as_secs_f64());
            log::warn!(
                "origin {name}: {server} at {address} is left alone for {pause:.1} s: {reason}, failure {failures}"
            );
        }
    }

    fn find(&self, origin: &Origin, address: SocketAddr) -> Option<Arc<Entry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&(origin.group_key, address)).cloned()
    }

    /// The entry, made when it is the first time. `None` when too many addresses are down already: such a one is always
    /// available.
    fn entry(&self, origin: &Origin, address: SocketAddr) -> Option<Arc<Entry>> {
        if let Some(entry) = self.find(origin, address) {
            return Some(entry);
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= REMEMBERED {
            entries.retain(|_, entry| !entry.open.load(Ordering::Acquire));
        }
        if entries.len() >= REMEMBERED {
            return None;
        }
        Some(Arc::clone(entries.entry((origin.group_key, address)).or_default()))
    }
}

/// How long an active check has the trial of an excluded address for itself: clients take it over when checks stay away.
fn yields(origin: &Origin) -> Duration {
    origin.health_check.as_ref().map_or(Duration::ZERO, |check| check.timeout + LATE)
}

fn lease(origin: &Origin) -> Duration {
    origin.timeouts.connect + LEASE
}
