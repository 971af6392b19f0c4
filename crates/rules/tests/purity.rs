//! The rules know no clock, no socket and no log: what they are built on shows it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

/// Crates that do I/O, run tasks, keep time or write logs; a trailing `*` stands for any ending.
const FORBIDDEN: &[&str] = &[
    "async-*",
    "chrono",
    "env_logger",
    "getrandom",
    "hickory-*",
    "httpdate",
    "hyper*",
    "log",
    "mio",
    "net2",
    "parking_lot*",
    "pingora*",
    "polling",
    "quinn*",
    "rand",
    "rustls*",
    "smol",
    "socket2",
    "time",
    "tokio*",
    "tracing*",
    "ureq",
    "reqwest",
];

fn is_forbidden(name: &str) -> bool {
    FORBIDDEN.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *pattern,
    })
}

#[test]
fn the_rules_are_built_on_nothing_that_does_io() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["tree", "-p", "leeward-rules", "-e", "normal", "--prefix", "none", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names: Vec<&str> =
        tree.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).collect();
    assert!(names.contains(&"leeward-rules") && names.contains(&"regex") && names.len() > 10, "not a tree: {tree}");
    let found: Vec<&&str> = names.iter().filter(|name| is_forbidden(name)).collect();
    assert!(found.is_empty(), "{found:?} in\n{tree}");
}

#[test]
fn the_list_would_catch_what_it_names() {
    for name in ["tokio", "tokio-util", "mio", "pingora-core", "log", "socket2", "hyper", "hyper-util"] {
        assert!(is_forbidden(name), "{name}");
    }
    for name in ["http", "regex", "serde", "memchr", "prefix-trie", "logos"] {
        assert!(!is_forbidden(name), "{name}");
    }
}
