//! The second phase: may this client have an answer. Source: policy-language 2 (order) and 4.5 (lists).

use http::header::REFERER;

use crate::behaviors::{Setting, Slot};
use crate::compile::Policy;
use crate::evaluate::Effective;
use crate::facts::Facts;
use crate::reading::AccessMode;

/// Whether the client gets an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The request goes on.
    Allow,
    /// The answer is 403.
    Deny {
        /// Why.
        reason: DenyReason,
    },
}

/// Why a client is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenyReason {
    /// Its address is listed.
    IpBlacklist,
    /// Its address is not listed.
    IpWhitelist,
    /// Its place is listed.
    GeoBlacklist,
    /// Its place is not listed, or unknown.
    GeoWhitelist,
    /// Its Referer is listed.
    RefererBlacklist,
    /// Its Referer is not listed, or missing.
    RefererWhitelist,
    /// `deny-access` or `access-control`.
    DenyAccess,
}

/// Decides whether the client gets an answer.
#[must_use]
pub fn security(policy: &Policy, effective: &Effective, facts: &Facts<'_>, mode: AccessMode) -> Verdict {
    let reason = address(policy, effective, facts, mode)
        .or_else(|| referer(policy, effective, facts))
        .or_else(|| denied(policy, effective));
    reason.map_or(Verdict::Allow, |reason| Verdict::Deny { reason })
}

/// Whether it depends on more than the URL, who asks or whence, that a client gets an answer.
#[must_use]
pub fn has_lists(policy: &Policy, effective: &Effective) -> bool {
    [
        Slot::TokenAuth,
        Slot::IpBlacklist,
        Slot::IpWhitelist,
        Slot::GeoBlacklist,
        Slot::GeoWhitelist,
        Slot::RefererBlacklist,
        Slot::RefererWhitelist,
    ]
    .into_iter()
    .any(|slot| effective.setting(policy, slot).is_some())
}

fn address(policy: &Policy, effective: &Effective, facts: &Facts<'_>, mode: AccessMode) -> Option<DenyReason> {
    let listed = |slot| match effective.setting(policy, slot) {
        Some(Setting::Ips(ips)) => Some(ips.contains(facts.client_ip)),
        _ => None,
    };
    if listed(Slot::IpBlacklist) == Some(true) {
        return Some(DenyReason::IpBlacklist);
    }
    let has_geo = effective.setting(policy, Slot::GeoBlacklist).is_some()
        || effective.setting(policy, Slot::GeoWhitelist).is_some();
    match (listed(Slot::IpWhitelist), mode) {
        (Some(true), AccessMode::Exempt) => None,
        (Some(false), AccessMode::Strict) => Some(DenyReason::IpWhitelist),
        (Some(false), AccessMode::Exempt) if !has_geo => Some(DenyReason::IpWhitelist),
        _ => place(policy, effective, facts),
    }
}

fn place(policy: &Policy, effective: &Effective, facts: &Facts<'_>) -> Option<DenyReason> {
    if let Some(Setting::Geo(list)) = effective.setting(policy, Slot::GeoBlacklist)
        && list.contains(facts.place)
    {
        return Some(DenyReason::GeoBlacklist);
    }
    match effective.setting(policy, Slot::GeoWhitelist) {
        Some(Setting::Geo(list)) if !list.contains(facts.place) => Some(DenyReason::GeoWhitelist),
        _ => None,
    }
}

/// Of several Referer lines none may be listed as bad and all must be listed as good: a second line opens nothing.
fn referer(policy: &Policy, effective: &Effective, facts: &Facts<'_>) -> Option<DenyReason> {
    let lines = || facts.headers.get_all(REFERER).iter().map(http::HeaderValue::as_bytes);
    if let Some(Setting::Referers(list)) = effective.setting(policy, Slot::RefererBlacklist)
        && lines().any(|line| list.contains(line))
    {
        return Some(DenyReason::RefererBlacklist);
    }
    match effective.setting(policy, Slot::RefererWhitelist) {
        Some(Setting::Referers(list)) if lines().next().is_none() || !lines().all(|line| list.contains(line)) => {
            Some(DenyReason::RefererWhitelist)
        }
        _ => None,
    }
}

fn denied(policy: &Policy, effective: &Effective) -> Option<DenyReason> {
    let closed = |slot| matches!(effective.setting(policy, slot), Some(Setting::Switch(true)));
    (closed(Slot::DenyAccess) || closed(Slot::AccessControl)).then_some(DenyReason::DenyAccess)
}
