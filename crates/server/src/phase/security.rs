//! The second phase: may this request be answered. The first refusal ends it; nothing reaches the cache or the origin.

use leeward_rules::decide::{self, AccessMode, DenyReason, Verdict};
use leeward_telemetry::Reason;
use pingora::http::RequestHeader;

use crate::answer::Answer;
use crate::context::Context;

/// Asks the access rules.
///
/// # Errors
/// The refusal: 403, never stored, never a reason to fail over (policy-language.md 2, 5).
pub(crate) fn check(request: &RequestHeader, ctx: &Context) -> Result<(), Answer> {
    if ctx.client.midgress {
        // the edge asked before it asked this tier
        return Ok(());
    }
    let Some(route) = &ctx.route else { return Ok(()) };
    let Some((policy, effective)) = route.rules() else { return Ok(()) };
    match decide::security(policy, effective, &ctx.facts(route, request), AccessMode::Exempt) {
        Verdict::Allow => Ok(()),
        Verdict::Deny { reason } => Err(Answer::error(403, word(reason))),
    }
}

const fn word(reason: DenyReason) -> Reason {
    match reason {
        DenyReason::IpBlacklist => Reason::IpBlacklist,
        DenyReason::IpWhitelist => Reason::IpWhitelist,
        DenyReason::GeoBlacklist => Reason::GeoBlacklist,
        DenyReason::GeoWhitelist => Reason::GeoWhitelist,
        DenyReason::RefererBlacklist => Reason::RefererBlacklist,
        DenyReason::RefererWhitelist => Reason::RefererWhitelist,
        DenyReason::DenyAccess => Reason::DenyAccess,
    }
}
