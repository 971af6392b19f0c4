//! The transport application: everything between `accept()` and the first byte of HTTP.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use pingora::apps::{HttpServerApp, HttpServerOptions, ServerApp};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::protocols::l4::stream::Stream as L4;
use pingora::protocols::{ALPN, GetSocketDigest, SocketDigest, Ssl, Stream};
use pingora::proxy::{HttpProxy, ProxyHttp, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use prometheus::IntGauge;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::calm::Calm;
use super::connection::Connection;
use super::counters::{Counters, Handshake, OpenCount, Refusal};
use super::gate::{AddressPlace, Gate};
use super::http1;
use super::proxy_protocol;
use super::requests::Requests;
use super::short_reads::ShortReads;
use crate::lane::Lane;
use crate::tls::Certificates;

/// Streams that an HTTP/2 client may have open at once.
const H2_STREAMS: u32 = 100;
/// Streams that a client reset before they were served, or that wait to be forgotten: more of them end the connection
/// (rapid reset, CVE-2023-44487).
const H2_PENDING_RESETS: usize = 20;
/// Streams that we had to reset because of the client's errors: more of them end the connection.
const H2_ERROR_RESETS: usize = 64;
/// Body bytes that wait for one stream's window.
const H2_SEND_BUFFER: usize = 128 * 1024;
/// An HTTP/2 connection without a stream for so long is closed.
const H2_IDLE: Duration = Duration::from_secs(120);

/// Limits of a connection. Read again for every new one, so that a reload changes them.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From `accept()` to the end of the first request head, PROXY protocol and TLS handshake included. On a kept HTTP/1
    /// connection it begins with the first byte of the next head.
    pub header: Duration,
    /// Idle time of a kept HTTP/1 connection.
    pub keepalive: Duration,
    /// How long a client may take nothing of an answer that the hit lane gives.
    pub write: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address (the client's, where a PROXY protocol header names it).
    pub connections_per_ip: usize,
    /// Header list of an HTTP/2 request, in bytes as RFC 9113 6.5.2 counts them: 32 for a field besides its text.
    pub h2_header_list: u32,
    /// Whether plain connections are read in pieces that the framework can hold back: see `short_reads.rs`.
    pub short_reads: bool,
}

/// One TCP endpoint as the accept path needs it.
pub struct Listener {
    /// Where it listens; with an unspecified address every local address of the port is meant.
    pub address: SocketAddr,
    /// TLS, or plain HTTP when absent.
    pub tls: Option<Acceptor>,
    /// What its names are: a request belongs on a connection whose server name shares a certificate with its host. Absent: it
    /// belongs on any.
    pub certificates: Option<Arc<Certificates>>,
    /// Networks that must send a PROXY protocol header, and that alone may connect; absent: no PROXY protocol.
    pub proxy_protocol: Option<Vec<IpNet>>,
}

/// A listener with what is worth computing once.
struct Endpoint {
    listener: Listener,
    /// The metric label.
    label: String,
    open: IntGauge,
}

/// Where limits come from.
type LimitsSource = Box<dyn Fn() -> Limits + Send + Sync>;

/// The transport application of all TCP endpoints.
///
/// Not an `HttpServerApp`: then `process_new` would be the framework's.
pub struct Edge<P: ProxyHttp> {
    proxy: Arc<HttpProxy<P>>,
    endpoints: Vec<Endpoint>,
    gate: Arc<Gate>,
    limits: LimitsSource,
    counters: Counters,
    lane: Option<Arc<Lane>>,
}

/// A connection that passed every check before HTTP.
struct Arrival {
    stream: Stream,
    client: IpAddr,
    tls: bool,
    server_name: Option<Box<str>>,
    place: AddressPlace,
}

impl<P> Edge<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    /// Puts the hooks behind the accept path.
    ///
    /// `conf` must be the server's own configuration. `gate` counts the connections that a drain waits for; `limits` is
    /// asked once for every connection.
    pub fn new(
        conf: &Arc<ServerConf>,
        hooks: P,
        listeners: Vec<Listener>,
        gate: Arc<Gate>,
        limits: impl Fn() -> Limits + Send + Sync + 'static,
        counters: Counters,
    ) -> Self {
        let mut proxy = http_proxy(conf, hooks);
        proxy.server_options = Some(server_options());
        let endpoints = listeners
            .into_iter()
            .map(|listener| {
                let label = listener.address.to_string();
                Endpoint { open: counters.connections(&label), label, listener }
            })
            .collect();
        Self { proxy: Arc::new(proxy), endpoints, gate, limits: Box::new(limits), counters, lane: None }
    }

    /// Answers hits of HTTP/1 connections before the framework is asked.
    #[must_use]
    pub(crate) fn with_lane(mut self, lane: Arc<Lane>) -> Self {
        self.lane = Some(lane);
        self
    }

    /// The proxy that all connections share; other transports join here.
    #[must_use]
    pub fn proxy(&self) -> &Arc<HttpProxy<P>> {
        &self.proxy
    }

    /// PROXY protocol, the address's limit, TLS; all before `deadline`.
    async fn arrive(
        &self,
        endpoint: &Endpoint,
        mut l4: Box<L4>,
        limits: Limits,
        deadline: Instant,
    ) -> Result<Arrival, Refusal> {
        let digest = l4.get_socket_digest();
        let socket = |address: Option<&PeerAddr>| address.and_then(PeerAddr::as_inet).copied();
        let (Some(peer), Some(local)) = (
            socket(digest.as_ref().and_then(|digest| digest.peer_addr())),
            socket(digest.as_ref().and_then(|digest| digest.local_addr())),
        ) else {
            return Err(Refusal::Handshake); // gone before we could ask who it was
        };
        let (mut client, mut server) = (canonical(peer), canonical(local));
        if let Some(trusted) = &endpoint.listener.proxy_protocol {
            if !trusted.iter().any(|network| network.contains(&client.ip())) {
                log::debug!("{}: {peer} may not connect: not a trusted network", endpoint.label);
                return Err(Refusal::ProxyProtocol);
            }
            let ends = match timeout_at(deadline, proxy_protocol::read(&mut l4)).await {
                Ok(Ok(ends)) => ends,
                Ok(Err(error)) => {
                    log::debug!("{}: PROXY header from {peer}: {error}", endpoint.label);
                    return Err(Refusal::ProxyProtocol);
                }
                Err(_) => return Err(Refusal::HeaderTimeout),
            };
            if let Some(ends) = ends {
                (client, server) = (canonical(ends.client), canonical(ends.server));
            }
        }
        if (client, server) != (peer, local) {
            l4.set_socket_digest(named(&l4, client, server));
        }
        let place = self.gate.enter_from(client.ip(), limits.connections_per_ip).ok_or(Refusal::ConnectionsPerIp)?;
        let Some(acceptor) = &endpoint.listener.tls else {
            let stream: Stream = if limits.short_reads { Box::new(ShortReads::new(l4)) } else { l4 };
            return Ok(Arrival { stream, client: client.ip(), tls: false, server_name: None, place });
        };
        // boxed: every connection, also one without TLS, carries the room for what this waits for, 7 KB, to its end
        let (stream, server_name) = Box::pin(self.handshake(acceptor, *l4, client, deadline)).await?;
        Ok(Arrival { stream, client: client.ip(), tls: true, server_name, place })
    }

    async fn handshake(
        &self,
        acceptor: &Acceptor,
        l4: L4,
        client: SocketAddr,
        deadline: Instant,
    ) -> Result<(Stream, Option<Box<str>>), Refusal> {
        match timeout_at(deadline, acceptor.tls_handshake(l4)).await {
            Ok(Ok(stream)) => {
                self.counters.handshake(Handshake::Ok);
                let name = stream.get_ssl().and_then(|tls| tls.server_name());
                let name = name.map(|name| name.to_ascii_lowercase().into_boxed_str());
                Ok((Box::new(stream), name))
            }
            Ok(Err(error)) => {
                self.counters.handshake(Handshake::Failed);
                log::debug!("TLS handshake with {client}: {error}");
                Err(Refusal::Handshake)
            }
            Err(_) => {
                self.counters.handshake(Handshake::TimedOut);
                Err(Refusal::HeaderTimeout)
            }
        }
    }

    /// Serves the requests of a connection. Without a complete head before `deadline` (for HTTP/2 that includes the
    /// preface, which has no timeout of its own) the connection ends.
    async fn serve(
        &self,
        connection: Arc<Connection>,
        stream: Stream,
        client: IpAddr,
        limits: Limits,
        deadline: Instant,
        shutdown: &ShutdownWatch,
    ) -> Result<(), Refusal> {
        let requests = Arc::new(Requests {
            proxy: Arc::clone(&self.proxy),
            connection: Arc::clone(&connection),
            header: limits.header,
            h2_header_list: limits.h2_header_list,
        });
        let mut work = std::pin::pin!(async {
            if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
                requests.process_new(Box::new(Calm::new(stream)), shutdown).await;
            } else {
                http1::serve(&requests, self.lane.as_deref(), client, stream, shutdown).await;
            }
        });
        let mut late = std::pin::pin!(sleep_until(deadline));
        std::future::poll_fn(|cx| {
            if work.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            // once a head was read there is no deadline, and nobody looks at the clock
            let late = connection.requests() == 0 && late.as_mut().poll(cx).is_ready() && connection.requests() == 0;
            // dropping the work closes the socket
            if late { Poll::Ready(Err(Refusal::HeaderTimeout)) } else { Poll::Pending }
        })
        .await
    }

    async fn connected(
        &self,
        index: usize,
        endpoint: &Endpoint,
        l4: Box<L4>,
        shutdown: &ShutdownWatch,
    ) -> Result<(), Refusal> {
        let limits = (self.limits)();
        let deadline = Instant::now() + limits.header;
        let place = self.gate.enter(limits.connections).ok_or(Refusal::Connections)?;
        let _open = OpenCount::new(&endpoint.open);
        let arrival = self.arrive(endpoint, l4, limits, deadline).await?;
        let connection = Arc::new(Connection {
            listener: index,
            tls: arrival.tls,
            certificates: endpoint.listener.certificates.clone().filter(|_| arrival.server_name.is_some()),
            server_name: arrival.server_name,
            keepalive: limits.keepalive,
            write: limits.write,
            requests: AtomicU64::new(0),
            plain: AtomicBool::new(false),
            shutdown: shutdown.clone(),
            _place: place,
            _address: arrival.place,
        });
        self.serve(connection, arrival.stream, arrival.client, limits, deadline, shutdown).await
    }
}

