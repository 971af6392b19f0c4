//! The third phase: is there a stored answer, and may it be used.

mod wishes;

pub(crate) use wishes::unanswerable;

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::Method;
use http::header::{AUTHORIZATION, IF_MATCH, IF_UNMODIFIED_SINCE};
use leeward_cache::{freshness, key};
use leeward_config::ready::{Origin, Platform, QueryString};
use leeward_rules::Caching;
use leeward_rules::decide::{self, KeyHost};
use leeward_telemetry::FailoverTo;
use leeward_telemetry::access_log::Failover;
use pingora::http::RequestHeader;
use pingora::{Error, ErrorSource, ErrorType};
use pingora_cache::key::CacheHashKey;
use pingora_cache::predictor::CacheablePredictor;
use pingora_cache::{CacheKey, CacheMeta, CacheOptionOverrides, ForcedFreshness};
use pingora_proxy::Session;

use super::slices::Expected;
use super::{admission, failover, fetch, slices};
use crate::cache_parts::CacheParts;
use crate::context::{Context, Route, unix};
use crate::phase::security::tokens;
use crate::proxy::Leeward;

/// How often a waiting request looks again after the fetch it waited for came to nothing.
const LOOK_AGAIN: usize = 2;

/// Turns the cache on for this request, if it may use it.
pub(crate) fn enable(cache: &'static CacheParts, session: &mut Session, ctx: &mut Context) {
    let Some(route) = &ctx.route else { return };
    if ctx.websocket || !eligible(session.req_header(), ctx, route) || !session.is_body_empty() {
        return;
    }
    ctx.lookup.eligible = true;
    let wait = fetch::longest(ctx, route);
    let sliced = slices::expected(cache, session, ctx);
    if sliced == Expected::AsSent {
        return;
    }
    let mut waiting = CacheOptionOverrides::default();
    // as long as the other one's attempts may take: what they come to holds for this one too
    waiting.wait_timeout = Some(wait);
    waiting.max_lock_retries = Some(LOOK_AGAIN);
    let request = session.req_header();
    ctx.lookup.wishes = wishes::read(request, ctx);
    // what is not stored for those who say who they are may well be for the others
    let authorized = request.headers.contains_key(AUTHORIZATION);
    let predictor = if authorized { cache.predictor_authorized } else { cache.predictor };
    // who wants a piece of what is had in slices waits for nobody, and a slice is judged with its object
    let lock = Some(cache.lock).filter(|_| sliced == Expected::Nothing);
    let predictor: Option<&'static (dyn CacheablePredictor + Sync)> = ctx.slice.is_none().then_some(predictor);
    session.cache.enable(cache.store, None, predictor, lock, Some(waiting));
}

/// Whether a request of this kind may use the cache, by method, rules and configuration.
pub(crate) fn eligible(request: &RequestHeader, ctx: &Context, route: &Route) -> bool {
    let safe = request.method == Method::GET || request.method == Method::HEAD;
    // Pingora strips these two from the request to the origin and never evaluates them
    let preconditions = request.headers.contains_key(IF_MATCH) || request.headers.contains_key(IF_UNMODIFIED_SINCE);
    if !safe || preconditions || route.direct {
        return false;
    }
    let found = route.rules().map(|(policy, effective)| decide::lookup(policy, effective)).unwrap_or_default();
    match (found.bypass, found.caching) {
        (Some(true), _) | (_, Some(Caching::NoStore | Caching::Bypass)) => return false,
        // adn does not cache unless a rule says so (delivery spec 2.3)
        (None, None) if is_dynamic(route) => return false,
        _ => {}
    }
    let query = request.uri.query();
    if is_dynamic(route) && ctx.snapshot.cache.no_cache_parameter && query.is_some_and(has_no_cache_parameter) {
        return false;
    }
    found.key_query.is_some() || query.is_none() || query_mode(ctx, route) != QueryString::Bypass
}

/// Whether the origin is on a platform that does not cache by default. The site's own says so; where only rules name one, theirs.
fn is_dynamic(route: &Route) -> bool {
    let origin = route.origin.as_ref().or_else(|| route.chosen_origin().map(|(origin, _)| origin));
    origin.is_some_and(|origin| matches!(origin.platform, Platform::Adn | Platform::Can))
}

