//! The first phase: is the client sent elsewhere, or does the request mean another path.

use crate::behaviors::{Setting, Slot};
use crate::compile::Policy;
use crate::evaluate::Effective;
use crate::facts::Facts;
use crate::path::Path;

/// What the first phase does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The answer is this redirect.
    pub redirect: Option<Redirect>,
    /// Cache and origin see this path; rules go on to see the client's.
    pub rewrite: Option<Path>,
}

/// A redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 307 or 308.
    pub status: u16,
    /// An absolute URL, ASCII.
    pub location: String,
}

/// Decides the first phase. A redirect leaves no rewrite.
#[must_use]
pub fn request(policy: &Policy, effective: &Effective, facts: &Facts<'_>) -> Request {
    if let Some(Setting::Redirect(plan)) = effective.setting(policy, Slot::Redirect)
        && let Some(location) = plan.location(facts)
    {
        return Request { redirect: Some(Redirect { status: plan.status, location }), rewrite: None };
    }
    let rewrite = match effective.setting(policy, Slot::Rewrite) {
        Some(Setting::Rewrite(rewrite)) => rewrite.path(facts),
        _ => None,
    };
    Request { redirect: None, rewrite }
}
