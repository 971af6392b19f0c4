//! Addresses that a name may not lead to unless its origin says so: this machine itself, its link, and the metadata services of
//! clouds. Whoever answers for a name could otherwise turn the edge against what listens there (DNS rebinding, SSRF).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::families::Outcome;

/// RFC 6761 6.3: it is loopback by definition, wherever it is asked for; who writes it means that.
const LOCALHOST: &str = "localhost";

/// Metadata services outside of 169.254.0.0/16.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
];

/// The same outcome without those addresses. With no other left, the last good answer goes on, as while nobody answers.
pub(super) fn without(host: &str, outcome: Outcome) -> Outcome {
    let Outcome::Found { mut addresses, ttl } = outcome else { return outcome };
    if host == LOCALHOST {
        return Outcome::Found { addresses, ttl };
    }
    let Some(refused) = addresses.iter().copied().find(|ip| is_private(*ip)) else {
        return Outcome::Found { addresses, ttl };
    };
    addresses.retain(|ip| !is_private(*ip));
    if addresses.is_empty() {
        return Outcome::Failed(format!(
            "it leads to {refused}, of this machine, its link or a metadata service: `allow_private: true` lets an origin go there"
        ));
    }
    Outcome::Found { addresses, ttl }
}

fn is_private(ip: IpAddr) -> bool {
    let local = match ip.to_canonical() {
        // 0.0.0.0/8 reaches this machine too
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.octets().first() == Some(&0),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local() || embedded(v6),
    };
    local || METADATA.contains(&ip.to_canonical())
}

/// One of them behind a translator's prefix (RFC 6052).
fn embedded(v6: Ipv6Addr) -> bool {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = v6.segments() else { return false };
    is_private(IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn left(host: &str, addresses: &str) -> Option<String> {
        let addresses = addresses.split(' ').map(|ip| ip.parse().unwrap()).collect();
        match without(host, Outcome::Found { addresses, ttl: Duration::ZERO }) {
            Outcome::Found { addresses, .. } => {
                Some(addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            }
            _ => None,
        }
    }

    #[test]
    fn a_name_leads_to_nothing_of_this_machine() {
        for ip in [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert_eq!(left("a.example", ip), None, "{ip}");
            assert_eq!(left("a.example", &format!("192.0.2.1 {ip}")).as_deref(), Some("192.0.2.1"), "{ip} and another");
        }
        for ip in ["192.0.2.1", "10.0.0.1", "192.168.0.1", "172.16.0.1", "2001:db8::1", "fd00::1", "64:ff9b::c000:201"]
        {
            assert_eq!(left("a.example", ip).as_deref(), Some(ip), "{ip}");
        }
        assert_eq!(left("localhost", "127.0.0.1 ::1").as_deref(), Some("127.0.0.1 ::1"));
    }
}
