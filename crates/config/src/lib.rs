//! The contract's YAML to one checked, immutable [`Snapshot`].
//!
//! [`load`] reads a file and what it includes, says everything that is wrong with it in one run, and builds the snapshot when
//! nothing forbids it. It needs no network and no running edge. The steps, a file of this crate each: text to a tree
//! (`tree`), tree to written types (`read`, `written`), written to ready (`build`, [`ready`]); `report` collects what is wrong.

mod build;
mod diagnostic;
mod gather;
mod mask;
mod place;
mod read;
pub mod ready;
mod report;
mod schema;
mod secret;
mod strict;
mod tree;
mod unsupported;
pub mod written;

use std::path::{Path, PathBuf};

pub use build::MAX_POLICY;
pub use diagnostic::{Diagnostic, EXCERPT, Severity};
pub use gather::{MAX_FILE, MAX_INCLUDES};
pub use ready::Snapshot;
pub use report::MAX_DIAGNOSTICS;
use report::Purpose;
pub use schema::schema;

/// What a load gave.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; absent when there is an error. Its generation is 0 until it is published.
    pub snapshot: Option<Snapshot>,
    /// Everything that is wrong, by file and line.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read, the main one first: configuration, included files and policies.
    pub files: Vec<PathBuf>,
    /// Whether the main file could be read at all (`check` exits with 2 otherwise).
    pub looked: bool,
}

impl Loaded {
    /// Whether any diagnostic is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Reads and checks a configuration as `leeward check` does before it is published. Never fails as such: what is wrong is in
/// the diagnostics.
#[must_use]
pub fn load(path: &Path) -> Loaded {
    load_for(path, Purpose::Publish)
}

/// The same for an edge that starts or reloads: what was published once stays good. A file's time is all that says when that
/// was, and a checkout or a mount makes it new: an instant of `content-refresh` that has come must not keep an edge down.
#[must_use]
pub fn load_to_run(path: &Path) -> Loaded {
    load_for(path, Purpose::Run)
}

fn load_for(path: &Path, purpose: Purpose) -> Loaded {
    let report = report::Report::new(purpose);
    let gathered = gather::gather(&report, path);
    let snapshot = gathered.and_then(|gathered| build::snapshot(&report, &gathered));
    Loaded { snapshot, diagnostics: report.finish(), files: report.paths(), looked: !report.is_unreadable() }
}
