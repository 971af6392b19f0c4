//! What a server does with frames by RFC 9113: `corpus/h2/laws.yaml`.

use std::path::Path;
use std::time::Duration;

use leeward_tests::client::frames::{self, Frames, Outcome, PING, block, frame};
use leeward_tests::edge::Edge;
use leeward_tests::origin::{Answer, Script};
use serde::Deserialize;

use crate::stage;

/// By their numbers (RFC 9113 6).
const KINDS: [&str; 10] = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];
/// By their numbers (RFC 9113 7).
const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];
/// For what must come, and for a connection to end.
const SOON: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Law {
    rfc: String,
    law: String,
    #[serde(default)]
    preface: Option<String>,
    send: Vec<String>,
    #[serde(default)]
    connection: Vec<String>,
    #[serde(default)]
    stream: Vec<String>,
    #[serde(default)]
    answer: Option<u16>,
    /// The answer may have been on its way.
    #[serde(default)]
    or_answer: Option<u16>,
    #[serde(default)]
    ping: bool,
    /// The law allows to ignore it.
    #[serde(default)]
    or_ping: bool,
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn fields(text: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = text.split(';').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let at = pair[1..].find('=').unwrap() + 1;
            (pair.as_bytes()[..at].to_vec(), pair.as_bytes()[at + 1..].to_vec())
        })
        .collect()
}

fn part(text: &str) -> Vec<u8> {
    let get = || frames::get("/c", &[]);
    match text {
        "-" => Vec::new(),
        "@get" => block(&get()),
        "@post" => {
            let mut post = get();
            post[0].1 = b"POST".to_vec();
            block(&post)
        }
        _ => match (text.strip_prefix("zero:"), text.strip_prefix("text:"), text.strip_prefix('@')) {
            (Some(count), ..) => vec![0; count.parse().unwrap()],
            (_, Some(text), _) => text.as_bytes().to_vec(),
            (.., Some(own)) => match own.strip_prefix('!') {
                Some(alone) => block(&fields(alone)),
                None => block(&[get(), fields(own)].concat()),
            },
            _ => hex(text),
        },
    }
}

fn bytes(text: &str) -> Vec<u8> {
    let mut words = text.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("{text}"));
    let (kind, flags, stream, payload) = (word(), word(), word(), word());
    let kind = KINDS.iter().position(|known| *known == kind).unwrap_or(0xfa) as u8;
    let flag = |flag: &str| match flag {
        "-" => 0,
        "es" | "ack" => 1,
        "eh" => 4,
        "pd" => 8,
        "pr" => 0x20,
        other => other.parse().unwrap(),
    };
    let flags = flags.split('|').map(flag).sum();
    // `@+name=value` is a block without the fields of a GET
    let payload: Vec<u8> = match payload.strip_prefix("@+") {
        Some(more) => block(&fields(more)),
        None => payload.split('+').flat_map(part).collect(),
    };
    frame(kind, flags, stream.parse().unwrap(), &payload)
}

/// The codes of these names; where a connection ends, the library says PROTOCOL_ERROR for most of what has a code of its own.
fn codes(names: &[String]) -> Vec<u32> {
    let number = |wanted: &str| CODES.iter().position(|known| *known == wanted).unwrap() as u32;
    let general = ["FRAME_SIZE_ERROR", "COMPRESSION_ERROR", "FLOW_CONTROL_ERROR"].iter();
    let general = general.filter(|special| names.iter().any(|name| name == *special)).map(|_| number("PROTOCOL_ERROR"));
    names.iter().map(|name| number(name)).chain(general).collect()
}

/// Whether a PING is answered.
fn pings(connection: &mut Frames) -> bool {
    const MARK: [u8; 8] = *b"answered";
    connection.within(SOON);
    if connection.send(&frame(PING, 0, 0, &MARK)).is_err() {
        return false;
    }
    while let Ok(frame) = connection.read() {
        if frame.kind == PING && frame.flags & 1 == 1 && frame.payload == MARK {
            return true;
        }
    }
    false
}

fn judge(edge: &Edge, law: &Law) -> Result<(), String> {
    let mut connection = match &law.preface {
        Some(preface) => Frames::open_with(edge.https_address(), preface.as_bytes()),
        None => Frames::open(edge.https_address()),
    };
    let sent: Vec<u8> = law.send.iter().flat_map(|text| bytes(text)).collect();
    let _ = connection.send(&sent);
    if law.ping || (law.or_ping && pings(&mut connection)) {
        return if law.or_ping || pings(&mut connection) { Ok(()) } else { Err("a PING is not answered".to_owned()) };
    }
    if !law.connection.is_empty() {
        let (ended, code) = connection.end(SOON);
        let right = ended && code.is_none_or(|code| codes(&law.connection).contains(&code));
        return if right { Ok(()) } else { Err(format!("ended: {ended}, GOAWAY {code:?}")) };
    }
    let outcome = connection.outcome(1, SOON);
    let right = match outcome {
        Outcome::Status(status) => {
            let malformed = status == 400 && !law.stream.is_empty();
            malformed || law.answer == Some(status) || law.or_answer == Some(status)
        }
        Outcome::Reset(code) | Outcome::GoAway(code) => codes(&law.stream).contains(&code),
        Outcome::Closed => !law.stream.is_empty(),
        Outcome::Silent => false,
    };
    if right { Ok(()) } else { Err(format!("{outcome:?}")) }
}

#[test]
fn frames_mean_what_the_protocol_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/h2/laws.yaml");
    let laws: Vec<Law> = serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(laws.len() >= 90, "only {} laws", laws.len());
    let origin = stage::tls_origin(Script::always(Answer::ok("fine").with("Cache-Control", "no-store")));
    let edge = Edge::start(&stage::tls_setup(&origin, ""));
    let judged =
        laws.iter().filter_map(|law| judge(&edge, law).err().map(|why| format!("{} {}: {why}", law.rfc, law.law)));
    let wrong: Vec<String> = judged.collect();
    assert!(wrong.is_empty(), "{} of {} laws:\n  {}", wrong.len(), laws.len(), wrong.join("\n  "));
    assert_eq!(edge.https("www.example.com").get("www.example.com", "/").text(), "fine");
    edge.stop();
}
