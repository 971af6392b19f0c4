//! The last phase: what the client sees of an answer.

use super::{HeaderEdits, edits};
use crate::behaviors::switches::Downstream;
use crate::behaviors::{Setting, Slot};
use crate::compile::Policy;
use crate::evaluate::Effective;

/// What the rules say about the response to the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deliver<'p> {
    /// The exact `Cache-Control`; `Expires`, `Pragma` and `Surrogate-Control` go.
    pub downstream: Option<Downstream>,
    /// Whether text is compressed, if a rule says so. Not enforced yet.
    pub compression: Option<bool>,
    /// Edits of the response's header.
    pub headers: HeaderEdits<'p>,
}

/// Decides what the client sees.
#[must_use]
pub fn deliver<'p>(policy: &'p Policy, effective: &Effective) -> Deliver<'p> {
    Deliver {
        downstream: match effective.setting(policy, Slot::Downstream) {
            Some(Setting::Downstream(downstream)) => Some(*downstream),
            _ => None,
        },
        compression: match effective.setting(policy, Slot::Compression) {
            Some(Setting::Switch(on)) => Some(*on),
            _ => None,
        },
        headers: edits(policy, effective, Slot::ResponseHeader),
    }
}
