//! Scenarios: files that read as stories. `scenarios/README.md` shows how to write one.

mod expect;
mod file;
mod run;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use file::Scenario;

/// Where the scenario files are.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Reads one scenario.
///
/// # Errors
/// When the file cannot be read or says something that no scenario can say.
pub fn read(name: &str) -> Result<Scenario, String> {
    let path = folder().join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_yaml::from_str(&text).map_err(|error| format!("scenarios/{name}.yaml: {error}"))
}

/// Plays the scenario of this name: its path below `scenarios/`, without `.yaml`.
///
/// # Panics
/// When the law that it states does not hold; both sides are shown.
pub fn run(name: &str) {
    let scenario = read(name).unwrap_or_else(|error| panic!("{error}"));
    run::Stage::open(name, &scenario).play(&scenario);
}
