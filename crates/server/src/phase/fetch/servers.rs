//! From attempt to attempt: the next server on the way under way, the next way, and what a failed attempt leaves behind.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use leeward_config::ready::OriginServer;
use leeward_origin::resolve::{Known, ResolveError};
use leeward_origin::walk::{Forced, Step};
use leeward_origin::{Failure, Kind, Walk, failure, health};
use leeward_rules::Scheme;
use leeward_rules::decide::Way;
use leeward_rules::decide::plan::{Failed, Next};
use leeward_telemetry::access_log::{Attempt, bounded};
use leeward_telemetry::{AttemptResult, Reason};
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::{Error, ErrorType};
use pingora_cache::NoCacheReason;
use pingora_proxy::Session;

use super::request::{as_host, host_for};
use super::{parents, plan, redirects, unkeyed};
use crate::answer::begun;
use crate::context::{Context, Current};
use crate::phase::failover;
use crate::proxy::Leeward;

/// The peer of the next attempt. A name without an address is a failed attempt like any other.
///
/// # Errors
/// When no attempt is left, or the answer was given in another way: `Fetch::onward` says which.
pub(crate) async fn next_peer(
    edge: &Leeward,
    session: &mut Session,
    ctx: &mut Context,
) -> pingora::Result<Box<HttpPeer>> {
    let mut now = Instant::now();
    if ctx.fetch.walk.is_none() {
        ctx.fetch.walk = Some(begin(edge, session, ctx, now)?);
        if learn(edge, session, ctx) {
            go(edge, session, ctx).await?;
            now = Instant::now();
        }
    } else if !redirects::take(edge, ctx) {
        go(edge, session, ctx).await?;
        now = Instant::now();
    }
    loop {
        match step(edge, ctx, now)? {
            Step::Connect(target) => return peer(edge, session, ctx, Current { target, started: now }).map(Box::new),
            Step::Resolve(server) => resolve(edge, ctx, &server, now).await,
            Step::Unresolved(server, error) => {
                let failure = unresolved(ctx, &server, &error, now);
                plan::decide(edge, session, ctx, &failure);
                go(edge, session, ctx).await?;
            }
            Step::Down { refusing } => {
                let failure = ctx.fetch.last.unwrap_or(UNAVAILABLE);
                match (how_far(session, ctx, failure, refusing), &mut ctx.fetch.walk) {
                    (forced @ (Forced::Refusing | Forced::All), Some(walk)) => walk.force(forced),
                    _ => leave(edge, session, ctx, &failure).await?,
                }
            }
            Step::Over => {
                let failure = ctx.fetch.last.unwrap_or(UNAVAILABLE);
                leave(edge, session, ctx, &failure).await?;
            }
            Step::Deadline => leave(edge, session, ctx, &DEADLINE).await?,
        }
        now = Instant::now();
    }
}

async fn leave(edge: &Leeward, session: &mut Session, ctx: &mut Context, failure: &Failure) -> pingora::Result<()> {
    plan::leave(edge, session, ctx, failure);
    go(edge, session, ctx).await
}

/// Which servers are tried although they are known not to answer. With a backup origin none. Where only another site or a
/// stale copy is left, those that refuse connections: it costs no waiting, and the origin's return is seen at once. Where
/// nothing is left, all.
fn how_far(session: &Session, ctx: &Context, failure: Failure, refusing: bool) -> Forced {
    match plan::ask(session, ctx, Failed::Unsent(failure.status), failure.reason, false).next {
        Next::Error(_) => Forced::All,
        Next::Way(Way::SiteFailover | Way::Stale) if refusing => Forced::Refusing,
        _ => Forced::None,
    }
}

/// Keeps the connection of a request that met a closed one out of the way of the others that were kept: after a restart of the
/// origin all of them are closed, and each would cost an attempt.
const OWN_CONNECTION: u64 = 0xa076_1d64_78bd_642f;
/// Every server is known not to answer.
const UNAVAILABLE: Failure = Failure { reason: Reason::Unavailable, status: 503, result: AttemptResult::Connect };
/// The time for all attempts is over.
const DEADLINE: Failure = Failure { reason: Reason::Deadline, status: 504, result: AttemptResult::Timeout };

