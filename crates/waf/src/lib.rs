//! The web application firewall: rule sets behind one trait, the threads that ask them, and what is remembered of the answers.
//!
//! [`Engine::load`] reads a rule set once; [`RuleSet::inspect`] judges one request, blocking, on a thread of [`Pool`].
//! [`modsecurity`] is the engine that ships: libmodsecurity 3, loaded at run time, with settings of ours around the operator's
//! rules. [`Memory`] spares requests without a body the inspection that an equal one had.

mod memory;
pub mod modsecurity;
mod pool;
#[cfg(test)]
mod sample;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
pub use memory::{Key, Memory};
pub use pool::{Pool, Refused, Ticket};

/// What a rule set is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Files with rules, in the order in which they are read.
    pub files: Vec<PathBuf>,
    /// Paranoia level and anomaly threshold; a request names one by its number.
    pub levels: Vec<Level>,
    /// What is not asked of some requests; a request names those that hold for it by their numbers.
    pub exclusions: Vec<Exclusion>,
    /// Whether rules are left out whose patterns take the engine seconds for a kilobyte.
    pub redos_guard: bool,
}

/// How strict a rule set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Level {
    /// Paranoia level, 1 to 4.
    pub paranoia: u8,
    /// Anomaly score from which a request is refused.
    pub threshold: u32,
    /// Bytes of an argument's name or value; a longer one is refused.
    pub argument: u32,
}

/// A rule that is not asked, or not about one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// The rule's id.
    pub rule: u32,
    /// The name of the argument, cookie or field that it is not asked about, as rules write it: `ARGS:comment`. Absent: all.
    pub target: Option<String>,
}

/// Why rules cannot be loaded: one place in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file; absent: the engine itself.
    pub file: Option<PathBuf>,
    /// Line, from 1; 0: the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Why a request could not be judged. Nothing of it is the request's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub &'static str);

/// Makes rule sets.
pub trait Engine: Send + Sync {
    /// Reads and checks the rules. Blocks, for tenths of a second.
    ///
    /// # Errors
    /// Everything that is wrong with the files, or that the engine is not there.
    fn load(&self, plan: &Plan) -> Result<Arc<dyn RuleSet>, Vec<Fault>>;
}

/// Rules that requests are judged by. Shared by all threads.
pub trait RuleSet: Send + Sync + fmt::Debug {
    /// Judges a request. Blocks, for milliseconds.
    ///
    /// # Errors
    /// When the engine cannot say.
    fn inspect(&self, request: &Request) -> Result<Verdict, Failed>;

    /// Whether a rule may ask who the client is, so that two equal requests of two clients may differ.
    fn asks_for_client(&self) -> bool;

    /// The ids of all rules, ascending.
    fn rules(&self) -> &[u32];
}

/// What is judged. Texts are bytes as the client sent them.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: Vec<u8>,
    /// Path and query.
    pub target: Vec<u8>,
    /// `1.0`, `1.1` or `2.0`.
    pub version: &'static str,
    /// Fields, in their order.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// What is known of the body, in parts.
    pub body: Vec<Bytes>,
    /// Whether the body goes on behind that.
    pub cut: bool,
    /// The client.
    pub client: IpAddr,
    /// Which of [`Plan::levels`] holds.
    pub level: usize,
    /// Which of [`Plan::exclusions`] hold, ascending.
    pub exclusions: Vec<usize>,
}

/// What the rules say of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Whether the request is to be refused.
    pub refuse: bool,
    /// Rules that matched and say so, in the order in which they did, each once.
    pub rules: Vec<u32>,
    /// The anomaly score, where rules count one.
    pub score: u32,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:{}: ", file.display(), self.line.max(1))?;
        }
        f.write_str(&self.message)
    }
}
