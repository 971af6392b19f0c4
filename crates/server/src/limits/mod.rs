//! What rate limits count, over all requests and over reloads: a limit that did not change goes on counting.
//!
//! Nothing here is locked. Requests are counted in sketches of a fixed size (`pingora-limits`), which never count too few, over a
//! window that slides ([`window`]); clients that sent too many are kept in a table of a fixed size ([`penalties`]).

mod penalties;
mod window;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::header::USER_AGENT;
use leeward_config::Snapshot;
use leeward_config::ready::{LimitKey, RateLimit};
use pingora::http::RequestHeader;

use penalties::Penalties;
use window::Window;

/// Rows and columns of the sketches that one limit counts in, 3 MiB with those of all parts of its time: of a million requests in
/// that time a client is taken to have sent 90 that were not its own, and rarely more.
const ROWS: usize = 4;
const COLUMNS: usize = 8 * 1024;
/// Clients of one limit that are refused at the same time; when there are more, those go free first whose time is over first.
const REFUSED: usize = 32 * 1024;

/// What is counted for one limit.
struct Counted {
    window: Window,
    penalties: Penalties,
    /// Keyed at random: a client that chooses its key cannot choose whose counts it shares.
    hasher: RandomState,
}

/// What is counted for every limit.
pub(crate) struct Limits {
    started: Instant,
    /// By [`RateLimit::counted_as`].
    counted: ArcSwap<HashMap<u64, Arc<Counted>, foldhash::fast::RandomState>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { started: Instant::now(), counted: ArcSwap::default() }
    }
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").field("counted", &self.counted.load().len()).finish_non_exhaustive()
    }
}

impl Limits {
    /// Counts a request. The answer is how long its client is refused from now on, when that is so.
    pub(crate) fn count(&self, limit: &RateLimit, client: IpAddr, request: &RequestHeader) -> Option<Duration> {
        self.count_at(limit, client, request, self.started.elapsed())
    }

    fn count_at(&self, limit: &RateLimit, client: IpAddr, request: &RequestHeader, now: Duration) -> Option<Duration> {
        let counted = self.counted_for(limit);
        let key = counted.key(limit, client, request);
        if let Some(left) = counted.penalties.left(key, now) {
            return Some(left);
        }
        if counted.window.count(key, limit.requests, now) {
            return None;
        }
        counted.penalties.begin(key, now, limit.penalty);
        Some(limit.penalty)
    }

    fn counted_for(&self, limit: &RateLimit) -> Arc<Counted> {
        if let Some(counted) = self.counted.load().get(&limit.counted_as) {
            return Arc::clone(counted);
        }
        let new = Arc::new(Counted::new(limit));
        self.counted.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.entry(limit.counted_as).or_insert_with(|| Arc::clone(&new));
            all
        });
        self.counted.load().get(&limit.counted_as).map_or(new, Arc::clone)
    }

    /// Forgets what no limit of the configuration counts.
    pub(crate) fn keep(&self, snapshot: &Snapshot) {
        let limits = || snapshot.sites.iter().flat_map(|site| &site.rate_limits).chain(&snapshot.rate_limits);
        self.counted.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.retain(|counted_as, _| limits().any(|limit| limit.counted_as == *counted_as));
            all
        });
    }
}

impl Counted {
    fn new(limit: &RateLimit) -> Self {
        let (rows, columns, refused) = if limit.key == LimitKey::None { (1, 1, 1) } else { (ROWS, COLUMNS, REFUSED) };
        Self {
            window: Window::new(limit.per, rows, columns),
            penalties: Penalties::new(refused),
            hasher: RandomState::new(),
        }
    }

    /// Who is counted.
    fn key(&self, limit: &RateLimit, client: IpAddr, request: &RequestHeader) -> u64 {
        let ip = network(client, limit.ipv6_prefix);
        match &limit.key {
            LimitKey::None => 0,
            LimitKey::Ip => self.hasher.hash_one((0, ip)),
            LimitKey::IpAndUserAgent => {
                let agent = request.headers.get(USER_AGENT).map_or(&b""[..], |value| value.as_bytes().trim_ascii());
                self.hasher.hash_one((1, ip, agent))
            }
            LimitKey::Header(name) => match request.headers.get(name) {
                Some(value) => self.hasher.hash_one((2, value.as_bytes())),
                None => self.hasher.hash_one((0, ip)),
            },
        }
    }
}

/// The network that a client of IPv6 has to itself; an address of IPv4 as it is.
pub(crate) fn network(client: IpAddr, prefix: u8) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests;
