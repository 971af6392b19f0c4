//! After the origin's answer: may it be stored.

use crate::behaviors::caching::Caching;
use crate::behaviors::{Setting, Slot};
use crate::compile::Policy;
use crate::evaluate::Effective;

/// The effective `caching`, if a rule sets it.
#[must_use]
pub fn store(policy: &Policy, effective: &Effective) -> Option<Caching> {
    match effective.setting(policy, Slot::Caching) {
        Some(Setting::Caching(caching)) => Some(*caching),
        _ => None,
    }
}

/// From which request on an object is stored, if a rule says so.
#[must_use]
pub fn store_on_hit(policy: &Policy, effective: &Effective) -> Option<u8> {
    match effective.setting(policy, Slot::StoreOnHit) {
        Some(Setting::StoreOnHit(requests)) => Some(*requests),
        _ => None,
    }
}
