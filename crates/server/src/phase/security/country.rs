//! Country filters by directory. Source: the delivery spec, 3.

use leeward_telemetry::Reason;

use crate::answer::Answer;
use crate::context::{Context, Route};

/// Asks the filters of what the client named, and of what it would get: rules may rewrite the path and choose another origin, and
/// open nothing by that.
///
/// # Errors
/// The refusal: 403.
pub(super) fn check(route: &Route, ctx: &Context) -> Result<(), Answer> {
    let refused = || Err(Answer::error(403, Reason::Country));
    let named = route.origin.as_ref();
    if let Some(filters) = named.and_then(|origin| origin.countries.as_ref()) {
        let (prefix, path) = match &route.site {
            Some(site) => (site.path.as_str(), route.path.as_str()),
            None => ("", route.origin_path.as_str()),
        };
        if filters.refuse(prefix, path, ctx.place()) {
            return refused();
        }
    }
    if route.site.is_none() {
        return Ok(());
    }
    let chosen = route.chosen_origin().map(|(origin, _)| origin);
    match chosen.and_then(|origin| origin.countries.as_ref()) {
        Some(filters) if filters.refuse("", &route.origin_path, ctx.place()) => refused(),
        _ => Ok(()),
    }
}

/// Whether any filter may apply: then it depends on the client what the answer is.
pub(super) fn wanted(route: &Route) -> bool {
    let origins = [route.origin.as_ref(), route.chosen_origin().map(|(origin, _)| origin)];
    origins.into_iter().flatten().any(|origin| origin.countries.is_some())
}
