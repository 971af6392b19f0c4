//! Rules kept under where their clients are.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

use crate::facts::Facts;
use crate::grammar::geo::GeoCode;

/// Rules by network and by place.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    v4: PrefixMap<Ipv4Net, Vec<u32>>,
    v6: PrefixMap<Ipv6Net, Vec<u32>>,
    places: HashMap<GeoCode, Vec<u32>, RandomState>,
}

impl Clients {
    pub(crate) fn insert(&mut self, network: IpNet, rule: u32) {
        match network {
            IpNet::V4(network) => self.v4.entry(network).or_default().push(rule),
            IpNet::V6(network) => self.v6.entry(network).or_default().push(rule),
        }
    }

    pub(crate) fn insert_place(&mut self, code: GeoCode, rule: u32) {
        self.places.entry(code).or_default().push(rule);
    }

    /// Hands over the rules of every network and place that the client is in.
    #[inline]
    pub(crate) fn of(&self, facts: &Facts<'_>, visit: &mut impl FnMut(&[u32])) {
        if !self.v4.is_empty() || !self.v6.is_empty() {
            match facts.client_ip.to_canonical() {
                IpAddr::V4(address) => self.v4.cover(&Ipv4Net::from(address)).for_each(|(_, rules)| visit(rules)),
                IpAddr::V6(address) => self.v6.cover(&Ipv6Net::from(address)).for_each(|(_, rules)| visit(rules)),
            }
        }
        if !self.places.is_empty()
            && let Some(place) = facts.place
        {
            GeoCode::of(place)
                .into_iter()
                .flatten()
                .filter_map(|code| self.places.get(&code))
                .for_each(|rules| visit(rules));
        }
    }
}
