//! What is said about a configuration.

use std::fmt;

use serde::Serialize;

/// Whether a configuration with this diagnostic can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but probably says something else than was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing wrong with a configuration, and where. Prints as the contract has it, serialises to an object of these fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// The file, as the command line or the including file named it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Error or warning.
    pub severity: Severity,
    /// One line.
    pub message: String,
    /// The line of the file, secrets masked, at most [`EXCERPT`] characters; empty where there is none.
    pub excerpt: String,
    /// The column of the caret under the excerpt, from 1: differs from `column` in long lines.
    #[serde(skip)]
    pub caret: usize,
    /// What to do.
    pub hint: Option<String>,
}

/// Characters of a line that are shown.
pub const EXCERPT: usize = 120;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.severity, self.message)?;
        if !self.excerpt.is_empty() {
            let number = self.line.to_string();
            write!(f, "\n  {number} | {}", self.excerpt)?;
            write!(f, "\n  {:width$} | {:>caret$}", "", "^", width = number.len(), caret = self.caret)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}
