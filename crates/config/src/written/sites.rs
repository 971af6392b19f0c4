//! Written: `sites`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AccessMode, FailoverStep, SiteWaf};
use crate::ready::QueryString;

/// A site (edge CNAME): what is served for a host.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["host"]))]
pub struct Site {
    /// The host: exact, `*.example.com` for all its subdomains, or `*` for every host that no other site has.
    pub host: Option<String>,
    /// Directory of the customer origin; also the policy's default origin. A policy that names its origins needs none.
    pub origin: Option<String>,
    /// Platform of that origin, where two platforms have the directory.
    pub platform: Option<crate::ready::Platform>,
    /// Prefix on the origin, such as `/photography`.
    pub path: Option<String>,
    /// File with a policy: the documented JSON, or the same in YAML.
    pub policy: Option<String>,
    /// The rules of a policy, written here.
    #[schemars(with = "Option<Vec<leeward_rules::written::Rule>>")]
    pub rules: Option<Vec<serde_json::Value>>,
    /// What the query string is to the cache; absent: `unique` with a policy, `cache.query_string` without.
    pub query_string: Option<QueryString>,
    /// What is tried, in this order, for a request that is not answered from a fresh copy; absent: `cache.failover_order`.
    pub failover_order: Option<Vec<FailoverStep>>,
    /// What an address list and a country list mean together; absent: the global `access_mode`.
    pub access_mode: Option<AccessMode>,
    /// The web application firewall, for this site.
    pub waf: Option<SiteWaf>,
}