#[async_trait]
impl<P> ServerApp for Edge<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        // Plain endpoints hand over the concrete stream. The local address is taken before a PROXY header replaces it.
        let l4: Box<L4> = stream.into_any().downcast().ok()?;
        let local = l4.get_socket_digest()?.local_addr()?.as_inet().copied()?;
        let addresses = self.endpoints.iter().map(|endpoint| endpoint.listener.address);
        let found = owner(&addresses, local).and_then(|index| Some((index, self.endpoints.get(index)?)));
        let Some((index, endpoint)) = found else {
            log::error!("a connection to {local}, where nothing is configured to listen");
            return None;
        };
        if let Err(reason) = self.connected(index, endpoint, l4, shutdown).await {
            self.counters.refused(&endpoint.label, reason);
        }
        None
    }

    async fn cleanup(&self) {
        // Only this wakes connections that wait for another request; without it they hold the process for their keep-alive.
        self.proxy.http_cleanup().await;
    }
}

/// The listener that owns a local address: the exact one, else the one that listens on every address of its port and
/// family, else the one for IPv6 that takes IPv4 too.
fn owner(listeners: &(impl Iterator<Item = SocketAddr> + Clone), local: SocketAddr) -> Option<usize> {
    let local = canonical(local);
    let find = |wanted: &dyn Fn(IpAddr) -> bool| {
        listeners.clone().position(|listener| listener.port() == local.port() && wanted(listener.ip().to_canonical()))
    };
    find(&|ip| ip == local.ip())
        .or_else(|| find(&|ip| ip.is_unspecified() && ip.is_ipv4() == local.is_ipv4()))
        .or_else(|| find(&|ip| ip.is_unspecified()))
}

