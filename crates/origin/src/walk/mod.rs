//! Walking the plan of one request: from server to server within a way, and from way to way as
//! `leeward_rules::decide::plan` decides. One value per request, from the first attempt to the last.
//!
//! A way at an origin is an ordered list of addresses: those of its servers in the order written, without repetition
//! (delivery spec 1.4), begun at the next turn where the load is spread. Addresses that are known not to answer are left
//! out; they are tried, the soonest due first, only when the request has nowhere else to go.

mod turns;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leeward_config::ready::{Balance, Origin, OriginServer, Servers, Timeouts};
use leeward_rules::decide::Way;
use leeward_telemetry::Reason;

use crate::health::Admission;
use crate::resolve::{Known, ResolveError};

pub use turns::Turns;

/// Connections tried for one request, over all ways, servers and addresses.
pub const MAX_ATTEMPTS: usize = 8;
/// Of these, what is kept for the ways behind the servers.
const KEPT_FOR_OTHERS: usize = 2;

/// One server at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server as configured.
    pub server: OriginServer,
    /// The address to connect to.
    pub address: SocketAddr,
}

/// A server of the way under way, at one of its addresses once they are known.
#[derive(Debug)]
struct Candidate {
    server: OriginServer,
    at: At,
    tried: bool,
}

#[derive(Debug)]
enum At {
    Address(SocketAddr),
    /// The name has no address.
    Nowhere(ResolveError),
    /// Nobody asked for the name before.
    Unknown,
}

/// Where one request is on its way.
#[derive(Debug)]
pub struct Walk {
    /// The way under way.
    pub way: Way,
    /// The origin asked: the request's own, its backup, or its parents.
    pub origin: Arc<Origin>,
    /// How long an attempt may take.
    pub timeouts: Timeouts,
    /// No attempt begins after this.
    pub deadline: Instant,
    /// No attempt of this way begins after this: the ways behind it get their share.
    way_ends: Instant,
    candidates: Vec<Candidate>,
    /// Connections tried so far, over all ways.
    made: usize,
    /// Further tries at the first candidate when no other is left.
    extra: u8,
    /// Which servers are tried although they are known not to answer.
    forced: Forced,
    others_behind: bool,
}

/// Which servers are tried although they are known not to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forced {
    /// None.
    None,
    /// Those whose last word was a refusal: asking them costs a round trip and no waiting.
    Refusing,
    /// All.
    All,
}

/// How a way is walked.
#[derive(Debug, Clone)]
pub struct Leg {
    /// Which way it is.
    pub way: Way,
    /// The origin asked.
    pub origin: Arc<Origin>,
    /// Its servers in the order in which they are tried, where that is decided already; absent: those of the client's scheme, by
    /// the origin's balance.
    pub servers: Option<Vec<OriginServer>>,
    /// Its timeouts, or what a rule says instead.
    pub timeouts: Timeouts,
    /// Further tries at the first server before the way is given up.
    pub extra: u8,
    /// Whether ways are behind it that need time and attempts.
    pub others_behind: bool,
}

/// What is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Connect here.
    Connect(Target),
    /// Find the addresses of this server, then [`Walk::resolved`].
    Resolve(OriginServer),
    /// This server has no address: a failed attempt.
    Unresolved(OriginServer, ResolveError),
    /// Every server that is left is known not to answer. [`Walk::force`] tries them all the same.
    Down {
        /// Some of them refuse connections: that is known again in no time.
        refusing: bool,
    },
    /// Every server was tried, or as many as allowed.
    Over,
    /// The time for all attempts together is over.
    Deadline,
}

