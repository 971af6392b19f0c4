//! What remains of a request: one line, and the numbers.

use leeward_rules::Scheme;
use leeward_rules::token::Code;
use leeward_telemetry::access_log::{Attempt, Entry, bounded};
use leeward_telemetry::metrics::{self, NO_SITE};
use leeward_telemetry::{CacheState, FailoverTo, Reason};
use pingora::Error;
use pingora_proxy::Session;

use super::deliver;
use crate::answer::begun;
use crate::context::{Client, Context};
use crate::proxy::Leeward;

/// Writes the line and counts the request, once, when its last byte was sent or given up.
pub(crate) fn finish(edge: &Leeward, session: &Session, error: Option<&Error>, ctx: &mut Context) {
    close_attempt(ctx, error);
    count_attempts(edge, ctx);
    ctx.fetch.made.append(&mut ctx.fetch.of_alternate);
    if let Some(reason) = ctx.reason.filter(|reason| reason.is_refusal()) {
        edge.metrics.denied(ctx.route.as_ref().map_or(NO_SITE, |route| route.label.as_str()), reason);
    }
    if session.subrequest_ctx.is_some() {
        // its parent has the line; a refresh in the background has none
        return;
    }
    let status = begun(session).map_or(0, |response| response.status.as_u16());
    let cache = ctx.lookup.state.unwrap_or_else(|| {
        if ctx.route.is_none() || ctx.reason.is_some() { CacheState::None } else { deliver::state(session, ctx) }
    });
    if let (Some(error), None, false) = (error, &ctx.error, ctx.slices.answered) {
        ctx.error = Some(bounded(&error.to_string()).to_owned());
    }
    let label = ctx.route.as_ref().map_or(NO_SITE, |route| route.label.as_str());
    if let Some(failover) = ctx.failover.as_ref().filter(|failover| failover.to == FailoverTo::Stale) {
        edge.metrics.failover(label, failover.to, failover.reason);
    }
    let request = session.req_header();
    let seconds = ctx.started.elapsed().as_secs_f64();
    let bytes = u64::try_from(session.body_bytes_sent()).unwrap_or(u64::MAX);
    edge.metrics.request(&metrics::Request { site: label, method: &request.method, status, cache, seconds, bytes });
    if edge.access_log.is_off() {
        return;
    }
    let text = |name| request.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let host = ctx.route.as_ref().map_or_else(|| text(http::header::HOST).unwrap_or_default(), |route| &route.host);
    let Client { address, scheme, protocol, midgress, .. } = &ctx.client;
    edge.access_log.log(
        &Entry {
            time: ctx.started_at,
            client: Some(*address),
            midgress: *midgress,
            site: label,
            method: bounded(request.method.as_str()),
            scheme: if *scheme == Scheme::Https { "https" } else { "http" },
            host: bounded(host),
            path: bounded(request.uri.path()),
            protocol,
            status,
            bytes,
            seconds,
            cache,
            collapsed: ctx.lookup.collapsed,
            not_stored: ctx.lookup.refused,
            reason: ctx.reason,
            token: ctx.token.map(Code::word),
            error: ctx.error.as_deref(),
            waf: ctx.waf.as_deref(),
            user_agent: text(http::header::USER_AGENT).map(bounded),
            generation: ctx.snapshot.generation,
            attempts: &ctx.fetch.made,
            failover: ctx.failover.as_ref(),
        },
        ctx.snapshot.log.sample,
    );
}

/// An attempt still under way when the request ends was given up.
fn close_attempt(ctx: &mut Context, error: Option<&Error>) {
    let Some(current) = ctx.fetch.current.take() else { return };
    let failure = error.map(leeward_origin::Failure::of);
    let attempt = Attempt {
        origin: ctx.fetch.walk.as_ref().map(|walk| walk.origin.name.clone()).unwrap_or_default(),
        server: current.target.server.label(),
        address: Some(current.target.address),
        result: failure.map_or(leeward_telemetry::AttemptResult::Abandoned, |failure| failure.result),
        reason: failure.map_or(Some(Reason::Client), |failure| Some(failure.reason)),
        status: None,
        seconds: current.started.elapsed().as_secs_f64(),
    };
    ctx.record(attempt);
}

/// Counts the attempts this request made itself; those of an alternate request were counted by that.
fn count_attempts(edge: &Leeward, ctx: &Context) {
    for attempt in &ctx.fetch.made {
        let Attempt { origin, server, result, reason, seconds, .. } = attempt;
        edge.metrics.attempt(origin, server, *result, *reason, *seconds);
    }
}
