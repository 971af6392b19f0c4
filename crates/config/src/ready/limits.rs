//! Ready: rate limits. What was counted is not here: it outlives a configuration.

use std::sync::Arc;
use std::time::Duration;

use leeward_rules::Conditions;

/// How many requests a client may send in a time.
#[derive(Debug)]
pub struct RateLimit {
    /// Its name in the log and in metrics.
    pub name: String,
    /// Which requests count.
    pub conditions: Conditions,
    /// Who is counted for himself.
    pub key: LimitKey,
    /// Bits of an IPv6 address that tell clients apart, 1 to 128.
    pub ipv6_prefix: u8,
    /// Requests in `per`; one more is too many.
    pub requests: u64,
    /// The time in which they are counted.
    pub per: Duration,
    /// How long the client is refused then.
    pub penalty: Duration,
    /// What it gets.
    pub action: LimitAction,
    /// Whether it is refused, not only counted.
    pub enforce: bool,
    /// Stable hash of who and what is counted for how long: what was counted goes on under a new configuration with the same.
    pub counted_as: u64,
    /// The site that it is for; absent: all.
    pub(crate) site: Option<String>,
}

impl RateLimit {
    /// Whether it is for requests of this site.
    #[must_use]
    pub fn is_for(&self, site: &str) -> bool {
        self.site.as_deref().is_none_or(|own| own == site)
    }
}

/// Who is counted for himself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// Nobody: all clients together.
    None,
    /// Each address.
    Ip,
    /// Each `User-Agent` of each address.
    IpAndUserAgent,
    /// Each value of this field, lower case; without it each address.
    Header(String),
}

/// What a client gets that sends too many requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitAction {
    /// 503 or 429.
    Refuse {
        /// Status.
        status: u16,
        /// `Retry-After`; absent: what is left of the penalty.
        retry_after: Option<Duration>,
    },
    /// 302.
    Redirect(String),
    /// An answer of the operator's own.
    Custom(Arc<OwnAnswer>),
}

/// An answer of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAnswer {
    /// Status.
    pub status: u16,
    /// Fields.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}
