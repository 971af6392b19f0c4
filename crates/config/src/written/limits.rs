//! Written: `rate_limits`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// How many requests a client may send in a time. Requests that the cache answers count like all others.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "requests", "per"]))]
pub struct RateLimit {
    /// Its name in the log and in metrics; each once.
    pub name: Option<String>,
    /// The site that it is for, as written there; absent: all of them, and CDN URLs.
    pub site: Option<String>,
    /// Which requests count, as in a policy; all must hold. Absent: every one.
    #[schemars(with = "Vec<leeward_rules::written::Match>")]
    pub matches: Vec<serde_json::Value>,
    /// Who is counted for himself: `ip`, `ip_and_user_agent`, `header:NAME` (by address where it is missing), or `none`: all
    /// clients together.
    pub key: String,
    /// Bits of an IPv6 address that tell clients apart.
    pub ipv6_prefix: u8,
    /// Requests in `per`; one more is too many.
    pub requests: Option<u64>,
    /// The time in which they are counted.
    pub per: Option<Span>,
    /// How long the client is refused then. Meanwhile its requests are not counted.
    pub penalty: Span,
    /// What the client gets.
    pub action: LimitAction,
    /// Whether it is refused at all.
    pub mode: LimitMode,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            name: None,
            site: None,
            matches: Vec::new(),
            key: "ip".to_owned(),
            ipv6_prefix: 64,
            requests: None,
            per: None,
            penalty: Span::secs(10),
            action: LimitAction::default(),
            mode: LimitMode::Enforce,
        }
    }
}

/// What a client gets that sends too many requests: a status with `Retry-After`, a redirect, or an answer of one's own.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitAction {
    /// 503 when absent; also 429, and with `headers` or `body` any of 200, 4xx and 5xx.
    pub status: Option<u16>,
    /// `Retry-After` of a 503 or 429; absent: what is left of the penalty.
    pub retry_after: Option<Span>,
    /// Where to, with 302 in place of `status`.
    pub redirect: Option<String>,
    /// Fields of an answer of one's own.
    pub headers: BTreeMap<String, String>,
    /// Body of an answer of one's own.
    pub body: Option<String>,
}

/// `rate_limits.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitMode {
    /// Clients above the limit are refused.
    Enforce,
    /// They are only counted, in `leeward_rate_limited_total`.
    Detect,
}
