//! The second phase: which tokens must a request have, and what do those without one get. Source: delivery-and-security 4.1.

use crate::behaviors::{Setting, Slot};
use crate::compile::Policy;
use crate::evaluate::Effective;
use crate::token::{Denial, TokenAuth};

/// What the rules say about tokens. What they do not say is for the configuration to say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tokens<'p> {
    /// Whether an ectoken is needed: `no` lifts what a directory asks for.
    pub ectoken: Option<bool>,
    /// What a client without a good ectoken gets.
    pub denial: Option<&'p Denial>,
    /// The parameter that holds the ectoken; the inner nothing is the start of the query.
    pub parameter: Option<Option<&'p str>>,
    /// Whether an ectoken's paths and Referers are compared without regard to case.
    pub ignore_case: Option<bool>,
    /// The HMAC token that is needed.
    pub token_auth: Option<&'p TokenAuth>,
}

/// Decides which tokens a request must have.
#[must_use]
pub fn tokens<'p>(policy: &'p Policy, effective: &Effective) -> Tokens<'p> {
    let switch = |slot| match effective.setting(policy, slot) {
        Some(Setting::Switch(on)) => Some(*on),
        _ => None,
    };
    Tokens {
        ectoken: switch(Slot::Ectoken),
        denial: match effective.setting(policy, Slot::EctokenDenial) {
            Some(Setting::Denial(denial)) => Some(denial),
            _ => None,
        },
        parameter: match effective.setting(policy, Slot::EctokenParameter) {
            Some(Setting::TokenParameter(name)) => Some(name.as_deref()),
            _ => None,
        },
        ignore_case: switch(Slot::EctokenIgnoreCase),
        token_auth: match effective.setting(policy, Slot::TokenAuth) {
            Some(Setting::TokenAuth(settings)) => Some(settings),
            _ => None,
        },
    }
}
