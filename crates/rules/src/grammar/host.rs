//! Host names.

use std::net::{IpAddr, Ipv4Addr};

use super::Invalid;

/// Reads a domain name or an address without port, scheme or path; gives it in lower case without a trailing dot.
pub(crate) fn domain(text: &str) -> Result<String, Invalid> {
    let invalid = |why: &str| Invalid::new(format!("{text:?} is not a host name: {why}"));
    if text.contains("://") || text.contains('/') {
        return Err(invalid("it contains a scheme or a path").hint("write the bare name, such as www.example.com"));
    }
    if let Some(address) = address(text) {
        let plain = address.to_canonical();
        if plain.is_unspecified() || plain.is_multicast() || plain == Ipv4Addr::BROADCAST {
            return Err(invalid("no server has this address"));
        }
        return Ok(address.to_string());
    }
    if text.contains(':') {
        return Err(invalid("it contains a port").hint("write the bare name, such as www.example.com"));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() || name.len() > 253 {
        return Err(invalid("a name has 1 to 253 characters"));
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > 63 {
            return Err(invalid("each part between dots has 1 to 63 characters"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(invalid("no part begins or ends with a hyphen"));
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err(invalid("it may contain letters, digits, hyphens and dots only"));
        }
    }
    if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(invalid("it looks like an address but is none"));
    }
    Ok(name.to_ascii_lowercase())
}

/// An address; IPv6 with or without the brackets that it has in URLs.
fn address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// The same, but a host that goes into a URL: IPv6 addresses are refused, as their brackets are not part of the name.
pub(crate) fn url_host(text: &str) -> Result<String, Invalid> {
    match address(text) {
        Some(IpAddr::V6(_)) => Err(Invalid::new(format!("{text:?} is an IPv6 address")).hint("give the host a name")),
        _ => domain(text),
    }
}

/// A Host header value: a name or address, with an optional port.
pub(crate) fn authority(text: &str) -> Result<String, Invalid> {
    if let Some(rest) = text.strip_prefix('[') {
        let good = rest.split_once(']').is_some_and(|(address, port)| {
            address.parse::<std::net::Ipv6Addr>().is_ok()
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
        return if good {
            Ok(text.to_ascii_lowercase())
        } else {
            Err(Invalid::new(format!("{text:?} is not a host with an optional port")))
        };
    }
    match text.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (host.parse::<Ipv4Addr>().is_ok() || !host.contains(':')) => {
            Ok(format!("{}:{port}", domain(host)?))
        }
        Some(_) => Err(Invalid::new(format!("{text:?} is not a host with an optional port"))),
        None => domain(text),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_bare() {
        let table: &[(&str, Option<&str>)] = &[
            ("www.example.com", Some("www.example.com")),
            ("WWW.Example.COM.", Some("www.example.com")),
            ("mirror", Some("mirror")),
            ("198.18.48.20", Some("198.18.48.20")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("2001:DB8:0::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("0.0.0.0", None),
            ("[::]", None),
            ("::ffff:224.0.0.1", None),
            ("[2001:db8::1", None),
            ("[2001:db8::1]:80", None),
            ("[198.18.48.20]", None),
            ("_acme.example.com", Some("_acme.example.com")),
            ("https://www.example.com", None),
            ("www.example.com/", None),
            ("www.example.com:80", None),
            ("198.18.48.20:80", None),
            ("256.1.1.1", None),
            ("", None),
            (".", None),
            ("a..b", None),
            ("-a.example.com", None),
            ("a b", None),
            ("é.example.com", None),
            ("*.example.com", None),
        ];
        for (text, expected) in table {
            assert_eq!(domain(text).ok().as_deref(), *expected, "{text:?}");
        }
    }

    #[test]
    fn an_authority_may_have_a_port() {
        let table: &[(&str, Option<&str>)] = &[
            ("img.example.net", Some("img.example.net")),
            ("IMG.example.net:8080", Some("img.example.net:8080")),
            ("10.0.0.1:80", Some("10.0.0.1:80")),
            ("[2001:db8::1]:80", Some("[2001:db8::1]:80")),
            ("[2001:db8::1]", Some("[2001:db8::1]")),
            ("img.example.net:", None),
            ("img.example.net:0", None),
            ("img.example.net:99999", None),
            ("[::1]x", None),
            ("a:b:80", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(authority(text).ok().as_deref(), *expected, "{text:?}");
        }
    }
}
