//! Requests as bytes: what is malformed is refused and the connection closed, what is not is one request at the origin, and
//! nothing that can be read in two ways ever gets there. `corpus/raw` has the cases, one file a class.

pub(crate) mod audit;
mod case;

use std::time::Duration;

use leeward_tests::client::{Connection, Request};
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::{Answer, Origin, Received, Script};
use leeward_tests::wait::{self, PATIENCE};
use leeward_tests::wire::Lost;
use serde_json::Value;

use crate::stage;
use case::Case;

/// A client that gets nothing any more is closed within this.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);
/// How long a body that broke off may take to the origin's notice.
const SETTLED: Duration = Duration::from_secs(3);

fn edge(origin: &Origin) -> Edge {
    let setup = stage::setup(origin, "");
    let limits = "grace_period: 5s, limits: { header_timeout: 2s, body_timeout: 2s, body: 1MiB }";
    Edge::start(&Setup { config: setup.config.replace("grace_period: 5s", limits), ..setup })
}

/// Answers with the head of the request: an answer that goes to another request is seen.
fn recording() -> Origin {
    Origin::start(Script::always(Answer { echo: true, ..Answer::default() }.with("Cache-Control", "no-store")))
}

/// What is wrong with how the edge took a case; nothing when it was right.
fn judge(edge: &Edge, origin: &Origin, case: &Case, number: usize, ahead: &str) -> Result<u16, String> {
    let before = origin.count();
    let mut connection = edge.http().connect().map_err(|lost| format!("no connection: {lost:?}"))?;
    let status = converse(&mut connection, case, number, ahead)?;
    drop(connection);
    // who comes next gets what it asked for, over whatever connection the edge has to the origin
    let path = format!("/control/{number}");
    let control = edge.http().get("www.example.com", &path);
    if control.status() != 200 || !control.text().starts_with(&format!("GET {path} HTTP/1.1\r\n")) {
        return Err(format!("status {status}, and the next client got {} {:?}", control.status(), control.text()));
    }
    if case.broken {
        settle(origin, before);
    }
    let received = origin.received().split_off(before);
    let own = |got: &&Received| !got.target().starts_with("/control/") && !got.target().starts_with("/after/");
    let seen: Vec<&Received> = received.iter().filter(own).collect();
    audit::requests(case, &seen).map_err(|why| format!("status {status}, and {why}"))?;
    if let Some(bytes) = origin.broken().last() {
        return Err(format!("status {status}, and the origin got {:?}", String::from_utf8_lossy(bytes)));
    }
    if case.status.contains(&status) {
        Ok(status)
    } else {
        Err(format!("status {status}, not one of {:?}", case.status))
    }
}

/// Sends a case, in one piece with the request ahead of it if there is one, and reads what comes; the status of the first answer.
fn converse(connection: &mut Connection, case: &Case, number: usize, ahead: &str) -> Result<u16, String> {
    let bytes = case.bytes();
    let method = case.method(&bytes);
    let bytes = [ahead.as_bytes(), &bytes].concat();
    let first = match connection.exchange(&bytes, if ahead.is_empty() { &method } else { "GET" }) {
        Ok(first) if ahead.is_empty() => first,
        Ok(first) if first.status() != 200 => return Err(format!("the request ahead got {}", first.status())),
        Ok(_) => match connection.read(&method) {
            Ok(second) => second,
            Err(Lost::Closed | Lost::Reset) => return Ok(0),
            Err(lost) => return Err(format!("no answer: {lost:?}")),
        },
        Err(Lost::Closed | Lost::Reset) => return Ok(0),
        // the edge may refuse and close before it has everything
        Err(_) => match connection.read(&method) {
            Ok(first) => first,
            Err(Lost::Closed | Lost::Reset) => return Ok(0),
            Err(lost) => return Err(format!("no answer: {lost:?}")),
        },
    };
    let status = first.status();
    if status >= 400 && !case.kept {
        return closed(connection, status).map(|()| status);
    }
    for more in case.origin.iter().skip(1) {
        match connection.read("GET") {
            Ok(answer) if answer.status() == 200 && answer.text().starts_with(more.as_str()) => {}
            Ok(answer) if answer.status() == 400 => return closed(connection, 400).map(|()| status),
            Ok(answer) => return Err(format!("the answer to {more} is {} {:?}", answer.status(), answer.text())),
            Err(Lost::Closed | Lost::Reset) => return Ok(status),
            Err(lost) => return Err(format!("no answer to {more}: {lost:?}")),
        }
    }
    // nothing of it is left for the next request of this client
    let path = format!("/after/{number}");
    match connection.ask(&Request::get("www.example.com", &path)) {
        Ok(answer) if answer.status() == 200 && answer.text().starts_with(&format!("GET {path} ")) => Ok(status),
        Ok(answer) if answer.status() == 400 => closed(connection, 400).map(|()| status),
        Ok(answer) => Err(format!("status {status}, and the next answer is {} {:?}", answer.status(), answer.text())),
        Err(Lost::Closed | Lost::Reset) => Ok(status),
        Err(lost) => Err(format!("status {status}, and then no answer: {lost:?}")),
    }
}

