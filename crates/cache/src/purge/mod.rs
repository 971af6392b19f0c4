//! Purges: what must not be served any more, from the moment that a purge is acknowledged.
//!
//! Nothing is searched for when something is purged. A purge is a rule with a [`Sequence`]; a stored object has a [`Stamp`] with
//! the sequence at which its origin was asked, and the [`Labels`] by which it can be named. An object that was asked for before
//! a rule that names it is [`Gone`](Verdict::Gone) (or stale, for a soft purge), wherever it is: in a tier, or on its way into one.
//! A sweep frees the space later.

mod journal;
mod labels;
mod ledger;
mod name;
mod rules;
mod trie;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use labels::{Labels, MAX_TAG, MAX_TAGS, Names};
pub use ledger::{Ledger, OpenError, RecordError, Sweep};

/// When something happened: microseconds since 1970, never the same or less than before, also when the clock steps back and
/// after a restart. It may be minutes ahead of the clock after a crash.
pub type Sequence = u64;

/// Rules in force at once. Beyond it purges are refused until a sweep has done away with older ones.
pub const MAX_RULES: usize = 1 << 19;
/// A rule outlives every fill that began before it: none takes longer than this.
pub const LONGEST_FILL: Duration = Duration::from_secs(3600);
/// What was purged softly and not asked for in this time is gone.
pub const SOFT_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// When an object's origin was asked, and what the object can be named by. It stands in the meta's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// From [`Ledger::sequence`], before the origin was asked.
    pub sequence: Sequence,
    /// Its names.
    pub labels: Arc<Labels>,
}

/// What the purges say about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No purge is about it.
    Stands,
    /// Purged softly: stale since then, to be asked for again, but better than nothing.
    Stale(SystemTime),
    /// Purged: as if it had never been stored.
    Gone,
}

/// Which of an object's two addresses a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Host component and path of the key.
    Key,
    /// Host and path of the request that stored it.
    Client,
}

impl Side {
    fn code(self) -> u8 {
        match self {
            Self::Key => b'k',
            Self::Client => b'c',
        }
    }
}

/// Objects to purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// One path in all schemes and variants.
    Url {
        /// Which address.
        side: Side,
        /// Its host.
        host: String,
        /// Its path.
        path: String,
        /// The part of the query that is in the key; absent: whatever it is.
        query: Option<Vec<u8>>,
    },
    /// Every path that begins so, letter for letter.
    Prefix {
        /// Which address.
        side: Side,
        /// Its host.
        host: String,
        /// What the path begins with.
        path: String,
    },
    /// Everything of a host.
    Host {
        /// Which address.
        side: Side,
        /// The host.
        host: String,
    },
    /// Everything with a tag.
    Tag(String),
    /// Everything.
    Everything,
}

/// What a name in the ledger is about. The numbers are on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Everything,
    Url,
    Query,
    Prefix,
    Host,
    Tag,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Everything, Self::Url, Self::Query, Self::Prefix, Self::Host, Self::Tag];

    fn code(self) -> u8 {
        match self {
            Self::Everything => 1,
            Self::Url => 2,
            Self::Query => 3,
            Self::Prefix => 4,
            Self::Host => 5,
            Self::Tag => 6,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl Rule {
    /// Name, kind, and the length of a prefix.
    fn named(&self) -> (u128, Kind, u32) {
        match self {
            Self::Url { side, host, path, query } => {
                let name = name::url(*side, host.as_bytes(), path.as_bytes(), query.as_deref());
                (name, if query.is_some() { Kind::Query } else { Kind::Url }, 0)
            }
            Self::Prefix { side, host, path } => {
                let name = name::Prefixes::new(*side, host.as_bytes(), path.as_bytes()).upto(path.len());
                (name.unwrap_or_default(), Kind::Prefix, u32::try_from(path.len()).unwrap_or(u32::MAX))
            }
            Self::Host { side, host } => (name::host(*side, host.as_bytes()), Kind::Host, 0),
            Self::Tag(tag) => (name::tag(tag.as_bytes()), Kind::Tag, 0),
            Self::Everything => (0, Kind::Everything, 0),
        }
    }
}

/// Rules that take effect together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purge {
    /// The objects become stale instead of being gone.
    pub soft: bool,
    /// What is purged.
    pub rules: Vec<Rule>,
}
