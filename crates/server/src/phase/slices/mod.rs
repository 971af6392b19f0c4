//! Ranges of large objects, answered from slices. A seek in a film must not fetch the film.
//!
//! A range is asked for, nothing is stored, and the origin's head says that the whole is larger than `cache.slice_from`: that
//! answer is given up, the object is remembered ([`Sliced`](leeward_cache::range::Sliced)), and the request is answered from
//! slices of `cache.slice_size`. Each slice is an object of its own, fetched by a request of its own ([`part`]) with the client's
//! rules, failover and freshness, stored under the object's key, its version and the slice's number, and piped into the answer
//! ([`serve`]). Slices of two versions never meet: the version is part of their keys, and the origin's word on it is compared.

mod part;
mod pipe;
mod serve;

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::header::{CONTENT_LENGTH, RANGE};
use http::{Method, StatusCode};
use leeward_cache::range::{Known, Piece, Version};
use leeward_config::ready::Snapshot;
use leeward_telemetry::CacheState;
use leeward_telemetry::access_log::Attempt;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType};
use pingora_cache::key::{CacheHashKey as _, HashBinary};
use pingora_cache::{CacheKey, CachePhase, NoCacheReason};
use pingora_proxy::Session;

use super::fetch::Onward;
use super::{lookup, store};
use crate::answer::begun;
use crate::cache_parts::CacheParts;
use crate::context::{Client, Context};
use crate::proxy::Leeward;

pub(crate) use part::{adopt, as_whole, current, cut, failed, finished, prepare, refused, stored};
pub(crate) use serve::{instead, overtake, take_over};

/// Bytes that a slice has at least; a cache that keeps no object of this size has no slices.
const SMALLEST: u64 = 64 * 1024;
/// Bytes from which an answer that is not stored is given up where the client wants a range of it: the origin is asked for that.
const AS_SENT_FROM: u64 = 1024 * 1024;
/// Attempts of slices in the log line of their request.
const ATTEMPTS_TOLD: usize = 16;

/// What a request knows about slices of its object.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    /// The object's key, where a range of it is asked for.
    key: Option<Box<CacheKey>>,
    /// The object was asked for often enough for its slices to be stored.
    pub(crate) admitted: bool,
    /// The answer under way was given up for slices.
    found: bool,
    /// Slices were tried, or are not to be.
    tried: bool,
    /// The whole answer was sent from slices, although the framework is told of an error.
    pub(crate) answered: bool,
    /// No attempt begins after this, with or without slices.
    pub(crate) deadline: Option<Instant>,
}

/// The request for one slice, as it is handed to a task of its own.
#[derive(Debug)]
pub(crate) struct SliceRequest {
    snapshot: Arc<Snapshot>,
    client: Client,
    /// The client's request, in the form in which the phases saw it.
    head: RequestHeader,
    slice: Slice,
}

/// Which slice a request is for.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    /// The hash of the whole object's key.
    object: HashBinary,
    key: CacheKey,
    version: Arc<Version>,
    piece: Piece,
    /// No attempt begins after this; absent when a part of the answer was sent already.
    pub(crate) deadline: Option<Instant>,
    /// Which bytes of the object the answer carries, once that is known.
    body: Option<Range<u64>>,
    report: Arc<Report>,
}

/// What the request for a slice tells the request that it is for.
#[derive(Debug, Default)]
struct Report(Mutex<Seen>);

#[derive(Debug, Default, Clone)]
struct Seen {
    outcome: Option<Outcome>,
    attempts: Vec<Attempt>,
    cache: Option<CacheState>,
    collapsed: bool,
}

/// What became of the request for a slice.
#[derive(Debug, Clone)]
enum Outcome {
    /// The answer carries these bytes of the object.
    Bytes(Range<u64>),
    /// The object is another one by now.
    Changed,
    /// The origin does not answer ranges.
    Whole,
    /// The answer is no slice: an error of the origin, a redirect.
    Other,
    /// No answer was written.
    Failed(Onward),
}

impl Slice {
    /// Only the first word counts.
    fn tell(&self, outcome: Outcome) {
        if let Ok(mut seen) = self.report.0.lock() {
            seen.outcome.get_or_insert(outcome);
        }
    }

    /// Keeps an attempt for the log line of the client's request.
    pub(crate) fn record(&self, attempt: &Attempt) {
        if let Ok(mut seen) = self.report.0.lock()
            && seen.attempts.len() < ATTEMPTS_TOLD
        {
            seen.attempts.push(attempt.clone());
        }
    }
}

/// What is known of the object before it is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Nothing: the cache is used as for any request.
    Nothing,
    /// Slices: the whole is not waited for.
    Slices,
    /// It is larger than what is kept and only had as a whole: the range is the origin's to answer.
    AsSent,
}

