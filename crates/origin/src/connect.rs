//! A chosen target to the peer that Pingora connects to. The only place that builds an `HttpPeer`.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use leeward_config::ready::{Origin, Timeouts};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions, Scheme};
use pingora::utils::tls::{WrappedX509, parse_x509};

use crate::walk::Target;

/// How long an idle connection to an origin is kept; shorter than what web servers use by default is rare.
const IDLE: Duration = Duration::from_secs(60);
/// How long an origin may refuse to take more of a request.
const WRITE: Duration = Duration::from_secs(30);
/// What a read may take at least, however little of the time for all attempts is left: it bounds the reads of the body too.
const LEAST_READ: Duration = Duration::from_secs(2);
/// Own certificate authorities kept parsed; each belongs to an origin.
const REMEMBERED_CAS: usize = 10_000;

/// Builds peers; keeps parsed certificate authorities between requests.
#[derive(Default)]
pub struct Connector {
    cas: RwLock<HashMap<u64, Arc<CaType>, RandomState>>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// The peer for one attempt that must have its response head within `left`; `host_sent` is the request's `Host`.
    #[must_use]
    pub fn peer(
        &self,
        origin: &Origin,
        timeouts: &Timeouts,
        target: &Target,
        host_sent: &str,
        left: Duration,
    ) -> HttpPeer {
        let mut options = PeerOptions::new();
        let connect = timeouts.connect.min(left);
        options.connection_timeout = Some(connect);
        options.total_connection_timeout = Some(connect);
        // One timeout for every read: Pingora does not tell the first read of an answer from the later ones.
        options.read_timeout = Some(timeouts.first_byte.min(left.max(LEAST_READ)));
        options.write_timeout = Some(WRITE);
        options.idle_timeout = Some(IDLE);
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        if target.server.tls {
            options.verify_cert = origin.tls.verify;
            options.verify_hostname = origin.tls.verify;
            options.ca = self.ca(origin);
        }
        HttpPeer {
            _address: SocketAddr::Inet(target.address),
            scheme: if target.server.tls { Scheme::HTTPS } else { Scheme::HTTP },
            sni: server_name(origin, target, host_sent),
            proxy: None,
            client_cert_key: None,
            group_key: origin.group_key,
            options,
        }
    }

    /// The origin's own certificate authorities, parsed once. The group key covers their bytes, so it names them.
    fn ca(&self, origin: &Origin) -> Option<Arc<CaType>> {
        if origin.tls.ca.is_empty() {
            return None;
        }
        if let Some(ca) = self.cas.read().ok().and_then(|cas| cas.get(&origin.group_key).cloned()) {
            return Some(ca);
        }
        // parsed when the configuration was checked: `parse_x509` panics on anything else
        let parsed: Vec<WrappedX509> =
            origin.tls.ca.iter().map(|der| WrappedX509::new(der.clone(), parse_x509)).collect();
        let ca: Arc<CaType> = Arc::from(parsed.into_boxed_slice());
        if let Ok(mut cas) = self.cas.write() {
            if cas.len() >= REMEMBERED_CAS {
                cas.clear();
            }
            cas.insert(origin.group_key, Arc::clone(&ca));
        }
        Some(ca)
    }
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
    fn a_port_is_no_part_of_a_server_name() {
        for (host, want) in
            [("example.com", "example.com"), ("example.com:8443", "example.com"), ("[::1]:80", "::1"), ("[::1]", "::1")]
        {
            assert_eq!(without_port(host), want, "{host}");
        }
    }
}