fn begin(edge: &Leeward, session: &Session, ctx: &mut Context, now: Instant) -> pingora::Result<Walk> {
    let none = || Error::explain(failure::NO_SERVER, "the origin has no server for the client's scheme").into_up();
    let own = plan::servers(ctx).ok_or_else(none)?;
    if is_https(ctx) && own.origin.https.is_none() || !is_https(ctx) && own.origin.http.is_none() {
        return Err(none());
    }
    let leg = parents::leg(&edge.tiers, session.req_header(), ctx, &own).unwrap_or(own);
    let origin = Arc::clone(&leg.origin);
    let known = known(edge, &origin);
    let mut walk = Walk::begin(leg, is_https(ctx), &edge.turns, &known, now).ok_or_else(none)?;
    let of_slice = ctx.slice.as_ref().and_then(|slice| slice.deadline);
    for deadline in ctx.alternate.iter().map(|alternate| alternate.deadline).chain(of_slice).chain(ctx.slices.deadline)
    {
        walk.ends_by(deadline);
    }
    Ok(walk)
}

fn known<'e>(edge: &'e Leeward, origin: &'e leeward_config::ready::Origin) -> impl Fn(&OriginServer) -> Known + 'e {
    move |server| edge.resolver.known(&server.host, origin)
}

fn is_https(ctx: &Context) -> bool {
    ctx.client.scheme == Scheme::Https
}

/// Takes over the failure of the request that this one waited for, if it did.
fn learn(edge: &Leeward, session: &Session, ctx: &mut Context) -> bool {
    let waited = session.cache.lock_duration().filter(|_| ctx.lookup.eligible);
    let Some(outcome) = waited.and_then(|waited| edge.collapsed.recall(ctx, waited)) else { return false };
    ctx.lookup.collapsed = true;
    ctx.fetch.shared_failure = true;
    ctx.fetch.given_up = outcome.given_up;
    ctx.fetch.asked_backup = outcome.at_backup;
    if let Some(walk) = &mut ctx.fetch.walk {
        walk.way = if outcome.at_backup { Way::Backup } else { Way::Servers };
    }
    ctx.error = Some("the request for the same object that this one waited for failed".to_owned());
    let failure = match outcome.failed {
        Failed::Unsent(status) => Failure { reason: outcome.reason, status, result: AttemptResult::Connect },
        Failed::Unanswered(status) => Failure { reason: outcome.reason, status, result: AttemptResult::Timeout },
        Failed::Status(status) => Failure { reason: outcome.reason, status, result: AttemptResult::Status },
    };
    plan::decide(edge, session, ctx, &failure);
    true
}

/// Carries out where the last failure leads.
///
/// # Errors
/// When that is no attempt: the error under which the framework asks for a stale copy, then `failover::resolve`.
async fn go(edge: &Leeward, session: &mut Session, ctx: &mut Context) -> pingora::Result<()> {
    loop {
        let Some(onward) = ctx.fetch.onward else { return Err(given_up(ctx)) };
        let leg = match onward.next {
            Next::Again => return Ok(()),
            Next::Way(Way::Servers) => plan::servers(ctx),
            Next::Way(Way::Backup) => {
                let leg = plan::backup_leg(ctx);
                ctx.fetch.asked_backup = true;
                leg
            }
            // the request that a slice is for goes there
            Next::Way(Way::SiteFailover) if onward.attempts(plan::alternate_is_next(ctx)) && ctx.slice.is_none() => {
                if failover::alternate(edge, session, ctx, onward).await {
                    return Err(Error::explain(ErrorType::InternalError, "answered by the alternate site"));
                }
                None
            }
            _ => return Err(given_up(ctx)),
        };
        let https = is_https(ctx);
        let Some(walk) = &mut ctx.fetch.walk else { return Err(given_up(ctx)) };
        match leg {
            Some(leg) => {
                let (origin, way) = (Arc::clone(&leg.origin), leg.way);
                if walk.enter(leg, https, &edge.turns, &known(edge, &origin), Instant::now()) {
                    return Ok(());
                }
                // a backup without a server for the client's scheme cannot be connected to
                walk.way = way;
                plan::leave(edge, session, ctx, &UNAVAILABLE);
            }
            None => {
                walk.way = Way::SiteFailover;
                plan::leave(edge, session, ctx, &UNAVAILABLE);
            }
        }
    }
}

