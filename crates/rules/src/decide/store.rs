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
