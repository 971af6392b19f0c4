//! An edge in this process whose hooks answer every request themselves, and clients for it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use leeward_server::accept::{self, Counters, Gate, Limits, Listener, connection, head_was_read};
use leeward_server::life::{Stage, server_conf};
use leeward_server::tls::{self, Certificates, Names, Pem};
use leeward_telemetry::Metrics;
use pingora::http::ResponseHeader;
use pingora::prelude::HttpPeer;
use pingora::proxy::{ProxyHttp, Session};
use pingora::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Says what the hooks know about the request. `/sleep/<ms>` answers later, a request body is counted.
pub struct Facts;

#[async_trait]
impl ProxyHttp for Facts {
    type CTX = ();

    fn new_ctx(&self) {
        head_was_read();
    }

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<bool> {
        let connection = connection().expect("a connection");
        let path = session.req_header().uri.path().to_owned();
        if let Some(millis) = path.strip_prefix("/sleep/") {
            tokio::time::sleep(Duration::from_millis(millis.parse().unwrap())).await;
        }
        let mut received = 0;
        while let Some(bytes) = session.read_request_body().await? {
            received += bytes.len();
        }
        session.set_keepalive(connection.keepalive());
        let text = format!(
            "listener={} tls={} name={} requests={} received={received} client={} draining={}",
            connection.listener(),
            connection.tls(),
            connection.server_name().unwrap_or("-"),
            connection.requests(),
            session.client_addr().map(ToString::to_string).unwrap_or_default(),
            connection.draining(),
        );
        let mut head = ResponseHeader::build(200, None)?;
        head.insert_header("Content-Length", text.len())?;
        session.write_response_header(Box::new(head), false).await?;
        session.write_response_body(Some(Bytes::from(text)), true).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Err(pingora::Error::new(pingora::ErrorType::InternalError))
    }
}

struct Stop(Stage);

#[async_trait]
impl ShutdownSignalWatch for Stop {
    async fn recv(&self) -> ShutdownSignal {
        self.0.stopped().await;
        ShutdownSignal::GracefulTerminate
    }
}

/// A self-signed certificate and its key, in PEM.
pub struct Issued {
    pub chain: String,
    key: String,
}

pub fn issue(names: &[&str]) -> Issued {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let issued = rcgen::generate_simple_self_signed(names).unwrap();
    Issued { chain: issued.cert.pem(), key: issued.signing_key.serialize_pem() }
}

pub fn names(issued: &[&Issued]) -> Names {
    Names::read(issued.iter().map(|issued| Pem {
        chain_file: "www.pem".as_ref(),
        key_file: "www.key".as_ref(),
        chain: issued.chain.as_bytes(),
        key: issued.key.as_bytes(),
    }))
    .unwrap()
}

/// Which listener a test talks to.
#[derive(Debug, Clone, Copy)]
pub enum Port {
    Plain,
    Tls,
    /// PROXY protocol from loopback, then plain HTTP.
    Proxied,
    /// PROXY protocol from loopback, then TLS.
    ProxiedTls,
    /// PROXY protocol from a network that the tests are not in.
    Elsewhere,
}

/// The running edge. Dropping it ends it.
pub struct Edge {
    addresses: Vec<SocketAddr>,
    pub stage: Stage,
    pub gate: Arc<Gate>,
    pub metrics: Arc<Metrics>,
    pub limits: Arc<ArcSwap<Limits>>,
    pub certificates: Arc<Certificates>,
    pub issued: Issued,
    thread: Option<JoinHandle<()>>,
}

pub const HEADER: Duration = Duration::from_millis(1500);
pub const KEEPALIVE: Duration = Duration::from_millis(1000);

pub fn limits_of(connections: usize, connections_per_ip: usize) -> Arc<Limits> {
    Arc::new(Limits {
        header: HEADER,
        keepalive: KEEPALIVE,
        write: KEEPALIVE,
        connections,
        connections_per_ip,
        h2_header_list: 64 << 10,
        short_reads: true,
    })
}

/// Starts an edge; `grace` is its grace period.
pub fn start(grace: Duration) -> Edge {
    start_with(grace, Facts)
}

