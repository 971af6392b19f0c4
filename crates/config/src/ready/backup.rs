//! Ready: backup origins.

use std::sync::Arc;

pub use leeward_rules::decide::plan::Triggers;

use super::Origin;

/// Whom to ask when an origin fails, and when.
#[derive(Debug, Clone)]
pub struct Backup {
    /// The backup itself: the same servers whatever the client's scheme for a configured one; a backup that it has of its own is not
    /// asked. Without a `host_header` it sees the client's Host.
    pub origin: Arc<Origin>,
    /// What counts as a failure.
    pub on: Triggers,
}