fn closed(connection: &mut Connection, status: u16) -> Result<(), String> {
    match connection.end(CLOSED_WITHIN) {
        (_, Lost::TimedOut) => Err(format!("status {status}, and the connection stays open")),
        (more, _) if !more.is_empty() => Err(format!("status {status}, and then {:?}", String::from_utf8_lossy(&more))),
        _ => Ok(()),
    }
}

/// Waits until the origin has seen the end of what it got.
fn settle(origin: &Origin, before: usize) {
    let deadline = std::time::Instant::now() + SETTLED;
    while origin.received().iter().skip(before).all(|got| got.target().starts_with("/control/"))
        && std::time::Instant::now() < deadline
    {
        wait::pause(Duration::from_millis(20));
        if origin.connections() == origin.received().len() {
            return;
        }
    }
}

/// Requests that a case may follow in one write, each with a body of another kind. What comes after one is read no other way than what
/// comes first.
const AHEAD: [&str; 5] = [
    "GET /control/ahead HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
    "POST /control/ahead HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 5\r\n\r\nhello",
    "POST /control/ahead HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /control/ahead HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "GET /control/ahead HTTP/1.1\r\nHost: www.example.com\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
];

/// Plays a file of the corpus.
fn play(file: &str, at_least: usize) {
    let corpus = case::corpus(file);
    assert!(corpus.len() >= at_least, "only {} cases in {file}", corpus.len());
    let origin = recording();
    let edge = edge(&origin);
    let (mut wrong, mut refused) = (Vec::new(), 0);
    for (number, case) in corpus.iter().enumerate() {
        for ahead in ["", AHEAD[number % AHEAD.len()]] {
            match judge(&edge, &origin, case, number, ahead) {
                Ok(status) => refused += usize::from(status >= 400),
                Err(why) => wrong.push(format!("{} after {ahead:?}: {why}", case.what)),
            }
        }
    }
    assert!(wrong.is_empty(), "{file}: {} of {} cases:\n  {}", wrong.len(), corpus.len(), wrong.join("\n  "));
    // every refusal is a line in the log and counted, and every line is JSON whatever a client wrote
    let logged = |entries: &[Value]| entries.iter().filter(|entry| entry["status"].as_u64() >= Some(400)).count();
    wait::until("the refusals to be logged", PATIENCE, || (logged(&edge.output().access()) >= refused).then_some(()));
    let lines = edge.output().out();
    let odd: Vec<_> = lines.iter().filter(|line| serde_json::from_str::<Value>(line).is_err()).collect();
    assert!(odd.is_empty(), "{file}: {odd:?}");
    let metrics = edge.metrics();
    let counted = (400..600).map(|status| metrics.sum("leeward_requests_total", &[("status", &status.to_string())]));
    assert!(counted.sum::<f64>() >= refused as f64, "{file}: fewer than {refused} counted");
    // nothing that a client wrote is an error of the edge's own
    let said: Vec<String> = edge.output().err().into_iter().filter(|line| line.contains("ERROR")).collect();
    assert!(said.is_empty(), "{file}: {said:#?}");
    edge.stop();
}

macro_rules! classes {
    ($($law:ident: $file:literal, $at_least:literal;)*) => {
        $(#[test]
        fn $law() {
            play($file, $at_least);
        })*
    };
}

classes! {
    a_request_line_of_another_form_is_refused: "request-line", 35;
    a_target_with_two_readings_is_refused: "target", 30;
    only_one_valid_host_names_the_site: "host", 45;
    malformed_fields_are_refused_and_those_of_one_hop_end_here: "fields", 30;
    a_request_ends_where_every_reader_would_end_it: "framing", 65;
    a_body_in_bad_chunks_has_no_end_at_the_origin: "chunks", 40;
    nothing_but_a_websocket_takes_a_connection_over: "upgrade", 10;
    what_is_too_large_gets_the_status_of_its_limit: "sizes", 20;
}
