//! What the watch over an attempt is told, and what it says when the attempt failed.

use std::os::fd::RawFd;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, StatusCode};
use leeward_origin::Watch;
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorSource, ErrorType};
use pingora_proxy::Session;

use crate::context::Context;

/// A connection is there, a new or a kept one.
pub(crate) fn connected(fd: RawFd, kept: bool, ctx: &mut Context) {
    if let Some(watch) = &mut ctx.fetch.watch {
        watch.connected(fd, kept);
    }
}

/// The request is sent, its body included: the wait for the answer begins.
pub(crate) fn request_sent(body: &mut Option<Bytes>, ctx: &mut Context) {
    if let Some(hold) = ctx.fetch.watch.as_mut().and_then(Watch::request_sent) {
        // a handshake has no body
        *body = Some(hold);
    }
}

/// A response head is there, as the origin sent it.
pub(crate) fn head(session: &Session, response: &ResponseHeader, ctx: &mut Context) {
    let Some(watch) = &mut ctx.fetch.watch else { return };
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let length = response.headers.get(CONTENT_LENGTH);
    // for the cache, a HEAD is a GET towards the origin
    let body = (session.req_header().method != Method::HEAD || session.cache.enabled())
        && !matches!(response.status.as_u16(), 101 | 204 | 304)
        && length.is_none_or(|length| length.as_bytes() != b"0");
    watch.head(body, body && length.is_none() && !response.headers.contains_key(TRANSFER_ENCODING));
}

/// A part of the body is there.
///
/// # Errors
/// When the body seems complete only because the watch cut it.
pub(crate) fn part(body: Option<&Bytes>, end: bool, ctx: &mut Context) -> pingora::Result<()> {
    let Some(watch) = &mut ctx.fetch.watch else { return Ok(()) };
    if body.is_some_and(|body| !body.is_empty()) {
        watch.part();
    }
    if end {
        watch.disarm();
        if watch.cut() {
            return Err(late().into_up());
        }
    }
    Ok(())
}

/// Ends the watch over an attempt that failed. An origin that was too slow seems to have closed the connection: that is
/// put right here.
pub(crate) fn over(error: Box<Error>, ctx: &mut Context) -> Box<Error> {
    let Some(mut watch) = ctx.fetch.watch.take() else { return error };
    watch.disarm();
    if watch.expired() && *error.esource() == ErrorSource::Upstream { late().into_up() } else { error }
}

fn late() -> Box<Error> {
    Error::explain(ErrorType::ReadTimedout, "the origin sent nothing for longer than it may")
}
