//! The commands as people and scripts meet them: output and exit codes of the real binary.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn leeward(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leeward")).args(arguments).current_dir(folder).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

const GOOD: &str = r#"
origins:
  - directory: photos
    http: { servers: ["http://192.0.2.1:80"] }
sites:
  - host: www.example.com
    origin: photos
    path: /photography
    rules:
      - matches: [{ name: http-method, value: GET }]
        behaviors:
          - name: site-failover
            type: serve-302
            params: { httpResponseStatus: "404 500:504", alternateHostname: www.alternatehostname.com, alternatePath: /newdir1/newdir2, preserveQueryString: true }
"#;

/// A folder with a valid configuration, one with a warning, one with two errors.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("good.yaml"), GOOD).unwrap();
    std::fs::write(folder.path().join("warned.yaml"), GOOD.replace("serve-302", "serve-301")).unwrap();
    let bad = GOOD.replace("origin: photos", "origin: photo").replace("192.0.2.1:80", "192.0.2.1:99999");
    std::fs::write(folder.path().join("bad.yaml"), bad).unwrap();
    folder
}

#[test]
fn check_ends_with_0_when_valid_1_when_not_2_when_unreadable() {
    let folder = folder();
    for (arguments, code) in [
        (&["check", "good.yaml"][..], 0),
        (&["check", "good.yaml", "--deny-warnings"], 0),
        (&["check", "warned.yaml"], 0),
        (&["check", "warned.yaml", "--deny-warnings"], 1),
        (&["check", "bad.yaml"], 1),
        (&["check", "absent.yaml"], 2),
        (&["check"], 2),
    ] {
        let output = leeward(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
    }
}

#[test]
fn check_names_every_mistake_with_file_line_and_column() {
    let folder = folder();
    let output = leeward(folder.path(), &["check", "bad.yaml"]);
    let said = text(&output);
    assert!(said.contains("bad.yaml:4:23: error: "), "{said}");
    assert!(said.contains("bad.yaml:7:13: error: "), "{said}");
    assert!(said.contains("did you mean `photos`?"), "{said}");
}

#[test]
fn check_speaks_json() {
    let folder = folder();
    let output = leeward(folder.path(), &["check", "bad.yaml", "--format", "json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let lines: Vec<_> = found.as_array().unwrap().iter().map(|one| one["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [4, 7], "{found:#}");
}

#[test]
fn run_does_not_start_with_a_broken_configuration() {
    let folder = folder();
    let output = leeward(folder.path(), &["run", "--config", "bad.yaml"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("bad.yaml:7:13: error: "), "{}", text(&output));
}

#[test]
fn explain_says_what_the_edge_would_do() {
    let folder = folder();
    let url = "http://www.example.com/a/%7Eb.jpg?x=1";
    let output = leeward(folder.path(), &["explain", url, "--config", "good.yaml", "--format", "json"]);
    assert!(output.status.success(), "{}", text(&output));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let want = [
        ("/site", "www.example.com"),
        ("/path", "/a/~b.jpg"),
        ("/cache/key", "http www.example.com /photography/a/~b.jpg?x=1"),
        ("/origin/target", "/photography/a/~b.jpg?x=1"),
        ("/origin/host", "www.example.com"),
        ("/failover/0/url", "http://www.alternatehostname.com/newdir1/newdir2?x=1"),
        ("/failover/0/kind", "redirect 302"),
    ];
    for (pointer, value) in want {
        assert_eq!(said.pointer(pointer).and_then(|found| found.as_str()), Some(value), "{pointer} in {said:#}");
    }
    let statuses: Vec<_> = said["failover"].as_array().unwrap().iter().map(|way| way["status"].to_string()).collect();
    assert_eq!(statuses, ["[404,404]", "[500,504]"]);
}

#[test]
fn explain_says_why_a_request_goes_no_further() {
    let folder = folder();
    let output = leeward(folder.path(), &["explain", "http://other.example.com/", "--config", "good.yaml"]);
    assert!(text(&output).contains("404 unknown_site"), "{}", text(&output));
}

#[test]
fn status_ends_with_1_when_nobody_answers_and_2_without_an_address_to_ask() {
    let folder = folder();
    let alone = format!("admin: {{ address: \"127.0.0.1:1\" }}\n{GOOD}");
    std::fs::write(folder.path().join("alone.yaml"), alone).unwrap();
    for (file, code) in [("alone.yaml", 1), ("bad.yaml", 2)] {
        let output = leeward(folder.path(), &["status", "--config", file]);
        assert_eq!(output.status.code(), Some(code), "{file}: {}", text(&output));
    }
}

#[test]
fn the_schema_is_the_one_in_conf() {
    let output = leeward(&root(), &["schema"]);
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let kept = std::fs::read_to_string(root().join("conf/leeward.schema.json")).unwrap();
    assert_eq!(
        printed,
        serde_json::from_str::<serde_json::Value>(&kept).unwrap(),
        "run `leeward schema > conf/leeward.schema.json`"
    );
}

#[test]
fn every_shipped_configuration_is_accepted() {
    let mut seen = 0;
    for place in ["conf", "conf/examples"] {
        for entry in std::fs::read_dir(root().join(place)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if !name.ends_with(".yaml") {
                continue;
            }
            let output = leeward(&root(), &["check", path.to_str().unwrap()]);
            assert!(output.status.success(), "{}", text(&output));
            seen += 1;
        }
    }
    assert!(seen > 3, "only {seen} configurations");
}

#[test]
fn a_refresh_in_the_past_is_a_mistake_to_publish_and_none_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let refresh =
        "\n          - { name: content-refresh, type: date, value: \"2020-01-01\" }\n          - name: site-failover";
    let with_refresh = GOOD.replace("\n          - name: site-failover", refresh);
    std::fs::write(folder.path().join("past.yaml"), with_refresh).unwrap();
    for (arguments, code) in
        [(&["check", "past.yaml"][..], 1), (&["explain", "http://www.example.com/", "--config", "past.yaml"], 0)]
    {
        let output = leeward(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
    }
}
