//! The fifth phase: is the origin's answer kept, and for how long.

mod invalidate;

pub(crate) use invalidate::invalidate;

use std::sync::Arc;

use http::HeaderMap;
use leeward_cache::freshness::{self, Exchange, Refusal, Stored, Verdict};
use leeward_cache::purge::{Labels, Names, Stamp};
use leeward_config::ready::SetCookie;
use leeward_rules::decide;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_cache::key::HashBinary;
use pingora_cache::{CacheMeta, NoCacheReason, RespCacheable};
use pingora_proxy::Session;

use super::{admission, fetch, lookup, slices};
use crate::cache_parts::{CacheParts, ONE_REQUEST, ORIGIN_ERROR};
use crate::context::{Context, Route};

/// Judges an answer by RFC 9111, the site's `caching` rule and the configuration.
pub(crate) fn judge(
    parts: &CacheParts,
    session: &Session,
    response: &ResponseHeader,
    ctx: &mut Context,
) -> RespCacheable {
    if ctx.lookup.wishes.no_store {
        slices::refused(parts, ctx);
        ctx.lookup.refused = Some(Refusal::NoStore.as_str());
        return RespCacheable::Uncacheable(ONE_REQUEST);
    }
    // a 304 says what changed of the stored head; everything else of it stays. The framework has merged some of it already
    let stored = session.cache.maybe_cache_meta().map_or(response, |meta| meta.response_header());
    let merged = ctx.lookup.not_modified.take().map(|fresh| freshness::merge_304(stored, &fresh));
    let response = merged.as_ref().unwrap_or(response);
    let Some(of_slice) = slices::as_whole(response, ctx) else { return RespCacheable::Uncacheable(ORIGIN_ERROR) };
    let response_or_whole = of_slice.as_ref().unwrap_or(response);
    let Some(verdict) = weigh(parts.store.max_object(), session, response_or_whole, ctx) else {
        return RespCacheable::Uncacheable(NoCacheReason::NeverEnabled);
    };
    match verdict {
        Verdict::Store(Stored { mut meta, withheld }) => {
            admission::judge(parts, session, &mut meta, ctx);
            if let Some(route) = &ctx.route {
                let labels = Arc::new(labels(session.req_header(), &response.headers, ctx, route));
                meta.extensions_mut().insert(Stamp { sequence: ctx.fetch.sequence, labels });
            }
            ctx.lookup.withheld = withheld;
            if !admission::is_on_trial(ctx) {
                slices::stored(parts, &mut meta, response, ctx);
            }
            RespCacheable::Cacheable(meta)
        }
        Verdict::Refuse(refusal) => {
            slices::refused(parts, ctx);
            ctx.lookup.refused = Some(refusal.as_str());
            // 404 and 410 speak of the object, the others of a moment or of one client
            let passes = response.status.as_u16() >= 400 && !matches!(response.status.as_u16(), 404 | 410);
            RespCacheable::Uncacheable(if passes { ORIGIN_ERROR } else { NoCacheReason::OriginNotCache })
        }
    }
}

/// Whether an answer would be stored if it were not too large.
pub(crate) fn would_store(session: &Session, response: &ResponseHeader, ctx: &Context) -> bool {
    matches!(weigh(u64::MAX, session, response, ctx), Some(Verdict::Store(_)))
}

/// The judgement alone; `None` without a route.
fn weigh(max_object: u64, session: &Session, response: &ResponseHeader, ctx: &Context) -> Option<Verdict> {
    let route = ctx.route.as_ref()?;
    let cache = &ctx.snapshot.cache;
    let policy = freshness::Policy {
        caching: route
            .rules()
            .and_then(|(policy, effective)| decide::store(policy, effective))
            .map(|caching| fetch::fixed_lifetime(caching, response, ctx)),
        default_max_age: cache.default_max_age,
        heuristic: cache.heuristic,
        set_cookie: match cache.set_cookie {
            SetCookie::Refuse => freshness::SetCookie::Refuse,
            SetCookie::Strip => freshness::SetCookie::Strip,
            SetCookie::Store => freshness::SetCookie::Store,
        },
        max_stale: cache.max_stale,
        max_object,
    };
    let request = session.req_header();
    let now = std::time::SystemTime::now();
    let exchange = Exchange {
        request_method: &request.method,
        request_headers: &request.headers,
        response,
        request_time: ctx.fetch.asked_at.unwrap_or(ctx.started_at),
        response_time: now,
        now,
    };
    Some(freshness::judge(&exchange, &policy))
}

/// What purges can name an answer by.
pub(crate) fn labels(request: &RequestHeader, answer: &HeaderMap, ctx: &Context, route: &Route) -> Labels {
    let key = lookup::key_parts(request, ctx, route);
    let names = Names {
        key_host: &key.host,
        key_path: key.path,
        client_host: &route.host,
        client_path: route.path.as_str(),
        query: &key.query,
    };
    Labels::new(&names, answer)
}

/// Which variant of a stored answer this request wants.
pub(crate) fn variant(meta: &CacheMeta, request: &RequestHeader) -> Option<HashBinary> {
    leeward_cache::vary::variance(meta, request)
}
