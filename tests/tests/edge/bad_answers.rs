//! Origins that answer with what is no answer: the client gets a clean error, or a clean answer; nothing of it is kept, its
//! connection serves nobody else, and the next request is answered as ever.

use std::path::Path;
use std::time::Duration;

use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::{Answer, Ending, Origin, Raw, Script};
use serde::Deserialize;

use crate::stage;

/// One line of `corpus/answers.yaml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    send: String,
    status: Vec<u16>,
    #[serde(default)]
    then: Option<Ending>,
    #[serde(default)]
    lacks: Vec<String>,
    #[serde(default)]
    stored: bool,
}

impl Case {
    fn answer(&self) -> Answer {
        let mut text = self.send.clone();
        for (word, piece) in [
            ("{fill:", "a"),
            ("{interim:", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
            ("{fields:", "X-Field: a\r\n"),
        ] {
            while let Some(start) = text.find(word) {
                let end = start + text[start..].find('}').unwrap();
                let count: usize = text[start + word.len()..end].parse().unwrap();
                text.replace_range(start..=end, &piece.repeat(count));
            }
        }
        Answer { raw: Some(vec![Raw::Send(text)]), then: self.then.unwrap_or(Ending::Close), ..Answer::default() }
    }
}

/// The status that the client got, 0 when the answer broke off, and everything it saw.
fn ask(edge: &Edge, path: &str) -> (u16, String) {
    let mut connection = edge.http().connect().unwrap();
    connection.within(Duration::from_secs(10));
    let request = format!("GET {path} HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n");
    match connection.exchange(request.as_bytes(), "GET") {
        Ok(answer) => {
            let (behind, _) = connection.end(Duration::from_secs(5));
            let all = [&answer.head.raw[..], &answer.body, &behind].concat();
            let status = if answer.cut.is_some() { 0 } else { answer.status() };
            (status, String::from_utf8_lossy(&all).to_lowercase())
        }
        Err(_) => (0, String::new()),
    }
}

fn judge(edge: &Edge, origin: &Origin, case: &Case, path: &str) -> Result<(), String> {
    for turn in 1..=2 {
        let (status, seen) = ask(edge, path);
        if !case.status.contains(&status) {
            return Err(format!("status {status}, not one of {:?}: {seen:?}", case.status));
        }
        if let Some(word) = case.lacks.iter().find(|word| seen.contains(word.as_str())) {
            return Err(format!("status {status}, and the client saw {word:?}: {seen:?}"));
        }
        // the connection of a bad answer is nobody else's
        let good = edge.http().get("www.example.com", &format!("/good{path}/{turn}"));
        if (good.status(), good.text().as_str()) != (200, "good") {
            return Err(format!("status {status}, and the next client got {} {:?}", good.status(), good.text()));
        }
    }
    let asked = origin.received().iter().filter(|got| got.target() == path).count();
    if asked < 2 && !case.stored { Err("it was stored".to_owned()) } else { Ok(()) }
}

#[test]
fn a_bad_answer_is_an_error_for_its_client_and_nothing_for_others() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/answers.yaml");
    let corpus: Vec<Case> = serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(corpus.len() >= 40, "only {} cases", corpus.len());
    let good = Script::always(Answer::ok("good").with("Cache-Control", "no-store"));
    let script = corpus.iter().enumerate().fold(good, |script, (n, case)| script.on(&format!("/{n}"), [case.answer()]));
    let origin = Origin::start(script);
    let setup = stage::setup(&origin, "cache: { store_on_hit: 1 }");
    let timeouts = "directory: main, timeouts: { first_byte: 1s, between_bytes: 1s },";
    let edge = Edge::start(&Setup { config: setup.config.replace("directory: main,", timeouts), ..setup });
    let (_, before) = edge.resident();
    let judged = corpus.iter().enumerate().filter_map(|(n, case)| {
        judge(&edge, &origin, case, &format!("/{n}")).err().map(|why| format!("{}: {why}", case.what))
    });
    let wrong: Vec<String> = judged.collect();
    let (_, after) = edge.resident();
    assert!(wrong.is_empty(), "{} of {} cases:\n  {}", wrong.len(), corpus.len(), wrong.join("\n  "));
    assert!(after < before + (64 << 20), "{before} bytes before, {after} after");
    edge.stop();
}
