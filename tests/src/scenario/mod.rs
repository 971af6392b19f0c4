//! Scenarios: files that read as stories. `scenarios/README.md` shows how to write one.

mod ask;
mod crowd;
mod dns;
mod expect;
mod file;
mod fill;
mod parts;
mod purge;
mod run;
mod table;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use file::Scenario;
pub use table::Case;

use crate::turn;

/// Where the scenario files are.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Reads the scenarios of one file: one, or one for each row of its table.
///
/// # Errors
/// When the file cannot be read or says something that no scenario can say.
pub fn read(name: &str) -> Result<Vec<Case>, String> {
    let path = folder().join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    table::read(&text).map_err(|error| format!("scenarios/{name}.yaml: {error}"))
}

/// Plays the scenario of this name: its path below `scenarios/`, without `.yaml`.
///
/// # Panics
/// When the law that it states does not hold; both sides are shown.
pub fn run(name: &str) {
    let cases = read(name).unwrap_or_else(|error| panic!("{error}"));
    match cases.as_slice() {
        [Case { row: None, scenario, .. }] => {
            if let Err(why) = play(name, scenario) {
                panic!("{why}");
            }
        }
        rows => table::play(name, rows),
    }
}

/// Plays one, beside others or alone.
fn play(name: &str, scenario: &Scenario) -> Result<(), String> {
    if scenario.is_heavy() {
        let _alone = turn::alone();
        run::Stage::open(name, scenario).play(scenario)
    } else {
        let _beside = turn::beside();
        run::Stage::open(name, scenario).play(scenario)
    }
}
