//! Answers that say how they came about. Who sends `X-Leeward-Debug` with the secret of the configuration is told; for
//! everybody else there is no such thing. Neither the secret nor what is asked goes to an origin, and what is told is
//! written when the answer is, so no cache holds it.

use std::time::SystemTime;

use http::HeaderName;
use leeward_config::ready::Platform;
use leeward_telemetry::CacheState;
use leeward_telemetry::debug_fields::{self, Dictionary, Directives, EC, LEEWARD, Stored};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use subtle::ConstantTimeEq;

use super::lookup;
use crate::context::{Context, Route};
use crate::node;

/// What stays with the edge.
static OF_CLIENTS: [HeaderName; 2] = [HeaderName::from_static(LEEWARD), HeaderName::from_static(EC)];

/// Recognises who knows the secret. The time it takes says nothing about how much of it was right.
pub(crate) fn recognise(session: &Session, ctx: &mut Context) {
    let Some(secret) = &ctx.snapshot.debug else { return };
    let headers = &session.req_header().headers;
    let Some(said) = headers.get(LEEWARD) else { return };
    if bool::from(said.as_bytes().ct_eq(secret.expose())) {
        ctx.client.debug = Some(Directives::read(headers));
    }
}

/// Takes what concerns only the edge off a request that goes on.
pub(crate) fn strip(request: &mut RequestHeader) {
    for name in &OF_CLIENTS {
        request.remove_header(name);
    }
}

/// Tells on an answer from a cache or an origin.
///
/// # Errors
/// When a field cannot be set, which its making excludes.
pub(crate) fn tell(session: &Session, response: &mut ResponseHeader, ctx: &Context) -> pingora::Result<()> {
    let Some(wanted) = ctx.client.debug.filter(|_| !response.status.is_informational()) else { return Ok(()) };
    let state = ctx.lookup.state.unwrap_or(CacheState::None);
    say(session, response, ctx, state, wanted)
}

/// Tells on an answer of the edge's own.
///
/// # Errors
/// As [`tell`].
pub(crate) fn tell_own(session: &Session, response: &mut ResponseHeader, ctx: &Context) -> pingora::Result<()> {
    let Some(wanted) = ctx.client.debug else { return Ok(()) };
    say(session, response, ctx, CacheState::None, wanted)
}

fn say(
    session: &Session,
    response: &mut ResponseHeader,
    ctx: &Context,
    state: CacheState,
    wanted: Directives,
) -> pingora::Result<()> {
    let key = ctx.route.as_ref().map(|route| (route, lookup::key_parts(session.req_header(), ctx, route)));
    let key = key.filter(|_| ctx.lookup.eligible);
    for name in wanted.iter() {
        let value = match name {
            "x-ec-cache" => Some(cache(state, ctx)),
            "x-ec-cache-remote" => remote(response, ctx),
            "x-ec-check-cacheable" => Some(debug_fields::cacheable(state).to_owned()),
            "x-ec-cache-key" => key.as_ref().map(|(_, key)| key.as_url(&ctx.snapshot.account)),
            _ => stored(session).map(|stored| stored.state(SystemTime::now(), httpdate::fmt_http_date)),
        };
        if let Some(value) = value {
            response.insert_header(name, value)?;
        }
    }
    let mut told = Dictionary::default();
    told.word("cache", state);
    if let Some((route, key)) = &key {
        told.text("site", route.label.as_str());
        told.text("key", &key.to_string());
    }
    if let Some(asked) = ctx.lookup.asked.filter(|asked| *asked < u8::MAX) {
        told.word("asked", asked);
    }
    if let Some(refused) = ctx.lookup.refused {
        told.word("not_stored", refused);
    }
    if let Some(reason) = ctx.reason {
        told.word("reason", reason);
    }
    if let Some(failover) = &ctx.failover {
        told.word("failover", failover.to);
        told.word("failover_reason", failover.reason);
    }
    if ctx.alternate.is_some() {
        told.word("alternate", "?1");
    }
    if let Some(walk) = ctx.fetch.walk.as_ref().filter(|_| !ctx.fetch.made.is_empty()) {
        told.word("way", walk.way.word());
        told.attempts(&ctx.fetch.made);
    }
    told.text("node", node::id(&ctx.snapshot));
    told.word("generation", ctx.snapshot.generation);
    response.insert_header(LEEWARD, told.value())
}

fn cache(state: CacheState, ctx: &Context) -> String {
    let status = debug_fields::status(state, ctx.lookup.refused, ctx.reason);
    let place = ctx.snapshot.server.region.map_or("-", |region| region.name());
    debug_fields::from(status, platform(ctx), place, node::id(&ctx.snapshot))
}

/// What a shield or gateway says that it had, by the last member of its `Cache-Status` before the edge's own.
fn remote(response: &ResponseHeader, ctx: &Context) -> Option<String> {
    let walk = ctx.fetch.walk.as_ref().filter(|walk| walk.way == leeward_rules::decide::Way::Parents)?;
    let node = ctx.fetch.made.last()?;
    let fields: Vec<&str> =
        response.headers.get_all("cache-status").iter().filter_map(|value| value.to_str().ok()).collect();
    let all = fields.join(",");
    let member = all.rsplit(',').nth(1)?;
    let status = match (member.contains("; hit"), member.contains("; detail=stale"), member.contains("; fwd=stale")) {
        (true, false, _) => "TCP_HIT",
        (true, true, _) => "TCP_EXPIRED_HIT",
        (false, _, true) if member.contains("; fwd-status=304") => "TCP_EXPIRED_HIT",
        _ => return None,
    };
    let id = node.server.split_once("://").map_or(node.server.as_str(), |(_, authority)| authority);
    Some(debug_fields::from(status, platform(ctx), &walk.origin.name.replace(' ', "-"), id))
}

/// The code of the platform that the request belongs to.
fn platform(ctx: &Context) -> &'static str {
    let origin = ctx.route.as_ref().and_then(Route::chosen_origin).map(|(origin, _)| origin.platform);
    match origin.unwrap_or_default() {
        Platform::HttpLarge => "ECAcc",
        Platform::HttpSmall => "ECS",
        Platform::Adn | Platform::Can => "ECD",
    }
}

/// The times of the stored answer that is served, or of the one that is being stored.
fn stored(session: &Session) -> Option<Stored> {
    let meta = session.cache.maybe_cache_meta()?;
    let expires = meta.headers().get(http::header::EXPIRES).and_then(|value| value.to_str().ok());
    Some(Stored {
        since: meta.epoch(),
        until: meta.fresh_until(),
        expires: expires.and_then(|value| httpdate::parse_http_date(value).ok()),
    })
}
