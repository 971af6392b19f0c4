//! The request for one slice, in the phases. For the cache a slice is a 200 of its own, which keeps the `Content-Range` that the
//! origin sent with it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
    TRANSFER_ENCODING,
};
use http::{HeaderValue, StatusCode};
use leeward_cache::range::{self, Known, Version};
use leeward_rules::decide::plan::Next;
use leeward_telemetry::Reason;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType};
use pingora_cache::CacheMeta;
use pingora_proxy::{RangeType, Session};

use super::{Onward, Outcome, SliceRequest};
use crate::cache_parts::CacheParts;
use crate::context::Context;
use crate::proxy::Leeward;

/// Takes over what the client's request is, when this is a request for a slice.
pub(crate) fn adopt(session: &mut Session, ctx: &mut Context) -> bool {
    let user = session.subrequest_ctx.as_ref().and_then(|subrequest| subrequest.user_ctx());
    let Some(request) = user.and_then(|user| user.downcast_ref::<Arc<SliceRequest>>()).cloned() else { return false };
    let header = session.req_header_mut();
    // the framework made this one of the bytes on the wire
    header.clone_from(&request.head);
    for name in [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
        header.remove_header(&name);
    }
    // the fill goes on at the origin's pace
    session.set_proxy_tasks_enabled(true);
    session.ignore_downstream_range = false;
    ctx.snapshot = Arc::clone(&request.snapshot);
    ctx.client = request.client.clone();
    ctx.slice = Some(Box::new(request.slice.clone()));
    true
}

/// Whether the slice still belongs to what is known of the object, when the origin would be asked for it now.
///
/// # Errors
/// When it does not.
pub(crate) fn current(cache: &CacheParts, ctx: &Context) -> pingora::Result<()> {
    let Some(slice) = &ctx.slice else { return Ok(()) };
    let outcome = match cache.sliced.get(&slice.object, Instant::now()) {
        Some(Known::Slices { version, .. }) if *version != *slice.version => Outcome::Changed,
        Some(Known::Whole { .. }) => Outcome::Whole,
        _ => return Ok(()),
    };
    slice.tell(outcome);
    Err(Error::explain(ErrorType::InternalError, "another request found that the slice is no more"))
}

/// The range that the origin is asked for.
///
/// # Errors
/// None: it is made of numbers.
pub(crate) fn prepare(request: &mut RequestHeader, ctx: &Context) -> pingora::Result<()> {
    let Some(slice) = &ctx.slice else { return Ok(()) };
    let Range { start, end } = slice.piece.slice;
    request.insert_header(RANGE, format!("bytes={start}-{}", end.saturating_sub(1)))
}

/// Makes the slice of the origin's 206, or says why there is none.
pub(super) fn judge(edge: &Leeward, response: &mut ResponseHeader, ctx: &mut Context) -> pingora::Result<()> {
    let Some(slice) = &ctx.slice else { return Ok(()) };
    let (now, sliced) = (Instant::now(), &edge.cache.sliced);
    let outcome = match response.status.as_u16() {
        206 => match Version::of_part(&response.headers) {
            Some((bytes, version)) if version == *slice.version && bytes == slice.piece.slice => {
                let length = HeaderValue::from(bytes.end - bytes.start);
                response.set_status(StatusCode::OK)?;
                response.remove_header(&TRANSFER_ENCODING);
                response.insert_header(CONTENT_LENGTH, length)?;
                ctx.lookup.fwd_status = Some(200);
                return Ok(());
            }
            Some((_, version)) if version != *slice.version => {
                sliced.learn(&slice.object, &version, true, now);
                Outcome::Changed
            }
            // other bytes than those asked for, several parts, or nothing that tells one version from another
            _ => {
                sliced.is_whole(&slice.object, slice.version.total, now);
                Outcome::Whole
            }
        },
        200 => {
            sliced.is_whole(&slice.object, slice.version.total, now);
            Outcome::Whole
        }
        416 => {
            sliced.forget(&slice.object);
            Outcome::Changed
        }
        304 => return Ok(()),
        // the client's answer, as it is
        _ => {
            sliced.forget(&slice.object);
            return Ok(());
        }
    };
    slice.tell(outcome);
    let error = ErrorType::HTTPStatus(response.status.as_u16());
    Err(Error::explain(error, "the answer is not the slice that was asked for").into_up())
}

