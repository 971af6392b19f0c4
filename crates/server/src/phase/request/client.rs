//! Who asks: the connection's peer, or the right-most untrusted address of `X-Forwarded-For` when the peer is a trusted
//! proxy (policy-language.md 4.6).

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use leeward_rules::grammar::IpSet;

/// Addresses of `X-Forwarded-For` that are looked at, from the right; a longer chain is an attack or a loop.
const MAX_HOPS: usize = 32;

/// The client's address. A field that names no address ends the walk at the last proxy that is known.
pub(crate) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &IpSet) -> IpAddr {
    let mut client = peer.to_canonical();
    if trusted.is_empty() || !trusted.contains(client) {
        return client;
    }
    // a name is not worth an error, but must not hide what a proxy wrote behind it: the field is taken apart before it is read
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).take(MAX_HOPS);
    for hop in hops {
        let Some(ip) = std::str::from_utf8(hop).ok().and_then(|hop| parse(hop.trim())) else { return client };
        client = ip;
        if !trusted.contains(client) {
            return client;
        }
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:1234`, `2001:db8::1`, `[2001:db8::1]:1234`.
pub(super) fn parse(hop: &str) -> Option<IpAddr> {
    let plain = || hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    plain().or_else(with_port).or_else(bracketed).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_rightmost_untrusted_address() {
        let trusted = IpSet::parse("10.0.0.0/8 2001:db8::/32 ::ffff:172.16.0.0/108").unwrap();
        let long = ["192.0.2.66, "; 100].concat();
        let (forged, of_proxies) =
            (format!("{long}198.51.100.1"), format!("{long}198.51.100.1{}", ", 10.0.0.9".repeat(20)));
        let cases: &[(&str, &[&str], &str)] = &[
            // names, rubbish and a hundred addresses before what the proxy wrote
            ("10.0.0.1", &["unknown, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["_hidden, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["\u{e9}\u{ff}, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["\u{e9}", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &[",,, ,198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["fe80::1%eth0, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &[&forged], "198.51.100.1"),
            ("10.0.0.1", &[&of_proxies], "198.51.100.1"),
            // the client's own line, and the proxy's
            ("10.0.0.1", &["10.0.0.7", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.7, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["[::ffff:203.0.113.9]:443"], "203.0.113.9"),
            ("10.0.0.1", &["203.0.113.9, [2001:db8::7]:443"], "203.0.113.9"),
            ("2001:db8::1", &["2001:db9::9"], "2001:db9::9"),
            ("172.16.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("192.0.2.1", &[], "192.0.2.1"),
            ("192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db9::1]:80"], "2001:db9::1"),
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, unknown, 10.1.1.1"], "10.1.1.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ];
        for (peer, fields, want) in cases {
            let mut headers = HeaderMap::new();
            for field in *fields {
                headers.append("x-forwarded-for", http::HeaderValue::from_bytes(field.as_bytes()).unwrap());
            }
            let got = address(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(got.to_string(), *want, "{peer} {fields:?}");
        }
    }
}
