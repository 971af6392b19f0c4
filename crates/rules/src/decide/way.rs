//! The ways on from a failure, as `failover_order` names them.

use std::str::FromStr;

/// One place that a request may be answered from, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// Tiers between this edge and the origin: gateways or shields. Not part of `failover_order`: always before the servers.
    Parents,
    /// The origin's own servers.
    Servers,
    /// The backup origin.
    Backup,
    /// `site-failover`: a redirect, or the alternate site's content.
    SiteFailover,
    /// What is stored and expired.
    Stale,
}

impl Way {
    /// The order where none is configured.
    pub const DEFAULT_ORDER: [Self; 4] = [Self::Servers, Self::Backup, Self::SiteFailover, Self::Stale];

    /// The word in `failover_order`, logs and explanations.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Parents => "parents",
            Self::Servers => "servers",
            Self::Backup => "backup",
            Self::SiteFailover => "site_failover",
            Self::Stale => "stale",
        }
    }
}

impl FromStr for Way {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::DEFAULT_ORDER.into_iter().find(|way| way.word() == word).ok_or(())
    }
}
