//! The small grammars that values are written in: durations, status sets, excluded statuses, wildcards, tokens.

pub mod duration;
pub(crate) mod geo;
pub(crate) mod host;
pub mod ip_set;
pub mod list;
pub(crate) mod query;
pub mod regex;
pub mod status_pattern;
pub mod status_set;
pub mod tokens;
pub mod wildcard;
mod wildcard_set;

pub use duration::DeltaTime;
pub use ip_set::IpSet;
pub use status_pattern::StatusPattern;
pub use status_set::StatusSet;
pub use tokens::Tokens;
pub use wildcard::Wildcard;
pub(crate) use wildcard_set::WildcardSet;

/// What is wrong with a value, as a clause that follows the name of the thing: `"1 day" is not a duration`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Invalid {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