impl Walk {
    /// Begins the walk of one request. `None` when the origin has no servers for the client's scheme: there is no
    /// cross-scheme fallback (delivery spec 1.2).
    #[must_use]
    pub fn begin(
        leg: Leg,
        https: bool,
        turns: &Turns,
        known: &dyn Fn(&OriginServer) -> Known,
        now: Instant,
    ) -> Option<Self> {
        let deadline = now + budget(&leg.timeouts);
        let mut walk = Self {
            way: leg.way,
            origin: Arc::clone(&leg.origin),
            timeouts: leg.timeouts.clone(),
            deadline,
            way_ends: deadline,
            candidates: Vec::new(),
            made: 0,
            extra: 0,
            forced: Forced::None,
            others_behind: false,
        };
        walk.enter(leg, https, turns, known, now).then_some(walk)
    }

    /// Goes another way. Time and attempts spent stay spent. False when that way has no servers for the client's scheme.
    pub fn enter(
        &mut self,
        leg: Leg,
        https: bool,
        turns: &Turns,
        known: &dyn Fn(&OriginServer) -> Known,
        now: Instant,
    ) -> bool {
        let list = if https { leg.origin.https.as_ref() } else { leg.origin.http.as_ref() };
        let Some(Servers { servers, balance }) = list else { return false };
        self.candidates.clear();
        for server in leg.servers.as_ref().unwrap_or(servers) {
            self.place(self.candidates.len(), server, known(server));
        }
        if *balance == Balance::RoundRobin && leg.servers.is_none() && self.candidates.len() > 1 {
            let first = turns.next(&leg.origin) % self.candidates.len();
            self.candidates.rotate_left(first);
        }
        let share = leg.timeouts.connect + leg.timeouts.first_byte;
        let half = self.deadline.saturating_duration_since(now) / 2;
        self.way_ends = if leg.others_behind { now + share.min(half) } else { self.deadline };
        self.way = leg.way;
        self.origin = leg.origin;
        self.timeouts = leg.timeouts;
        self.extra = leg.extra;
        self.others_behind = leg.others_behind;
        self.forced = Forced::None;
        true
    }

    /// Puts a server's addresses into the list, those that are there already left out.
    fn place(&mut self, at: usize, server: &OriginServer, known: Known) {
        match known {
            Known::Addresses(addresses) => {
                for (i, ip) in addresses.iter().enumerate() {
                    self.place_one(at + i, server, At::Address(SocketAddr::new(*ip, server.port)));
                }
            }
            Known::Failed(error) => self.place_one(at, server, At::Nowhere(error)),
            Known::Never => self.place_one(at, server, At::Unknown),
        }
    }

    fn place_one(&mut self, at: usize, server: &OriginServer, state: At) {
        let there = |other: &Candidate| match (&other.at, &state) {
            (At::Address(one), At::Address(two)) => one == two && other.server.tls == server.tls,
            _ => false,
        };
        if !self.candidates.iter().any(there) {
            let at = at.min(self.candidates.len());
            self.candidates.insert(at, Candidate { server: server.clone(), at: state, tried: false });
        }
    }

    /// What [`Step::Resolve`] came to.
    pub fn resolved(&mut self, server: &OriginServer, known: Known) {
        // a name that nobody answers for is no reason to ask forever
        let known = match known {
            Known::Never => Known::Failed(ResolveError::new(&server.host, "no answer")),
            known => known,
        };
        let unknown = |one: &Candidate| matches!(one.at, At::Unknown) && one.server == *server;
        if let Some(at) = self.candidates.iter().position(unknown) {
            self.candidates.remove(at);
            self.place(at, server, known);
        }
    }

