//! What is known of requests that were answered the full way: a table that is read without a lock.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwapOption, Guard};
use foldhash::fast::RandomState;
use leeward_cache::ObjectName;
use leeward_rules::Scheme;

use super::Client;
use super::template::Template;
use crate::context::Label;

/// Places that one request may have.
const WAYS: usize = 4;

/// Bytes of the memory tier for each place.
const BYTES_PER_PLACE: u64 = 4096;

/// Fewest and most places.
const PLACES: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 20;

/// The part of the memory tier that the table may take besides, as a divisor.
const SHARE: u64 = 32;

/// Places that one insertion looks at to make room.
const STEPS: usize = 64;

/// A request whose answer is known to depend on nothing but this.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) scheme: Scheme,
    /// Of the TLS handshake: it decides whether a host may be asked for on a connection.
    pub(super) server_name: Option<Box<str>>,
    /// As sent.
    pub(super) host: Box<str>,
    /// As sent.
    pub(super) target: Box<str>,
    /// The configuration under which this holds.
    pub(super) generation: u64,
    pub(super) object: ObjectName,
    pub(super) head: Template,
    pub(super) status: u16,
    pub(super) label: Label,
    /// For the log: the host in normal form, and where the path ends.
    pub(super) log_host: Box<str>,
    pub(super) path_end: usize,
}

impl Known {
    fn is(&self, client: Client<'_>, host: &str, target: &str) -> bool {
        let same = *self.target == *target && *self.host == *host && self.scheme == client.scheme;
        same && self.server_name.as_deref() == client.server_name
    }

    fn client(&self) -> Client<'_> {
        Client { scheme: self.scheme, server_name: self.server_name.as_deref() }
    }

    fn cost(&self) -> usize {
        // two counts, and what the allocator rounds up
        const ALLOCATIONS: usize = 96;
        let text = self.host.len() + self.target.len() + self.log_host.len();
        size_of::<Self>() + ALLOCATIONS + text + self.head.cost()
    }
}

/// The table. A new request pushes out one of the few that share its places.
#[derive(Debug)]
pub(super) struct Memory {
    places: Box<[ArcSwapOption<Known>]>,
    hasher: RandomState,
    limit: usize,
    used: AtomicUsize,
    /// Turns with every insertion.
    hand: AtomicU64,
}

impl Memory {
    /// For a memory tier of so many bytes.
    pub(super) fn new(tier: u64) -> Self {
        let wanted = usize::try_from(tier / BYTES_PER_PLACE).unwrap_or(*PLACES.end());
        let count = wanted.clamp(*PLACES.start(), *PLACES.end()).next_power_of_two();
        Self {
            places: (0..count).map(|_| ArcSwapOption::empty()).collect(),
            hasher: RandomState::default(),
            limit: usize::try_from(tier / SHARE).unwrap_or(usize::MAX),
            used: AtomicUsize::new(0),
            hand: AtomicU64::new(0),
        }
    }

    /// The few places where a request may be. Their number is a power of two, so every number chooses some.
    fn places(&self, hash: u64) -> &[ArcSwapOption<Known>] {
        let first = usize::try_from(hash >> 16).unwrap_or(0) & (self.places.len() - WAYS);
        self.places.get(first..first + WAYS).unwrap_or_default()
    }

    fn hash(&self, scheme: Scheme, host: &str, target: &str) -> u64 {
        self.hasher.hash_one((target, host, scheme == Scheme::Https))
    }

    /// What is known of a request.
    pub(super) fn find(&self, client: Client<'_>, host: &str, target: &str) -> Option<Guard<Option<Arc<Known>>>> {
        let places = self.places(self.hash(client.scheme, host, target)).iter();
        places.map(ArcSwapOption::load).find(|known| known.as_ref().is_some_and(|known| known.is(client, host, target)))
    }

    /// Remembers.
    pub(super) fn insert(&self, known: Known) {
        let cost = known.cost();
        if cost > self.limit / 16 {
            return;
        }
        let turn = self.hand.fetch_add(1, Ordering::Relaxed);
        self.make_room(cost, turn);
        let places = self.places(self.hash(known.scheme, &known.host, &known.target));
        let same = |place: &&ArcSwapOption<Known>| {
            place.load().as_ref().is_some_and(|old| old.is(known.client(), &known.host, &known.target))
        };
        let empty = |place: &&ArcSwapOption<Known>| place.load().is_none();
        let place = places.iter().find(same).or_else(|| places.iter().find(empty));
        let Some(place) = place.or_else(|| places.get(usize::try_from(turn).unwrap_or(0) % WAYS)) else { return };
        self.used.fetch_add(cost, Ordering::Relaxed);
        self.gone(place.swap(Some(Arc::new(known))));
    }

    fn make_room(&self, cost: usize, turn: u64) {
        for step in 0..STEPS {
            if self.used.load(Ordering::Relaxed) + cost <= self.limit {
                return;
            }
            let at = usize::try_from(turn).unwrap_or(0).wrapping_mul(STEPS).wrapping_add(step);
            if let Some(place) = self.places.get(at & (self.places.len() - 1)) {
                self.gone(place.swap(None));
            }
        }
    }

    fn gone(&self, old: Option<Arc<Known>>) {
        if let Some(old) = old {
            self.used.fetch_sub(old.cost(), Ordering::Relaxed);
        }
    }
}
