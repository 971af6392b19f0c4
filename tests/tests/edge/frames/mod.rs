//! HTTP/2 as frames: what would be smuggled into HTTP/1.1, what only costs ([`floods`]), and what frames mean ([`laws`]).

mod floods;
mod laws;

use std::path::Path;
use std::time::Duration;

use leeward_tests::client::frames::{self, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, Outcome, block, frame};
use leeward_tests::edge::Edge;
use leeward_tests::origin::{Answer, Origin, Script};
use serde::Deserialize;

use crate::raw::audit::unambiguous;
use crate::stage;

/// One line of `corpus/h2/requests.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    head: Vec<(String, String)>,
    #[serde(default)]
    bare: bool,
    #[serde(default)]
    data: Vec<String>,
    #[serde(default)]
    origin: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    lacks: Vec<String>,
    /// What is at the origin must have no end.
    #[serde(default)]
    broken: bool,
}

/// `\xNN` means the character, which is sent as the byte it names.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

impl Case {
    fn frames(&self) -> Vec<u8> {
        let own = if self.bare { Vec::new() } else { frames::get("/c", &[]) };
        let head = self.head.iter().map(|(name, value)| (bytes(name), bytes(value)));
        let fields: Vec<_> = own.into_iter().chain(head).collect();
        let end = if self.data.is_empty() { END_STREAM } else { 0 };
        let mut all = frame(HEADERS, END_HEADERS | end, 1, &block(&fields));
        for (at, data) in self.data.iter().enumerate() {
            let end = if at + 1 == self.data.len() { END_STREAM } else { 0 };
            all.extend(frame(DATA, end, 1, &bytes(data)));
        }
        all
    }
}

fn judge(edge: &Edge, origin: &Origin, case: &Case, number: usize) -> Result<(), String> {
    let before = origin.count();
    let mut connection = Frames::open(edge.https_address());
    let _ = connection.send(&case.frames());
    let outcome = connection.outcome(1, Duration::from_secs(5));
    drop(connection);
    let path = format!("/control/{number}");
    let control = edge.https("www.example.com").get("www.example.com", &path);
    if !control.text().starts_with(&format!("GET {path} HTTP/1.1\r\n")) {
        return Err(format!("{outcome:?}, and the next client got {} {:?}", control.status(), control.text()));
    }
    let received = origin.received().split_off(before);
    let seen: Vec<_> = received.iter().filter(|got| !got.target().starts_with("/control/")).collect();
    for got in &seen {
        let head = String::from_utf8_lossy(&got.head.raw).to_ascii_lowercase();
        let may = case.origin.as_deref() == Some(got.head.start.as_str()) && seen.len() == 1;
        if !may || case.lacks.iter().any(|word| head.contains(word)) || (case.broken && got.whole) {
            return Err(format!("{outcome:?}, and the origin got {head:?}"));
        }
        unambiguous(&got.head.raw).map_err(|why| format!("{outcome:?}, and the origin got {why}: {head:?}"))?;
        if let Some(body) = case.body.as_ref().filter(|body| got.whole && got.body != body.as_bytes()) {
            let got = String::from_utf8_lossy(&got.body);
            return Err(format!("{outcome:?}, and the origin got the body {got:?} and not {body:?}"));
        }
    }
    if let Some(bytes) = origin.broken().last() {
        return Err(format!("{outcome:?}, and the origin got {:?}", String::from_utf8_lossy(bytes)));
    }
    let refused = matches!(outcome, Outcome::Status(400..) | Outcome::Reset(_) | Outcome::GoAway(_) | Outcome::Closed);
    let answered = outcome == Outcome::Status(200);
    let right = match &case.origin {
        None => refused,
        Some(_) if case.what.starts_with("control") => answered && seen.len() == 1,
        Some(_) => refused || answered,
    };
    if right { Ok(()) } else { Err(format!("{outcome:?}")) }
}

#[test]
fn a_request_over_http2_is_one_request_at_the_origin_or_none() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/h2/requests.yaml");
    let corpus: Vec<Case> = serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(corpus.len() >= 55, "only {} cases", corpus.len());
    let script = Script::always(Answer { echo: true, ..Answer::default() }.with("Cache-Control", "no-store"));
    let origin = stage::tls_origin(script);
    let edge = Edge::start(&stage::tls_setup(&origin, ""));
    let judged = corpus.iter().enumerate().filter_map(|(number, case)| {
        judge(&edge, &origin, case, number).err().map(|why| format!("{}: {why}", case.what))
    });
    let wrong: Vec<String> = judged.collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n  {}", wrong.len(), corpus.len(), wrong.join("\n  "));
    let said: Vec<String> = edge.output().err().into_iter().filter(|line| line.contains("ERROR")).collect();
    assert!(said.is_empty(), "{said:#?}");
    edge.stop();
}