/// `?no-cache` and `?no-cache=...` (delivery spec 2.7).
fn has_no_cache_parameter(query: &str) -> bool {
    query.split('&').any(|parameter| parameter.split('=').next() == Some("no-cache"))
}

fn query_mode(ctx: &Context, route: &Route) -> QueryString {
    route.site.as_ref().map_or(ctx.snapshot.cache.query_string, |site| site.query_string)
}

/// The key of the answer.
///
/// # Errors
/// Without a route, which cannot be.
pub(crate) fn key(session: &Session, ctx: &mut Context) -> pingora::Result<CacheKey> {
    let Some(route) = &ctx.route else {
        return Err(Error::explain(ErrorType::InternalError, "a cache key before a route"));
    };
    let key = slices::key(ctx).unwrap_or_else(|| object_key(session.req_header(), ctx, route));
    ctx.lookup.key = Some(key.primary_bin());
    Ok(key)
}

/// The key of the object that a request asks for.
pub(super) fn object_key(request: &RequestHeader, ctx: &Context, route: &Route) -> CacheKey {
    key::build(&key_parts(request, ctx, route).as_parts())
}

/// What the key is made of: everything the origin's answer may depend on.
#[derive(Debug)]
pub(crate) struct KeyParts<'r> {
    scheme: &'static str,
    pub(crate) host: Cow<'r, str>,
    pub(crate) path: &'r str,
    pub(crate) query: Vec<u8>,
}

impl KeyParts<'_> {
    /// As the key takes them.
    pub(crate) fn as_parts(&self) -> key::Parts<'_> {
        key::Parts { scheme: self.scheme, host_component: &self.host, path: self.path, query: &self.query }
    }

    /// The key as customers' tools know it, `//http/800001/photos/a.jpg`: the origin by its directory, or else the host.
    pub(crate) fn as_url(&self, account: &str) -> String {
        let host = match self.host.split_once('/') {
            Some((_, directory)) => format!("80{account}/{directory}"),
            None => self.host.to_string(),
        };
        let mut url = format!("//{}/{host}{}", self.scheme, self.path);
        if !self.query.is_empty() {
            url.push('?');
            url.extend(self.query.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' }));
        }
        url
    }
}

impl std::fmt::Display for KeyParts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.scheme, self.host, self.path)?;
        if self.query.is_empty() { Ok(()) } else { write!(f, "?{}", String::from_utf8_lossy(&self.query)) }
    }
}

/// The parts of the key, by rules and configuration.
pub(crate) fn key_parts<'r>(request: &RequestHeader, ctx: &Context, route: &'r Route) -> KeyParts<'r> {
    let found = route.rules().map(|(policy, effective)| decide::lookup(policy, effective)).unwrap_or_default();
    let mut query = Vec::new();
    match (found.key_query, query_mode(ctx, route)) {
        (Some(key_query), _) => key_query.write(request.uri.query(), &mut query),
        (None, QueryString::Unique) => query.extend_from_slice(request.uri.query().unwrap_or_default().as_bytes()),
        (None, QueryString::Ignore | QueryString::Bypass) => {}
    }
    let host = match found.key_host {
        KeyHost::Origin => found.origin_domain.map(Cow::Borrowed),
        KeyHost::Fixed(name) => Some(Cow::Borrowed(name)),
        KeyHost::Property => None,
        // the Host that the origin sees when it follows the client's, else the origin's own name
        KeyHost::Unset => {
            let own = route.origin.as_ref().filter(|origin| origin.host_header.is_some());
            own.map(|origin| Cow::Owned(origin_component(origin)))
        }
    };
    let host = host.unwrap_or_else(|| route.normal_authority(ctx.client.scheme));
    KeyParts { scheme: ctx.client.scheme.as_str(), host, path: &route.origin_path, query }
}

/// An origin in keys. A directory is unique within its platform only, and no host has a slash.
pub(crate) fn origin_component(origin: &Origin) -> String {
    [origin.platform.name(), "/", &origin.name].concat()
}

