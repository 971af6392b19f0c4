//! The written form of the configuration: what people type, one type for each section. The doc comments are the reference
//! and become the descriptions of the JSON Schema. Every key of the contract is here, enforced or not (`unsupported.rs`
//! says which are not). Whatever may be absent has its default here and nowhere else.

mod cache;
mod geo;
mod limits;
mod origins;
mod secret;
mod security;
mod server;
mod shield;
mod sites;
mod tokens;
mod units;
mod waf;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cache::{Cache, Disk, FailoverStep, Heuristic, RequestDirectives};
pub use geo::{AccessMode, CountryFilter, FilterAction, Geo};
pub use limits::{LimitAction, LimitMode, RateLimit};
pub use origins::{Backup, HealthCheck, Origin, OriginTls, Servers, Timeouts, Unavailable};
pub use secret::Secret;
pub use security::Addresses;
pub use server::{Admin, Certificate, Debug, Dns, Limits, Listener, Log, ProxyProtocol, Server, Tls};
pub use shield::{Pop, Pops, Shield};
pub use sites::Site;
pub use tokens::{Denial, PlatformTokens, TokenAuth, TokenDirectory, TokenVersion};
pub use units::{MAX_SPAN, Size, Span};
pub use waf::{SiteWaf, Waf, WafExclusion, WafGuard, WafInspect, WafMode, WafOverLimit, WafOverload};

use crate::ready::Platform;

/// The configuration of a Leeward edge server. Only `origins` and `sites` are needed.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "leeward.yaml")]
pub struct Configuration {
    /// Account number of CDN URLs: `http://<cdn host>/80<account>/<directory>/<path>`. Four letters or digits at least.
    pub account: String,
    /// Hosts that answer CDN URLs, and the platform each one speaks for.
    pub cdn_hosts: BTreeMap<String, Platform>,
    /// Listeners, limits, threads.
    pub server: Server,
    /// The admin listener: metrics, health, reload.
    pub admin: Admin,
    /// The access log.
    pub log: Log,
    /// Who answers for names of origin servers.
    pub dns: Dns,
    /// Where countries of client addresses come from.
    pub geo: Geo,
    /// The cache and its defaults.
    pub cache: Cache,
    /// Customer origins, at most 100 a platform.
    pub origins: Vec<Origin>,
    /// Sites (edge CNAMEs), one a host.
    pub sites: Vec<Site>,
    /// Countries that may or may not fetch from a directory.
    pub country_filters: Vec<CountryFilter>,
    /// Tokens asked for by directory.
    pub token_auth: Option<TokenAuth>,
    /// Address blocks that customers let through their firewalls.
    pub addresses: Addresses,
    /// How many requests a client may send in a time.
    pub rate_limits: Vec<RateLimit>,
    /// What an address list and a country list mean together; absent: `exempt`, with a warning where a policy has both.
    pub access_mode: Option<AccessMode>,
    /// The web application firewall.
    pub waf: Waf,
    /// Answers that say how they came about, for who knows the secret.
    pub debug: Debug,
    /// More files with `origins`, `sites`, `country_filters` and `rate_limits`; `*` stands for any part of a file name.
    pub include: Vec<String>,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            account: "0001".to_owned(),
            cdn_hosts: BTreeMap::new(),
            server: Server::default(),
            admin: Admin::default(),
            log: Log::default(),
            dns: Dns::default(),
            geo: Geo::default(),
            cache: Cache::default(),
            origins: Vec::new(),
            sites: Vec::new(),
            country_filters: Vec::new(),
            token_auth: None,
            addresses: Addresses::default(),
            rate_limits: Vec::new(),
            access_mode: None,
            waf: Waf::default(),
            debug: Debug::default(),
            include: Vec::new(),
        }
    }
}
