//! Configurations that are shipped outside `conf/`: the container's, and those that the documentation shows.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::path::Path;
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn check(file: &Path) -> (bool, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_leeward")).args(["check", "--deny-warnings"]).arg(file).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_configuration_of_the_compose_file_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leeward.yaml");
    std::fs::copy(Path::new(ROOT).join("docker/leeward.yaml"), &file).unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    std::fs::write(folder.path().join("secrets/admin-token"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let (valid, said) = check(&file);
    assert!(valid, "{said}");
}

#[test]
fn every_whole_configuration_in_the_documentation_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    std::fs::write(folder.path().join("policies/www.json"), r#"{ "rules": [] }"#).unwrap();
    let mut checked = 0;
    for page in ["README.md", "docs/policies.md", "docs/configuration.md"] {
        let text = std::fs::read_to_string(Path::new(ROOT).join(page)).unwrap();
        let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for block in blocks.filter(|block| block.contains("origins:") && block.contains("sites:")) {
            let file = folder.path().join("leeward.yaml");
            std::fs::write(&file, block).unwrap();
            let (valid, said) = check(&file);
            assert!(valid, "{page}:\n{block}\n{said}");
            checked += 1;
        }
    }
    assert!(checked >= 2, "{checked}");
}
