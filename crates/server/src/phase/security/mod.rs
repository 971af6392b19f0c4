//! The second phase: may this request be answered. The first refusal ends it; nothing reaches the cache or the origin, and no
//! refusal is a reason to fail over.

mod lists;
pub(crate) mod tokens;
mod waf;

use pingora::http::RequestHeader;

use crate::answer::Answer;
use crate::context::{Context, Route};

pub(crate) use waf::{guard, judge};

/// Asks each check in the order of policy-language.md 2.
///
/// # Errors
/// The refusal of the first that refuses, never stored.
pub(crate) fn check(request: &mut RequestHeader, ctx: &mut Context) -> Result<(), Answer> {
    if ctx.client.midgress {
        // the edge asked before it asked this tier; a token that it passed on is taken out here, too
        return tokens::check(request, ctx);
    }
    tokens::check(request, ctx)?;
    let Some(route) = &ctx.route else { return Ok(()) };
    lists::check(request, route, ctx)
}

/// Whether every request for this URL would be let pass, whoever asks and whenever.
pub(crate) fn by_url_alone(route: &Route, ctx: &Context) -> bool {
    !tokens::wanted(route, &ctx.snapshot) && !lists::wanted(route) && !waf::wanted(&ctx.snapshot, route.site.as_deref())
}