fn step(edge: &Leeward, ctx: &mut Context, now: Instant) -> pingora::Result<Step> {
    let Some(walk) = ctx.fetch.walk.as_mut() else {
        return Err(Error::explain(ErrorType::InternalError, "an attempt without a walk"));
    };
    let origin = Arc::clone(&walk.origin);
    Ok(walk.step(&|_, address| edge.health.admit(&origin, address, now), now))
}

fn peer(edge: &Leeward, session: &mut Session, ctx: &mut Context, current: Current) -> pingora::Result<HttpPeer> {
    let host = match &ctx.route {
        // a parent's certificate is for its own name or address, not the site's
        Some(_) if parents::asked(ctx) => as_host(&current.target.server.host),
        // only a handshake asks for it
        Some(route) if current.target.server.tls => host_for(route, ctx),
        _ => "".into(),
    };
    let Some(walk) = &ctx.fetch.walk else {
        return Err(Error::explain(ErrorType::InternalError, "an attempt without a walk"));
    };
    let left = walk.left(current.started);
    let kind = match ctx.websocket {
        true => Kind::WebSocket,
        false if session.as_mut().is_body_done() => Kind::Http,
        false => Kind::Upload(ctx.snapshot.server.limits.body_timeout),
    };
    let mut prepared = edge.connector.prepare(&walk.origin, &walk.timeouts, &current.target, &host, left, kind);
    if ctx.fetch.kept_was_closed {
        prepared.peer.group_key ^= OWN_CONNECTION;
    }
    if kind != Kind::WebSocket && !unkeyed::of_connection(session.req_header()) {
        // there is nothing that would have to be taken away, and looking for each field that could be there has its price
        prepared.peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
    }
    ctx.fetch.watch = prepared.watch;
    ctx.fetch.current = Some(current);
    ctx.fetch.asked_at = Some(SystemTime::now());
    ctx.fetch.sequence = edge.cache.ledger.sequence();
    Ok(prepared.peer)
}

/// Waits for the first answer about a name that nobody asked for before. Part of connecting, so it takes no longer than that.
async fn resolve(edge: &Leeward, ctx: &mut Context, server: &OriginServer, now: Instant) {
    let Some(walk) = ctx.fetch.walk.as_mut() else { return };
    let wait = walk.timeouts.connect.min(walk.left(now));
    let known = match edge.resolver.first(&server.host, &*walk.origin, wait).await {
        Ok(addresses) => Known::Addresses(addresses),
        Err(error) => Known::Failed(error),
    };
    walk.resolved(server, known);
}

fn unresolved(ctx: &mut Context, server: &OriginServer, error: &ResolveError, started: Instant) -> Failure {
    let failure = Failure { reason: Reason::Dns, status: 503, result: AttemptResult::Connect };
    let attempt = Attempt {
        origin: origin_name(ctx),
        server: server.label(),
        address: None,
        result: failure.result,
        reason: Some(failure.reason),
        status: None,
        seconds: started.elapsed().as_secs_f64(),
    };
    ctx.error = Some(error.to_string());
    ctx.fetch.last = Some(failure);
    ctx.record(attempt);
    failure
}

fn origin_name(ctx: &Context) -> String {
    ctx.fetch.walk.as_ref().map(|walk| walk.origin.name.clone()).unwrap_or_default()
}

/// The error of a request that no attempt is left for: what failed last.
fn given_up(ctx: &Context) -> Box<Error> {
    let reason = ctx.fetch.onward.map(|onward| onward.reason).or(ctx.fetch.last.map(|failure| failure.reason));
    Error::explain(failure::type_of(reason.unwrap_or(Reason::Unavailable)), "no server is left").into_up()
}

