//! What becomes of a request when no origin helps: the `site-failover` behaviour (policy-language 5), or the edge's own
//! error. Which of them is decided in `fetch/plan.rs`; this carries it out.

use std::sync::Arc;
use std::time::Instant;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use leeward_config::ready::Timeouts;
use leeward_origin::Failure;
use leeward_rules::decide::plan::Next;
use leeward_rules::decide::{self, AlternateUrl, Failover, FailoverKind, SiteFailover, Way};
use leeward_telemetry::access_log::{self, bounded};
use leeward_telemetry::{FailoverTo, Reason};
use pingora::http::RequestHeader;
use pingora::protocols::http::HttpTask;
use pingora::{Error, ErrorSource, ErrorType};
use pingora_cache::NoCacheReason;
use pingora_proxy::subrequest::pipe::{InputBody, InputBodyType, PipeSubrequestError, pipe_subrequest};
use pingora_proxy::subrequest::{self, BodyMode};
use pingora_proxy::{FailToProxy, Session};
use tokio::sync::mpsc::Receiver;

use super::fetch::{Onward, alternate_may_fail, is_plain};
use super::slices;
use crate::answer::{Answer, begun};
use crate::context::{AlternateReport, AlternateRequest, AlternateTarget, Context, Route};
use crate::proxy::Leeward;

/// The rules' `site-failover`, as far as this request may take it. One level only: an alternate request never fails over
/// again, what is refreshed in the background has no client to send elsewhere, and for another tier's client that tier does.
pub(crate) fn declared(session: &Session, ctx: &Context) -> Option<SiteFailover> {
    let background = session.subrequest_ctx.is_some() && ctx.slice.is_none();
    if ctx.alternate.is_some() || background || ctx.client.midgress {
        return None;
    }
    let (policy, effective) = ctx.route.as_ref()?.rules()?;
    decide::site_failover(policy, effective)
}

/// Where `site-failover` leads from this status, if it can be done for this request. Alternate content is fetched for
/// methods that change nothing and carry no body; a redirect works for every method.
pub(crate) fn applies(request: &RequestHeader, ctx: &Context, status: u16) -> Option<Failover> {
    if ctx.alternate.is_some() || ctx.client.midgress {
        return None;
    }
    let route = ctx.route.as_ref()?;
    let (policy, effective) = route.rules()?;
    let ordered = route.site.as_ref().is_none_or(|site| site.failover_order.contains(&Way::SiteFailover));
    if !ordered || !decide::has_failover(policy, effective) {
        return None;
    }
    let failover = decide::failover(policy, effective, &ctx.facts(route, request), status)?;
    (failover.kind != FailoverKind::Alternate || is_plain(request)).then_some(failover)
}

/// Whether a body follows the head, by its framing.
pub(crate) fn has_body(request: &RequestHeader) -> bool {
    let length = request.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    length || request.headers.contains_key(TRANSFER_ENCODING)
}

/// The way on in words, for `leeward explain`.
pub(crate) const fn kind(failover: &Failover) -> &'static str {
    match failover.kind {
        FailoverKind::Alternate => "alternate",
        FailoverKind::Redirect(301) => "redirect 301",
        FailoverKind::Redirect(_) => "redirect 302",
    }
}

/// Answers a request that failed for good, unless something was sent already.
pub(crate) async fn resolve(edge: &Leeward, session: &mut Session, error: &Error, ctx: &mut Context) -> FailToProxy {
    let nothing = FailToProxy { error_code: 0, can_reuse_downstream: false };
    let alternate = ctx.failover.as_ref().is_some_and(|failover| failover.to == FailoverTo::Alternate);
    if (alternate || ctx.slices.answered) && begun(session).is_some() {
        return nothing;
    }
    let failure = Failure::of(error);
    let onward = ctx.fetch.onward.filter(|_| *error.esource() != ErrorSource::Downstream);
    let unconfirmed = ctx.lookup.must_revalidate && failure.reason != Reason::Status && failure.status >= 500;
    let (status, reason) = match onward {
        Some(onward) => (onward.status, onward.reason),
        None if unconfirmed => (504, failure.reason),
        None => (failure.status, failure.reason),
    };
    ctx.reason = Some(reason);
    if ctx.error.is_none() {
        ctx.error = Some(bounded(&error.to_string()).to_owned());
    }
    if begun(session).is_some() || client_is_gone(error) {
        return nothing;
    }
    if slices::failed(ctx, status, reason) {
        return done(status);
    }
    // the request body may be unread and the connection is not kept after an error: say so
    session.set_keepalive(None);
    if ctx.alternate.as_ref().is_some_and(|alternate| alternate.may_fail) && onward.is_some() {
        // the parent has something better than an error to serve
        return done(status);
    }
    let answer = match onward {
        Some(Onward { next: Next::Way(Way::SiteFailover), .. }) => redirect(edge, session, ctx, status, reason),
        _ => None,
    };
    let answer = answer.unwrap_or_else(|| Answer::error(status, reason));
    if let Err(error) = answer.write(session, ctx).await {
        log::debug!("the client left before its answer: {error}");
    }
    done(status)
}

const fn done(status: u16) -> FailToProxy {
    FailToProxy { error_code: status, can_reuse_downstream: false }
}

