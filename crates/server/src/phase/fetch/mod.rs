//! The fourth phase: which server is asked, with what, and what its answer means.

mod collapsed;
mod parents;
mod plan;
mod redirects;
mod request;
mod servers;
mod unkeyed;

pub(crate) use collapsed::Collapsed;
pub(crate) use parents::{fixed_lifetime, longest};
pub(crate) use plan::{Onward, alternate_is_next, alternate_may_fail, backup, is_plain, order, shared_stale};
pub(crate) use redirects::Followed;
pub(crate) use request::prepare;
pub(crate) use servers::{broke_off, connected, next_peer, no_connection};

use http::StatusCode;
use leeward_origin::Failure;
use leeward_rules::decide::Way;
use leeward_rules::decide::plan::Next;
use leeward_telemetry::{AttemptResult, Reason};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType};
use pingora_proxy::Session;

use crate::answer::begun;
use crate::context::Context;
use crate::proxy::Leeward;

/// Looks at an origin's response head, before anything of it is stored or sent.
///
/// # Errors
/// The status, when the request goes on elsewhere instead.
pub(crate) fn judge(
    edge: &Leeward,
    session: &Session,
    response: &mut ResponseHeader,
    ctx: &mut Context,
) -> pingora::Result<()> {
    if response.status.is_informational() {
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            servers::finish(ctx, AttemptResult::Ok, None, Some(101));
        }
        return Ok(());
    }
    let status = response.status.as_u16();
    ctx.lookup.fwd_status = Some(status);
    leeward_cache::freshness::strip_hop_by_hop(response);
    ctx.fetch.parent_failed = parents::failed(response, ctx);
    if response.status == StatusCode::NOT_MODIFIED && session.cache.enabled() {
        ctx.lookup.not_modified = Some(Box::new(response.clone()));
    }
    if redirects::follow(session.req_header(), response, ctx) {
        servers::finish(ctx, AttemptResult::Status, Some(Reason::Redirected), Some(status));
        let mut error = Error::explain(ErrorType::HTTPStatus(status), "the redirect is followed").into_up();
        error.set_retry(true);
        return Err(error);
    }
    if status >= 400 && begun(session).is_none() {
        let again = plan::decide(edge, session, ctx, &answered(status));
        let next = ctx.fetch.onward.map(|onward| onward.next);
        // the stale copy for a parent's error is decided on here: earlier nobody sees what the parent says of it
        let stale = next == Some(Next::Way(Way::Stale)) && parents::asked(ctx);
        if again || stale || next == Some(Next::Way(Way::SiteFailover)) {
            servers::finish(ctx, AttemptResult::Status, Some(Reason::Status), Some(status));
            let mut error = Error::explain(ErrorType::HTTPStatus(status), "another way is taken").into_up();
            error.set_retry(again);
            return Err(error);
        }
    }
    // this is the answer: what failed before it is over
    ctx.fetch.onward = None;
    if !ctx.fetch.parent_failed {
        edge.collapsed.forget(ctx);
    }
    servers::finish(ctx, AttemptResult::Ok, None, Some(status));
    Ok(())
}

fn answered(status: u16) -> Failure {
    Failure { reason: Reason::Status, status, result: AttemptResult::Status }
}

/// Whether a stale copy is the next way on from an error: an origin's 5xx whose head just came, or the failure that was
/// the last.
pub(crate) fn stale_is_next(session: &Session, ctx: &mut Context, error: &Error) -> Option<Onward> {
    if let (ErrorType::HTTPStatus(status), true) = (error.etype(), ctx.fetch.current.is_some()) {
        if parents::asked(ctx) {
            // what the parent says of it is only seen in `judge`
            return None;
        }
        let failed = leeward_rules::decide::plan::Failed::Status(*status);
        ctx.fetch.onward = Some(plan::ask(session, ctx, failed, Reason::Status, false));
    }
    ctx.fetch.onward.filter(|onward| onward.next == Next::Way(Way::Stale))
}

/// An origin's error that a stale copy stands in for: the framework asks no further hook about it.
pub(crate) fn replaced(ctx: &mut Context, error: &Error) {
    if let ErrorType::HTTPStatus(status) = error.etype() {
        servers::finish(ctx, AttemptResult::Status, Some(Reason::Status), Some(*status));
    }
}
