//! Ready: backup origins.

use std::sync::Arc;

use leeward_rules::grammar::StatusSet;

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

/// What makes a request go to the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Triggers {
    /// Statuses that the origin really sent: those listed without those excluded.
    pub statuses: StatusSet,
    /// Every failure to get a response head: no address, refused, TLS, timeout, reset, malformed.
    pub unanswered: bool,
}
