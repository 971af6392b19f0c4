//! What becomes of a request when no server of its origin helps: the `site-failover` behaviour (policy-language.md 5), or
//! the edge's own error.

use std::sync::Arc;
use std::time::Instant;

use http::Method;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use leeward_config::ready::Timeouts;
use leeward_origin::Failure;
use leeward_rules::decide::{self, AlternateUrl, Failover, FailoverKind};
use leeward_telemetry::access_log::{self, bounded};
use leeward_telemetry::{FailoverTo, Reason};
use pingora::http::RequestHeader;
use pingora::protocols::http::HttpTask;
use pingora::{Error, ErrorSource, ErrorType};
use pingora_proxy::subrequest::pipe::{InputBody, InputBodyType, PipeSubrequestError, pipe_subrequest};
use pingora_proxy::subrequest::{self, BodyMode};
use pingora_proxy::{FailToProxy, Session};
use tokio::sync::mpsc::Receiver;

use crate::answer::Answer;
use crate::context::{AlternateReport, AlternateRequest, AlternateTarget, Context, Route};
use crate::proxy::Leeward;

/// What `site-failover` wants instead of an answer with this status, if it can be done for this request.
///
/// An alternate request never fails over again: one level only. Alternate content is fetched for methods that change
/// nothing and carry no body; a redirect works for every method.
pub(crate) fn applies(request: &RequestHeader, ctx: &Context, status: u16) -> Option<Failover> {
    if ctx.alternate.is_some() {
        return None;
    }
    let route = ctx.route.as_ref()?;
    let (policy, effective) = route.rules()?;
    if !decide::has_failover(policy, effective) {
        return None;
    }
    let failover = decide::failover(policy, effective, &ctx.facts(route, request), status)?;
    let repeatable = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS) && !has_body(request);
    (failover.kind != FailoverKind::Alternate || repeatable).then_some(failover)
}

/// Whether a body follows the head, by its framing.
fn has_body(request: &RequestHeader) -> bool {
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
    let failure = Failure::of(error);
    // what was stored and must be confirmed cannot be: 504, whatever kept the origin from answering (RFC 9111 5.2.2.2)
    let unconfirmed = ctx.lookup.must_revalidate && failure.reason != Reason::Status && failure.status >= 500;
    let status = if unconfirmed { 504 } else { failure.status };
    ctx.reason = Some(failure.reason);
    if ctx.error.is_none() {
        ctx.error = Some(bounded(&error.to_string()).to_owned());
    }
    let done = FailToProxy { error_code: status, can_reuse_downstream: false };
    if session.response_written().is_some() || client_is_gone(error) {
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    }
    // the request body may be unread and the connection is not kept after an error: say so
    session.set_keepalive(None);
    let background = session.subrequest_ctx.is_some() && ctx.alternate.is_none();
    // what the edge decided by itself is no failure of an origin
    let own = matches!(failure.reason, Reason::Internal | Reason::NoOrigin);
    let origins_fault = *error.esource() != ErrorSource::Downstream && !own;
    let failover = if origins_fault && !background { applies(session.req_header(), ctx, status) } else { None };
    let answer = match failover {
        Some(failover) => {
            let written = fail_over(edge, session, ctx, &failover, status, failure.reason).await;
            match written {
                Some(answer) => answer,
                None => return done,
            }
        }
        None => Answer::error(status, failure.reason),
    };
    if let Err(error) = answer.write(session).await {
        log::debug!("the client left before its answer: {error}");
    }
    done
}

/// A dead connection needs no answer.
fn client_is_gone(error: &Error) -> bool {
    *error.esource() == ErrorSource::Downstream
        && matches!(error.etype(), ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed)
}

/// Carries the failover out. Returns what is still to be written.
async fn fail_over(
    edge: &Leeward,
    session: &mut Session,
    ctx: &mut Context,
    failover: &Failover,
    status: u16,
    reason: Reason,
) -> Option<Answer> {
    let url = failover.url.to_string();
    let to = match failover.kind {
        FailoverKind::Alternate => FailoverTo::Alternate,
        FailoverKind::Redirect(_) => FailoverTo::Redirect,
    };
    if let Some(route) = &ctx.route {
        edge.metrics.failover(route.label.as_str(), to, reason);
    }
    ctx.failover = Some(access_log::Failover { to, status, reason, url: Some(url.clone()), alternate_status: None });
    match failover.kind {
        FailoverKind::Redirect(code) => Some(Answer::redirect(code, reason, url)),
        FailoverKind::Alternate => serve_alternate(session, ctx, &failover.url).await.err(),
    }
}

/// Fetches the built URL as the answer to this request: the alternate site's own rules, cache and origin, in a request
/// of its own whose answer is piped to this client.
async fn serve_alternate(session: &mut Session, ctx: &mut Context, url: &AlternateUrl) -> Result<(), Answer> {
    let unreachable = Answer::error(503, Reason::ConnectError);
    let Some(spawner) = session.subrequest_spawner.as_ref() else { return Err(unreachable) };
    let report = Arc::new(AlternateReport::default());
    let target = AlternateTarget { deadline: deadline(ctx), timeouts: timeouts(ctx), report: Arc::clone(&report) };
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
    let answered = session.response_written().map(|response| response.status.as_u16());
    if let Ok(seen) = report.seen.lock() {
        ctx.fetch.of_alternate.extend(seen.attempts.iter().cloned());
        ctx.lookup.state = seen.cache;
        if let Some(failover) = &mut ctx.failover {
            // what the alternate's own rules answered passed no phase that reports
            failover.alternate_status = seen.status.or(answered);
        }
    }
    answered.map(|_| ()).ok_or(unreachable)
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

/// Parent and child share the time for all attempts; a request that never got to a plan has a child with its own.
fn deadline(ctx: &Context) -> Instant {
    match &ctx.fetch.plan {
        Some(plan) => plan.deadline,
        None => Instant::now() + timeouts(ctx).connect + timeouts(ctx).first_byte,
    }
}

fn timeouts(ctx: &Context) -> Timeouts {
    let origin = ctx.route.as_ref().and_then(Route::chosen_origin).map(|(origin, _)| &origin.timeouts);
    origin.cloned().unwrap_or_default()
}
