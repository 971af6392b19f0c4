//! One request to one address, outside of any client's: for active checks and for `leeward origins --validate`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use leeward_config::ready::{Origin, OriginServer, Snapshot, Timeouts};
use leeward_telemetry::Reason;
use pingora::connectors::http::Connector as HttpConnector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use tokio::time::timeout_at;

use super::overview::servers;
use crate::{Connector, Failure, Kind, Resolver, Target};

/// What a probe says of itself: a server's own log tells it from clients.
const USER_AGENT: &str = "leeward";

/// The longest wait for the addresses of a name.
const DNS_PATIENCE: Duration = Duration::from_secs(10);

/// Asks addresses. Connections are made for one probe each: a kept one says nothing about whether new ones are taken.
pub struct Probe {
    connections: HttpConnector,
    peers: Connector,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self { connections: HttpConnector::new(None), peers: Connector::default() }
    }
}

impl Probe {
    /// The status of `GET path` with this `Host`, over TLS where the server speaks it.
    ///
    /// # Errors
    /// Why there is none within `limit`.
    pub async fn status(
        &self,
        origin: &Origin,
        target: &Target,
        host: &str,
        path: &str,
        limit: Duration,
    ) -> Result<u16, Reason> {
        let request = || {
            let mut request = RequestHeader::build("GET", path.as_bytes(), Some(4))?;
            request.insert_header("Host", host)?;
            Ok(request)
        };
        let request = request().map_err(reason)?;
        self.ask(origin, target, host, request, limit).await
    }

    /// The status of the answer to a request without a body. `name` is the host that a certificate must be for where nothing
    /// is configured.
    ///
    /// # Errors
    /// Why there is none within `limit`.
    pub async fn ask(
        &self,
        origin: &Origin,
        target: &Target,
        name: &str,
        mut request: RequestHeader,
        limit: Duration,
    ) -> Result<u16, Reason> {
        let until = tokio::time::Instant::now() + limit;
        let mut session = self.connect(origin, target, name, until).await?;
        let asked = async {
            request.insert_header("User-Agent", USER_AGENT)?;
            request.insert_header("Connection", "close")?;
            session.write_request_header(Box::new(request)).await?;
            session.finish_request_body().await?;
            loop {
                session.read_response_header().await?;
                let status = session.response_header().map(|head| head.status);
                if !status.is_some_and(|status| status.is_informational()) {
                    return Ok(status.map(|status| status.as_u16()));
                }
            }
        };
        let answered = timeout_at(until, asked).await.map_err(|_| Reason::ReadTimeout)?;
        answered.map_err(reason)?.ok_or(Reason::BadAnswer)
    }

    /// Connects, TLS handshake included where the server speaks it, and closes again.
    ///
    /// # Errors
    /// Why that does not come about within `limit`.
    pub async fn connection(&self, origin: &Origin, target: &Target, limit: Duration) -> Result<(), Reason> {
        let until = tokio::time::Instant::now() + limit;
        self.connect(origin, target, &host(origin, &target.server), until).await.map(drop)
    }

    async fn connect(
        &self,
        origin: &Origin,
        target: &Target,
        host: &str,
        until: tokio::time::Instant,
    ) -> Result<HttpSession, Reason> {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        let timeouts = Timeouts { connect: left, first_byte: left, between_bytes: left };
        let peer: HttpPeer = self.peers.prepare(origin, &timeouts, target, host, left, Kind::Http).peer;
        let connected = timeout_at(until, self.connections.get_http_session(&peer)).await;
        let connected = connected.map_err(|_| Reason::ConnectTimeout)?;
        connected.map(|(session, _)| session).map_err(reason)
    }
}

/// Why a probe failed: outside of a proxied request the framework does not say whose fault an error is.
fn reason(mut error: Box<pingora::Error>) -> Reason {
    error.as_up();
    Failure::of(&error).reason
}

/// `Host` for a request of the edge's own: what is configured, else the server's own name.
pub(crate) fn host(origin: &Origin, server: &OriginServer) -> String {
    origin.host_header.clone().unwrap_or_else(|| {
        let (open, close) = if server.host.contains(':') { ("[", "]") } else { ("", "") };
        let standard = if server.tls { 443 } else { 80 };
        let port = if server.port == standard { String::new() } else { format!(":{}", server.port) };
        format!("{open}{}{close}{port}", server.host)
    })
}

/// What one server said to its origin's validation path.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The origin's name.
    pub origin: String,
    /// The server as configured.
    pub server: OriginServer,
    /// The address asked; absent when the name has none.
    pub address: Option<SocketAddr>,
    /// The status, or why there is none.
    pub result: Result<u16, String>,
    /// From the start to the response head or the failure.
    pub took: Duration,
}

impl Verdict {
    /// Whether the server may serve: 200 and nothing else.
    #[must_use]
    pub fn good(&self) -> bool {
        self.result == Ok(200)
    }
}

/// Asks every address of every server of every origin that has a validation path for it, each in the scheme that it speaks,
/// one after the other, in the order written.
/// `said` hears each verdict as it comes.
pub async fn validate(snapshot: &Snapshot, resolver: &Resolver, mut said: impl FnMut(Verdict)) {
    let probe = Probe::default();
    for origin in &snapshot.origins {
        validate_origin(&probe, origin, resolver, &mut said).await;
    }
}

/// The same for one origin.
pub async fn validate_origin(probe: &Probe, origin: &Origin, resolver: &Resolver, said: &mut impl FnMut(Verdict)) {
    let Some(validation) = &origin.validation else { return };
    for server in servers(origin) {
        let verdict = |address, result, began: Instant| Verdict {
            origin: origin.name.clone(),
            server: server.clone(),
            address,
            result,
            took: began.elapsed(),
        };
        let began = Instant::now();
        let addresses = match resolver.first(&server.host, origin, DNS_PATIENCE).await {
            Ok(addresses) => addresses,
            Err(error) => {
                said(verdict(None, Err(error.to_string()), began));
                continue;
            }
        };
        for ip in addresses.iter().copied() {
            let began = Instant::now();
            let address = SocketAddr::new(ip, server.port);
            let target = Target { server: server.clone(), address };
            let limit = origin.timeouts.connect + origin.timeouts.first_byte;
            let host = origin.host_header.as_deref().unwrap_or(&validation.authority);
            let status = probe.status(origin, &target, host, &validation.path, limit).await;
            said(verdict(Some(address), status.map_err(|reason| reason.about().trim().to_owned()), began));
        }
    }
}
