//! The fourth phase: which server is asked, with what, and what its answer means.

mod request;
mod servers;

pub(crate) use request::prepare;
pub(crate) use servers::{broke_off, next_peer, no_connection};

use http::StatusCode;
use leeward_telemetry::{AttemptResult, Reason};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType};
use pingora_proxy::Session;

use super::failover;
use crate::context::Context;

/// Looks at an origin's response head, before anything of it is stored or sent.
///
/// # Errors
/// The status, when the request goes on elsewhere instead.
pub(crate) fn judge(session: &Session, response: &mut ResponseHeader, ctx: &mut Context) -> pingora::Result<()> {
    if response.status.is_informational() {
        return Ok(());
    }
    let status = response.status.as_u16();
    ctx.lookup.fwd_status = Some(status);
    leeward_cache::freshness::strip_hop_by_hop(response);
    if response.status == StatusCode::NOT_MODIFIED && session.cache.enabled() {
        ctx.lookup.not_modified = Some(Box::new(response.clone()));
    }
    if failover::applies(session.req_header(), ctx, status).is_some() {
        servers::finish(ctx, AttemptResult::Status, Some(Reason::Status), Some(status));
        // not retried: what follows is decided where nothing was sent yet, in failover
        return Err(Error::explain(ErrorType::HTTPStatus(status), "site-failover").into_up());
    }
    servers::finish(ctx, AttemptResult::Ok, None, Some(status));
    Ok(())
}

/// An origin's error that a stale copy stands in for: the framework asks no further hook about it.
pub(crate) fn replaced(ctx: &mut Context, error: &Error) {
    if let ErrorType::HTTPStatus(status) = error.etype() {
        servers::finish(ctx, AttemptResult::Status, Some(Reason::Status), Some(*status));
    }
}
