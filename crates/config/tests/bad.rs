//! Every file in `tests/bad` is a configuration with mistakes, and begins with what must be said about it:
//!
//! ```text
//! # expect: LINE:COLUMN: error: message
//! #   hint: what to do
//! ```
//!
//! in the order of the output, all of it and nothing else; a file other than the case itself is named before the line. A JSON case has
//! its expectations in a file of the same name with `.expect` at its end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};

use leeward_config::{Diagnostic, Severity, load};

const FOLDER: &str = "tests/bad";

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "json"))
        .collect();
    cases.sort();
    cases
}

fn expected(case: &Path) -> Vec<String> {
    let from = if case.extension().is_some_and(|end| end == "json") {
        PathBuf::from(format!("{}.expect", case.display()))
    } else {
        case.to_owned()
    };
    let text = String::from_utf8_lossy(&std::fs::read(from).unwrap()).into_owned();
    text.lines()
        .filter_map(|line| {
            let said = line.strip_prefix("# expect: ");
            said.or_else(|| line.strip_prefix("# ").filter(|rest| rest.starts_with("  hint: "))).map(str::to_owned)
        })
        .collect()
}

/// A diagnostic as the expectations write it.
fn lines(case: &Path, diagnostic: &Diagnostic) -> Vec<String> {
    let file = diagnostic.file.strip_prefix(&format!("{FOLDER}/")).unwrap_or(&diagnostic.file);
    let file = if Path::new(&diagnostic.file) == case { String::new() } else { format!("{file}:") };
    let Diagnostic { line, column, severity, message, hint, .. } = diagnostic;
    let mut lines = vec![format!("{file}{line}:{column}: {severity}: {message}")];
    lines.extend(hint.as_ref().map(|hint| format!("  hint: {hint}")));
    lines
}

#[test]
fn every_bad_configuration_gives_exactly_the_messages_that_it_names() {
    let cases = cases();
    assert!(cases.len() >= 45, "only {} cases", cases.len());
    let mut failures = String::new();
    for case in &cases {
        let loaded = load(case);
        let expected = expected(case);
        let said: Vec<String> = loaded.diagnostics.iter().flat_map(|diagnostic| lines(case, diagnostic)).collect();
        if said != expected || expected.is_empty() {
            failures += &format!(
                "\n{}\n  expected:\n    {}\n  said:\n    {}\n",
                case.display(),
                expected.join("\n    "),
                said.join("\n    ")
            );
        }
        let errors = loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        if errors == loaded.snapshot.is_some() {
            failures += &format!("\n{}: errors: {errors}, snapshot: {}\n", case.display(), loaded.snapshot.is_some());
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn the_first_line_of_a_diagnostic_is_the_contracts_and_an_excerpt_with_a_caret_follows() {
    let loaded = load(Path::new("tests/bad/cdn-host-is-site.yaml"));
    let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    let expected = "tests/bad/cdn-host-is-site.yaml:7:13: error: the host `www.example.com` is in `cdn_hosts` already\n  \
                    7 |   - { host: www.example.com, origin: photos }\n    \
                      |             ^\n\
                    hint: a host answers CDN URLs or is a site, not both";
    assert_eq!(said, [expected]);
    let json = serde_json::to_value(&loaded.diagnostics).unwrap();
    let expected = serde_json::json!([{
        "file": "tests/bad/cdn-host-is-site.yaml", "line": 7, "column": 13, "severity": "error",
        "message": "the host `www.example.com` is in `cdn_hosts` already",
        "excerpt": "  - { host: www.example.com, origin: photos }",
        "hint": "a host answers CDN URLs or is a site, not both",
    }]);
    assert_eq!(json, expected);
}

#[test]
fn no_diagnostic_shows_a_secret() {
    for case in cases() {
        for diagnostic in load(&case).diagnostics {
            let shown = format!("{diagnostic}{}", serde_json::to_string(&diagnostic).unwrap());
            assert!(!shown.contains("hunter2"), "{}: {shown}", case.display());
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_not_a_bad_configuration() {
    let loaded = load(Path::new("tests/bad/nowhere.yaml"));
    let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        (loaded.looked, said),
        (false, vec!["tests/bad/nowhere.yaml:1:1: error: cannot read this file: there is no such file".to_owned()])
    );
    assert!(load(Path::new("tests/bad/empty.yaml")).looked);
}
