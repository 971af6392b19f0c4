//! The IP version setting of an origin: which records of a name are asked for, in which order.

use std::net::IpAddr;
use std::time::Duration;

use leeward_config::ready::IpVersion;

/// One kind of address record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Family {
    /// `A`
    V4,
    /// `AAAA`
    V6,
}

/// Which families may answer. Settings that ask the same questions share one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Families {
    V4,
    V6,
    V6ElseV4,
    V4ElseV6,
}

impl Families {
    pub(super) const COUNT: usize = 4;

    pub(super) const fn of(version: IpVersion) -> Self {
        match version {
            IpVersion::Default | IpVersion::V4Only => Self::V4,
            IpVersion::V6Only => Self::V6,
            IpVersion::V6Preferred => Self::V6ElseV4,
            IpVersion::V4Preferred => Self::V4ElseV6,
        }
    }

    /// What is asked first, and what when the first has no record (delivery spec 1.4). Only then: an error says nothing about
    /// records, and a fallback on errors would move an origin's traffic to other machines whenever a resolver hiccups.
    pub(super) const fn order(self) -> (Family, Option<Family>) {
        match self {
            Self::V4 => (Family::V4, None),
            Self::V6 => (Family::V6, None),
            Self::V6ElseV4 => (Family::V6, Some(Family::V4)),
            Self::V4ElseV6 => (Family::V4, Some(Family::V6)),
        }
    }
}

/// What one question about a name came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// At least one address.
    Found {
        /// Sorted, none twice.
        addresses: Vec<IpAddr>,
        /// How long the answer says that it holds.
        ttl: Duration,
    },
    /// A server answered that there is no such name or no such record of it.
    NoRecord(String),
    /// Nobody answered, or with an error: nothing is known about the name.
    Failed(String),
}
