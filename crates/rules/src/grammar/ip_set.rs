//! Sets of addresses.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixSet;

use super::{Invalid, list};

/// Addresses and networks in two prefix tries: one look-up costs the same for one entry and for thousands.
#[derive(Debug, Clone, Default)]
pub struct IpSet {
    v4: PrefixSet<Ipv4Net>,
    v6: PrefixSet<Ipv6Net>,
}

impl FromIterator<IpNet> for IpSet {
    /// Networks of IPv4-mapped addresses are taken as the IPv4 networks that they are.
    fn from_iter<T: IntoIterator<Item = IpNet>>(networks: T) -> Self {
        let mut set = Self::default();
        for network in networks {
            match unmapped(network) {
                IpNet::V4(network) => set.v4.insert(network),
                IpNet::V6(network) => set.v6.insert(network),
            };
        }
        set
    }
}

impl IpSet {
    /// Reads addresses and networks separated by spaces. A bare address is a network of one.
    ///
    /// # Errors
    /// Every token that is neither, or a network with host bits set; an empty list.
    pub fn parse(value: &str) -> Result<Self, Vec<Invalid>> {
        Ok(list::each(value, network)?.into_iter().collect())
    }

    /// Whether no address is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Every network of the set.
    pub(crate) fn networks(&self) -> impl Iterator<Item = IpNet> {
        self.v4.iter().copied().map(IpNet::V4).chain(self.v6.iter().copied().map(IpNet::V6))
    }

    /// Whether the address is in one of the networks. An IPv4-mapped address is its IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.get_lpm(&Ipv4Net::from(address)).is_some(),
            IpAddr::V6(address) => self.v6.get_lpm(&Ipv6Net::from(address)).is_some(),
        }
    }
}

fn network(token: &str) -> Result<IpNet, Invalid> {
    let network =
        if token.contains('/') { token.parse::<IpNet>().ok() } else { token.parse::<IpAddr>().ok().map(IpNet::from) };
    let network = network.ok_or_else(|| {
        Invalid::new(format!("{token:?} is neither an address nor a network"))
            .hint("write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32, separated by spaces")
    })?;
    if network.trunc() != network {
        return Err(Invalid::new(format!("{token} has host bits set")).hint(format!("write {}", network.trunc())));
    }
    Ok(network)
}

/// `::ffff:192.0.2.0/120` is `192.0.2.0/24`; clients never appear under the mapped form.
#[must_use]
pub fn unmapped(network: IpNet) -> IpNet {
    const MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);
    let IpNet::V6(v6) = network else { return network };
    let mapped = Ipv6Net::new(MAPPED, 96).is_ok_and(|mapped| mapped.contains(&v6));
    let short = v6
        .addr()
        .to_ipv4_mapped()
        .filter(|_| mapped)
        .and_then(|v4| Ipv4Net::new(v4, v6.prefix_len().checked_sub(96)?).ok());
    short.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership_is_by_network() {
        let set = IpSet::parse("198.18.48.211 198.18.49.0/24  2001:db8::/32 ::ffff:10.0.0.0/104").unwrap();
        let table = [
            ("198.18.48.211", true),
            ("198.18.48.212", false),
            ("198.18.49.0", true),
            ("198.18.49.255", true),
            ("198.18.50.0", false),
            ("::ffff:198.18.49.7", true),
            ("10.1.2.3", true),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("::1", false),
        ];
        for (address, expected) in table {
            assert_eq!(set.contains(address.parse().unwrap()), expected, "{address}");
        }
        assert!(IpSet::parse("0.0.0.0/0").unwrap().contains("203.0.113.9".parse().unwrap()));
        assert!(!IpSet::parse("0.0.0.0/0").unwrap().contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn every_bad_token_is_reported() {
        let problems = IpSet::parse("10.0.0.1/8 300.1.1.1 10.0.0.0/33 example 10.0.0.1").unwrap_err();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(IpSet::parse("  ").is_err());
        assert!(IpSet::parse("").is_err());
    }
}
