//! Input made to hang, to fill memory or to panic.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use leeward_config::{Loaded, load};
use proptest::prelude::*;

/// Far above what any of these takes, far below what a hang takes.
const SOON: Duration = Duration::from_secs(60);

fn load_text(text: &[u8], name: &str) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let loaded = load(&path);
    for diagnostic in &loaded.diagnostics {
        let lines = diagnostic.to_string().lines().count();
        assert!(lines <= 4, "{diagnostic}");
    }
    loaded
}

/// The first message, in any form of line ends and places.
fn first(text: &str, name: &str) -> String {
    let begun = Instant::now();
    let loaded = load_text(text.as_bytes(), name);
    assert!(begun.elapsed() < SOON, "{} took {:?}", text.get(..40).unwrap_or(text), begun.elapsed());
    assert!(loaded.snapshot.is_none());
    loaded.diagnostics.first().map(|diagnostic| diagnostic.message.clone()).unwrap_or_default()
}

#[test]
fn an_alias_bomb_is_refused_soon() {
    let mut nested = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..40 {
        let one = format!("*a{}, ", i - 1);
        writeln!(nested, "a{i}: &a{i} [{}]", one.repeat(10)).unwrap();
    }
    let wide = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(20_000), "*a, ".repeat(20_000));
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(100_000));
    let merged = format!(
        "a: &a {{ {} }}\nb: [{}]\n",
        (0..5_000).map(|i| format!("k{i}: 1, ")).collect::<String>(),
        "{ <<: *a }, ".repeat(50_000)
    );
    for bomb in [nested, wide, long, merged] {
        let said = first(&bomb, "leeward.yaml");
        assert!(said.contains("aliases repeat") || said.contains("repetition limit"), "{said}");
    }
}

#[test]
fn deep_nesting_is_refused_soon() {
    for (text, name) in [
        ("[".repeat(1_000_000), "leeward.yaml"),
        ("{a: ".repeat(1_000_000), "leeward.yaml"),
        ("- ".repeat(200_000), "leeward.yaml"),
        ("[".repeat(1_000_000), "leeward.json"),
        ("[x,\n".repeat(200_000), "leeward.yaml"),
    ] {
        let said = first(&text, name);
        assert!(
            said.contains("brackets") || said.contains("recursion") || said.contains("depth"),
            "{name} {}: {said}",
            &text[..4]
        );
    }
}

#[test]
fn a_file_beyond_its_limit_is_not_read() {
    let said = first(&"# x\n".repeat((16 << 20) / 4 + 1), "leeward.yaml");
    assert_eq!(said, "cannot read this file: it is larger than 16MiB");
}

#[test]
fn a_thousand_and_one_includes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("leeward.yaml");
    std::fs::write(&main, "include: [\"sites.d/*.yaml\"]\n").unwrap();
    std::fs::create_dir(folder.path().join("sites.d")).unwrap();
    for i in 0..=1_000 {
        std::fs::write(folder.path().join(format!("sites.d/{i}.yaml")), "").unwrap();
    }
    let said: Vec<String> = load(&main).diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect();
    assert!(said.contains(&"1001 files are included, more than 1000".to_owned()), "{said:?}");
}

#[test]
fn ten_thousand_mistakes_are_counted_and_a_thousand_shown() {
    let text = format!("sites:\n{}", "  - { host: www.example.com, orign: photos }\n".repeat(10_000));
    let begun = Instant::now();
    let loaded = load_text(text.as_bytes(), "leeward.yaml");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let last = loaded.diagnostics.last().map(|diagnostic| diagnostic.message.clone()).unwrap_or_default();
    assert_eq!(loaded.diagnostics.len(), 1_001, "{last}");
    assert!(last.ends_with("more problems are not shown"), "{last}");
}

#[test]
fn text_that_is_not_utf_8_is_an_error_where_it_begins() {
    let loaded = load_text(b"account: \"0001\"\nsites: [\xff]\n", "leeward.yaml");
    let said: Vec<_> = loaded.diagnostics.iter().map(|d| (d.line, d.column, d.message.as_str())).collect();
    assert_eq!(said, [(2, 9, "this is not UTF-8 text")]);
}

/// Values that could stand anywhere.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        "[ -~]{0,12}".prop_map(|text| format!("{text:?}")),
        "(10s|64KiB|\\*|www\\.example\\.com|/a|http://10\\.0\\.0\\.1:80|photos|&a x|\\*a|!t x|<<)",
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(", "))),
            prop::collection::vec((key(), inner), 0..4).prop_map(|map| format!(
                "{{{}}}",
                map.into_iter().map(|(k, v)| format!("{k}: {v}")).collect::<Vec<_>>().join(", ")
            )),
        ]
    })
}

/// Keys of the contract, and others.
fn key() -> impl Strategy<Value = String> {
    let known = "(account|cdn_hosts|server|listen|address|tls|certificates|chain|key|limits|uri|admin|token|file|env|log|cache|memory|\
                 origins|directory|platform|http|https|servers|host_header|timeouts|connect|sites|host|origin|path|policy|rules|matches|\
                 behaviors|name|value|type|params|waf|mode|include|dns|timeout|addresses|edge|backup|server|on|exclude|\
                 unavailable|first|factor|health_check|failures|validation_path|client_certificate|failover_order|<<)";
    prop_oneof![9 => known, 1 => "[ -~]{0,8}".prop_map(|text| format!("{text:?}"))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), json: bool) {
        load_text(&bytes, if json { "leeward.json" } else { "leeward.yaml" });
    }

    #[test]
    fn no_text_panics(text in "[-:{}\\[\\],&*!|>'\"#%@ \n\ta-c0-9é]{0,120}") {
        load_text(text.as_bytes(), "leeward.yaml");
    }

    #[test]
    fn no_tree_panics(sections in prop::collection::vec((key(), value()), 0..6)) {
        let text: String = sections.into_iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        load_text(text.as_bytes(), "leeward.yaml");
    }

    #[test]
    fn no_damaged_configuration_panics(at in 0_usize..2_000, with in "[ -~\n]{0,6}", cut in 0_usize..40) {
        let text = std::fs::read_to_string(Path::new("tests/bad/unsupported.yaml")).unwrap();
        let begin = text.char_indices().map(|(i, _)| i).nth(at).unwrap_or(text.len());
        let rest: String = text[begin..].chars().skip(cut).collect();
        load_text(format!("{}{with}{rest}", &text[..begin]).as_bytes(), "leeward.yaml");
    }
}

#[test]
fn text_of_another_encoding_is_named_when_it_can_be_recognised() {
    let utf16 = |mark: &[u8]| [mark, b"s\0i\0t\0e\0s\0:\0 \0[\0]\0".as_slice()].concat();
    for (bytes, expected) in [
        (utf16(b"\xff\xfe"), "this is UTF-16 text, not UTF-8"),
        (utf16(b""), "this is not valid YAML: there is a control character (U+0000) here"),
        (b"# caf\xe9\n".to_vec(), "this is not UTF-8 text"),
    ] {
        let said: Vec<String> =
            load_text(&bytes, "leeward.yaml").diagnostics.into_iter().map(|one| one.message).collect();
        assert_eq!(said, [expected], "{bytes:?}");
    }
}
