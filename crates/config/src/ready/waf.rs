//! Ready: the web application firewall.

use std::any::Any;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What all sites with a WAF share: one rule set.
#[derive(Debug, Default)]
pub struct Waf {
    /// Rule files, in order, each once.
    pub files: Vec<PathBuf>,
    /// How strict sites are; a [`Guard`] names one by its number.
    pub levels: Vec<Level>,
    /// Exclusions of all sites; a [`Guard`] names them by their numbers.
    pub exclusions: Vec<Exclusion>,
    /// Whether rules with expensive patterns are left out.
    pub redos_guard: bool,
    /// Where the configuration names the rules, for what is wrong with them as a whole.
    pub written: Written,
    /// The rule set that was made of this: filled before the configuration is published, by who knows the engine.
    pub loaded: Slot,
}

/// How strict a site is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Paranoia level, 1 to 4.
    pub paranoia: u8,
    /// Anomaly score from which a request is refused.
    pub threshold: u32,
    /// Bytes of an argument's name or value; a longer one is refused.
    pub argument: u32,
}

/// A place in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// A rule that is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// The rule's id.
    pub rule: u32,
    /// What it is not asked about, such as `ARGS:comment`; absent: nothing at all.
    pub target: Option<String>,
}

/// How requests of one site are judged. There is none for a site where the mode is off.
#[derive(Debug)]
pub struct Guard {
    /// Whether requests are refused, or only reported.
    pub block: bool,
    /// The number of its level in [`Waf::levels`].
    pub level: usize,
    /// Exclusions in [`Waf::exclusions`] by their numbers, ascending, each with the path that it holds for (without a slash at its
    /// end; empty: all).
    pub exclusions: Vec<(String, usize)>,
    /// Whether the query is looked at.
    pub query: bool,
    /// Whether the fields are looked at.
    pub headers: bool,
    /// Whether bodies are looked at.
    pub body: bool,
    /// Bytes of a body that are looked at.
    pub body_limit: usize,
    /// Whether a larger body is refused.
    pub reject_larger: bool,
    /// Whether requests that cannot be judged in time are passed on.
    pub open: bool,
    /// The longest wait for a verdict.
    pub deadline: Duration,
    /// The rules.
    pub waf: Arc<Waf>,
}

impl Guard {
    /// The numbers of the exclusions that hold for a path in normal form.
    pub fn exclusions<'g>(&'g self, path: &'g str) -> impl Iterator<Item = usize> + 'g {
        let holds = |of: &str| path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.exclusions.iter().filter(move |(of, _)| holds(of)).map(|(_, number)| *number)
    }
}

/// Room for something that another crate makes of a configuration.
#[derive(Default)]
pub struct Slot(OnceLock<Box<dyn Any + Send + Sync>>);

impl Slot {
    /// Fills it; what is there already stays.
    pub fn fill<T: Send + Sync + 'static>(&self, value: T) {
        let _ = self.0.set(Box::new(value));
    }

    /// What is there, if it is of that type.
    #[must_use]
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get()?.downcast_ref()
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.get().is_some() { "[filled]" } else { "[empty]" })
    }
}
