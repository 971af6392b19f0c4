//! The second phase: may this request be answered. The first refusal ends it; nothing reaches the cache or the origin, and no
//! refusal is a reason to fail over.

mod country;
mod limits;
mod lists;
pub(crate) mod tokens;
mod waf;

use leeward_telemetry::Metrics;
use pingora::http::RequestHeader;

use crate::answer::Answer;
use crate::context::{Context, Route};
use crate::limits::Limits;

pub(crate) use waf::{guard, judge};

/// Asks each check in the order of policy-language.md 2. Requests are counted where `counting` is given: not those that the edge
/// makes by itself, and not those that nobody sent.
///
/// # Errors
/// The refusal of the first that refuses, never stored.
pub(crate) fn check(
    request: &mut RequestHeader,
    ctx: &mut Context,
    counting: Option<(&Limits, &Metrics)>,
) -> Result<(), Answer> {
    if ctx.client.midgress {
        // the edge asked before it asked this tier; a token that it passed on is taken out here, too
        return tokens::check(request, ctx);
    }
    if let Some(route) = &ctx.route {
        country::check(route, ctx)?;
    }
    tokens::check(request, ctx)?;
    let Some(route) = &ctx.route else { return Ok(()) };
    lists::check(request, route, ctx)?;
    counting.map_or(Ok(()), |(limits, metrics)| limits::check(limits, metrics, request, ctx))
}

/// Whether every request for this URL would be let pass, whoever asks and whenever.
pub(crate) fn by_url_alone(route: &Route, ctx: &Context) -> bool {
    let by_client = country::wanted(route) || lists::wanted(route) || limits::wanted(route, ctx);
    !by_client && !tokens::wanted(route, &ctx.snapshot) && !waf::wanted(&ctx.snapshot, route.site.as_deref())
}
