//! Written: `cache`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Size, Span};
use crate::ready::{QueryString, SetCookie};

/// The cache and its defaults.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Size of the memory tier.
    pub memory: Size,
    /// The disk tier; absent: memory only.
    pub disk: Option<Disk>,
    /// Requests for an object before it is stored: 1 stores the first.
    #[schemars(range(min = 1, max = 15))]
    pub store_on_hit: u32,
    /// Media types that are stored on the first request anyway: `text/html`, without parameters.
    pub first_hit_types: Vec<String>,
    /// Lifetime of a 200 to GET for which the origin gives no freshness (no Set-Cookie, request without Authorization); `0s`: not stored.
    pub default_max_age: Span,
    /// Lifetime guessed from Last-Modified (RFC 9111 4.2.2), for origins that give no other.
    pub heuristic: Heuristic,
    /// What becomes of answers with Set-Cookie and explicit freshness.
    pub set_cookie: SetCookie,
    /// Whether Cache-Control of a client's request counts.
    pub request_directives: RequestDirectives,
    /// What the query string is to the cache, for sites without a policy.
    pub query_string: QueryString,
    /// A `no-cache` query parameter bypasses the cache on the `adn` platform.
    pub no_cache_parameter: bool,
    /// How long after expiry an object may be served while the origin cannot be reached; never past must-revalidate.
    pub max_stale: Span,
    /// What is tried, in this order, for a request that is not answered from a fresh copy. `servers` comes first; a step that is left
    /// out is not taken.
    pub failover_order: Vec<FailoverStep>,
    /// Largest object stored.
    pub max_object: Size,
    /// Objects larger than this are fetched in slices when a range of them is asked for; `0B`: never.
    pub slice_from: Size,
    /// Size of one slice, 64KiB to 64MiB.
    pub slice_size: Size,
    /// Plain GETs for fresh objects in memory are answered before the full workflow, where rules and lists depend on the URL alone.
    pub hit_lane: bool,
    /// Stored variants of one object (Vary); a new one pushes out the one unused for longest.
    #[schemars(range(min = 1, max = 1024))]
    pub variants: u32,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            memory: Size::mib(512),
            disk: None,
            store_on_hit: 2,
            first_hit_types: Vec::new(),
            default_max_age: Span::days(7),
            heuristic: Heuristic::Off,
            set_cookie: SetCookie::Refuse,
            request_directives: RequestDirectives::Ignore,
            query_string: QueryString::Ignore,
            no_cache_parameter: true,
            max_stale: Span::mins(2),
            failover_order: vec![
                FailoverStep::Servers,
                FailoverStep::Backup,
                FailoverStep::SiteFailover,
                FailoverStep::Stale,
            ],
            max_object: Size::gib(5),
            slice_from: Size::mib(64),
            slice_size: Size::mib(4),
            hit_lane: true,
            variants: 32,
        }
    }
}

/// The disk tier.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Its directory.
    #[schemars(required)]
    pub path: Option<String>,
    /// Its size.
    #[schemars(required)]
    pub size: Option<Size>,
}

/// `cache.heuristic`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Heuristic {
    /// No guessing: `default_max_age` counts.
    Off,
    /// A tenth of the object's age.
    On,
}

/// `cache.request_directives`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestDirectives {
    /// The client's Cache-Control is not looked at.
    Ignore,
    /// RFC 9111 5.2.1.
    Honor,
}

/// One step of `failover_order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailoverStep {
    /// The origin's servers, one after another.
    Servers,
    /// The backup origin.
    Backup,
    /// The policy's `site-failover`.
    SiteFailover,
    /// The stored object after its expiry.
    Stale,
}
