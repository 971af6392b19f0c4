//! `server`, `admin`, `debug`, `log`, `addresses`, `dns`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use leeward_rules::grammar::ip_set::unmapped;

use super::tls;
use crate::ready::{AccessLog, AccessLogTo, Addresses, Admin, Dns, Limits, Listener, Secret, Server};
use crate::report::{At, Report};
use crate::secret;
use crate::written::{self, Size, Span};

/// Worker threads.
const MAX_THREADS: u32 = 1024;
/// Characters of a node's name.
const NODE: std::ops::RangeInclusive<usize> = 1..=64;
/// Listeners.
const MAX_LISTENERS: usize = 256;
/// The largest request target and header section that may be allowed: both are held in memory for every connection.
const MAX_HEAD: Size = Size::mib(1);
/// Fields of a request head that Pingora's HTTP/1 parser takes; it refuses more with 400 before the limit is looked at.
const MAX_FIELDS: u32 = 256;
/// Networks of one list.
const MAX_NETWORKS: usize = 10_000;
/// Servers that are asked for names.
const MAX_DNS_SERVERS: usize = 8;
/// Where they listen (RFC 1035).
const DNS_PORT: u16 = 53;
/// Characters of a debug secret that cannot be found by trying.
const MIN_DEBUG_SECRET: usize = 16;
/// The smallest that still lets ordinary requests through.
const MIN_HEAD: Size = Size(256);

pub(super) fn server(report: &Report, at: &At, written: &written::Server) -> Server {
    if written.threads > MAX_THREADS {
        report
            .error(&at.key("threads"), format!("`threads` is {}, more than {MAX_THREADS}", written.threads))
            .hint("0 means one per core");
    }
    let threads = match written.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads as usize,
    };
    let listen_at = at.key("listen");
    if written.listen.is_empty() && !report.any_wrong(&listen_at) {
        report.error(&listen_at, "`listen` is empty: nobody could connect");
    }
    if written.listen.len() > MAX_LISTENERS {
        report.error(&listen_at, format!("{} listeners are more than {MAX_LISTENERS}", written.listen.len()));
    }
    let mut listen: Vec<Listener> = Vec::new();
    for (i, one) in written.listen.iter().enumerate() {
        let at = listen_at.index(i);
        let Some(ready) = listener(report, &at, one) else {
            continue;
        };
        if let Some(other) = listen.iter().find(|other| clash(other.address, ready.address)) {
            let what = if other.address == ready.address {
                "has a listener already"
            } else {
                "belongs to a listener for all addresses already"
            };
            report.error(&at.key("address"), format!("`{}` {what}", ready.address));
        }
        listen.push(ready);
    }
    Server {
        threads,
        listen,
        trusted_proxies: networks(report, &at.key("trusted_proxies"), &written.trusted_proxies).into_iter().collect(),
        limits: limits(report, &at.key("limits"), &written.limits),
        grace_period: written.grace_period.0,
        region: written.region,
        node: node(report, &at.key("node"), written.node.as_ref()),
    }
}

/// A name that can stand in `CDN-Loop` as it is (RFC 8586 2: a token).
fn node(report: &Report, at: &At, written: Option<&String>) -> Option<String> {
    let name = written?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !NODE.contains(&name.len()) || !name.bytes().all(allowed) {
        report.error(at, format!("`{name}` is not the name of a node")).hint(format!(
            "{} to {} letters, digits, `-`, `_` and `.`",
            NODE.start(),
            NODE.end()
        ));
    }
    Some(name.clone())
}

fn listener(report: &Report, at: &At, written: &written::Listener) -> Option<Listener> {
    let tls = written.tls.as_ref().map(|tls| tls::listener(report, &at.key("tls"), tls));
    let proxy_protocol = written.proxy_protocol.as_ref().map(|proxy| {
        let at = at.key("proxy_protocol");
        let trusted = proxy.trusted.as_deref().unwrap_or_default();
        if proxy.trusted.is_none() {
            report.missing(&at, "trusted").hint("the networks of the load balancers: `trusted: [10.0.0.0/8]`");
        } else if trusted.is_empty() && !report.any_wrong(&at.key("trusted")) {
            report.error(&at.key("trusted"), "`trusted` is empty: every connection would be closed");
        }
        networks(report, &at.key("trusted"), trusted)
    });
    let Some(address) = &written.address else {
        report.missing(at, "address").hint("address and port: `0.0.0.0:8080`");
        return None;
    };
    Some(Listener { address: endpoint(report, &at.key("address"), address)?, tls, proxy_protocol })
}

