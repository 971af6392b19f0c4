//! The way into the store: an object is kept from the request on that the configuration or a rule names (delivery spec 2.4).
//!
//! The type of an answer is only known when it comes. So every request for what is not stored fetches as if the answer were
//! kept: one for all who ask meanwhile, without conditions, whole. Those who wait for it or read along count: the answer is kept if
//! they are enough, and gone with the last of its readers if they are not. Only a range of an object that has not been asked for often
//! enough goes to the origin as it is: the whole would be fetched for a piece that nobody may ask for again.

use http::header::{CONTENT_TYPE, RANGE};
use http::{HeaderMap, Method};
use leeward_cache::admission::Trial;
use leeward_rules::decide;
use pingora_cache::{CacheMeta, CachePhase, NoCacheReason};
use pingora_proxy::Session;

use crate::cache_parts::CacheParts;
use crate::context::Context;

/// Above every count: the object was stored before.
const KEPT_BEFORE: u8 = u8::MAX;

/// Nothing stored that can be used. A HEAD does not fill the cache: its connection would have to wait for a body that it did
/// not ask for (delivery spec 2.3: only GET creates entries).
pub(crate) fn miss(cache: &CacheParts, session: &mut Session, ctx: &mut Context) {
    let request = session.req_header();
    let never = request.method == Method::HEAD || ctx.lookup.wishes.no_store;
    // a slice has the counts of its object, which had enough of them
    let early = !never && ctx.slice.is_none() && asked(cache, session, ctx) < wanted(ctx);
    if never || early && request.headers.contains_key(RANGE) && !ctx.slices.admitted {
        session.cache.disable(NoCacheReason::Deferred);
    } else {
        session.cache.cache_miss();
    }
}

/// A stored answer is replaced, whatever the counts say.
pub(crate) fn kept_before(ctx: &mut Context) {
    ctx.lookup.asked = Some(KEPT_BEFORE);
}

/// Whether an answer that may be stored is kept; otherwise it is on trial, for those who ask for it while it arrives.
pub(crate) fn judge(cache: &CacheParts, session: &Session, answer: &mut CacheMeta, ctx: &mut Context) {
    // in any other phase it takes the place of a stored one
    let new = matches!(session.cache.phase(), CachePhase::Miss | CachePhase::Bypass);
    if !new || ctx.slice.is_some() || is_listed(answer.headers(), &ctx.snapshot.cache.first_hit_types) {
        return;
    }
    let before = asked(cache, session, ctx);
    // with those who wait for this fetch, and were counted when they began to
    let now = before.max(cache.admission.count(session.cache.cache_key()));
    if now >= wanted(ctx) {
        return;
    }
    ctx.lookup.asked = Some(now);
    let trial = Trial::new(now > before);
    answer.extensions_mut().insert(trial.clone());
    ctx.lookup.trial = Some(trial);
}

/// A request that found an answer. One that is on trial is kept from here on if this makes enough requests.
pub(crate) fn joined(cache: &CacheParts, session: &Session, found: &CacheMeta, ctx: &mut Context) {
    let Some(trial) = found.extensions().get::<Trial>() else { return };
    if session.req_header().method == Method::GET && asked(cache, session, ctx) >= wanted(ctx) {
        trial.keep();
    }
}

/// Whether the answer that this request fetches is for those only who read it now.
pub(crate) fn is_on_trial(ctx: &Context) -> bool {
    ctx.lookup.trial.as_ref().is_some_and(|trial| !trial.is_kept())
}

/// How many have asked for the object, this request included. Counts it once; one that waited for another's fetch was counted
/// by the lock.
fn asked(cache: &CacheParts, session: &Session, ctx: &mut Context) -> u8 {
    let count = || {
        let key = session.cache.cache_key();
        if session.cache.lock_duration().is_some() { cache.admission.count(key) } else { cache.admission.observe(key) }
    };
    *ctx.lookup.asked.get_or_insert_with(count)
}

/// From which request on the object is kept.
fn wanted(ctx: &Context) -> u8 {
    let by_rule = ctx.route.as_ref().and_then(|route| route.rules()).and_then(|(p, e)| decide::store_on_hit(p, e));
    by_rule.unwrap_or(ctx.snapshot.cache.store_on_hit)
}

/// Whether an answer has one of these media types; parameters and case do not count.
fn is_listed(answer: &HeaderMap, types: &[String]) -> bool {
    let Some(value) = answer.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let name = value.split(';').next().unwrap_or_default().trim();
    types.iter().any(|listed| listed.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_media_type_is_compared_without_its_parameters_and_without_case() {
        let listed = ["text/html".to_owned(), "text/css".to_owned()];
        for (value, want) in [
            ("text/html", true),
            ("Text/HTML; charset=utf-8", true),
            ("text/css ;x=y", true),
            ("text/htmlx", false),
            ("application/xhtml+xml", false),
            ("", false),
        ] {
            let mut answer = HeaderMap::new();
            answer.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(is_listed(&answer, &listed), want, "{value}");
        }
        assert!(!is_listed(&HeaderMap::new(), &listed), "no type");
    }
}