/// 192.0.2.1 for ::ffff:192.0.2.1, which is what a socket for both families reports.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The socket's digest with other addresses: what `Session::client_addr` will say.
fn named(l4: &L4, client: SocketAddr, server: SocketAddr) -> SocketDigest {
    let digest = SocketDigest::from_raw_fd(l4.as_raw_fd());
    let _ = digest.peer_addr.set(Some(PeerAddr::Inet(client)));
    let _ = digest.local_addr.set(Some(PeerAddr::Inet(server)));
    digest
}

fn server_options() -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    // h2c stays off: the framework waits for 24 bytes before it decides, and `GET / HTTP/1.0` has 18.
    options.h2_idle_timeout = Some(H2_IDLE);
    // not for tunnels: refused by the framework itself, a CONNECT would leave no line in the log
    options.allow_connect_method_proxying = true;
    options
}

pub(super) fn h2_options(header_list: u32) -> H2Options {
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(H2_STREAMS)
        .max_header_list_size(header_list)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS)
        .max_concurrent_reset_streams(H2_PENDING_RESETS)
        .max_local_error_reset_streams(Some(H2_ERROR_RESETS))
        .max_send_buffer_size(H2_SEND_BUFFER);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_belongs_to_the_closest_listener() {
        let listeners: Vec<SocketAddr> =
            ["0.0.0.0:80", "192.0.2.1:80", "[::]:443", "[2001:db8::1]:443", "0.0.0.0:8443", "[::]:8443"]
                .iter()
                .map(|address| address.parse().unwrap())
                .collect();
        let cases = [
            ("192.0.2.1:80", Some(1)),
            ("192.0.2.2:80", Some(0)),
            ("[::ffff:192.0.2.1]:80", Some(1)),
            ("[2001:db8::1]:443", Some(3)),
            ("[2001:db8::2]:443", Some(2)),
            ("[::ffff:192.0.2.1]:443", Some(2)),
            ("192.0.2.1:8443", Some(4)),
            ("[2001:db8::1]:8443", Some(5)),
            ("192.0.2.1:81", None),
        ];
        for (local, wanted) in cases {
            assert_eq!(owner(&listeners.iter().copied(), local.parse().unwrap()), wanted, "{local}");
        }
    }
}