/// An address and a port. Names are not looked up: a configuration must mean the same on every start.
fn endpoint(report: &Report, at: &At, text: &str) -> Option<SocketAddr> {
    let parsed = text.parse::<SocketAddr>();
    match parsed {
        Ok(address) => Some(address),
        Err(_) => {
            let hint = if text.parse::<IpAddr>().is_ok() {
                format!(
                    "a port is missing: `{}`",
                    SocketAddr::new(text.parse().unwrap_or(IpAddr::from([0, 0, 0, 0])), 8080)
                )
            } else if let Some(port) = text.strip_prefix(':').or(Some(text)).filter(|port| port.parse::<u16>().is_ok())
            {
                format!("all addresses: `0.0.0.0:{port}`")
            } else {
                "such as `0.0.0.0:8080` or `[::]:8080`".to_owned()
            };
            report.error(at, format!("`{text}` is not an address and a port")).hint(hint);
            None
        }
    }
}

/// Whether two listeners cannot be open at once.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip() || (a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified())))
}

/// A bare address is a network of one.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Networks, each as it is.
pub(super) fn networks(report: &Report, at: &At, written: &[String]) -> Vec<IpNet> {
    if written.len() > MAX_NETWORKS {
        report.error(at, format!("{} networks are more than {MAX_NETWORKS}", written.len()));
    }
    let mut networks = Vec::new();
    for (i, text) in written.iter().enumerate() {
        match network(text) {
            Some(network) if network.addr() != network.network() => {
                report
                    .error(&at.index(i), format!("`{text}` has address bits after its prefix"))
                    .hint(format!("the network is `{}`", network.trunc()));
            }
            // clients never appear under the IPv4-mapped form
            Some(network) => networks.push(unmapped(network)),
            None => {
                report
                    .error(&at.index(i), format!("`{text}` is not a network"))
                    .hint("such as `10.0.0.0/8`, `2001:db8::/32` or an address");
            }
        }
    }
    networks
}

fn limits(report: &Report, at: &At, written: &written::Limits) -> Limits {
    for (key, span) in [
        ("header_timeout", written.header_timeout),
        ("keepalive_timeout", written.keepalive_timeout),
        ("body_timeout", written.body_timeout),
        ("write_timeout", written.write_timeout),
    ] {
        not_zero(report, at, key, span);
    }
    for (key, size) in [("uri", written.uri), ("headers", written.headers)] {
        if size < MIN_HEAD || size > MAX_HEAD {
            report.error(&at.key(key), format!("`{key}` is {size}, not from {MIN_HEAD} to {MAX_HEAD}"));
        }
    }
    for (key, count) in [
        ("header_count", written.header_count),
        ("connections", written.connections),
        ("connections_per_ip", written.connections_per_ip),
    ] {
        if count == 0 {
            report.error(&at.key(key), format!("`{key}` is 0: no request could pass"));
        }
    }
    if written.header_count > MAX_FIELDS {
        let count = written.header_count;
        report.error(&at.key("header_count"), format!("`header_count` is {count}, more than {MAX_FIELDS}"));
    }
    if written.uri > written.headers {
        report
            .warning(&at.key("uri"), format!("`uri` ({}) is larger than `headers` ({})", written.uri, written.headers));
    }
    if written.connections_per_ip > written.connections {
        report.warning(
            &at.key("connections_per_ip"),
            format!(
                "`connections_per_ip` ({}) is more than `connections` ({})",
                written.connections_per_ip, written.connections
            ),
        );
    }
    Limits {
        header_timeout: written.header_timeout.0,
        keepalive_timeout: written.keepalive_timeout.0,
        body_timeout: written.body_timeout.0,
        write_timeout: written.write_timeout.0,
        uri: written.uri.0,
        headers: written.headers.0,
        header_count: written.header_count as usize,
        body: written.body.0,
        connections: written.connections as usize,
        connections_per_ip: written.connections_per_ip as usize,
    }
}

/// A timeout of nothing would fail every request, and is usually meant as "none", which there is not.
pub(super) fn not_zero(report: &Report, at: &At, key: &str, span: Span) {
    if span.0 == Duration::ZERO {
        report
            .error(&at.key(key), format!("`{key}` is zero"))
            .hint("every wait has a limit; give a long one if that is meant");
    }
}

