//! From the configured listeners to sockets, TLS and certificates that a reload can replace.

use std::net::SocketAddr;
use std::sync::Arc;

use leeward_config::ready;

use crate::accept::{BindError, Bound, Limits, Listener, bind};
use crate::tls::{self, Certificates, Names, Pem};

/// Bytes that a field counts besides its name and value (RFC 9113 6.5.2).
const H2_FIELD: u64 = 32;
/// Bytes of `:method`, `:scheme`, `:authority` and `:path` but for the target.
const H2_PSEUDO_FIELDS: u64 = 1024;

/// Why the edge cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken or not allowed.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] tls::Unusable),
    /// TLS cannot be set up at all.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// What the listeners of a configuration became; one of each list per listener, in the order written.
pub struct Endpoints {
    /// For `accept::service`. Clients can connect from now on.
    pub sockets: Vec<Bound>,
    /// For `accept::Edge::new`.
    pub listeners: Vec<Listener>,
    /// For the [`Reloader`](super::Reloader).
    pub certificates: Replaceable,
}

/// The certificates of each listener with TLS, by the address as configured.
#[derive(Debug, Clone, Default)]
pub struct Replaceable(Vec<(SocketAddr, Arc<Certificates>)>);

/// New certificates for the listeners that go on: read, and not served yet.
pub(super) struct Prepared(Vec<(Arc<Certificates>, Names)>);

impl Replaceable {
    /// Reads the new certificates of every listener that runs and has some in the new configuration.
    ///
    /// # Errors
    /// The first that cannot be used; nothing has changed then.
    pub(super) fn prepare(&self, new: &ready::Server) -> Result<Prepared, tls::Unusable> {
        let running = self.0.iter().filter_map(|(address, certificates)| {
            let listener = new.listen.iter().find(|listener| listener.address == *address)?;
            Some((Arc::clone(certificates), listener.tls.as_ref()?))
        });
        running.map(|(certificates, tls)| Ok((certificates, names(tls)?))).collect::<Result<_, _>>().map(Prepared)
    }
}

impl Prepared {
    /// Serves them from the next handshake on.
    pub(super) fn swap(self) {
        for (certificates, names) in self.0 {
            certificates.swap(names);
        }
    }
}

/// Binds the listeners and reads their certificates.
///
/// `taken_over`: an older process hands its sockets over, so none is bound here.
///
/// # Errors
/// The first listener that cannot be set up; sockets that were bound are closed again.
pub fn endpoints(server: &ready::Server, taken_over: bool) -> Result<Endpoints, StartError> {
    let addresses: Vec<SocketAddr> = server.listen.iter().map(|listener| listener.address).collect();
    let sockets =
        if taken_over { addresses.iter().copied().map(Bound::handed_over).collect() } else { bind(&addresses)? };
    let mut certificates = Vec::new();
    let mut listeners = Vec::with_capacity(sockets.len());
    for (listener, socket) in server.listen.iter().zip(&sockets) {
        let (mut acceptor, mut served) = (None, None);
        if let Some(tls) = &listener.tls {
            let certified = Certificates::new(names(tls)?);
            certificates.push((listener.address, Arc::clone(&certified)));
            acceptor = Some(tls::acceptor(Arc::clone(&certified), tls.http2)?);
            served = Some(certified);
        }
        listeners.push(Listener {
            address: socket.address(),
            tls: acceptor,
            certificates: served,
            proxy_protocol: listener.proxy_protocol.clone(),
        });
    }
    Ok(Endpoints { sockets, listeners, certificates: Replaceable(certificates) })
}

fn names(tls: &ready::Tls) -> Result<Names, tls::Unusable> {
    Names::read(tls.certificates.iter().map(|certificate| Pem {
        chain_file: &certificate.chain_file,
        key_file: &certificate.key_file,
        chain: &certificate.chain,
        key: certificate.key.expose(),
    }))
}

impl From<&ready::Limits> for Limits {
    fn from(limits: &ready::Limits) -> Self {
        Self {
            header: limits.header_timeout,
            keepalive: limits.keepalive_timeout,
            write: limits.write_timeout,
            connections: limits.connections,
            connections_per_ip: limits.connections_per_ip,
            h2_header_list: h2_header_list(limits),
            short_reads: false,
        }
    }
}

/// What holds every head that the strict check takes, which counts a target and 4 bytes for a field besides its text.
fn h2_header_list(limits: &ready::Limits) -> u32 {
    let fields = u64::try_from(limits.header_count).unwrap_or(u64::MAX).saturating_mul(H2_FIELD);
    let bytes = H2_PSEUDO_FIELDS.saturating_add(fields).saturating_add(limits.headers).saturating_add(limits.uri);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
