//! What a rule with a match may be kept under, so that only rules are tried that can apply.

use ipnet::IpNet;
use smallvec::SmallVec;

use crate::grammar::geo::GeoCode;

/// One key for each token of a match.
pub(crate) type Keys<'a> = SmallVec<[Key<'a>; 4]>;

/// One thing about a request that a rule may be kept under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key<'a> {
    /// The whole path.
    Exact(&'a str),
    /// What the path begins with.
    Prefix(&'a str),
    Filename(&'a str),
    Host(&'a str),
    /// The first component of the path.
    First(&'a str),
    /// What follows the last dot of the filename.
    Tail(&'a str),
    /// A header field, cookie or query parameter of this name, with this value if one is given.
    Field(Carrier, &'a [u8], Option<&'a [u8]>),
    /// A network that the client is in.
    Network(IpNet),
    /// A place that the client is in.
    Place(GeoCode),
}

impl Key<'_> {
    /// Between keys that are equally rare: the one that usually tells more.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Exact(_) => 0,
            Self::Filename(_) => 1,
            Self::Prefix(_) => 2,
            Self::Host(_) => 3,
            Self::First(_) => 4,
            Self::Tail(_) => 5,
            Self::Field(..) => 6,
            Self::Network(_) => 7,
            Self::Place(_) => 8,
        }
    }

    /// Whether it is looked up at a cost of its own.
    pub(crate) fn is_costly(&self) -> bool {
        matches!(self, Self::Field(..) | Self::Network(_) | Self::Place(_))
    }
}

/// What carries names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Carrier {
    Header,
    Cookie,
    /// A query parameter, decoded.
    Parameter,
}
