//! Host names, authorities and paths as they may be written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Characters of a host name (RFC 1035).
const MAX_NAME: usize = 253;
/// Characters of a label.
const MAX_LABEL: usize = 63;

/// A host name without port, lower case, or a literal address. The error is for the end of a sentence.
pub(crate) fn host(written: &str) -> Result<String, String> {
    if written.parse::<Ipv4Addr>().is_ok() {
        return Ok(written.to_owned());
    }
    if let Some(literal) = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return literal
            .parse::<Ipv6Addr>()
            .map(|address| format!("[{address}]"))
            .map_err(|_| "there is no IPv6 address in the brackets".to_owned());
    }
    if written.is_empty() {
        return Err("it is empty".to_owned());
    }
    if written.contains("://") || written.contains('/') {
        return Err("a host has no scheme and no path".to_owned());
    }
    if written.parse::<Ipv6Addr>().is_ok() {
        return Err("an IPv6 address is written in brackets".to_owned());
    }
    if written.contains(':') {
        return Err("no port belongs here".to_owned());
    }
    if written.len() > MAX_NAME {
        return Err(format!("it is longer than {MAX_NAME} characters"));
    }
    for label in written.split('.') {
        if label.is_empty() {
            return Err("it has an empty part".to_owned());
        }
        if label.len() > MAX_LABEL {
            return Err(format!("a part of it is longer than {MAX_LABEL} characters"));
        }
        if let Some(bad) = label.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')) {
            return Err(format!("it has the character `{bad}`"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a part of it begins or ends with `-`".to_owned());
        }
    }
    Ok(written.to_ascii_lowercase())
}

/// Whether an address is no server's: connecting to some of these reaches this machine.
pub(crate) fn is_nobodys(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_unspecified() || address.is_multicast() || address == Ipv4Addr::BROADCAST
}

/// A site's host: a host, `*.` and a host, or `*`.
pub(crate) fn site_host(written: &str) -> Result<String, String> {
    match written.strip_prefix("*.") {
        _ if written == "*" => Ok(written.to_owned()),
        Some(rest) if rest.parse::<IpAddr>().is_ok() => Err("an address has no subdomains".to_owned()),
        Some(rest) => host(rest).map(|host| format!("*.{host}")),
        None if written.contains('*') => Err("`*` stands alone or before the first dot".to_owned()),
        None => host(written),
    }
}

/// A host with an optional port, as in a Host field; the host lower case.
pub(crate) fn authority(written: &str) -> Result<(String, Option<u16>), String> {
    let colon = written.rfind(':').filter(|colon| written.find(']').is_none_or(|bracket| bracket < *colon));
    let Some(colon) = colon else {
        return Ok((host(written)?, None));
    };
    let (name, port) = written.split_at(colon);
    let port = port.get(1..).unwrap_or_default();
    let number = port.parse::<u16>().ok().filter(|number| *number > 0 && port.bytes().all(|b| b.is_ascii_digit()));
    match number {
        Some(number) if !name.contains("://") => Ok((host(name)?, Some(number))),
        _ if written.contains("://") => Err("a host has no scheme and no path".to_owned()),
        _ => Err(format!("`{port}` is not a port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_in_lower_case() {
        let long = format!("{}.example.com", "a".repeat(64));
        for (written, ready) in [
            ("www.example.com", Some("www.example.com")),
            ("WWW.Example.COM", Some("www.example.com")),
            ("localhost", Some("localhost")),
            ("a_b.example.com", Some("a_b.example.com")),
            ("10.0.0.1", Some("10.0.0.1")),
            ("[2001:DB8::1]", Some("[2001:db8::1]")),
            ("2001:db8::1", None),
            ("", None),
            (".example.com", None),
            ("example.com.", None),
            ("a b", None),
            ("-a.com", None),
            ("a-.com", None),
            ("a/b", None),
            ("http://a", None),
            ("a:80", None),
            ("*.a.com", None),
            ("é.com", None),
            (long.as_str(), None),
        ] {
            assert_eq!(host(written).ok().as_deref(), ready, "{written}");
        }
    }

    #[test]
    fn an_authority_has_a_port_or_none() {
        for (written, ready) in [
            ("A.example.com", Some(("a.example.com", None))),
            ("a.example.com:8080", Some(("a.example.com", Some(8080)))),
            ("[::1]:80", Some(("[::1]", Some(80)))),
            ("[::1]", Some(("[::1]", None))),
            ("a:0", None),
            ("a:", None),
            ("a:+80", None),
            ("a:65536", None),
            ("::1", None),
            ("http://a:80", None),
        ] {
            let read = authority(written).ok();
            assert_eq!(read.as_ref().map(|(host, port)| (host.as_str(), *port)), ready, "{written}");
        }
    }
}