/// A dead connection needs no answer.
fn client_is_gone(error: &Error) -> bool {
    *error.esource() == ErrorSource::Downstream
        && matches!(error.etype(), ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed)
}

fn redirect(edge: &Leeward, session: &Session, ctx: &mut Context, status: u16, reason: Reason) -> Option<Answer> {
    let failover = applies(session.req_header(), ctx, status)?;
    let FailoverKind::Redirect(code) = failover.kind else { return None };
    let url = failover.url.to_string();
    leaves(edge, ctx, FailoverTo::Redirect, status, reason, url.clone());
    Some(Answer::redirect(code, reason, url))
}

/// For log and metrics: the request goes to another site.
fn leaves(edge: &Leeward, ctx: &mut Context, to: FailoverTo, status: u16, reason: Reason, url: String) {
    if let Some(route) = &ctx.route {
        edge.metrics.failover(route.label.as_str(), to, reason);
    }
    ctx.failover = Some(access_log::Failover { to, status, reason, url: Some(url), alternate_status: None });
}

/// Serves the alternate site's content. False when it could not be reached and nothing was sent.
pub(crate) async fn alternate(edge: &Leeward, session: &mut Session, ctx: &mut Context, onward: Onward) -> bool {
    let Some(failover) = applies(session.req_header(), ctx, onward.status) else { return false };
    // pipes are not kept after an error, and neither is the client's connection: say so
    session.set_keepalive(None);
    if session.cache.enabled() {
        // others that wait for this object need not wait for the alternate's
        session.cache.release_write_lock(NoCacheReason::UpstreamError);
    }
    leaves(edge, ctx, FailoverTo::Alternate, onward.status, onward.reason, failover.url.to_string());
    let may_fail = alternate_may_fail(session, ctx);
    let served = serve_alternate(session, ctx, &failover.url, may_fail).await;
    if served {
        ctx.reason = Some(onward.reason);
    }
    served
}

/// Fetches the built URL as the answer to this request: the alternate site's own rules, cache and origin, in a request
/// of its own whose answer is piped to this client.
async fn serve_alternate(session: &mut Session, ctx: &mut Context, url: &AlternateUrl, may_fail: bool) -> bool {
    let Some(spawner) = session.subrequest_spawner.as_ref() else { return false };
    let report = Arc::new(AlternateReport::default());
    let target =
        AlternateTarget { deadline: deadline(ctx), timeouts: timeouts(ctx), may_fail, report: Arc::clone(&report) };
    let request = Arc::new(AlternateRequest {
        snapshot: Arc::clone(&ctx.snapshot),
        client: ctx.client.clone(),
        authority: url.authority.clone(),
        path_and_query: url.path_and_query.clone(),
        target,
    });
    let child = subrequest::Ctx::builder().user_ctx(Box::new(request)).body_mode(BodyMode::NoBody).build();
    let (prepared, handle) = spawner.create_subrequest(session.as_downstream(), child);
    let body = InputBodyType::Preset(InputBody::NoBody);
    let piped = pipe_subrequest(session, prepared, handle, |task| Ok(Some(task)), body).await;
    if let Err(PipeSubrequestError { error, from_subreq, mut state }) = piped {
        let left = !from_subreq && *error.esource() == ErrorSource::Downstream;
        let what = if left { "the client left its alternate content" } else { "alternate content failed" };
        ctx.error = Some(bounded(&format!("{what}: {error}")).to_owned());
        if let Some(rest) = state.pipe_rx.take() {
            hand_over(session, rest, !left).await;
        }
    }
    let answered = begun(session).map(|response| response.status.as_u16());
    if let Ok(seen) = report.seen.lock() {
        ctx.fetch.of_alternate.extend(seen.attempts.iter().cloned());
        ctx.lookup.state = seen.cache;
        if let Some(failover) = &mut ctx.failover {
            // what the alternate's own rules answered passed no phase that reports
            failover.alternate_status = seen.status.or(answered);
        }
    }
    answered.is_some()
}

/// What is left in the pipe after an error. The alternate request's error may be seen before what it answered: that goes
/// to the client still. Without a client the fill of the alternate's cache goes on.
async fn hand_over(session: &mut Session, mut rest: Receiver<HttpTask>, to_client: bool) {
    if !to_client {
        tokio::spawn(async move { while rest.recv().await.is_some() {} });
        return;
    }
    let mut tasks = Vec::new();
    while let Ok(task) = rest.try_recv() {
        tasks.push(task);
    }
    if let Err(error) = session.write_response_tasks(tasks).await {
        log::debug!("the client left before its answer: {error}");
    }
}

/// Parent and child share the time for all attempts; a request that never got that far has a child with its own.
fn deadline(ctx: &Context) -> Instant {
    match &ctx.fetch.walk {
        Some(walk) => walk.deadline,
        None => {
            ctx.slices.deadline.unwrap_or_else(|| Instant::now() + timeouts(ctx).connect + timeouts(ctx).first_byte)
        }
    }
}

pub(crate) fn timeouts(ctx: &Context) -> Timeouts {
    let origin = ctx.route.as_ref().and_then(Route::chosen_origin).map(|(origin, _)| &origin.timeouts);
    origin.cloned().unwrap_or_default()
}
