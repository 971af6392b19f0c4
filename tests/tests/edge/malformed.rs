//! Malformed requests: the right refusal, the connection closed, and nothing at the origin.

use std::time::Duration;

use leeward_tests::edge::Edge;
use leeward_tests::origin::{Answer, Origin, Script};
use leeward_tests::wire::Lost;
use serde::Deserialize;

use crate::stage;

/// One line of `corpus/malformed.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What is wrong with it.
    what: String,
    /// The bytes, with `{fill:N}` for N times the letter a.
    send: String,
    /// Any of these is right. 0: the connection may close without an answer.
    status: Vec<u16>,
}

fn corpus() -> Vec<Case> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/malformed.yaml");
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(send: &str) -> Vec<u8> {
    let mut text = send.to_owned();
    while let Some(start) = text.find("{fill:") {
        let end = start + text[start..].find('}').unwrap();
        let count: usize = text[start + 6..end].parse().unwrap();
        text.replace_range(start..=end, &"a".repeat(count));
    }
    // YAML has no bytes: \xNN means the character, which is sent as the byte it names where there is one.
    text.chars()
        .flat_map(|c| u8::try_from(u32::from(c)).map_or_else(|_| c.to_string().into_bytes(), |byte| vec![byte]))
        .collect()
}

/// What is wrong with how the edge took a case; nothing when it was right.
fn judge(edge: &Edge, origin: &Origin, case: &Case) -> Option<String> {
    let before = origin.count();
    let mut connection = edge.http().connect().unwrap();
    // The edge may refuse and close before it has everything.
    let _ = connection.send(&bytes(&case.send));
    let got = match connection.read("GET") {
        Ok(response) => {
            let (more, end) = connection.end(Duration::from_secs(5));
            if end == Lost::TimedOut {
                return Some(format!("status {}, and the connection stays open", response.status()));
            }
            if !more.is_empty() {
                return Some(format!("status {}, and then {:?}", response.status(), String::from_utf8_lossy(&more)));
            }
            response.status()
        }
        Err(Lost::Closed | Lost::Reset) => 0,
        Err(lost) => return Some(format!("no answer: {lost:?}")),
    };
    if origin.count() > before {
        return Some(format!(
            "status {got}, and the origin was asked {:?}",
            origin.received().last().unwrap().head.start
        ));
    }
    (!case.status.contains(&got)).then(|| format!("status {got}, not one of {:?}", case.status))
}

#[test]
fn malformed_requests_are_refused_and_never_reach_the_origin() {
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let setup = stage::setup(&origin, "");
    let limits = "grace_period: 5s, limits: { header_timeout: 2s, body_timeout: 2s, body: 1MiB }";
    let setup = leeward_tests::edge::Setup { config: setup.config.replace("grace_period: 5s", limits), ..setup };
    let edge = Edge::start(&setup);
    let corpus = corpus();
    assert!(corpus.len() >= 40, "only {} cases", corpus.len());
    let judged =
        corpus.iter().filter_map(|case| judge(&edge, &origin, case).map(|why| format!("{}: {why}", case.what)));
    let wrong: Vec<String> = judged.collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n  {}", wrong.len(), corpus.len(), wrong.join("\n  "));
    assert!(origin.broken().is_empty(), "the origin got {:?}", origin.broken());
    // The same edge still serves.
    assert_eq!(edge.http().get("www.example.com", "/control").text(), "x");
}

#[test]
fn a_space_in_the_target_is_escaped_and_never_passed_on_as_it_came() {
    // The framework repairs the request line before any phase sees it. One request reaches the origin, and only one reading of it.
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let edge = stage::edge(&origin, "");
    let mut connection = edge.http().connect().unwrap();
    connection.send(b"GET /a b?c d HTTP/1.1\r\nHost: www.example.com\r\n\r\n").unwrap();
    let status = connection.read("GET").unwrap().status();
    let asked: Vec<String> = origin.received().iter().map(|received| received.head.start.clone()).collect();
    match status {
        400 => assert!(asked.is_empty(), "{asked:?}"),
        _ => assert_eq!((status, asked), (200, vec!["GET /a%20b?c%20d HTTP/1.1".to_owned()])),
    }
}
