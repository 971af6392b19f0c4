//! Where a failed attempt leads: the facts for `decide::plan`, and its decision kept for the hooks that carry it out.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::Method;
use leeward_cache::freshness;
use leeward_config::ready::{Backup, Origin, Timeouts};
use leeward_origin::Failure;
use leeward_origin::walk::Leg;
use leeward_rules::decide::plan::{self, Failed, Next, Ready, Repeat, Stale};
use leeward_rules::decide::{self, FailoverKind, Way};
use leeward_telemetry::access_log::Failover;
use leeward_telemetry::{AttemptResult, FailoverTo, Reason};
use pingora_cache::CacheMeta;
use pingora_proxy::Session;

use super::collapsed::Outcome;
use crate::context::{Context, Route};
use crate::phase::failover;
use crate::proxy::Leeward;

/// Where the last failure leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Onward {
    /// The way.
    pub(crate) next: Next,
    /// What the client would get without it.
    pub(crate) status: u16,
    /// Why.
    pub(crate) reason: Reason,
}

impl Onward {
    /// Whether another attempt is made, as against an answer that is written where nothing was sent yet.
    pub(crate) const fn attempts(self, ctx_alternate: bool) -> bool {
        match self.next {
            Next::Again | Next::Way(Way::Parents | Way::Servers | Way::Backup) => true,
            Next::Way(Way::SiteFailover) => ctx_alternate,
            Next::Way(Way::Stale) | Next::Deliver | Next::Error(_) => false,
        }
    }
}

/// Decides where a failed attempt leads, and keeps it. Returns whether another attempt is made.
pub(super) fn decide(edge: &Leeward, session: &Session, ctx: &mut Context, failure: &Failure) -> bool {
    let more = has_more(edge, ctx);
    settle(edge, session, ctx, failure, more)
}

/// Decides where a way leads that no attempt is left on.
pub(super) fn leave(edge: &Leeward, session: &Session, ctx: &mut Context, failure: &Failure) {
    settle(edge, session, ctx, failure, false);
}

fn settle(edge: &Leeward, session: &Session, ctx: &mut Context, failure: &Failure, more: bool) -> bool {
    ctx.fetch.onward = None;
    let Some(failed) = failed(failure, ctx.lookup.must_revalidate) else { return false };
    let onward = ask(session, ctx, failed, failure.reason, more);
    keep(edge, ctx, onward, failed)
}

/// The decision alone. `more`: another server of the way under way is left.
pub(super) fn ask(session: &Session, ctx: &Context, failed: Failed, reason: Reason, more: bool) -> Onward {
    let at = ctx.fetch.walk.as_ref().map_or(Way::Servers, |walk| walk.way);
    let ready = Ready { more, ..ready(session, ctx) };
    let next = plan::next(at, failed, repeat(session), &ready);
    Onward { next, status: plan::would_be(at, failed, ready.given_up), reason }
}

/// What the decision means for the rest of the request.
fn keep(edge: &Leeward, ctx: &mut Context, onward: Onward, failed: Failed) -> bool {
    let Onward { next, status, reason } = onward;
    ctx.fetch.onward = Some(onward);
    // a parent that reached no origin speaks for all who wait, as if the edge had not reached it
    let (shared, delivered) = match failed {
        Failed::Status(status) if ctx.fetch.parent_failed => (Failed::Unsent(status), false),
        failed => (failed, next == Next::Deliver),
    };
    if !delivered && !matches!(next, Next::Again | Next::Way(Way::Servers | Way::Backup)) {
        edge.collapsed.record(ctx, shared, reason);
    }
    let to = match next {
        Next::Again => FailoverTo::Server,
        Next::Way(Way::Servers) => FailoverTo::Direct,
        Next::Way(Way::Backup) => FailoverTo::Backup,
        _ => return onward.attempts(alternate_is_next(ctx)),
    };
    if let (Next::Way(Way::Backup), Failed::Status(status)) = (next, failed) {
        ctx.fetch.given_up = Some(status);
    }
    if to != FailoverTo::Server {
        ctx.failover = Some(Failover { to, status, reason, url: None, alternate_status: None });
    }
    if let Some(route) = &ctx.route {
        edge.metrics.failover(route.label.as_str(), to, reason);
    }
    true
}

fn failed(failure: &Failure, must_revalidate: bool) -> Option<Failed> {
    // what the edge decided by itself is no failure of an origin
    if matches!(failure.reason, Reason::Internal | Reason::NoOrigin | Reason::Client | Reason::BodyTooLarge) {
        return None;
    }
    // what was stored and must be confirmed cannot be: 504, whatever kept the origin from answering (RFC 9111 5.2.2.2)
    let status = if must_revalidate { 504 } else { failure.status };
    Some(match failure.result {
        AttemptResult::Connect => Failed::Unsent(status),
        AttemptResult::Status => Failed::Status(failure.status),
        _ => Failed::Unanswered(status),
    })
}

fn repeat(session: &Session) -> Repeat {
    let request = session.req_header();
    Repeat {
        idempotent: request.method.is_idempotent(),
        whole: !session.as_ref().retry_buffer_truncated(),
        plain: is_plain(request),
    }
}

/// Changes nothing and carries no body.
pub(crate) fn is_plain(request: &pingora::http::RequestHeader) -> bool {
    matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS) && !failover::has_body(request)
}

/// Whether the way under way has another server that may be asked now.
fn has_more(edge: &Leeward, ctx: &Context) -> bool {
    let now = Instant::now();
    let Some(walk) = ctx.fetch.walk.as_ref().filter(|_| !ctx.fetch.shared_failure) else { return false };
    let open = |_: &_, address| edge.health.next_trial(&walk.origin, address).is_none_or(|due| due <= now);
    walk.more(&open, now)
}

