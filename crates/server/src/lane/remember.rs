//! What a request that went the full way leaves behind for the next one like it.

use std::time::SystemTime;

use leeward_rules::decide;
use leeward_telemetry::CacheState;
use pingora::Error;
use pingora_proxy::Session;

use super::memory::Known;
use super::template::{Template, Times};
use crate::accept;
use crate::answer::begun;
use crate::context::{Context, Route};
use crate::phase::security;
use crate::proxy::Leeward;

/// Longer targets and hosts are not remembered.
const MAX_TEXT: usize = 1024;

/// Remembers how a request was answered, if it was a plain one and the answer a hit that depends on nothing but its URL.
/// Called when the whole answer was sent.
pub(crate) fn remember(edge: &Leeward, session: &Session, error: Option<&Error>, ctx: &Context) {
    if !ctx.snapshot.cache.hit_lane
        || error.is_some()
        || ctx.lookup.state != Some(CacheState::Hit)
        || session.subrequest_ctx.is_some()
        || !accept::connection().is_some_and(|connection| connection.is_plain() && !connection.draining())
    {
        return;
    }
    if let Some(known) = known(edge, session, ctx) {
        edge.lane.memory.insert(known);
    }
}

fn known(edge: &Leeward, session: &Session, ctx: &Context) -> Option<Known> {
    let route = ctx.route.as_ref().filter(|route| by_url_alone(route, ctx))?;
    let ordinary = ctx.failover.is_none()
        && ctx.reason.is_none()
        && ctx.error.is_none()
        && ctx.alternate.is_none()
        && ctx.slice.is_none()
        && !ctx.client.midgress
        && ctx.client.debug.is_none()
        && !ctx.lookup.served_stale
        && !ctx.lookup.collapsed
        && ctx.lookup.withheld.is_empty()
        && ctx.fetch.made.is_empty();
    if !ordinary {
        return None;
    }
    let request = session.req_header();
    let target = std::str::from_utf8(request.raw_path()).ok().filter(|target| target.len() <= MAX_TEXT)?;
    let host = request.headers.get(http::header::HOST)?.to_str().ok().filter(|host| host.len() <= MAX_TEXT)?;
    let head = begun(session)?;
    let meta = session.cache.cache_meta();
    let object = edge.cache.store.name(session.cache.cache_key(), meta)?;
    let stored = meta.response_header();
    if stored.headers.contains_key(http::header::VARY) || stored.status != head.status || !is_whole(session, head) {
        return None;
    }
    let times = Times { epoch: meta.epoch(), fresh_until: meta.fresh_until() };
    Some(Known {
        scheme: ctx.client.scheme,
        server_name: accept::connection()?.server_name().map(Into::into),
        host: host.into(),
        target: target.into(),
        generation: ctx.snapshot.generation,
        object,
        head: Template::of(head, times, SystemTime::now())?,
        status: head.status.as_u16(),
        label: route.label.clone(),
        log_host: route.host.as_str().into(),
        path_end: request.uri.path().len(),
    })
}

/// Whether what is decided about this request would be decided about every other for the same URL, at any time.
fn by_url_alone(route: &Route, ctx: &Context) -> bool {
    let rules = route.rules();
    let plain = rules.is_none_or(|(policy, effective)| {
        policy.looks_at_url_alone() && decide::lookup(policy, effective).refresh.is_none()
    });
    plain && !route.direct && security::by_url_alone(route, ctx)
}

/// Whether the head announces exactly the bytes that were sent, and that the connection goes on.
fn is_whole(session: &Session, head: &pingora::http::ResponseHeader) -> bool {
    let field = |name: http::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let length = field(http::header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    let framed =
        length == Some(session.body_bytes_sent()) && !head.headers.contains_key(http::header::TRANSFER_ENCODING);
    framed && field(http::header::CONNECTION) == Some("keep-alive")
}
