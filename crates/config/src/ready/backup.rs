//! Ready: backup origins.

use std::sync::Arc;

pub use leeward_rules::decide::plan::Triggers;

use super::Origin;

/// Whom to ask when an origin fails, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// The backup itself. One of the `backup` key has one server, the same for both schemes of clients, and no backup of its own; one of
    /// `origin-failover` may be another configured origin, whose own backup is not asked. Without a `host_header` it sees the client's
    /// Host.
    pub origin: Arc<Origin>,
    /// What counts as a failure.
    pub on: Triggers,
}