/// What the rules, and the request, say about a stored answer that was found: take it as it is (`None`), or ask the origin
/// first.
pub(crate) fn judge(
    edge: &Leeward,
    session: &mut Session,
    meta: &CacheMeta,
    fresh: bool,
    ctx: &mut Context,
) -> Option<ForcedFreshness> {
    admission::joined(edge.cache, session, meta, ctx);
    let forced = by_rules(session, meta, fresh, ctx).or_else(|| wishes::judge(meta, ctx));
    if !fresh && forced.is_none() && session.subrequest_ctx.is_none() && freshness::validates_always(meta) {
        // whoever waited for another's fetch of it would have to ask for itself all the same
        session.cache.set_cache_lock(None, None);
    }
    let stale = !fresh && matches!(forced, None | Some(ForcedFreshness::ForceExpiredServeStale { .. }));
    if stale && let Some(fetch::Onward { status, reason, .. }) = fetch::shared_stale(edge, session, meta, ctx) {
        // the request that this one waited for came to that; asking for the lock again would make all of them wait in turn
        ctx.lookup.served_stale = true;
        ctx.failover = Some(Failover { to: FailoverTo::Stale, status, reason, url: None, alternate_status: None });
        return Some(ForcedFreshness::ForceFresh);
    }
    forced
}

fn by_rules(session: &Session, meta: &CacheMeta, fresh: bool, ctx: &mut Context) -> Option<ForcedFreshness> {
    let now = SystemTime::now();
    ctx.lookup.ttl = Some(seconds_until(meta.fresh_until(), now));
    ctx.lookup.collapsed = session.cache.lock_duration().is_some();
    if !fresh && freshness::must_revalidate(meta) {
        ctx.lookup.must_revalidate = true;
    }
    if freshness::is_of_the_future(meta.updated(), now) {
        return Some(ForcedFreshness::ForceExpiredServeStale { expired_at: Some(now) });
    }
    let route = ctx.route.as_ref()?;
    let (policy, effective) = route.rules()?;
    let status = meta.response_header().status.as_u16();
    if failover::applies(session.req_header(), ctx, status).is_some() {
        // a stored error would be the client's answer, and the rules want something else instead: ask again
        admission::kept_before(ctx);
        return Some(ForcedFreshness::ForceMiss);
    }
    let refresh = decide::lookup(policy, effective).refresh?;
    if refresh.since > unix(now) || !freshness::must_refresh(meta, refresh.since) {
        return None;
    }
    if refresh.must_revalidate {
        ctx.lookup.must_revalidate = true;
        Some(ForcedFreshness::ForceExpired)
    } else {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(refresh.since);
        Some(ForcedFreshness::ForceExpiredServeStale { expired_at: Some(since) })
    }
}

/// Whether the stale copy is the answer now: while it is being refreshed (`error` absent), or because of `error` where the
/// plan says so. Its windows were checked before.
pub(crate) fn may_serve_stale(session: &mut Session, ctx: &mut Context, error: Option<&Error>) -> bool {
    // the framework would refresh the copy of an alternate or a slice with a request for what the client asked for
    let own = ctx.alternate.is_none() && ctx.slice.is_none();
    let Some(error) = error else {
        let serve = !ctx.lookup.must_revalidate && !ctx.lookup.confirm && own;
        if serve {
            tokens::give_back(session.req_header_mut(), ctx);
        }
        return serve;
    };
    if *error.esource() != ErrorSource::Upstream {
        return false;
    }
    let Some(fetch::Onward { status, reason, .. }) = fetch::stale_is_next(session, ctx, error) else {
        return false;
    };
    // Pingora does not keep a connection after a failed attempt, whatever is served: say so
    session.set_keepalive(None);
    ctx.failover = Some(Failover { to: FailoverTo::Stale, status, reason, url: None, alternate_status: None });
    true
}

fn seconds_until(time: SystemTime, now: SystemTime) -> i64 {
    let signed = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    time.duration_since(now).map_or_else(|passed| -signed(passed.duration()), signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_cache_parameter_is_recognised_by_its_name() {
        for (query, want) in [
            ("no-cache", true),
            ("a=1&no-cache", true),
            ("no-cache=1&b", true),
            ("xno-cache", false),
            ("a=no-cache", false),
        ] {
            assert_eq!(has_no_cache_parameter(query), want, "{query}");
        }
    }
}
