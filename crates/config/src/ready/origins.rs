//! Ready: origins and their servers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Platform;
use crate::written;

/// A customer origin.
#[derive(Debug)]
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
    /// Timeouts towards the origin.
    pub timeouts: Timeouts,
    /// TLS towards the origin.
    pub tls: OriginTls,
    /// Stable hash of everything but the timeouts, the bytes of its own authorities included: connections are pooled by it, turns and
    /// parsed authorities are kept by it, over reloads.
    pub group_key: u64,
}

/// Servers of one scheme.
#[derive(Debug)]
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

/// As written: `http://10.0.0.1:80`.
impl std::fmt::Display for OriginServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}", self.host, self.port)
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

/// TLS towards an origin.
#[derive(Debug, Clone)]
pub struct OriginTls {
    /// Chain and name are verified.
    pub verify: bool,
    /// Server name sent and verified; absent: `host_header`, else the server's name, or for an address the Host that is sent.
    pub sni: Option<String>,
    /// DER certificates of the own CA, parsed when the configuration was checked; empty: the system's.
    pub ca: Vec<Vec<u8>>,
}

impl Default for OriginTls {
    fn default() -> Self {
        Self { verify: true, sni: None, ca: Vec::new() }
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