/// The same with other hooks.
pub fn start_with<P>(grace: Duration, hooks: P) -> Edge
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    let issued = issue(&["www.one.test"]);
    let certificates = Certificates::new(names(&[&issued]));
    let loopback: SocketAddr = (IpAddr::from([127, 0, 0, 1]), 0).into();
    let sockets = accept::bind(&[loopback; 5]).unwrap();
    let addresses: Vec<_> = sockets.iter().map(accept::Bound::address).collect();
    let tls = || tls::acceptor(Arc::clone(&certificates), true).unwrap();
    let trusted = |network: &str| Some(vec![network.parse().unwrap()]);
    let kinds = [
        (None, None),
        (Some(tls()), None),
        (None, trusted("127.0.0.0/8")),
        (Some(tls()), trusted("127.0.0.0/8")),
        (None, trusted("10.0.0.0/8")),
    ];
    let listeners = addresses.iter().zip(kinds).map(|(&address, (tls, proxy_protocol))| Listener {
        address,
        tls,
        certificates: None,
        proxy_protocol,
    });
    let (stage, gate) = (Stage::default(), Arc::new(Gate::default()));
    let metrics = Arc::new(Metrics::new().unwrap());
    let limits = Arc::new(ArcSwap::new(limits_of(100, 100)));
    let source = Arc::clone(&limits);
    let mut server = Server::new_with_opt_and_conf(None, server_conf(1, grace, None, None).unwrap());
    server.bootstrap();
    let counters = Counters::new(Arc::clone(&metrics)).unwrap();
    let edge = accept::Edge::new(
        &server.configuration,
        hooks,
        listeners.collect(),
        Arc::clone(&gate),
        move || **source.load(),
        counters,
    );
    server.add_service(accept::service("edge", edge, sockets).on(accept::Workers::start("edge", 1).unwrap()));
    let stop = Stop(stage.clone());
    let thread = std::thread::spawn(move || server.run(RunArgs { shutdown_signal: Box::new(stop) }));
    Edge { addresses, stage, gate, metrics, limits, certificates, issued, thread: Some(thread) }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.stage.stop(false);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Edge {
    pub fn address(&self, port: Port) -> SocketAddr {
        self.addresses[port as usize]
    }

    pub async fn connect(&self, port: Port) -> TcpStream {
        TcpStream::connect(self.address(port)).await.unwrap()
    }

    /// A TLS connection that offers one protocol.
    pub async fn tls(&self, stream: TcpStream, name: &'static str, alpn: &str, trust: &Issued) -> TlsStream<TcpStream> {
        connector(alpn, trust).connect(ServerName::try_from(name).unwrap(), stream).await.unwrap()
    }

    /// The value of a metric line that starts so.
    pub fn metric(&self, name: &str) -> u64 {
        let text = String::from_utf8(self.metrics.render()).unwrap();
        let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
        values.map(|value| value.parse::<u64>().unwrap()).sum()
    }

    pub fn refused(&self, port: Port, reason: &str) -> u64 {
        let listener = self.address(port);
        self.metric(&format!("leeward_connections_refused_total{{listener=\"{listener}\",reason=\"{reason}\"}}"))
    }
}

/// A TLS client that trusts one certificate, offers one protocol and remembers its sessions.
pub fn connector(alpn: &str, trust: &Issued) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trust.chain.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// Sends one HTTP/1.1 request and reads its answer, head and body.
pub async fn http1(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: www.one.test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(stream).await
}

/// Reads one answer with a Content-Length.
pub async fn answer(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap_or("0");
            if body.len() >= length.parse::<usize>().unwrap() {
                return text.into_owned();
            }
        }
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_buf(&mut seen)).await.expect("an answer");
        if read.unwrap_or(0) == 0 {
            return String::from_utf8_lossy(&seen).into_owned();
        }
    }
}

/// Sends one HTTP/2 request and reads the body of its answer.
pub async fn http2(client: &mut h2::client::SendRequest<Bytes>, path: &str) -> Result<String, h2::Error> {
    let request = http::Request::get(format!("https://www.one.test{path}")).body(()).unwrap();
    let (response, _) = client.clone().ready().await?.send_request(request, true)?;
    let mut body = response.await?.into_body();
    let mut text = Vec::new();
    while let Some(chunk) = body.data().await {
        text.extend_from_slice(&chunk?);
    }
    Ok(String::from_utf8(text).unwrap())
}
