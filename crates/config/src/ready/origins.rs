//! Ready: origins and their servers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Backup, CountryFilters, Platform, Secret, Shield};
use crate::written;

/// A customer origin. The default has no name and no servers, and the default of every key.
#[derive(Debug, Default, PartialEq)]
pub struct Origin {
    /// Stable name for logs and metrics: the directory, or the domain for an origin that only a policy names.
    pub name: String,
    /// Directory of CDN URLs; absent for an origin that only a policy names.
    pub directory: Option<String>,
    /// Platform.
    pub platform: Platform,
    /// Servers for clients on plain HTTP.
    pub http: Option<Servers>,
    /// Servers for clients on HTTPS.
    pub https: Option<Servers>,
    /// `Host` towards the origin; absent: the client's.
    pub host_header: Option<String>,
    /// Which addresses of a server's name are used.
    pub ip_version: IpVersion,
    /// Whether names may lead to this machine, its link or a metadata service.
    pub allow_private: bool,
    /// Timeouts towards the origin.
    pub timeouts: Timeouts,
    /// How long a server that cannot be reached is left alone.
    pub unavailable: Unavailable,
    /// Whom to ask when this origin fails; absent: nobody. A backup's own origin has none.
    pub backup: Option<Backup>,
    /// TLS towards the origin.
    pub tls: OriginTls,
    /// Whether WebSocket connections are let through.
    pub websocket: bool,
    /// Whether redirects of the origin to configured hosts are followed.
    pub follow_redirects: bool,
    /// What every server must answer with 200 when asked to prove itself.
    pub validation: Option<Validation>,
    /// Active checks of the servers; absent: only requests tell.
    pub health_check: Option<HealthCheck>,
    /// The tier that is asked before the servers; absent: none. The origins of a tier have none.
    pub shield: Option<Shield>,
    /// Which countries may fetch what; absent: every country everything.
    pub countries: Option<Arc<CountryFilters>>,
    /// Stable hash of what connections must not be shared over: name, servers, Host, TLS with the bytes of own authorities and of the
    /// client certificate. Connections are pooled by it, turns, health and parsed authorities are kept by it, over reloads.
    pub group_key: u64,
}

/// Servers of one scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// In the order written, at least one.
    pub servers: Vec<OriginServer>,
    /// How one is chosen.
    pub balance: Balance,
}

/// One origin server as written: `http://10.0.0.1:80`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginServer {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Name or literal address (IPv6 without brackets).
    pub host: String,
    /// Port.
    pub port: u16,
}

impl OriginServer {
    /// As written: `http://10.0.0.1:80`. Made by hand, because every attempt is counted and logged under it.
    #[must_use]
    pub fn label(&self) -> String {
        let (scheme, bracketed) = (if self.tls { "https://" } else { "http://" }, self.host.contains(':'));
        let mut label = String::with_capacity(scheme.len() + self.host.len() + "[]:65535".len());
        label.push_str(scheme);
        if bracketed {
            label.push('[');
        }
        label.push_str(&self.host);
        label.push_str(if bracketed { "]:" } else { ":" });
        let mut part = 10_000;
        while part > 0 {
            // without leading zeros
            if self.port >= part || part == 1 {
                label.push(char::from(b'0' + u8::try_from(self.port / part % 10).unwrap_or_default()));
            }
            part /= 10;
        }
        label
    }
}

/// As written: `http://10.0.0.1:80`.
impl std::fmt::Display for OriginServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.label())
    }
}

/// How a server is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// Spread over all.
    #[default]
    RoundRobin,
    /// The first that answers.
    PrimaryFailover,
}

/// Timeouts towards an origin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// From the end of the request to the response head.
    pub first_byte: Duration,
    /// Between two reads of the body.
    pub between_bytes: Duration,
}

impl From<&written::Timeouts> for Timeouts {
    fn from(written: &written::Timeouts) -> Self {
        Self { connect: written.connect.0, first_byte: written.first_byte.0, between_bytes: written.between_bytes.0 }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::from(&written::Timeouts::default())
    }
}

