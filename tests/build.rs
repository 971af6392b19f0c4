//! Makes one test of every scenario file, so that `cargo test` lists, filters and reports each by its path.

#![allow(clippy::print_stdout, reason = "a build script speaks to cargo on standard output")]

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=scenarios");
    println!("cargo::rerun-if-changed=build.rs");
    let root = std::env::var("CARGO_MANIFEST_DIR")?;
    let mut tests = String::new();
    list(&Path::new(&root).join("scenarios"), "", &mut tests)?;
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("scenarios.rs"), tests)?;
    Ok(())
}

/// Writes the tests of one folder: a module per folder, a function per file.
fn list(folder: &Path, under: &str, tests: &mut String) -> Result<(), Box<dyn Error>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let name = stem.replace('-', "_");
        let relative = if under.is_empty() { stem.to_owned() } else { format!("{under}/{stem}") };
        if path.is_dir() {
            writeln!(tests, "mod {name} {{")?;
            list(&path, &relative, tests)?;
            writeln!(tests, "}}")?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            writeln!(tests, "#[test] fn {name}() {{ leeward_tests::scenario::run(\"{relative}\"); }}")?;
        }
    }
    Ok(())
}