/// A slice's head as the head of the whole, for the judgement whether it is stored. The outer `None`: the answer to the request
/// for a slice is none, and nothing to be stored in its place.
pub(crate) fn as_whole(response: &ResponseHeader, ctx: &Context) -> Option<Option<ResponseHeader>> {
    if ctx.slice.is_none() {
        return Some(None);
    }
    range::content_range(&response.headers)?;
    let mut whole = response.clone();
    whole.remove_header(&CONTENT_RANGE);
    Some(Some(whole))
}

/// An answer is stored: a slice keeps its place in the object, and an object that is kept as a whole needs no slices.
pub(crate) fn stored(cache: &CacheParts, meta: &mut CacheMeta, response: &ResponseHeader, ctx: &Context) {
    if ctx.slice.is_some() {
        if let Some(place) = response.headers.get(CONTENT_RANGE) {
            // a value that came with a head goes into one
            let _ = meta.response_header_mut().insert_header(CONTENT_RANGE, place.clone());
        }
        return;
    }
    let length = meta.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let (Some(key), Some(length)) = (ctx.lookup.key, length)
        && length <= cache.store.max_object()
        && ctx.snapshot.cache.slice_from.is_some_and(|from| length > from)
    {
        cache.sliced.forget(&key);
    }
}

/// A slice may not be stored: then slices are of no use.
pub(crate) fn refused(cache: &CacheParts, ctx: &Context) {
    if let Some(slice) = &ctx.slice {
        cache.sliced.forget(&slice.object);
    }
}

/// Cuts the bytes that are wanted out of a slice; `None` when this is no slice.
pub(crate) fn cut(response: &mut ResponseHeader, ctx: &mut Context) -> Option<RangeType> {
    let slice = ctx.slice.as_mut()?;
    let (bytes, _) = range::content_range(&response.headers)?;
    let wanted = slice.piece.wanted.start.max(bytes.start)..slice.piece.wanted.end.min(bytes.end);
    if wanted == bytes || wanted.is_empty() {
        return Some(RangeType::None);
    }
    let offset = |at: u64| usize::try_from(at - bytes.start).unwrap_or(usize::MAX);
    let inside = offset(wanted.start)..offset(wanted.end);
    let _ = response.insert_header(CONTENT_LENGTH, inside.len());
    slice.body = Some(wanted);
    Some(RangeType::Single(inside))
}

/// The head of a slice is finished: it says no more that it is one, the report does.
pub(crate) fn finished(session: &Session, response: &mut ResponseHeader, ctx: &Context) {
    let Some(slice) = &ctx.slice else { return };
    let place = range::content_range(&response.headers).filter(|_| response.status == StatusCode::OK);
    let outcome = match (slice.body.clone(), place) {
        (Some(body), Some(_)) => Outcome::Bytes(body),
        (None, Some((bytes, _))) => Outcome::Bytes(bytes),
        (_, None) => Outcome::Other,
    };
    if matches!(outcome, Outcome::Bytes(_)) {
        response.remove_header(&CONTENT_RANGE);
    }
    slice.tell(outcome);
    if let Ok(mut seen) = slice.report.0.lock() {
        seen.cache = Some(crate::phase::deliver::state(session, ctx));
        seen.collapsed = ctx.lookup.collapsed;
    }
}

/// No slice came about. The request that it is for decides what becomes of it. False when this is no request for a slice.
pub(crate) fn failed(ctx: &Context, status: u16, reason: Reason) -> bool {
    let Some(slice) = &ctx.slice else { return false };
    let onward = ctx.fetch.onward.unwrap_or(Onward { next: Next::Error(status), status, reason });
    slice.tell(Outcome::Failed(onward));
    true
}
