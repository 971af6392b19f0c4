//! The last phase before the wire: what the client sees of an answer.

use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Version};
use leeward_cache::range::{self, Order};
use leeward_rules::decide::{self, Downstream};
use leeward_telemetry::CacheState;
use leeward_telemetry::status_fields::{CacheStatus, NAME};
use pingora::http::ResponseHeader;
use pingora_cache::{CachePhase, NoCacheReason};
use pingora_proxy::{RangeType, Session};

use super::{admission, slices};
use crate::context::Context;
use crate::phase::security::tokens;
use crate::{accept, header_edits};

/// `Via` of every answer: the protocol spoken with the origin and [`NAME`].
const VIA: HeaderValue = HeaderValue::from_static("1.1 leeward");
const _: () = assert!(matches!(NAME.as_bytes(), b"leeward"), "`VIA` bears the edge's name");

/// Which bytes of the answer the client gets.
pub(crate) fn part(session: &mut Session, response: &mut ResponseHeader, ctx: &mut Context) -> RangeType {
    if let Some(cut) = slices::cut(response, ctx) {
        return cut;
    }
    // what is not stored passes once
    let order = if session.cache.enabled() { Order::Any } else { Order::Ascending };
    let length = response.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let range = range::filter(session.req_header(), response, order);
    let to_the_end = match &range {
        RangeType::None => true,
        RangeType::Single(range) => length == Some(range.end),
        RangeType::Multi(parts) => parts.ranges.iter().any(|range| length == Some(range.end)),
        RangeType::Invalid => false,
    };
    if !to_the_end && matches!(session.cache.phase(), CachePhase::Miss | CachePhase::Expired) {
        // the client has its part before the object is there, and an object that breaks off then costs its connection: say so
        session.set_keepalive(None);
    }
    range
}

/// Finishes a response head: status fields, downstream caching, the rules' edits.
///
/// # Errors
/// When a field cannot be set; configuration checks exclude it.
pub(crate) fn finish(session: &mut Session, response: &mut ResponseHeader, ctx: &mut Context) -> pingora::Result<()> {
    if response.status.is_informational() {
        return Ok(());
    }
    tokens::take_out_again(session.req_header_mut(), ctx);
    // the edge speaks its own version, whatever the origin speaks (RFC 9112 2.3)
    response.set_version(Version::HTTP_11);
    let state = state(session, ctx);
    ctx.lookup.state = Some(state);
    say_the_end(session);
    slices::finished(session, response, ctx);
    if let Some(alternate) = &ctx.alternate
        && let Ok(mut seen) = alternate.report.seen.lock()
    {
        seen.status = Some(response.status.as_u16());
        seen.cache = Some(state);
    }
    if ctx.client.protocol == "HTTP/1.0" {
        // it knows no chunks: the end of the connection is the end of the body
        response.remove_header("transfer-encoding");
        if !response.headers.contains_key(CONTENT_LENGTH) {
            session.set_keepalive(None);
        }
    }
    // of the answer that this request fetched; nobody gets them from the cache
    let mut withheld = std::mem::take(&mut ctx.lookup.withheld);
    withheld.retain(|(name, _)| !response.headers.contains_key(name));
    for (name, value) in withheld {
        response.append_header(name, value)?;
    }
    let status = response.status.as_u16();
    let cache_status = CacheStatus {
        state,
        ttl: ctx.lookup.ttl.filter(|_| matches!(state, CacheState::Hit | CacheState::Stale)),
        fwd_status: ctx.lookup.fwd_status.filter(|fwd| *fwd != status && *fwd != 304),
        collapsed: ctx.lookup.collapsed,
    };
    response.append_header("Cache-Status", cache_status.value())?;
    response.append_header("Via", VIA)?;
    if ctx.client.midgress {
        // what clients are told is the business of the edge that they ask
        return Ok(());
    }
    let Some(deliver) = ctx.route.as_ref().and_then(|route| route.rules()).map(|(p, e)| decide::deliver(p, e)) else {
        return Ok(());
    };
    if let Some(downstream) = deliver.downstream {
        let value = match downstream {
            Downstream::NoStore => "no-store",
            Downstream::NoCache => "no-cache",
        };
        response.insert_header("Cache-Control", value)?;
        for name in ["expires", "pragma", "surrogate-control"] {
            response.remove_header(name);
        }
    }
    header_edits::apply(response, &deliver.headers)
}

/// Says that the connection ends with this answer, when the process ends.
pub(crate) fn say_the_end(session: &mut Session) {
    if accept::connection().is_some_and(|connection| connection.draining()) {
        // the head of this request came before the signal: only this makes its answer say `Connection: close`
        session.set_keepalive(None);
    }
}

/// Sends signs of life (102) and hints (103) on to a client that understands them. Not while a stale copy may still have to
/// stand in: the framework takes what was sent for the beginning of the answer. It would also drop them where the final answer
/// comes at once and is stored, so they are written here.
pub(crate) async fn interim(session: &mut Session, response: &mut ResponseHeader, ctx: &Context) {
    let understood = matches!(response.status.as_u16(), 102 | 103) && ctx.client.protocol != "HTTP/1.0";
    let replaceable = session.cache.enabled() && session.cache.can_serve_stale_error();
    if !understood || replaceable || session.subrequest_ctx.is_some() {
        return;
    }
    leeward_cache::freshness::strip_hop_by_hop(response);
    let downstream = session.as_downstream_mut();
    downstream.set_ignore_info_resp(false);
    if let Err(error) = downstream.write_response_header(Box::new(response.clone())).await {
        log::debug!("the client left before its answer: {error}");
    }
    downstream.set_ignore_info_resp(true);
}

/// A body that outgrew what is kept passes through a window to those who read it: the origin is then read no faster than
/// this client, which the framework's queue of tasks would do.
pub(crate) fn pace(session: &mut Session) {
    let passing = session.cache.enabled()
        && session.cache.miss_body_reader().is_some_and(|reader| leeward_cache::is_passing(reader));
    if passing {
        session.set_proxy_tasks_enabled(false);
    }
}

/// How the cache took part, in the words of the log.
pub(crate) fn state(session: &Session, ctx: &Context) -> CacheState {
    match session.cache.phase() {
        CachePhase::Hit if ctx.lookup.served_stale => CacheState::Stale,
        CachePhase::Hit => CacheState::Hit,
        CachePhase::Stale | CachePhase::StaleUpdating => CacheState::Stale,
        CachePhase::Miss if admission::is_on_trial(ctx) => CacheState::Deferred,
        CachePhase::Miss => CacheState::Miss,
        CachePhase::Expired => CacheState::Expired,
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => CacheState::Revalidated,
        CachePhase::Disabled(NoCacheReason::Deferred) => CacheState::Deferred,
        CachePhase::Disabled(NoCacheReason::NeverEnabled) if !ctx.lookup.eligible => CacheState::Bypass,
        CachePhase::Disabled(_) | CachePhase::Bypass => CacheState::Uncacheable,
        CachePhase::Uninit | CachePhase::CacheKey => CacheState::None,
    }
}
