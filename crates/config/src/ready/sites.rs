//! Ready: sites, found by host.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Origin, QueryString};

/// Every site, indexed by host.
#[derive(Debug, Default)]
pub struct Sites {
    exact: HashMap<String, Arc<Site>, foldhash::fast::RandomState>,
    /// `*.example.com` under the key `example.com`.
    wildcard: HashMap<String, Arc<Site>, foldhash::fast::RandomState>,
    default: Option<Arc<Site>>,
}

impl Sites {
    /// Adds a site under its host pattern: exact, `*.example.com` or `*`.
    pub fn insert(&mut self, site: Arc<Site>) {
        let host = site.host.clone();
        if host == "*" {
            self.default = Some(site);
        } else if let Some(suffix) = host.strip_prefix("*.") {
            self.wildcard.insert(suffix.to_owned(), site);
        } else {
            self.exact.insert(host, site);
        }
    }
    /// The site for a host (lower case, no port): exact, then the longest wildcard, then the default.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&Arc<Site>> {
        if let Some(site) = self.exact.get(host) {
            return Some(site);
        }
        let mut rest = host;
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(site) = self.wildcard.get(suffix) {
                return Some(site);
            }
            rest = suffix;
        }
        self.default.as_ref()
    }
    /// All sites, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.exact.values().chain(self.wildcard.values()).chain(self.default.as_ref())
    }
}

/// An edge CNAME.
#[derive(Debug)]
pub struct Site {
    /// As written, lower case: `www.example.com`, `*.example.com` or `*`. Also the metric label.
    pub host: String,
    /// The policy's default origin.
    pub origin: Option<Arc<Origin>>,
    /// Prefix on the origin, without a trailing slash; empty: none.
    pub path: String,
    /// The compiled policy; empty when the site has none.
    pub policy: crate::awaited::Policy,
    /// Query mode where the policy sets none.
    pub query_string: QueryString,
    /// Origins that the policy names by `originDomain`, lower case.
    pub policy_origins: HashMap<String, Arc<Origin>>,
}
