//! What the client's `Cache-Control` asks of the cache (RFC 9111 section 5.2.1), where `cache.request_directives` honours it.
//! `only-if-cached` is always heeded: it only ever spares the origin.

use std::time::SystemTime;

use http::Method;
use http::header::CACHE_CONTROL;
use leeward_cache::freshness::{Use, Wishes};
use leeward_telemetry::Reason;
use pingora::http::RequestHeader;
use pingora_cache::{CacheMeta, ForcedFreshness};
use pingora_proxy::Session;

use crate::answer::Answer;
use crate::context::Context;

/// What the request asks for, if that counts.
pub(super) fn read(request: &RequestHeader, ctx: &Context) -> Wishes {
    if ctx.snapshot.cache.request_directives { Wishes::of(&request.headers) } else { Wishes::default() }
}

/// What the request's wishes make of a stored answer.
pub(super) fn judge(meta: &CacheMeta, ctx: &mut Context) -> Option<ForcedFreshness> {
    let now = SystemTime::now();
    match ctx.lookup.wishes.judge(meta, now) {
        Use::ByFreshness => None,
        Use::Anyway => {
            ctx.lookup.served_stale = true;
            Some(ForcedFreshness::ForceFresh)
        }
        // it was fetched or confirmed while this request waited: asking again would make all who wait go one by one
        Use::Confirmed if meta.updated() >= ctx.started_at && meta.is_fresh(now) => None,
        Use::Confirmed => {
            ctx.lookup.confirm = true;
            // a wish, no command (RFC 9111 5.2.1): the copy still stands in for an origin that cannot be reached
            Some(ForcedFreshness::ForceExpiredServeStale { expired_at: Some(now) })
        }
    }
}

/// The answer to a request that wants nothing but a stored one, when there is none to be used.
pub(crate) fn unanswerable(session: &Session, ctx: &Context) -> Option<Answer> {
    let request = session.req_header();
    // what is refreshed in the background, or fetched from another site, is for the edge
    let for_client = session.subrequest_ctx.is_none() && ctx.alternate.is_none();
    let safe = request.method == Method::GET || request.method == Method::HEAD;
    if !for_client || !safe || !request.headers.contains_key(CACHE_CONTROL) {
        return None;
    }
    Wishes::of(&request.headers).only_if_cached.then_some(Answer::error(504, Reason::NotStored))
}