    /// The next thing to do. `admit` is asked about an address only when the request would go there now.
    pub fn step(&mut self, admit: &dyn Fn(&OriginServer, SocketAddr) -> Admission, now: Instant) -> Step {
        if now >= self.deadline {
            return Step::Deadline;
        }
        if now >= self.way_ends || self.made >= self.most() {
            return Step::Over;
        }
        let mut refusing = false;
        let (mut soonest, mut left): (Option<(usize, Instant)>, bool) = (None, false);
        for (i, candidate) in self.candidates.iter_mut().enumerate().filter(|(_, candidate)| !candidate.tried) {
            match &candidate.at {
                At::Unknown => return Step::Resolve(candidate.server.clone()),
                At::Nowhere(error) => {
                    candidate.tried = true;
                    return Step::Unresolved(candidate.server.clone(), error.clone());
                }
                At::Address(address) => match admit(&candidate.server, *address) {
                    Admission::Open | Admission::Trial => return self.connect(i),
                    Admission::Excluded { until, reason } => {
                        let refuses = reason == Reason::ConnectRefused;
                        refusing |= refuses;
                        left = true;
                        let may = if refuses { Forced::Refusing } else { Forced::All };
                        if self.forced >= may && soonest.is_none_or(|(_, other)| until < other) {
                            soonest = Some((i, until));
                        }
                    }
                },
            }
        }
        match soonest {
            Some((i, _)) => self.connect(i),
            None if left && (self.extra == 0 || self.made == 0) => Step::Down { refusing },
            None if self.extra > 0 => {
                self.extra -= 1;
                let first = self.candidates.iter().position(|candidate| matches!(candidate.at, At::Address(_)));
                first.map_or(Step::Over, |first| self.connect(first))
            }
            None => Step::Over,
        }
    }

    fn connect(&mut self, i: usize) -> Step {
        let Some(Candidate { server, at: At::Address(address), tried }) = self.candidates.get_mut(i) else {
            return Step::Over;
        };
        *tried = true;
        self.made += 1;
        Step::Connect(Target { server: server.clone(), address: *address })
    }

    /// Whether [`Walk::step`] would try another server. `open` tells whether an address may be tried now.
    #[must_use]
    pub fn more(&self, open: &dyn Fn(&OriginServer, SocketAddr) -> bool, now: Instant) -> bool {
        let left = |candidate: &Candidate| {
            !candidate.tried
                && match &candidate.at {
                    At::Address(address) => self.forced == Forced::All || open(&candidate.server, *address),
                    At::Unknown => true,
                    At::Nowhere(_) => false,
                }
        };
        let in_time = now < self.way_ends && self.made < self.most();
        in_time && (self.extra > 0 || self.candidates.iter().any(left))
    }

    /// Shares the time of another request: no attempt begins after this.
    pub fn ends_by(&mut self, deadline: Instant) {
        self.deadline = self.deadline.min(deadline);
        self.way_ends = self.way_ends.min(deadline);
    }

    /// Tries servers that are known not to answer: there is no other way.
    pub const fn force(&mut self, which: Forced) {
        self.forced = which;
    }

    /// Tries the same server once more: a kept connection to it turned out to be closed.
    pub fn again(&mut self, address: SocketAddr) {
        let same = |candidate: &&mut Candidate| matches!(candidate.at, At::Address(one) if one == address);
        if let Some(candidate) = self.candidates.iter_mut().find(same) {
            candidate.tried = false;
        }
    }

    /// Whether no further attempt may begin, on this way or another.
    #[must_use]
    pub fn is_spent(&self, now: Instant) -> bool {
        now >= self.deadline || self.made >= MAX_ATTEMPTS
    }

    /// Whether ways are behind this one that need time and attempts.
    #[must_use]
    pub const fn others_behind(&self) -> bool {
        self.others_behind
    }

    /// The time that an attempt which begins now may take: what is left for all attempts, or where other ways are behind
    /// this one the share of this one, and half of what is left at least.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        let left = self.deadline.saturating_duration_since(now);
        if self.others_behind { left.min(self.way_ends.saturating_duration_since(now).max(left / 2)) } else { left }
    }

    const fn most(&self) -> usize {
        if self.others_behind { MAX_ATTEMPTS - KEPT_FOR_OTHERS } else { MAX_ATTEMPTS }
    }
}

/// The time all attempts of one request may take until a response head is there: twice what one takes at most, so that
/// the second server, the backup or the alternate site still gets its turn after the first used up its own.
#[must_use]
pub fn budget(timeouts: &Timeouts) -> Duration {
    (timeouts.connect + timeouts.first_byte).saturating_mul(2)
}

#[cfg(test)]
mod tests;
