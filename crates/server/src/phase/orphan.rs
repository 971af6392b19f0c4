//! A fill whose client has left: it goes on, since others will want the object, but not for ever. Asking for large objects and
//! leaving would otherwise be a cheap way to keep an origin busy.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::{Error, ErrorType};
use pingora_proxy::{ProxyWarnLogContext, Session};

use super::admission;
use crate::context::Context;

/// How long a fill goes on for nobody.
const LONGEST: Duration = Duration::from_secs(60);
/// Bytes that it takes from the origin for nobody.
const MOST: u64 = 64 * 1024 * 1024;

/// A fill whose client has left.
#[derive(Debug)]
pub(crate) struct Orphan {
    since: Instant,
    bytes: u64,
}

/// The framework says that a client is gone while the cache is being filled.
pub(crate) fn notice(context: ProxyWarnLogContext, ctx: &Context) {
    if matches!(context, ProxyWarnLogContext::DownstreamCache) {
        let _ = ctx.fetch.client_left.set(Instant::now());
    }
}

/// A part of the body arrived.
///
/// # Errors
/// When nobody has been reading for too long, or the object is not to be kept: the fill ends, nothing is stored.
pub(crate) fn part(session: &mut Session, body: Option<&Bytes>, ctx: &mut Context) -> pingora::Result<()> {
    let Some(since) = ctx.fetch.client_left.get().copied() else { return Ok(()) };
    let followed = session.cache.miss_body_reader().is_some_and(|reader| leeward_cache::is_followed(reader));
    let unwanted = admission::is_on_trial(ctx);
    let orphan = ctx.fetch.orphan.get_or_insert(Orphan { since, bytes: 0 });
    if followed {
        *orphan = Orphan { since: Instant::now(), bytes: 0 };
        return Ok(());
    }
    orphan.bytes += body.map_or(0, |body| body.len() as u64);
    if unwanted || orphan.bytes > MOST || orphan.since.elapsed() > LONGEST {
        let left = Error::explain(
            ErrorType::ConnectionClosed,
            "the client left, and the object is not wanted or too large to go on",
        );
        return Err(left.into_down());
    }
    Ok(())
}
