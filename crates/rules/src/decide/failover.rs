//! When the origin has failed: what the client gets instead. Source: policy-language 5.

use crate::behaviors::failover::{FailoverKind, Plan};
use crate::behaviors::target::AlternateUrl;
use crate::behaviors::{Setting, Slot};
use crate::compile::Policy;
use crate::evaluate::Effective;
use crate::facts::Facts;

/// What is done instead of answering with a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// How the client gets there.
    pub kind: FailoverKind,
    /// Where to.
    pub url: AlternateUrl,
}

fn plan<'p>(policy: &'p Policy, effective: &Effective) -> Option<&'p Plan> {
    match effective.setting(policy, Slot::Failover) {
        Some(Setting::Failover(plan)) => Some(plan),
        _ => None,
    }
}

/// Whether a failure may have another answer at all.
#[must_use]
pub fn has_failover(policy: &Policy, effective: &Effective) -> bool {
    plan(policy, effective).is_some()
}

/// What `site-failover` is declared for, without a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteFailover {
    /// The statuses that trigger it.
    pub statuses: crate::grammar::StatusSet,
    /// How the client gets elsewhere.
    pub kind: FailoverKind,
}

/// The declared failover, for the plan.
#[must_use]
pub fn site_failover(policy: &Policy, effective: &Effective) -> Option<SiteFailover> {
    plan(policy, effective).map(|plan| SiteFailover { statuses: plan.statuses, kind: plan.kind })
}

/// Decides what happens instead of answering with `status`, which the client would get otherwise. The facts are those of the
/// client's request, before any rewrite. Callers keep to one level: nothing asks this again for the alternate.
#[must_use]
pub fn failover(policy: &Policy, effective: &Effective, facts: &Facts<'_>, status: u16) -> Option<Failover> {
    let plan = plan(policy, effective)?;
    plan.statuses.contains(status).then(|| Failover { kind: plan.kind, url: plan.target.url(facts) })
}
