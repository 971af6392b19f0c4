//! What is shipped in `conf/` is right: the configurations, and the schema that describes them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};

use leeward_config::{load, schema};

const CONF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conf");

/// Every whole configuration: `*.yaml` directly in `conf/` and `conf/examples/`.
fn configurations() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["", "examples"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(Path::new(CONF).join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    found.sort();
    found
}

#[test]
fn every_shipped_configuration_is_accepted_without_a_word() {
    let all = configurations();
    assert!(all.len() >= 5, "{all:?}");
    for path in all {
        let loaded = load(&path);
        let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        assert!(said.is_empty() && loaded.snapshot.is_some(), "{}:\n{}", path.display(), said.join("\n"));
    }
}

#[test]
fn every_shipped_configuration_obeys_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for path in configurations() {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut yaml: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        yaml.apply_merge().unwrap();
        let value = serde_json::to_value(yaml).unwrap();
        let said: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(said.is_empty(), "{}:\n{}", path.display(), said.join("\n"));
    }
}

#[test]
fn the_schema_refuses_what_load_refuses_by_shape() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let good = serde_json::json!({
        "origins": [{ "directory": "photos", "http": { "servers": ["http://10.0.0.1:80"] } }],
        "sites": [{ "host": "www.example.com", "origin": "photos" }],
    });
    assert!(validator.is_valid(&good));
    for (pointer, bad) in [
        ("/account", serde_json::json!(1)),
        ("/acount", serde_json::json!("0001")),
        ("/sites", serde_json::json!([{ "origin": "photos" }])),
        ("/sites", serde_json::json!([{ "host": "www.example.com", "orign": "photos" }])),
        ("/cache", serde_json::json!({ "memory": "5MB" })),
        ("/cache", serde_json::json!({ "query_string": "uniqe" })),
        ("/server", serde_json::json!({ "limits": { "header_timeout": 10 } })),
        ("/admin", serde_json::json!({ "token": { "fil": "x" } })),
    ] {
        let mut value = good.clone();
        value[&pointer[1..]] = bad;
        assert!(!validator.is_valid(&value), "accepted: {value}");
    }
}

#[test]
fn the_kept_schema_is_that_of_the_types() {
    let kept = Path::new(CONF).join("leeward.schema.json");
    let current = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("LEEWARD_WRITE_SCHEMA").is_some() {
        std::fs::write(&kept, &current).unwrap();
    }
    let kept = std::fs::read_to_string(kept).unwrap_or_default();
    assert!(
        kept == current,
        "conf/leeward.schema.json is old: LEEWARD_WRITE_SCHEMA=1 cargo test -p leeward-config --test shipped"
    );
}
