//! Which server is asked next. One value per request, from the first attempt to the last.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use leeward_config::ready::{Balance, Origin, OriginServer, Servers};
use pingora_load_balancing::selection::SelectionAlgorithm;
use pingora_load_balancing::selection::algorithms::RoundRobin;

/// Connections tried for one request, over all servers and their addresses.
pub const MAX_ATTEMPTS: usize = 8;

/// Origins whose turn is remembered; more only start their turns over.
const REMEMBERED_TURNS: usize = 100_000;

/// One server at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server as configured.
    pub server: OriginServer,
    /// The address to connect to.
    pub address: SocketAddr,
}

/// Whose turn it is at each origin that spreads its requests. Survives reloads.
#[derive(Default)]
pub struct Turns(RwLock<HashMap<u64, Arc<RoundRobin>, RandomState>>);

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

impl Turns {
    fn next(&self, origin: &Origin) -> usize {
        let known = self.0.read().ok().and_then(|turns| turns.get(&origin.group_key).cloned());
        let turn = known.or_else(|| {
            let mut turns = self.0.write().ok()?;
            if turns.len() >= REMEMBERED_TURNS {
                turns.clear();
            }
            Some(turns.entry(origin.group_key).or_insert_with(|| Arc::new(RoundRobin::new())).clone())
        });
        turn.map_or(0, |turn| usize::try_from(turn.next(&[])).unwrap_or(0))
    }
}

/// The servers of one request, in the order they are tried.
#[derive(Debug)]
pub struct Attempts {
    /// The origin asked.
    pub origin: Arc<Origin>,
    servers: Vec<OriginServer>,
    next_server: usize,
    /// Addresses of the current server that were not tried yet, last first.
    addresses: Vec<SocketAddr>,
    made: usize,
    /// No attempt begins after this.
    pub deadline: Instant,
}

/// Why there is no further attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exhausted {
    /// Every server was tried, or as many as [`MAX_ATTEMPTS`].
    Servers,
    /// The time for all attempts together is over.
    Deadline,
}

impl Attempts {
    /// Plans the attempts of one request. `None` when the origin has no servers for the client's scheme: there is no
    /// cross-scheme fallback (delivery spec 1.2).
    #[must_use]
    pub fn plan(origin: &Arc<Origin>, https: bool, turns: &Turns, now: Instant) -> Option<Self> {
        let Servers { servers, balance } = if https { origin.https.as_ref() } else { origin.http.as_ref() }?;
        let mut servers = servers.clone();
        if *balance == Balance::RoundRobin && servers.len() > 1 {
            let first = turns.next(origin) % servers.len();
            servers.rotate_left(first);
        }
        let deadline = now + budget(origin);
        Some(Self { origin: Arc::clone(origin), servers, next_server: 0, addresses: Vec::new(), made: 0, deadline })
    }

    /// Whether another attempt could be made after the current one.
    #[must_use]
    pub fn more(&self, now: Instant) -> bool {
        let left = !self.addresses.is_empty() || self.next_server < self.servers.len();
        left && self.made < MAX_ATTEMPTS && now < self.deadline
    }

    /// The next thing to do: an address to connect to, or a server to resolve first (then [`Attempts::resolved`]).
    ///
    /// # Errors
    /// When nothing is left to try.
    pub fn next(&mut self, now: Instant) -> Result<Step, Exhausted> {
        if now >= self.deadline {
            return Err(Exhausted::Deadline);
        }
        if self.made >= MAX_ATTEMPTS {
            return Err(Exhausted::Servers);
        }
        if let Some(address) = self.addresses.pop() {
            let server = self.servers.get(self.next_server.wrapping_sub(1)).ok_or(Exhausted::Servers)?;
            self.made += 1;
            return Ok(Step::Connect(Target { server: server.clone(), address }));
        }
        let server = self.servers.get(self.next_server).ok_or(Exhausted::Servers)?;
        self.next_server += 1;
        Ok(Step::Resolve(server.clone()))
    }

    /// The addresses of the server that [`Attempts::next`] asked for, in the order to try them.
    pub fn resolved(&mut self, server: &OriginServer, addresses: &[IpAddr]) {
        self.addresses = addresses.iter().rev().map(|ip| SocketAddr::new(*ip, server.port)).collect();
    }

    /// Tries the same server once more: a kept connection to it turned out to be closed.
    pub fn again(&mut self, address: SocketAddr) {
        self.addresses.push(address);
    }

    /// What is left of the time for all attempts.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }
}

/// One step of [`Attempts::next`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Find the addresses of this server.
    Resolve(OriginServer),
    /// Connect here.
    Connect(Target),
}

/// The time all attempts of one request may take until a response head is there: twice what one takes at most, so that
/// the second server or the alternate site still gets its turn after the first used up its own.
fn budget(origin: &Origin) -> Duration {
    (origin.timeouts.connect + origin.timeouts.first_byte).saturating_mul(2)
}

#[cfg(test)]
mod tests;
