//! Address, place and referer lists, `deny-access`.

use leeward_rules::decide::{self, DenyReason, Verdict};
use leeward_telemetry::Reason;
use pingora::http::RequestHeader;

use crate::answer::Answer;
use crate::context::{Context, Route};

/// Asks the access rules.
///
/// # Errors
/// The refusal: 403 (policy-language.md 2, 5).
pub(super) fn check(request: &RequestHeader, route: &Route, ctx: &Context) -> Result<(), Answer> {
    let Some((policy, effective)) = route.rules() else { return Ok(()) };
    let mode = route.site.as_ref().map(|site| site.access_mode).unwrap_or_default();
    match decide::security(policy, effective, &ctx.facts(route, request), mode) {
        Verdict::Allow => Ok(()),
        Verdict::Deny { reason } => Err(Answer::error(403, word(reason))),
    }
}

/// Whether a list applies: then it depends on the client what the answer is.
pub(super) fn wanted(route: &Route) -> bool {
    route.rules().is_some_and(|(policy, effective)| decide::has_lists(policy, effective))
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
