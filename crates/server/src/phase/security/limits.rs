//! Rate limits. Source: the delivery spec, 6.4 and 6.5.

use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use leeward_config::ready::{LimitAction, RateLimit};
use leeward_rules::Facts;
use leeward_telemetry::{Metrics, Reason};
use pingora::http::RequestHeader;

use crate::accept::whole_seconds;
use crate::answer::Answer;
use crate::context::{Context, Route};
use crate::limits::Limits;

/// Counts a request for every limit that is about it, up to the first that refuses it.
///
/// # Errors
/// The refusal, as the limit has it.
pub(super) fn check(
    limits: &Limits,
    metrics: &Metrics,
    request: &RequestHeader,
    ctx: &mut Context,
) -> Result<(), Answer> {
    let Some(route) = &ctx.route else { return Ok(()) };
    let over = over(limits, metrics, request, route, ctx);
    let Some((limit, left)) = over else { return Ok(()) };
    ctx.error = Some(format!("rate limit {}", limit.name));
    Err(answer(&limit, left))
}

/// The first limit that refuses, and for how long.
fn over(
    limits: &Limits,
    metrics: &Metrics,
    request: &RequestHeader,
    route: &Route,
    ctx: &Context,
) -> Option<(Arc<RateLimit>, Duration)> {
    for limit in list(route, ctx) {
        let mut facts: Facts<'_> = ctx.facts(route, request);
        if limit.conditions.ask_place() {
            facts.place = ctx.place();
        }
        if !limit.conditions.hold(&facts) {
            continue;
        }
        if let Some(left) = limits.count(limit, ctx.client.address, request) {
            metrics.rate_limited(&limit.name, limit.enforce);
            if limit.enforce {
                return Some((Arc::clone(limit), left));
            }
        }
    }
    None
}

fn answer(limit: &RateLimit, left: Duration) -> Answer {
    match &limit.action {
        LimitAction::Refuse { status, retry_after } => {
            let seconds = whole_seconds(retry_after.unwrap_or(left));
            Answer::error(*status, Reason::RateLimit).with(RETRY_AFTER, seconds.into())
        }
        LimitAction::Redirect(location) => Answer::redirect(302, Reason::RateLimit, location.clone()),
        LimitAction::Custom(own) => Answer::error(own.status, Reason::RateLimit).saying(own),
    }
}

fn list<'a>(route: &'a Route, ctx: &'a Context) -> &'a [Arc<RateLimit>] {
    route.site.as_ref().map_or(&ctx.snapshot.rate_limits, |site| &site.rate_limits)
}

/// Whether any limit may apply: then every request counts.
pub(super) fn wanted(route: &Route, ctx: &Context) -> bool {
    !list(route, ctx).is_empty()
}
