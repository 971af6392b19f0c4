//! Written: `origins`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Shield;
use super::{Certificate, Span};
use crate::ready::{Balance, IpVersion, Platform};

/// A customer origin. At least one of `http` and `https` is needed.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["directory"]))]
pub struct Origin {
    /// Its name, and its directory in CDN URLs. Letters and digits, case-sensitive, unique within its platform.
    pub directory: Option<String>,
    /// Its platform.
    pub platform: Platform,
    /// Servers for clients on plain HTTP; absent: such requests cannot be served.
    pub http: Option<Servers>,
    /// Servers for clients on HTTPS; absent: such requests cannot be served.
    pub https: Option<Servers>,
    /// Host sent to the origin, with a port if it needs one; absent: the client's Host.
    pub host_header: Option<String>,
    /// Which addresses of a server's name are used.
    pub ip_version: IpVersion,
    /// Let names of servers lead to this machine, its link or a cloud's metadata service (127.0.0.0/8, 169.254.0.0/16, `::1`, `fe80::/10`
    /// and the like). Addresses that are written out, and `localhost`, are always allowed. It holds for its backup, its shield, and the domains that the rules of its sites
    /// name, too.
    pub allow_private: bool,
    /// Timeouts towards the origin.
    pub timeouts: Timeouts,
    /// How long a server that cannot be reached is left alone.
    pub unavailable: Unavailable,
    /// A server to ask when this origin fails.
    pub backup: Option<Backup>,
    /// TLS towards the origin.
    pub tls: OriginTls,
    /// Let WebSocket connections through, to the backup as well.
    pub websocket: bool,
    /// Follow redirects of the origin to hosts that are configured here, instead of passing them on; not on `adn` and `can`.
    pub follow_redirects: bool,
    /// URL of a small object that every server of its scheme must answer with 200. Its host should be `host_header`.
    pub validation_path: Option<String>,
    /// Ask every server from time to time; absent: only requests tell which server can be reached.
    pub health_check: Option<HealthCheck>,
    /// Tiers between this server and the origin.
    pub shield: Shield,
}

/// Servers of one scheme.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Servers {
    /// In order of preference, all with the scheme of the list: `http://10.0.0.1:80`, `https://origin.example.net`.
    #[schemars(required)]
    pub servers: Option<Vec<String>>,
    /// How one is chosen.
    #[serde(default)]
    pub balance: Balance,
}

/// Timeouts towards the origin.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// TCP and TLS together.
    pub connect: Span,
    /// From the end of the request to the response head.
    pub first_byte: Span,
    /// Between two reads of the response body.
    pub between_bytes: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Span::secs(2), first_byte: Span::secs(15), between_bytes: Span::secs(15) }
    }
}

/// How long a server that cannot be reached is left alone.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Unavailable {
    /// The first time.
    pub first: Span,
    /// Each further time is this many times longer.
    #[schemars(range(min = 1.0, max = 10.0))]
    pub factor: f64,
    /// The longest time.
    pub max: Span,
}

impl Default for Unavailable {
    fn default() -> Self {
        Self { first: Span::secs(5), factor: 1.5, max: Span::secs(60) }
    }
}

/// A server to ask when an origin fails.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["server"]))]
pub struct Backup {
    /// The server, for clients on plain HTTP and on HTTPS: `https://backup.example.net`.
    pub server: Option<String>,
    /// Host sent to it; absent: the client's Host.
    pub host_header: Option<String>,
    /// When it is asked: statuses (`503`, `50x`, `5xx`, `502:504`) and `timeout`, which is every failure to get a response head.
    pub on: Vec<String>,
    /// Statuses that are passed on instead (`403`, `40x`, `4*`).
    pub exclude: Vec<String>,
    /// TLS towards it. Nothing is taken from the origin's.
    pub tls: OriginTls,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            server: None,
            host_header: None,
            on: ["4xx", "5xx", "timeout"].map(str::to_owned).to_vec(),
            exclude: Vec::new(),
            tls: OriginTls::default(),
        }
    }
}

/// Active checks of an origin's servers.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthCheck {
    /// Path of a GET that must be answered with a status below 400; absent: a TCP connection is enough.
    pub path: Option<String>,
    /// From one check to the next.
    pub interval: Span,
    /// The longest time for one check.
    pub timeout: Span,
    /// Failures one after another that make a server unavailable.
    #[schemars(range(min = 1))]
    pub failures: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { path: None, interval: Span::secs(5), timeout: Span::secs(2), failures: 2 }
    }
}

/// TLS towards the origin.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OriginTls {
    /// Verify the origin's certificate and its name.
    pub verify: bool,
    /// Server name sent and verified; absent: `host_header`, else the server's name, or for an address the Host that is sent.
    pub sni: Option<String>,
    /// PEM file of the certificate authorities to trust instead of the system's.
    pub ca: Option<String>,
    /// What is shown to a server that asks its clients for a certificate.
    pub client_certificate: Option<Certificate>,
}

impl Default for OriginTls {
    fn default() -> Self {
        Self { verify: true, sni: None, ca: None, client_certificate: None }
    }
}
