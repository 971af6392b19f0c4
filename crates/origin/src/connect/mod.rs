//! A chosen target to the peer that Pingora connects to. The only place that builds an `HttpPeer`.

mod hold;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use leeward_config::ready::{Origin, Timeouts};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions, Scheme};
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};

use hold::Hold;
use watch::Connections;
pub use watch::{Patience, Watch};

use crate::walk::Target;

/// How long an idle connection to an origin is kept; shorter than what web servers use by default is rare.
const IDLE: Duration = Duration::from_secs(60);
/// How long an origin may refuse to take more of a request.
const WRITE: Duration = Duration::from_secs(30);
/// What the response head may take at least, however little of the time for all attempts is left.
pub const LEAST_READ: Duration = Duration::from_secs(2);
/// A WebSocket on which neither side says anything for so long is closed.
pub const WEBSOCKET_IDLE: Duration = Duration::from_secs(300);
/// Own certificate authorities and client certificates kept parsed; each belongs to an origin.
const REMEMBERED: usize = 10_000;
/// Keeps connections with a watch apart from those without: a watch needs to see its connection begin.
const WATCHED: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Requests and responses.
    #[default]
    Http,
    /// A request whose body is still to come: its client may pause so long within it, which is no silence of the origin's.
    Upload(Duration),
    /// A request to become a WebSocket (RFC 6455 4.1): the upgrade is passed on.
    WebSocket,
}

/// How to connect for one attempt.
#[derive(Debug)]
pub struct Prepared {
    /// What Pingora connects to.
    pub peer: HttpPeer,
    /// Absent where Pingora's one read timeout says it all.
    pub watch: Option<Watch>,
}

/// Builds peers; keeps what was parsed for them between requests.
#[derive(Default)]
pub struct Connector {
    parsed: RwLock<HashMap<u64, Parsed, RandomState>>,
    connections: Arc<Connections>,
}

/// What an origin needs for TLS besides the default.
#[derive(Clone, Default)]
struct Parsed {
    ca: Option<Arc<CaType>>,
    client: Option<Arc<CertKey>>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// Prepares one attempt that must have its response head within `left`; `host_sent` is the request's `Host`.
    #[must_use]
    pub fn prepare(
        &self,
        origin: &Origin,
        timeouts: &Timeouts,
        target: &Target,
        host_sent: &str,
        left: Duration,
        kind: Kind,
    ) -> Prepared {
        let mut options = PeerOptions::new();
        let connect = timeouts.connect.min(left);
        options.connection_timeout = Some(connect);
        options.total_connection_timeout = Some(connect);
        options.write_timeout = Some(WRITE);
        options.idle_timeout = Some(IDLE);
        options.http_upstream_request_policy = match kind {
            Kind::Http | Kind::Upload(_) => HttpUpstreamRequestPolicy::deny_upgrades(),
            // forwards a WebSocket's upgrade only, and strips every other
            Kind::WebSocket => HttpUpstreamRequestPolicy::default(),
        };
        let mut parsed = Parsed::default();
        if target.server.tls {
            parsed = self.parsed(origin);
            options.verify_cert = origin.tls.verify;
            options.verify_hostname = origin.tls.verify;
            options.ca = parsed.ca;
        }
        let patience = patience(timeouts, left, kind);
        options.read_timeout = Some(patience.read);
        let mut group_key = origin.group_key;
        let watch = (kind == Kind::WebSocket || patience.needs_watch()).then(|| {
            let (mut watch, tracer) = Watch::new(&self.connections, patience);
            options.tracer = Some(tracer);
            group_key ^= WATCHED;
            if kind == Kind::WebSocket {
                watch.hold = Some(Hold::learn(&mut options));
                // a connection of its own, which serves nothing else if the origin declines
                group_key = group_key.wrapping_add(watch.attempt());
                options.idle_timeout = Some(Duration::ZERO);
            }
            watch
        });
        let peer = HttpPeer {
            _address: SocketAddr::Inet(target.address),
            scheme: if target.server.tls { Scheme::HTTPS } else { Scheme::HTTP },
            sni: server_name(origin, target, host_sent),
            proxy: None,
            client_cert_key: parsed.client,
            group_key,
            options,
        };
        Prepared { peer, watch }
    }

