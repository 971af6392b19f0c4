//! Checks a document: every problem at once, each with its place. Source: policy-language 1.

pub(crate) mod lint;
mod rule;
mod structure;

use serde_json::Value;

use crate::facts::Facts;
use crate::matches::Test;
use crate::reading::report::{Problem, Report};
use crate::reading::{Context, Form};
pub use crate::reading::{MAX_LIST, MAX_VALUE};
use crate::written;

/// Rules of the longest policy.
pub const MAX_RULES: usize = 10_000;
/// Matches of one rule.
pub const MAX_MATCHES: usize = 64;
/// Behaviors of one rule.
pub const MAX_BEHAVIORS: usize = 64;
/// `geography` matches of one policy.
pub const MAX_GEOGRAPHY: usize = 10;

/// Reads and checks a policy document. The policy is there only when no problem is an error.
#[must_use]
pub fn read(document: &Value, form: Form, context: &Context<'_>) -> (Option<written::Policy>, Vec<Problem>) {
    let mut report = Report::default();
    let policy = structure::policy(document, form, context, &mut report);
    let good = !report.has_errors();
    (policy.filter(|_| good), report.finish())
}

/// Conditions of the policy language outside of a policy: all must hold.
#[derive(Debug, Default)]
pub struct Conditions(Box<[Test]>);

impl Conditions {
    /// Reads a list of matches; none hold for every request. Conditions are there only when nothing is wrong.
    #[must_use]
    pub fn read(list: &[Value], form: Form) -> (Option<Self>, Vec<Problem>) {
        let mut report = Report::default();
        let tests = structure::matches(list, form, &mut report);
        let good = !report.has_errors();
        (tests.filter(|_| good).map(|tests| Self(tests.into_boxed_slice())), report.finish())
    }

    /// Whether all hold.
    #[must_use]
    pub fn hold(&self, facts: &Facts<'_>) -> bool {
        self.0.iter().all(|test| test.holds(facts))
    }

    /// Whether one of them asks where the client is.
    #[must_use]
    pub fn ask_place(&self) -> bool {
        self.0.iter().any(|test| test.name == "geography")
    }
}

#[cfg(test)]
mod tests;
