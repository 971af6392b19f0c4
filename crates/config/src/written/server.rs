//! Written: `server`, `admin`, `log`, `dns`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Secret, Size, Span};
use crate::ready::Region;

/// Listeners, limits, threads.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Worker threads; 0: one per core. At most 1024.
    pub threads: u32,
    /// Where clients connect.
    pub listen: Vec<Listener>,
    /// Networks of proxies in front of this server, which may name the client in `X-Forwarded-For`.
    pub trusted_proxies: Vec<String>,
    /// Limits of a connection and of a request.
    pub limits: Limits,
    /// How long requests in flight may take after SIGTERM.
    pub grace_period: Span,
    /// Where this server is: it uses the shields of that region.
    pub region: Option<Region>,
    /// Its name towards other Leeward servers, which tells a loop: different on each. Absent: a random one at every start.
    pub node: Option<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            threads: 0,
            listen: vec![Listener { address: Some("0.0.0.0:8080".to_owned()), tls: None, proxy_protocol: None }],
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            grace_period: Span::secs(10),
            region: None,
            node: None,
        }
    }
}

/// One TCP endpoint: plain HTTP, or HTTPS where `tls` is given.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Address and port: `0.0.0.0:8080`, `[::]:8443`.
    #[schemars(required)]
    pub address: Option<String>,
    /// Certificates; absent: plain HTTP.
    pub tls: Option<Tls>,
    /// Every connection begins with a PROXY protocol header (version 1 or 2) from one of the trusted networks.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// TLS of a listener.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["certificates"]))]
pub struct Tls {
    /// Certificates, chosen by the server name that the client asks for; the first one is for all other clients.
    pub certificates: Vec<Certificate>,
    /// Offer HTTP/2.
    pub http2: bool,
    /// Offer HTTP/3 on the UDP port of the same number.
    pub http3: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self { certificates: Vec::new(), http2: true, http3: false }
    }
}

/// A certificate and its key, both PEM.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// File with the certificate, then its intermediates.
    #[schemars(required)]
    pub chain: Option<String>,
    /// File with the private key.
    #[schemars(required)]
    pub key: Option<String>,
}

/// Who may send PROXY protocol headers.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocol {
    /// Networks of the load balancers; connections from elsewhere are closed.
    #[schemars(required)]
    pub trusted: Option<Vec<String>>,
}

/// Limits of a connection and of a request.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The whole time a client may take to send a request head.
    pub header_timeout: Span,
    /// Idle time of a kept connection.
    pub keepalive_timeout: Span,
    /// Time between two reads of a request body.
    pub body_timeout: Span,
    /// Time that a client may take for a part of a response, of 128 KiB at most, before it is dropped.
    pub write_timeout: Span,
    /// Request target; a longer one is answered with 414.
    pub uri: Size,
    /// Request header section; a longer one is answered with 431.
    pub headers: Size,
    /// Request header fields; more are answered with 431.
    pub header_count: u32,
    /// Request body; a longer one is answered with 413.
    pub body: Size,
    /// Connections at once.
    pub connections: u32,
    /// Connections at once from one address.
    pub connections_per_ip: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Span::secs(10),
            keepalive_timeout: Span::secs(60),
            body_timeout: Span::secs(30),
            write_timeout: Span::secs(30),
            uri: Size::kib(8),
            headers: Size::kib(32),
            header_count: 100,
            body: Size::gib(1),
            connections: 20_000,
            connections_per_ip: 4_000,
        }
    }
}

/// The admin listener: metrics, health, reload. Plain HTTP.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port. Any other than loopback needs a token.
    pub address: String,
    /// Bearer token that every request must carry.
    pub token: Option<Secret>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: "127.0.0.1:9180".to_owned(), token: None }
    }
}

/// Answers that say how they came about: cache state, key and lifetime, and who answered.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Debug {
    /// What a request must carry in `X-Leeward-Debug` to be told; absent: nobody is.
    pub secret: Option<Secret>,
}

/// The access log: one JSON line a request.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `stdout`, `off`, or the path of a file, which is reopened on SIGUSR1.
    pub access: String,
    /// Share of the requests that are logged, from 0.0 to 1.0. Errors are always logged.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample: f64,
}

impl Default for Log {
    fn default() -> Self {
        Self { access: "stdout".to_owned(), sample: 1.0 }
    }
}

/// Who answers for names of origin servers.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// Addresses of the servers, with a port if it is not 53; empty: those of `/etc/resolv.conf`.
    pub servers: Vec<String>,
    /// The longest wait for an answer of one server.
    pub timeout: Span,
}

impl Default for Dns {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: Span::secs(1) }
    }
}