/// Which addresses of a name are used, `ip_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IpVersion {
    /// IPv4, today.
    #[default]
    Default,
    /// IPv6, IPv4 where a name has no IPv6 address.
    V6Preferred,
    /// IPv4, IPv6 where a name has no IPv4 address.
    V4Preferred,
    /// IPv4 only.
    V4Only,
    /// IPv6 only.
    V6Only,
}

/// How long a server that cannot be reached is left alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unavailable {
    /// The first time; above zero.
    pub first: Duration,
    /// Each further time is this many times longer; 1 to 10.
    pub factor: f64,
    /// The longest time; not below the first.
    pub max: Duration,
}

impl From<&written::Unavailable> for Unavailable {
    fn from(written: &written::Unavailable) -> Self {
        Self { first: written.first.0, factor: written.factor, max: written.max.0 }
    }
}

impl Default for Unavailable {
    fn default() -> Self {
        Self::from(&written::Unavailable::default())
    }
}

/// A small object that every server must answer with 200, `validation_path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// As written.
    pub url: String,
    /// Whether it is an `https` URL: then the servers of `https` are asked. There are some.
    pub tls: bool,
    /// Host of the request, lower case, with a port if one is written.
    pub authority: String,
    /// Path and query, at least `/`.
    pub path: String,
}

/// Active checks of an origin's servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Path and query of a GET that must be answered with a status below 400; absent: a TCP connection is enough.
    pub path: Option<String>,
    /// From one check to the next.
    pub interval: Duration,
    /// The longest time for one check.
    pub timeout: Duration,
    /// Failures one after another that make a server unavailable, at least 1.
    pub failures: u32,
}

/// TLS towards an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginTls {
    /// Chain and name are verified.
    pub verify: bool,
    /// Server name sent and verified; absent: `host_header`, else the server's name, or for an address the Host that is sent.
    pub sni: Option<String>,
    /// DER certificates of the own CA, parsed when the configuration was checked; empty: the system's.
    pub ca: Vec<Vec<u8>>,
    /// What the edge proves itself with; absent: nothing.
    pub client: Option<ClientCertificate>,
}

/// A certificate for servers that ask their clients for one, proved to belong to its key when the configuration was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// DER, the certificate first, then its intermediates; at least one.
    pub chain: Vec<Vec<u8>>,
    /// DER of the private key: PKCS #8, PKCS #1 or SEC 1, which `rustls` tells apart.
    pub key: Secret,
}

impl Default for OriginTls {
    fn default() -> Self {
        Self { verify: true, sni: None, ca: Vec::new(), client: None }
    }
}

/// Origins by platform and directory.
#[derive(Debug, Default)]
pub struct Directories([HashMap<String, Arc<Origin>, RandomState>; Platform::ALL.len()]);

impl Directories {
    /// Adds an origin under its directory; one without has no CDN URL.
    pub fn insert(&mut self, origin: &Arc<Origin>) {
        if let (Some(by_name), Some(directory)) = (self.0.get_mut(origin.platform as usize), &origin.directory) {
            by_name.insert(directory.clone(), Arc::clone(origin));
        }
    }

    /// The origin of a directory; the case of its name counts (delivery spec 0).
    #[must_use]
    pub fn find(&self, platform: Platform, directory: &str) -> Option<&Arc<Origin>> {
        self.0.get(platform as usize)?.get(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_as_it_is_written() {
        for (tls, host, port, want) in [
            (false, "10.0.0.1", 80, "http://10.0.0.1:80"),
            (true, "origin.example.net", 443, "https://origin.example.net:443"),
            (true, "2001:db8::1", 8443, "https://[2001:db8::1]:8443"),
            (false, "a", 0, "http://a:0"),
            (false, "a", 9, "http://a:9"),
            (false, "a", 10, "http://a:10"),
            (false, "a", 65535, "http://a:65535"),
            (false, "a", 10001, "http://a:10001"),
            (false, "a", 500, "http://a:500"),
        ] {
            let server = OriginServer { tls, host: host.to_owned(), port };
            assert_eq!((server.label(), server.to_string()), (want.to_owned(), want.to_owned()));
        }
    }
}
