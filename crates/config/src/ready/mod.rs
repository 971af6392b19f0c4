//! The ready form of the configuration: what a request sees. Built by one load, never changed afterwards.

mod backup;
mod countries;
mod geo;
mod limits;
mod origins;
mod shield;
mod sites;
mod tokens;
mod waf;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use leeward_rules::decide::Way;
use leeward_rules::grammar::IpSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use backup::{Backup, Triggers};
pub(crate) use countries::{CountryFilter, Directory};
pub use countries::{CountryFilters, Nested};
pub use geo::{Database, MAX_DATABASE};
pub use limits::{LimitAction, LimitKey, OwnAnswer, RateLimit};
pub use origins::{
    Balance, ClientCertificate, Directories, HealthCheck, IpVersion, Origin, OriginServer, OriginTls, Servers,
    Timeouts, Unavailable, Validation,
};
pub use shield::{Pop, Region, Shield};
pub use sites::{PolicyOrigins, Site, Sites};
pub use tokens::{PlatformTokens, Tokens, Tree};
pub use waf::{Exclusion, Guard, Level, Slot, Waf, Written};

/// One checked configuration, immutable. A request holds one from its first phase to its log line.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts the configurations this process has run, from 1. Set when the snapshot is published.
    pub generation: u64,
    /// Account number of CDN URLs, the `0001` of `/800001/...`.
    pub account: String,
    /// Hosts that answer CDN URLs, lower case, with the platform each speaks for.
    pub cdn_hosts: HashMap<String, Platform>,
    /// Listeners, limits, threads.
    pub server: Server,
    /// The admin listener.
    pub admin: Admin,
    /// The access log.
    pub log: AccessLog,
    /// Cache sizes and defaults.
    pub cache: Cache,
    /// Every origin, in the order written, then those that only policies name. Backups of `backup` are in their origins.
    pub origins: Vec<Arc<Origin>>,
    /// The same by platform and directory, as CDN URLs name them.
    pub directories: Directories,
    /// Every site, indexed by host.
    pub sites: Sites,
    /// Tokens asked for by directory; absent: none, and no rule asks for an ectoken.
    pub tokens: Option<Tokens>,
    /// Address blocks that customers let through their firewalls.
    pub addresses: Addresses,
    /// Who answers for names of origin servers.
    pub dns: Dns,
    /// Where addresses are; absent: everywhere is unknown.
    pub geo: Option<Database>,
    /// Rate limits of requests that belong to no site; a site has its own list.
    pub rate_limits: Vec<Arc<RateLimit>>,
    /// What `X-Leeward-Debug` must say to be told how an answer came about; absent: nobody is told.
    pub debug: Option<Secret>,
    /// The rules of the WAF; `None` where it is off everywhere.
    pub waf: Option<Arc<Waf>>,
    /// How requests by CDN URLs are judged; `None`: not at all.
    pub guard: Option<Arc<Guard>>,
}

impl Snapshot {
    /// Every origin that a request may be sent to, backups and tiers included, each once.
    pub fn all_origins(&self) -> impl Iterator<Item = &Arc<Origin>> {
        let mut seen = HashSet::new();
        self.origins
            .iter()
            .flat_map(|origin| {
                let backup = origin.backup.iter().map(|backup| &backup.origin);
                let parents = origin.shield.iter().flat_map(Shield::groups);
                std::iter::once(origin).chain(backup).chain(parents)
            })
            .filter(move |origin| seen.insert(Arc::as_ptr(origin)))
    }
}

/// Address blocks that customers let through their firewalls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// Of edge servers.
    pub edge: Vec<IpNet>,
    /// Of gateways and shields.
    pub gateways: Vec<IpNet>,
    /// Kept for later.
    pub reserved: Vec<IpNet>,
}

/// Who answers for names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Servers, asked over UDP and TCP; empty: the system's, of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// The longest wait for one answer of one server.
    pub timeout: Duration,
}

/// The delivery platform an origin belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    /// `http_large`
    #[default]
    HttpLarge,
    /// `http_small`
    HttpSmall,
    /// `adn`: caching is bypassed unless told otherwise.
    Adn,
    /// `can`: behaves as `adn`.
    Can,
}

impl Platform {
    /// Every platform.
    pub const ALL: [Self; 4] = [Self::HttpLarge, Self::HttpSmall, Self::Adn, Self::Can];

    /// As written in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpLarge => "http_large",
            Self::HttpSmall => "http_small",
            Self::Adn => "adn",
            Self::Can => "can",
        }
    }
}

/// Listeners, limits, threads.
#[derive(Debug)]
pub struct Server {
    /// Worker threads, at least 1 (0 in the file: one per core).
    pub threads: usize,
    /// At least one.
    pub listen: Vec<Listener>,
    /// Proxies that may name the client in `X-Forwarded-For`.
    pub trusted_proxies: IpSet,
    /// Limits of a connection and of a request.
    pub limits: Limits,
    /// How long requests in flight may take after SIGTERM.
    pub grace_period: Duration,
    /// Where this edge is; absent: unknown.
    pub region: Option<Region>,
    /// Its name in `CDN-Loop`; absent: one drawn at the start.
    pub node: Option<String>,
}

