//! Every scenario can be read and says what it is about, whether or not there is an edge to play it on.

use std::collections::BTreeMap;
use std::path::Path;

use super::{folder, read};

fn names(folder: &Path, under: &str, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let name = if under.is_empty() { stem } else { format!("{under}/{stem}") };
        if path.is_dir() {
            names(&path, &name, into);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            into.push(name);
        }
    }
}

#[test]
fn every_scenario_can_be_read_and_states_a_law_of_its_own() {
    let mut found = Vec::new();
    names(&folder(), "", &mut found);
    assert!(found.len() >= 40, "only {} scenarios", found.len());
    let mut laws: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for name in found {
        match read(&name) {
            Err(error) => wrong.push(error),
            Ok(scenario) => {
                if let Some(other) = laws.insert(scenario.law.clone(), name.clone()) {
                    wrong.push(format!("{name} and {other} state the same law"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
