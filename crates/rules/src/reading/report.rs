//! Problems and where they are.

use crate::grammar::Invalid;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The policy cannot be used.
    Error,
    /// The policy can be used but probably does not do what its author wants.
    Warning,
}

/// One step of a path through a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// One thing that is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// Where, from the top of the policy document. A missing key is reported at the mapping that lacks it.
    pub path: Vec<Step>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// The path as people write it: `rules[0].matches[1].name`.
    #[must_use]
    pub fn place(&self) -> String {
        let mut place = String::new();
        for step in &self.path {
            match step {
                Step::Index(index) => place.push_str(&format!("[{index}]")),
                Step::Key(key) => {
                    if !place.is_empty() {
                        place.push('.');
                    }
                    place.push_str(key);
                }
            }
        }
        place
    }
}

/// Collects problems while walking a document.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<Problem>,
    path: Vec<Step>,
}

impl Report {
    /// Does `work` one step further down.
    pub(crate) fn within<R>(&mut self, step: impl Into<Step>, work: impl FnOnce(&mut Self) -> R) -> R {
        self.path.push(step.into());
        let result = work(self);
        self.path.pop();
        result
    }

    fn push(&mut self, severity: Severity, message: String, hint: Option<String>) {
        self.problems.push(Problem { severity, path: self.path.clone(), message, hint });
    }

    pub(crate) fn error(&mut self, message: impl Into<String>) {
        self.push(Severity::Error, message.into(), None);
    }

    pub(crate) fn error_hint(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Error, message.into(), Some(hint.into()));
    }

    pub(crate) fn warn(&mut self, message: impl Into<String>) {
        self.push(Severity::Warning, message.into(), None);
    }

    pub(crate) fn warn_hint(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Warning, message.into(), Some(hint.into()));
    }

    pub(crate) fn invalid(&mut self, invalid: Invalid) {
        self.push(Severity::Error, invalid.message, invalid.hint);
    }

    /// Unwraps a value that a grammar read, or reports every reason why it could not.
    pub(crate) fn take<T>(&mut self, result: Result<T, Vec<Invalid>>) -> Option<T> {
        result.map_err(|all| all.into_iter().for_each(|invalid| self.invalid(invalid))).ok()
    }

    /// The same for a grammar that stops at the first reason.
    pub(crate) fn take_one<T>(&mut self, result: Result<T, Invalid>) -> Option<T> {
        result.map_err(|invalid| self.invalid(invalid)).ok()
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    pub(crate) fn finish(self) -> Vec<Problem> {
        self.problems
    }
}