/// One TCP endpoint.
#[derive(Debug)]
pub struct Listener {
    /// Where to listen.
    pub address: SocketAddr,
    /// TLS, or plain HTTP when absent.
    pub tls: Option<Tls>,
    /// Networks that must send a PROXY protocol header; absent: no PROXY protocol.
    pub proxy_protocol: Option<Vec<IpNet>>,
}

/// TLS of a listener. Certificates are loaded and their keys proved to belong when the configuration is checked.
#[derive(Debug)]
pub struct Tls {
    /// Chain and key files, in the order written; the first is the default for clients without or with an unknown server name.
    pub certificates: Vec<Certificate>,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

/// A certificate chain and its key, read and parsed.
#[derive(Debug)]
pub struct Certificate {
    /// File of the PEM chain, leaf first.
    pub chain_file: PathBuf,
    /// File of the PEM key.
    pub key_file: PathBuf,
    /// PEM bytes of the chain.
    pub chain: Vec<u8>,
    /// PEM bytes of the key.
    pub key: Secret,
}

/// Limits of a connection and of a request.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the first byte of a connection (or the end of the last answer plus keep-alive) to the end of the request head.
    pub header_timeout: Duration,
    /// Idle time of a kept connection.
    pub keepalive_timeout: Duration,
    /// Between two reads of a request body.
    pub body_timeout: Duration,
    /// Between two writes of a response.
    pub write_timeout: Duration,
    /// Request target in bytes; more is 414.
    pub uri: u64,
    /// Request header section in bytes; more is 431.
    pub headers: u64,
    /// Request fields; more is 431.
    pub header_count: usize,
    /// Request body in bytes; more is 413.
    pub body: u64,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_ip: usize,
}

/// The admin listener.
#[derive(Debug)]
pub struct Admin {
    /// Loopback unless a token is set.
    pub address: SocketAddr,
    /// Bearer token; absent only on loopback.
    pub token: Option<Secret>,
}

/// A secret that prints as `[secret]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps the bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[secret]")
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// The access log.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// Where lines go.
    pub access: AccessLogTo,
    /// Share of the requests that are logged, 0.0 to 1.0; errors always are.
    pub sample: f64,
}

/// Where access log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogTo {
    /// Standard output.
    Stdout,
    /// A file, reopened on SIGUSR1.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// Cache sizes and defaults.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Bytes of the memory tier.
    pub memory: u64,
    /// The disk tier, if there is one.
    pub disk: Option<Disk>,
    /// Requests before an object is stored: 1 to 15.
    pub store_on_hit: u8,
    /// Media types that are stored on the first request anyway: `text/html`, in lower case.
    pub first_hit_types: Vec<String>,
    /// Lifetime where the origin says nothing; zero: not stored.
    pub default_max_age: Duration,
    /// Whether a lifetime is guessed from `Last-Modified` (RFC 9111 4.2.2).
    pub heuristic: bool,
    /// Whether `Cache-Control` of a client's request counts (RFC 9111 5.2.1).
    pub request_directives: bool,
    /// What becomes of answers with `Set-Cookie` and explicit freshness.
    pub set_cookie: SetCookie,
    /// Query mode of sites without a policy.
    pub query_string: QueryString,
    /// Whether a `no-cache` query parameter bypasses the cache on `adn`.
    pub no_cache_parameter: bool,
    /// Stale time after expiry while the origin cannot be reached.
    pub max_stale: Duration,
    /// Ways on from a failure, in order, for CDN URLs and for sites without an order of their own. `Servers` is the first; a way that
    /// is left out is not taken.
    pub failover_order: Vec<Way>,
    /// Largest object stored, in bytes.
    pub max_object: u64,
    /// Bytes above which an object is fetched in slices when a range of it is asked for; `None`: never.
    pub slice_from: Option<u64>,
    /// Bytes of one slice, 64 KiB to 64 MiB.
    pub slice_size: u64,
    /// Whether hits may be answered before the full workflow.
    pub hit_lane: bool,
    /// Stored variants of one object, 1 to 1024.
    pub variants: usize,
}

/// `cache.disk`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its directory; nobody else writes there.
    pub path: PathBuf,
    /// Bytes it may hold.
    pub size: u64,
}

/// `cache.set_cookie`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SetCookie {
    /// Do not store.
    #[default]
    Refuse,
    /// Store without the cookies.
    Strip,
    /// Store with the cookies.
    Store,
}

/// `query_string`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryString {
    /// Not in the key (standard-cache).
    #[default]
    Ignore,
    /// A request with a query bypasses the cache (no-cache).
    Bypass,
    /// The whole query is in the key (unique-cache, include-all).
    Unique,
}