/// What is known of the object that a range is asked of.
pub(crate) fn expected(cache: &CacheParts, session: &Session, ctx: &mut Context) -> Expected {
    let request = session.req_header();
    if !is_ranged(request) || session.subrequest_ctx.is_some() || sizes(cache, ctx).is_none() {
        return Expected::Nothing;
    }
    let key = ctx.route.as_ref().map(|route| lookup::object_key(request, ctx, route));
    ctx.slices.key = key.map(Box::new);
    match known(cache, ctx) {
        Some(Known::Slices { admitted, .. }) => {
            ctx.slices.admitted = admitted;
            Expected::Slices
        }
        Some(Known::Whole { total }) if total > cache.store.max_object() => Expected::AsSent,
        _ => Expected::Nothing,
    }
}

/// The key that [`expected`] computed.
pub(crate) fn key(ctx: &Context) -> Option<CacheKey> {
    ctx.slice.as_ref().map(|slice| &slice.key).or(ctx.slices.key.as_deref()).cloned()
}

/// Looks at the head of an origin's answer before it is stored: whether it is the slice that was asked for, and whether a range
/// is better had in another way.
///
/// # Errors
/// When the answer is given up.
pub(crate) fn judge(
    edge: &Leeward,
    session: &mut Session,
    response: &mut ResponseHeader,
    ctx: &mut Context,
) -> pingora::Result<()> {
    if response.status.is_informational() {
        return Ok(());
    }
    if ctx.slice.is_some() {
        return part::judge(edge, response, ctx);
    }
    if ctx.slices.key.is_none() || ctx.slices.tried {
        return Ok(());
    }
    match (response.status, session.cache.phase()) {
        (StatusCode::OK, CachePhase::Miss) => discover(edge, session, response, ctx),
        (StatusCode::PARTIAL_CONTENT, CachePhase::Disabled(NoCacheReason::Deferred)) => {
            learn(edge, session, response, ctx);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The whole was asked for although the client wants a range. That is right for what is stored, unless it is large.
fn discover(
    edge: &Leeward,
    session: &mut Session,
    response: &ResponseHeader,
    ctx: &mut Context,
) -> pingora::Result<()> {
    let (Some((from, _)), Some(object)) = (sizes(edge.cache, ctx), object(ctx)) else { return Ok(()) };
    let length = response.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_none_or(|length| length <= from.min(AS_SENT_FROM)) || begun(session).is_some() {
        return Ok(());
    }
    let version = Version::of_whole(response).filter(|version| version.total > from);
    if !store::would_store(session, response, ctx) {
        // neither the whole nor a slice would be kept: the client's range is all that is needed
        session.cache.response_became_uncacheable(NoCacheReason::OriginNotCache);
        session.cache.disable(NoCacheReason::OriginNotCache);
        restart(ctx);
        return Err(given_up("the origin is asked for the range that the client wants"));
    }
    let sliced = version.is_some_and(|version| {
        session.subrequest_spawner.is_some() && edge.cache.sliced.learn(&object, &version, true, Instant::now())
    });
    if sliced {
        ctx.slices.found = true;
        return Err(given_up("a range of it is had in slices"));
    }
    if length.is_some_and(|length| length > edge.cache.store.max_object()) {
        session.cache.disable(NoCacheReason::ResponseTooLarge);
        restart(ctx);
        return Err(given_up("the origin is asked for the range that the client wants"));
    }
    Ok(())
}

/// The origin's own answer to a range tells how large the object is.
fn learn(edge: &Leeward, session: &Session, response: &ResponseHeader, ctx: &Context) {
    let (Some((from, _)), Some(object)) = (sizes(edge.cache, ctx), object(ctx)) else { return };
    let Some((_, version)) = Version::of_part(&response.headers).filter(|(_, version)| version.total > from) else {
        return;
    };
    let mut whole = response.clone();
    whole.remove_header(&http::header::CONTENT_RANGE);
    if whole.set_status(StatusCode::OK).is_ok() && store::would_store(session, &whole, ctx) {
        edge.cache.sliced.learn(&object, &version, false, Instant::now());
    }
}

/// The attempts begin again, within the time of the first ones.
fn restart(ctx: &mut Context) {
    ctx.slices.tried = true;
    if let Some(walk) = ctx.fetch.walk.take() {
        ctx.slices.deadline = Some(walk.deadline);
    }
    ctx.fetch.onward = None;
}

/// The error of an answer that is given up for a better one.
fn given_up(why: &'static str) -> Box<Error> {
    let mut error = Error::explain(ErrorType::HTTPStatus(200), why).into_up();
    error.set_retry(true);
    error
}

/// A range of something is asked for.
fn is_ranged(request: &RequestHeader) -> bool {
    request.method == Method::GET && request.headers.contains_key(RANGE)
}

/// Bytes above which an object is sliced, and of a slice.
fn sizes(cache: &CacheParts, ctx: &Context) -> Option<(u64, u64)> {
    let settings = &ctx.snapshot.cache;
    let size = settings.slice_size.min(cache.store.max_object());
    settings.slice_from.filter(|_| size >= SMALLEST).map(|from| (from, size))
}

fn object(ctx: &Context) -> Option<HashBinary> {
    ctx.slices.key.as_deref().map(CacheKey::primary_bin)
}

fn known(cache: &CacheParts, ctx: &Context) -> Option<Known> {
    cache.sliced.get(&object(ctx)?, Instant::now())
}
