//! Stands in for `leeward_rules::Policy` until that crate has it.

/// A policy without rules.
#[derive(Debug, Default)]
pub struct Policy;

impl Policy {
    /// A policy without rules.
    #[must_use]
    pub fn empty() -> Self {
        Self
    }
}
