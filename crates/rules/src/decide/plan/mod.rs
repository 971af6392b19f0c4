//! Which way a request goes on after an attempt failed. One function, asked after every failure; it knows nothing of
//! sockets or clocks. Sources: policy-language 5 and 7, delivery spec 1.5 to 1.7.
//!
//! ```text
//! parents -> servers -> what `failover_order` lists behind them: backup, site_failover, stale -> the failure itself
//! ```

use super::{FailoverKind, SiteFailover, Way};
use crate::grammar::StatusSet;

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// No connection, so not a byte of the request was sent: name, refusal, connect timeout, TLS. The client would get
    /// this status.
    Unsent(u16),
    /// The request was sent, and no whole response head came: too slow, broken off, not HTTP. The client would get this
    /// status.
    Unanswered(u16),
    /// The origin answered with this status.
    Status(u16),
}

/// What allows a request to be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// Doing it twice is doing it once (RFC 9110 9.2.2).
    pub idempotent: bool,
    /// Every byte of its body that was read is still there.
    pub whole: bool,
    /// It changes nothing and carries no body: GET, HEAD, OPTIONS.
    pub plain: bool,
}

/// What a backup origin takes over from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Triggers {
    /// Statuses that the origin really sent, exclusions left out.
    pub statuses: StatusSet,
    /// Every failure to get a response head, connecting included.
    pub unanswered: bool,
}

/// What a stored and expired answer is good for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stale {
    /// It may be served while the origin cannot be reached or does not answer.
    pub unreachable: bool,
    /// It may be served instead of a 5xx (RFC 5861 4).
    pub on_error: bool,
}

/// What stands ready for one request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ready<'a> {
    /// `failover_order`. Ways that it leaves out are not taken.
    pub order: &'a [Way],
    /// Another server of the way under way is left, within the time and the number of attempts.
    pub more: bool,
    /// The backup origin, unless it was asked already.
    pub backup: Option<Triggers>,
    /// The rules' `site-failover`.
    pub site_failover: Option<SiteFailover>,
    /// The stored answer.
    pub stale: Stale,
    /// The status of an earlier way's answer that was given up for this one.
    pub given_up: Option<u16>,
}

/// Where the request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// To another server of the same way.
    Again,
    /// Another way.
    Way(Way),
    /// Nowhere: the client gets the origin's own answer.
    Deliver,
    /// Nowhere: the client gets the edge's own error.
    Error(u16),
}

/// Decides where a request goes that failed `at` a way.
///
/// A status never leads to the next server, and never away from an answer that nothing else can replace. What was sent
/// goes elsewhere only if sending it twice is harmless and its body is whole.
#[must_use]
pub fn next(at: Way, failed: Failed, repeat: Repeat, ready: &Ready<'_>) -> Next {
    let may_repeat = match failed {
        // a body that was begun before the handshake was refused is as lost as any
        Failed::Unsent(_) => repeat.whole,
        Failed::Unanswered(_) | Failed::Status(_) => repeat.idempotent && repeat.whole,
    };
    let answered = matches!(failed, Failed::Status(_));
    if ready.more && !answered && may_repeat && at != Way::SiteFailover {
        return Next::Again;
    }
    if at == Way::Parents && !answered && may_repeat {
        return Next::Way(Way::Servers);
    }
    let status = would_be(at, failed, ready.given_up);
    let takes = |way: Way| match way {
        Way::Parents | Way::Servers => false,
        Way::Backup => {
            may_repeat
                && ready.backup.is_some_and(|on| match failed {
                    Failed::Unsent(_) | Failed::Unanswered(_) => on.unanswered,
                    Failed::Status(status) => on.statuses.contains(status),
                })
        }
        Way::SiteFailover => ready
            .site_failover
            .is_some_and(|to| to.statuses.contains(status) && (to.kind != FailoverKind::Alternate || repeat.plain)),
        // nothing that changes something was ever stored
        Way::Stale if !repeat.plain => false,
        Way::Stale if answered || ready.given_up.is_some() => ready.stale.on_error && status >= 500,
        Way::Stale => ready.stale.unreachable,
    };
    match behind(at, ready.order).iter().find(|way| takes(**way)) {
        Some(way) => Next::Way(*way),
        None if answered => Next::Deliver,
        None => Next::Error(status),
    }
}

/// The status that the client would get without any further way: an answer that was given up for a backup which could
/// then not be asked is truer than the edge's own error.
#[must_use]
pub fn would_be(at: Way, failed: Failed, given_up: Option<u16>) -> u16 {
    match (failed, given_up) {
        (Failed::Status(status), _) => status,
        (Failed::Unsent(_) | Failed::Unanswered(_), Some(status)) if at == Way::Backup => status,
        (Failed::Unsent(status) | Failed::Unanswered(status), _) => status,
    }
}

/// The ways behind this one. The servers stand first, also where a list forgets them; parents stand for them.
fn behind(at: Way, order: &[Way]) -> &[Way] {
    let at = if at == Way::Parents { Way::Servers } else { at };
    match order.iter().position(|way| *way == at) {
        Some(i) => order.get(i + 1..).unwrap_or_default(),
        None => order,
    }
}

#[cfg(test)]
mod tests;
