//! From attempt to attempt: the next server, and what a failed attempt leaves behind.

use std::time::{Instant, SystemTime};

use leeward_origin::attempts::{Attempts, Exhausted, Step};
use leeward_origin::{Failure, failure};
use leeward_rules::Scheme;
use leeward_telemetry::access_log::Attempt;
use leeward_telemetry::{AttemptResult, FailoverTo, Reason};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use pingora_proxy::Session;

use super::request::host_for;
use crate::context::{Context, Current, Route};
use crate::proxy::Leeward;

/// The peer of the next attempt. Names are resolved here; a name without an address is a failed attempt like any other.
///
/// # Errors
/// The last attempt's failure when no server is left.
pub(crate) async fn next_peer(edge: &Leeward, ctx: &mut Context) -> pingora::Result<Box<HttpPeer>> {
    if ctx.fetch.plan.is_none() {
        ctx.fetch.plan = Some(plan(edge, ctx)?);
    }
    let host = ctx.route.as_ref().map(|route| host_for(route, ctx)).unwrap_or_default();
    loop {
        let now = Instant::now();
        let Some(plan) = ctx.fetch.plan.as_mut() else {
            return Err(Error::explain(ErrorType::InternalError, "an attempt without a plan"));
        };
        match plan.next(now) {
            Ok(Step::Connect(target)) => {
                let peer = edge.connector.peer(&plan.origin, &target, &host, plan.left(now));
                ctx.fetch.current = Some(Current { target, started: now });
                ctx.fetch.asked_at = Some(SystemTime::now());
                return Ok(Box::new(peer));
            }
            Ok(Step::Resolve(server)) => {
                let wait = plan.origin.timeouts.connect.min(plan.left(now));
                match edge.resolver.addresses(&server.host, wait).await {
                    Ok(addresses) => plan.resolved(&server, &addresses),
                    Err(error) => {
                        unresolved(ctx, &server, &error, now);
                        goes_on(edge, ctx, Reason::Dns);
                    }
                }
            }
            Err(Exhausted::Servers) => return Err(Error::explain(last_failure(ctx), "no server is left").into_up()),
            Err(Exhausted::Deadline) => {
                return Err(Error::explain(failure::DEADLINE, "the time for all attempts is over").into_up());
            }
        }
    }
}

fn plan(edge: &Leeward, ctx: &Context) -> pingora::Result<Attempts> {
    let none = || Error::explain(failure::NO_SERVER, "the origin has no server for the client's scheme").into_up();
    let (origin, _) = ctx.route.as_ref().and_then(Route::chosen_origin).ok_or_else(none)?;
    let https = ctx.client.scheme == Scheme::Https;
    let mut plan = Attempts::plan(origin, https, &edge.turns, Instant::now()).ok_or_else(none)?;
    if let Some(alternate) = &ctx.alternate {
        plan.deadline = plan.deadline.min(alternate.deadline);
    }
    Ok(plan)
}

fn last_failure(ctx: &Context) -> ErrorType {
    match ctx.fetch.made.last().and_then(|attempt| attempt.reason) {
        Some(Reason::Dns) => failure::DNS,
        Some(Reason::ConnectRefused) => ErrorType::ConnectRefused,
        Some(Reason::ConnectTimeout) => ErrorType::ConnectTimedout,
        _ => ErrorType::ConnectError,
    }
}

fn unresolved(
    ctx: &mut Context,
    server: &leeward_config::ready::OriginServer,
    error: &leeward_origin::resolve::ResolveError,
    started: Instant,
) {
    log::warn!("{error}");
    let origin = ctx.fetch.plan.as_ref().map(|plan| plan.origin.name.clone()).unwrap_or_default();
    let attempt = Attempt {
        origin,
        server: server.to_string(),
        address: None,
        result: AttemptResult::Connect,
        reason: Some(Reason::Dns),
        status: None,
        seconds: started.elapsed().as_secs_f64(),
    };
    ctx.error = Some(error.to_string());
    ctx.record(attempt);
}

/// Ends the attempt under way, if there is one.
pub(super) fn finish(ctx: &mut Context, result: AttemptResult, reason: Option<Reason>, status: Option<u16>) {
    let Some(Current { target, started }) = ctx.fetch.current.take() else { return };
    let origin = ctx.fetch.plan.as_ref().map(|plan| plan.origin.name.clone()).unwrap_or_default();
    ctx.record(Attempt {
        origin,
        server: target.server.to_string(),
        address: Some(target.address),
        result,
        reason,
        status,
        seconds: started.elapsed().as_secs_f64(),
    });
}

/// A connection did not come about. The same request goes to the next server, whatever its method: nothing was sent.
pub(crate) fn no_connection(edge: &Leeward, ctx: &mut Context, mut error: Box<Error>) -> Box<Error> {
    let failure = Failure::of(&error);
    finish(ctx, failure.result, Some(failure.reason), None);
    ctx.error = Some(leeward_telemetry::access_log::bounded(&error.to_string()).to_owned());
    error.set_retry(goes_on(edge, ctx, failure.reason));
    error
}

/// Whether another server or address is left after a failed attempt; counted, since the request goes there then.
fn goes_on(edge: &Leeward, ctx: &Context, reason: Reason) -> bool {
    let more = ctx.fetch.plan.as_ref().is_some_and(|plan| plan.more(Instant::now()));
    if let (true, Some(route)) = (more, &ctx.route) {
        edge.metrics.failover(route.label.as_str(), FailoverTo::Server, reason);
    }
    more
}

/// An attempt failed after the connection was there. Repeated only on a fresh connection to the same server, when a kept
/// connection turned out to be closed, and only when the request may be repeated.
pub(crate) fn broke_off(session: &Session, ctx: &mut Context, mut error: Box<Error>, reused: bool) -> Box<Error> {
    let failure = Failure::of(&error);
    let request = session.req_header();
    let repeatable = request.method.is_idempotent() && !session.as_ref().retry_buffer_truncated();
    if repeatable && !matches!(error.etype(), ErrorType::HTTPStatus(_)) {
        error.retry.decide_reuse(reused);
    } else {
        error.set_retry(false);
    }
    if error.retry()
        && let (Some(plan), Some(current)) = (ctx.fetch.plan.as_mut(), ctx.fetch.current.as_ref())
    {
        plan.again(current.target.address);
    }
    if !error.retry() || ctx.fetch.current.is_some() {
        ctx.error = Some(leeward_telemetry::access_log::bounded(&error.to_string()).to_owned());
    }
    finish(ctx, failure.result, Some(failure.reason), None);
    ctx.body_seen = 0;
    error
}