/// Ends the attempt under way, if there is one.
pub(super) fn finish(ctx: &mut Context, result: AttemptResult, reason: Option<Reason>, status: Option<u16>) {
    let Some(Current { target, started }) = ctx.fetch.current.take() else { return };
    ctx.record(Attempt {
        origin: origin_name(ctx),
        server: target.server.label(),
        address: Some(target.address),
        result,
        reason,
        status,
        seconds: started.elapsed().as_secs_f64(),
    });
}

/// A connection is there: the server is available, whatever it answers. `kept`: since an earlier request.
pub(crate) fn connected(edge: &Leeward, ctx: &Context, kept: bool) {
    let (Some(walk), Some(current)) = (&ctx.fetch.walk, &ctx.fetch.current) else { return };
    if kept {
        // nothing was waited for since the attempt began
        edge.health.kept(&walk.origin, current.target.address, current.started);
    } else {
        edge.health.reached(&walk.origin, current.target.address, Instant::now());
    }
}

/// A connection did not come about. The same request goes on whatever its method: nothing was sent.
pub(crate) fn no_connection(edge: &Leeward, session: &Session, ctx: &mut Context, mut error: Box<Error>) -> Box<Error> {
    let failure = Failure::of(&error);
    if let (Some(walk), Some(Current { target, started })) = (&ctx.fetch.walk, &ctx.fetch.current) {
        let (address, now) = (target.address, Instant::now());
        if let Some(reason) = health::counts(&error.etype) {
            edge.health.unreachable(&walk.origin, &target.server, address, reason, *started, now);
        } else if failure.reason == Reason::Tls {
            // the server took the connection
            edge.health.reached(&walk.origin, address, now);
        }
    }
    finish(ctx, failure.result, Some(failure.reason), None);
    ctx.error = Some(bounded(&error.to_string()).to_owned());
    ctx.fetch.last = Some(failure);
    error.set_retry(plan::decide(edge, session, ctx, &failure));
    error
}

/// An attempt failed after the connection was there. A kept connection that turned out to be closed says nothing about the
/// server: the same one is asked once more. Everything else is for the plan.
pub(crate) fn broke_off(
    edge: &Leeward,
    session: &mut Session,
    ctx: &mut Context,
    mut error: Box<Error>,
    reused: bool,
) -> Box<Error> {
    let failure = Failure::of(&error);
    let judged = failure.result == AttemptResult::Status;
    if judged {
        // `judge` decided, and said whether another attempt is made
        ctx.body_seen = 0;
        return error;
    }
    let request = session.req_header();
    let repeatable = request.method.is_idempotent() && !session.as_ref().retry_buffer_truncated();
    if repeatable {
        error.retry.decide_reuse(reused);
    } else {
        error.set_retry(false);
    }
    let under_way = ctx.fetch.current.is_some();
    let again = error.retry() && under_way;
    if let (true, Some(walk), Some(current)) = (again, ctx.fetch.walk.as_mut(), ctx.fetch.current.as_ref()) {
        walk.again(current.target.address);
        ctx.fetch.kept_was_closed = true;
        ctx.fetch.onward = Some(plan::Onward { next: Next::Again, status: failure.status, reason: failure.reason });
    }
    if under_way {
        ctx.error = Some(bounded(&error.to_string()).to_owned());
        finish(ctx, failure.result, Some(failure.reason), None);
    } else {
        ctx.spoil(&failure);
    }
    ctx.body_seen = 0;
    ctx.fetch.last = Some(failure);
    if !again {
        let nothing_sent = begun(session).is_none();
        if nothing_sent && !under_way && session.cache.enabled() {
            // the head of this answer is in the cache already, and the framework cannot fill an object twice
            session.cache.disable(NoCacheReason::UpstreamError);
        }
        error.set_retry(nothing_sent && plan::decide(edge, session, ctx, &failure));
    }
    error
}
