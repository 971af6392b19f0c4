//! Ready: sites, found by host.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use leeward_rules::decide::{self, AccessMode, OriginChoice, OriginScheme, Way};
use leeward_rules::grammar::StatusSet;

use super::{Backup, Guard, Origin, QueryString, RateLimit};

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
    pub policy: leeward_rules::Policy,
    /// Query mode where the policy sets none.
    pub query_string: QueryString,
    /// Origins that the policy names by `originDomain`.
    pub policy_origins: PolicyOrigins,
    /// What an address list and a country list mean together.
    pub access_mode: AccessMode,
    /// The rate limits that may apply to its requests, in the order written.
    pub rate_limits: Vec<Arc<RateLimit>>,
    /// Ways on from a failure, in order: the site's own, else `cache.failover_order`. `Servers` is the first.
    pub failover_order: Vec<Way>,
    /// How requests are judged by the WAF; `None`: not at all.
    pub guard: Option<Arc<Guard>>,
}

/// The origins that a policy names: those of `origin` by domain, scheme and port, those of `origin-failover` by domain and exclusions.
#[derive(Debug, Default)]
pub struct PolicyOrigins {
    origins: HashMap<String, Arc<Origin>, foldhash::fast::RandomState>,
    backups: HashMap<String, Vec<(StatusSet, Backup)>, foldhash::fast::RandomState>,
}

impl PolicyOrigins {
    /// The origin that an `origin` behaviour of this policy means.
    #[must_use]
    pub fn get(&self, choice: &OriginChoice<'_>) -> Option<&Arc<Origin>> {
        self.origins.get(Self::name(choice).as_ref())
    }

    /// The backup origin that an `origin-failover` behaviour of this policy means.
    #[must_use]
    pub fn backup(&self, choice: &decide::Backup<'_>) -> Option<&Backup> {
        let of_domain = self.backups.get(choice.domain)?;
        of_domain.iter().find(|(exclude, _)| exclude == choice.exclude).map(|(_, backup)| backup)
    }

    pub(crate) fn insert(&mut self, choice: &OriginChoice<'_>, origin: Arc<Origin>) {
        self.origins.insert(Self::name(choice).into_owned(), origin);
    }

    pub(crate) fn insert_backup(&mut self, choice: &decide::Backup<'_>, backup: Backup) {
        let of_domain = self.backups.entry(choice.domain.to_owned()).or_default();
        if !of_domain.iter().any(|(exclude, _)| exclude == choice.exclude) {
            of_domain.push((*choice.exclude, backup));
        }
    }

    /// The domain, and what the behaviour says of scheme and port: also the name of an origin that only a policy names.
    #[must_use]
    pub fn name<'c>(choice: &OriginChoice<'c>) -> Cow<'c, str> {
        let scheme = match choice.scheme {
            OriginScheme::Http => "http://",
            OriginScheme::Https => "https://",
            OriginScheme::Match => "",
        };
        match choice.port {
            None if scheme.is_empty() => Cow::Borrowed(choice.domain),
            None => Cow::Owned(format!("{scheme}{}", choice.domain)),
            Some(port) => Cow::Owned(format!("{scheme}{}:{port}", choice.domain)),
        }
    }
}