pub(super) fn admin(report: &Report, at: &At, written: &written::Admin, server: &Server) -> Option<Admin> {
    let token_at = at.key("token");
    let token = written.token.as_ref().and_then(|token| secret::read(report, &token_at, token));
    if token.as_ref().is_some_and(|token| !token.expose().iter().all(u8::is_ascii_graphic)) {
        let added = report.error(&token_at, "this token has characters that no client can send");
        added.hint("visible ASCII characters without spaces (RFC 6750 2.1)");
    }
    let address = endpoint(report, &at.key("address"), &written.address)?;
    if !address.ip().is_loopback() && written.token.is_none() && !report.any_wrong(&token_at) {
        report
            .error(&at.key("address"), format!("the admin address `{address}` is not loopback, and there is no token"))
            .hint("`token: { file: PATH }`, or an address such as `127.0.0.1:9180`");
    }
    if server.listen.iter().any(|listener| clash(listener.address, address)) {
        report.error(&at.key("address"), format!("the admin address `{address}` is that of a listener"));
    }
    Some(Admin { address, token })
}

/// `debug`: the secret itself.
pub(super) fn debug(report: &Report, at: &At, written: &written::Debug) -> Option<Secret> {
    let at = at.key("secret");
    let secret = written.secret.as_ref().and_then(|secret| secret::read(report, &at, secret))?;
    if !secret.expose().iter().all(u8::is_ascii_graphic) {
        report
            .error(&at, "this secret has characters that no client can send")
            .hint("visible ASCII characters without spaces");
    } else if secret.expose().len() < MIN_DEBUG_SECRET {
        report
            .warning(&at, "this secret can be found by trying")
            .hint(format!("{MIN_DEBUG_SECRET} characters or more, such as the output of `openssl rand -hex 16`"));
    }
    Some(secret)
}

pub(super) fn log(report: &Report, at: &At, written: &written::Log) -> AccessLog {
    if !(0.0..=1.0).contains(&written.sample) {
        report.error(&at.key("sample"), format!("`sample` is {}, not from 0.0 to 1.0", written.sample));
    }
    let access = match written.access.as_str() {
        "stdout" => AccessLogTo::Stdout,
        "off" => AccessLogTo::Off,
        "" => {
            report.error(&at.key("access"), "`access` is empty").hint("`stdout`, `off` or the path of a file");
            AccessLogTo::Off
        }
        path => AccessLogTo::File(report.resolve(at.file, path)),
    };
    AccessLog { access, sample: written.sample }
}

pub(super) fn addresses(report: &Report, at: &At, written: &written::Addresses, proxies: &[String]) -> Addresses {
    // what is wrong with them was said where they stand
    let proxies: Vec<IpNet> = proxies.iter().filter_map(|text| network(text)).map(unmapped).collect();
    let tiers = |key: &str, written: &[String]| {
        let at = at.key(key);
        let networks = networks(report, &at, written);
        if networks.len() == written.len() {
            believed(report, &at, &networks, &proxies);
        }
        networks
    };
    Addresses {
        edge: tiers("edge", &written.edge),
        gateways: tiers("gateways", &written.gateways),
        reserved: networks(report, &at.key("reserved"), &written.reserved),
    }
}

/// Whoever is in one of these networks speaks for any client: everybody must not be, and a proxy passes on what anybody says.
fn believed(report: &Report, at: &At, networks: &[IpNet], proxies: &[IpNet]) {
    for (i, network) in networks.iter().enumerate() {
        if network.prefix_len() == 0 {
            report
                .error(
                    &at.index(i),
                    format!("`{network}` is every address: every client would pass the security phase"),
                )
                .hint("the networks of this CDN's own servers");
        } else if let Some(proxy) =
            proxies.iter().find(|proxy| proxy.contains(&network.network()) || network.contains(&proxy.network()))
        {
            let message =
                format!("`{network}` has addresses of `{proxy}` in `trusted_proxies`, which are no other tier");
            let added = report.warning(&at.index(i), message);
            added.hint("a proxy passes on what its clients write: keep proxies and servers of this CDN apart");
        }
    }
}

pub(super) fn dns(report: &Report, at: &At, written: &written::Dns) -> Dns {
    not_zero(report, at, "timeout", written.timeout);
    let list_at = at.key("servers");
    if written.servers.len() > MAX_DNS_SERVERS {
        report.error(&list_at, format!("{} servers are more than {MAX_DNS_SERVERS}", written.servers.len()));
    }
    let mut servers: Vec<SocketAddr> = Vec::new();
    for (i, text) in written.servers.iter().enumerate() {
        let with_port = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
        match with_port.or_else(|| text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, DNS_PORT))) {
            Some(server) if servers.contains(&server) => {
                report.error(&list_at.index(i), format!("the server `{text}` is there twice"));
            }
            Some(server) => servers.push(server),
            None => {
                report
                    .error(&list_at.index(i), format!("`{text}` is not the address of a server for names"))
                    .hint("an address such as `10.0.0.53`, or with a port `10.0.0.53:53`");
            }
        }
    }
    Dns { servers, timeout: written.timeout.0 }
}