    /// The origin's own authorities and client certificate, parsed once. The group key covers their bytes, so it names
    /// them. What is parsed here was parsed when the configuration was checked: both parsers panic on anything else.
    fn parsed(&self, origin: &Origin) -> Parsed {
        let tls = &origin.tls;
        if tls.ca.is_empty() && tls.client.is_none() {
            return Parsed::default();
        }
        if let Some(parsed) = self.parsed.read().ok().and_then(|parsed| parsed.get(&origin.group_key).cloned()) {
            return parsed;
        }
        let ca = (!tls.ca.is_empty()).then(|| {
            let ca: Vec<WrappedX509> = tls.ca.iter().map(|der| WrappedX509::new(der.clone(), parse_x509)).collect();
            Arc::from(ca.into_boxed_slice())
        });
        let client = tls
            .client
            .as_ref()
            .map(|client| Arc::new(CertKey::new(client.chain.clone(), client.key.expose().to_vec())));
        let made = Parsed { ca, client };
        if let Ok(mut parsed) = self.parsed.write() {
            if parsed.len() >= REMEMBERED {
                parsed.clear();
            }
            parsed.insert(origin.group_key, made.clone());
        }
        made
    }
}

/// How long the origin may be silent in an attempt.
fn patience(timeouts: &Timeouts, left: Duration, kind: Kind) -> Patience {
    let head = timeouts.first_byte.min(left.max(LEAST_READ));
    let body = timeouts.between_bytes;
    let read = match kind {
        Kind::Http => head.max(body),
        // the framework waits for the response head from the first byte of the request on, anew after each part of it
        Kind::Upload(pause) => head.max(body).max(pause + LEAST_READ),
        // once it is a WebSocket, reads are bounded by this alone
        Kind::WebSocket => WEBSOCKET_IDLE.max(head).max(body),
    };
    Patience { head, body, read }
}

/// The name sent in the handshake and verified: configured, else the configured Host, else the server's own name; for a
/// server that is written as an address, the Host sent. Never empty: an empty name fails every handshake, even without
/// verification.
fn server_name(origin: &Origin, target: &Target, host_sent: &str) -> String {
    if !target.server.tls {
        return String::new();
    }
    let named = origin.tls.sni.as_deref().or_else(|| origin.host_header.as_deref().map(without_port));
    let is_address = target.server.host.parse::<std::net::IpAddr>().is_ok();
    let own = if is_address && !host_sent.is_empty() { without_port(host_sent) } else { &target.server.host };
    named.unwrap_or(own).to_owned()
}

/// `example.com:8443` to `example.com`, `[::1]:80` to `::1`.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_has_the_time_that_is_configured_for_it() {
        let seconds = Duration::from_secs;
        // first_byte, between_bytes, left, kind; head, body, read
        let cases = [
            (15, 15, 34, Kind::Http, 15, 15, 15),
            (60, 5, 124, Kind::Http, 60, 5, 60),
            (5, 60, 14, Kind::Http, 5, 60, 60),
            (15, 15, 7, Kind::Http, 7, 15, 15),
            (15, 15, 0, Kind::Http, 2, 15, 15),
            (15, 15, 34, Kind::Upload(seconds(30)), 15, 15, 32),
            (60, 15, 124, Kind::Upload(seconds(30)), 60, 15, 60),
            (15, 15, 34, Kind::WebSocket, 15, 15, 300),
            (400, 15, 900, Kind::WebSocket, 400, 15, 400),
        ];
        for (first_byte, between_bytes, left, kind, head, body, read) in cases {
            let timeouts = Timeouts {
                connect: seconds(2),
                first_byte: seconds(first_byte),
                between_bytes: seconds(between_bytes),
            };
            let want = Patience { head: seconds(head), body: seconds(body), read: seconds(read) };
            assert_eq!(patience(&timeouts, seconds(left), kind), want, "{first_byte} {between_bytes} {left} {kind:?}");
        }
    }

    #[test]
    fn a_port_is_no_part_of_a_server_name() {
        for (host, want) in
            [("example.com", "example.com"), ("example.com:8443", "example.com"), ("[::1]:80", "::1"), ("[::1]", "::1")]
        {
            assert_eq!(without_port(host), want, "{host}");
        }
    }
}
