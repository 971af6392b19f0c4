//! Limits on connections: in total and from one address.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::network;

/// Bits of an IPv6 address that a client does not choose by itself: whoever has one network has all its addresses.
const IPV6_NETWORK: u8 = 64;

/// Locks that the addresses are spread over.
const SHARDS: usize = 64;

/// Counts open connections and refuses those above the limits.
///
/// The table of addresses holds only addresses with an open connection, so the total bounds its size.
#[derive(Debug)]
pub struct Gate {
    open: AtomicUsize,
    by_address: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
    /// Keyed at random: a client that chooses its address cannot choose its shard.
    hasher: RandomState,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            open: AtomicUsize::new(0),
            by_address: std::array::from_fn(|_| Mutex::new(HashMap::new())),
            hasher: RandomState::new(),
        }
    }
}

impl Gate {
    /// Connections open now, those in a handshake included.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Takes one of `limit` places, or none when all are taken. The place is free again when dropped.
    pub(crate) fn enter(self: &Arc<Self>, limit: usize) -> Option<Place> {
        // Counted first, so that two that race for the last place cannot both get it.
        let before = self.open.fetch_add(1, Ordering::AcqRel);
        let place = Place(Arc::clone(self));
        (before < limit).then_some(place)
    }

    /// Takes one of the `limit` places of an address, or of the IPv6 network that it is in, or none when all are taken.
    pub(super) fn enter_from(self: &Arc<Self>, address: IpAddr, limit: usize) -> Option<AddressPlace> {
        // ::ffff:192.0.2.1 is 192.0.2.1: a socket that listens on both families must not count a client twice.
        let address = network(address, IPV6_NETWORK);
        match self.shard(address).entry(address) {
            Entry::Occupied(mut entry) if *entry.get() < limit => *entry.get_mut() += 1,
            Entry::Vacant(entry) if limit > 0 => {
                entry.insert(1);
            }
            _ => return None,
        }
        Some(AddressPlace { gate: Arc::clone(self), address })
    }

    fn shard(&self, address: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        let [first, ..] = &self.by_address;
        let index = usize::try_from(self.hasher.hash_one(address) % SHARDS as u64).unwrap_or(0);
        let shard = self.by_address.get(index).unwrap_or(first);
        // A count is whole before and after every step, also when a thread died holding it.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of all connections; frees its place when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Gate>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One of the connections of an address; frees its place when dropped.
#[derive(Debug)]
pub(super) struct AddressPlace {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.gate.shard(self.address).entry(self.address) {
            if *entry.get() > 1 {
                *entry.get_mut() -= 1;
            } else {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_connection_is_gone() {
        let gate = Arc::new(Gate::default());
        let first = gate.enter(2).unwrap();
        let _second = gate.enter(2).unwrap();
        assert!(gate.enter(2).is_none(), "a third of two");
        assert_eq!(gate.open(), 2, "the refused one holds no place");
        drop(first);
        assert!(gate.enter(2).is_some(), "after one left");
    }

    #[test]
    fn one_address_cannot_take_the_places_of_another() {
        let gate = Arc::new(Gate::default());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let cases = [
            // address, taken?
            ("192.0.2.1", true),
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8::1", true),
            ("2001:db8::ffff:2", true),
            ("2001:db8::3", false),
            ("2001:db8:0:1::1", true),
        ];
        let mut places = Vec::new();
        for (address, taken) in cases {
            let place = gate.enter_from(ip(address), 2);
            assert_eq!(place.is_some(), taken, "{address} after {} places", places.len());
            places.extend(place);
        }
        drop(places);
        let left: usize = gate.by_address.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert_eq!(left, 0, "addresses remembered without a connection");
    }

    #[test]
    fn a_lowered_limit_refuses_new_connections_and_keeps_old_ones() {
        let gate = Arc::new(Gate::default());
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let kept: Vec<_> = (0..3).map_while(|_| gate.enter_from(ip, 3)).collect();
        assert_eq!(kept.len(), 3);
        assert!(gate.enter_from(ip, 1).is_none());
        drop(kept);
        assert!(gate.enter_from(ip, 1).is_some());
        assert!(gate.enter_from(ip, 0).is_none(), "none allowed");
    }
}