/// Everything that could answer the request besides the way under way.
fn ready<'c>(session: &Session, ctx: &'c Context) -> Ready<'c> {
    let fetch = &ctx.fetch;
    // an answer is not given up for a backup origin that there is no time left to ask
    let spent = fetch.walk.as_ref().is_some_and(|walk| walk.is_spent(Instant::now()));
    let may_ask = !fetch.asked_backup && !fetch.shared_failure && !spent;
    Ready {
        order: order(ctx),
        more: false,
        backup: backup(ctx).filter(|_| may_ask).map(|backup| backup.on),
        site_failover: failover::declared(session, ctx),
        stale: stale(session, ctx),
        given_up: fetch.given_up,
    }
}

/// `failover_order`: the site's, or for a CDN URL the cache's.
pub(crate) fn order(ctx: &Context) -> &[Way] {
    match ctx.route.as_ref().and_then(|route| route.site.as_deref()) {
        Some(site) => &site.failover_order,
        None => &ctx.snapshot.cache.failover_order,
    }
}

/// What the stored copy is good for. Its windows are the framework's to check.
fn stale(session: &Session, ctx: &Context) -> Stale {
    if ctx.lookup.must_revalidate || !session.cache.enabled() || !session.cache.can_serve_stale_error() {
        return Stale::default();
    }
    // max_stale is for an origin that cannot be reached; one that answers 5xx must have allowed it itself
    let allowed = session.cache.maybe_cache_meta().is_some_and(freshness::allows_stale_if_error);
    let on_error = allowed || ctx.fetch.parent_failed;
    Stale { unreachable: true, on_error }
}

/// Whether the failure of the request that this one waited for leads to the stale copy that was found.
pub(crate) fn shared_stale(edge: &Leeward, session: &Session, meta: &CacheMeta, ctx: &Context) -> Option<Onward> {
    let waited = session.cache.lock_duration().filter(|_| !ctx.lookup.must_revalidate)?;
    let Outcome { failed, reason, given_up, at_backup, .. } = edge.collapsed.recall(ctx, waited)?;
    let usable = meta.serve_stale_if_error(SystemTime::now());
    let stale = Stale { unreachable: usable, on_error: usable && freshness::allows_stale_if_error(meta) };
    let site_failover = failover::declared(session, ctx);
    let ready = Ready { order: order(ctx), more: false, backup: None, site_failover, stale, given_up };
    let at = if at_backup { Way::Backup } else { Way::Servers };
    let next = plan::next(at, failed, repeat(session), &ready);
    let status = plan::would_be(at, failed, given_up);
    (next == Next::Way(Way::Stale)).then_some(Onward { next, status, reason })
}

/// The backup origin of this request: what the rules' `origin-failover` names, else what the origin has.
pub(crate) fn backup(ctx: &Context) -> Option<&Backup> {
    let route = ctx.route.as_ref()?;
    let by_rule = || {
        let (policy, effective) = route.rules()?;
        route.site.as_ref()?.policy_origins.backup(&decide::backup(policy, effective)?)
    };
    let (origin, _) = route.chosen_origin()?;
    // an origin is no backup of itself
    by_rule().filter(|backup| !Arc::ptr_eq(&backup.origin, origin)).or(origin.backup.as_ref())
}

/// Whether the way on is another site's content, fetched by this edge.
pub(crate) fn alternate_is_next(ctx: &Context) -> bool {
    if ctx.client.midgress {
        return false;
    }
    let rules = ctx.route.as_ref().and_then(Route::rules);
    let declared = rules.and_then(|(policy, effective)| decide::site_failover(policy, effective));
    declared.is_some_and(|declared| declared.kind == FailoverKind::Alternate)
}

/// Whether something else can answer when the alternate site cannot be reached.
pub(crate) fn alternate_may_fail(session: &Session, ctx: &mut Context) -> bool {
    if let Some(walk) = &mut ctx.fetch.walk {
        walk.way = Way::SiteFailover;
    }
    matches!(ask(session, ctx, Failed::Unsent(503), Reason::Unavailable, false).next, Next::Way(_))
}

/// The times of the request's own origin, or what its `origin-failover` says instead.
pub(super) fn timeouts(route: &Route, origin: &Origin) -> Timeouts {
    let mut timeouts = origin.timeouts.clone();
    if let Some(rule) = route.rules().and_then(|(policy, effective)| decide::backup(policy, effective)) {
        timeouts.connect = rule.connect_timeout.unwrap_or(timeouts.connect);
        timeouts.first_byte = rule.first_byte_timeout.unwrap_or(timeouts.first_byte);
    }
    timeouts
}

/// How the request's own servers are walked.
pub(super) fn servers(ctx: &Context) -> Option<Leg> {
    let route = ctx.route.as_ref()?;
    let (origin, _) = route.chosen_origin()?;
    let rule = route.rules().and_then(|(policy, effective)| decide::backup(policy, effective));
    let timeouts = timeouts(route, origin);
    let others_behind = backup(ctx).is_some() || (ctx.alternate.is_none() && alternate_is_next(ctx));
    let extra = rule.map_or(0, |rule| rule.max_retries);
    Some(Leg { way: Way::Servers, origin: origin.clone(), servers: None, timeouts, extra, others_behind })
}

/// How the backup origin is walked.
pub(super) fn backup_leg(ctx: &Context) -> Option<Leg> {
    let origin = &backup(ctx)?.origin;
    let timeouts = origin.timeouts.clone();
    let others_behind = ctx.alternate.is_none() && alternate_is_next(ctx);
    Some(Leg { way: Way::Backup, origin: origin.clone(), servers: None, timeouts, extra: 0, others_behind })
}
