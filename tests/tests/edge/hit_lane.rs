//! The hit lane: answers before the workflow, which must be those of the workflow, byte for byte, and only where they are.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leeward_tests::bulk::{Plan, Source};
use leeward_tests::client::{Request, Target};
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::wait;

const RULES: &str = r#"
  - host: rules.example.com
    origin: main
    rules:
      - { matches: [{ name: url-wildcard, value: /edited* }],
          behaviors: [{ name: modify-outgoing-response-header, type: add, params: { name: X-Edge, value: "one" } }] }
      - { matches: [{ name: url-wildcard, value: /linked* }],
          behaviors: [{ name: referer-whitelist, value: "*example.com*" }] }
      - { matches: [{ name: url-wildcard, value: /aged* }],
          behaviors: [{ name: modify-outgoing-response-header, type: modify, params: { name: Age, value: "77777" } }] }
  - host: header.example.com
    origin: main
    rules:
      - { matches: [{ name: header, value: "Cookie: *vip*" }],
          behaviors: [{ name: modify-outgoing-response-header, type: add, params: { name: X-Vip, value: "yes" } }] }
"#;

fn plan(path: &str) -> Plan {
    let fresh = "Cache-Control: max-age=3600\r\n";
    match path.split(['?', '-']).next().unwrap_or(path) {
        "/old" => Plan::with(100, &format!("{fresh}Age: 100\r\nX-Odd:  a  b \r\nx-lower: 1\r\n")),
        "/other" => Plan::with(100, &format!("{fresh}Cache-Status: parent; hit; ttl=9\r\nVia: 1.0 parent\r\n")),
        "/missing" => Plan { status: 404, ..Plan::with(30, fresh) },
        "/empty" => Plan::with(0, fresh),
        "/large" => Plan::with(3_000_000, fresh),
        "/varies" => Plan::with(100, &format!("{fresh}Vary: Accept-Encoding\r\n")),
        "/private" => Plan::with(100, "Cache-Control: private\r\n"),
        _ => Plan::with(1000, fresh),
    }
}

fn edge(source: &Source, cache: &str) -> Edge {
    Edge::start(&Setup::new(&config(source, &format!("cache: {{ store_on_hit: 1, memory: 64MiB{cache} }}"))))
}

fn config(source: &Source, extra: &str) -> String {
    format!(
        r#"
server: {{ threads: 2, listen: [{{ address: "${{listen}}" }}], grace_period: 5s }}
admin: {{ address: "${{admin}}" }}
origins: [{{ directory: main, http: {{ servers: ["http://{}"] }} }}]
sites:
  - {{ host: www.example.com, origin: main }}{RULES}
{extra}
"#,
        source.address()
    )
}

thread_local! {
    /// Requests that this test has sent.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

/// Answers of the lane so far. Counted after they were sent: waits until every request is.
fn lane_hits(edge: &Edge) -> u64 {
    wait::until("every request to be counted", wait::PATIENCE, || {
        let metrics = edge.metrics();
        let all = metrics.sum("leeward_requests_total", &[]) as u64 >= ASKED.get();
        all.then(|| metrics.sum("leeward_lane_hits_total", &[]) as u64)
    })
}

fn counted(edge: &Edge, wanted: u64, what: &str) {
    assert_eq!(lane_hits(edge), wanted, "{what}: hits of the lane");
}

/// One connection that is written to and read from as bytes.
struct Raw(TcpStream);

impl Raw {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    fn ask(&mut self, host: &str, target: &str, fields: &str) -> Vec<u8> {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n{fields}\r\n"));
        self.answer()
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Head and body of the next answer, which has a length.
    fn answer(&mut self) -> Vec<u8> {
        ASKED.set(ASKED.get() + 1);
        let mut got = Vec::new();
        let mut byte = [0];
        while !got.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            got.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&got).to_ascii_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap().trim().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        got.extend(body);
        got
    }
}

/// Asks so often that the lane could know the answer.
fn warm(edge: &Edge, host: &str, target: &str, fields: &str) {
    let mut client = Raw::open(edge.http().address);
    for _ in 0..3 {
        client.ask(host, target, fields);
    }
}

#[test]
fn the_lane_gives_the_answers_of_the_workflow() {
    let source = Source::start(|asked| plan(asked.path));
    let edge = edge(&source, "");
    // host, target, fields of the request, whether the lane may answer
    let cases = [
        ("www.example.com", "/plain", "", true),
        ("www.example.com", "/plain?a=1&b=2", "", true),
        ("WWW.Example.com", "/Plain%20x", "User-Agent: Firefox\r\nCookie: a=1\r\n", true),
        ("www.example.com", "/a/../plain-dots", "Connection: keep-alive\r\n", true),
        ("www.example.com", "/old", "Sec-Fetch-Dest: image\r\nReferer: http://x.example/\r\n", true),
        ("www.example.com", "/other", "", true),
        ("www.example.com", "/missing", "", true),
        ("www.example.com", "/empty", "", true),
        ("www.example.com", "/large", "", true),
        ("www.example.com", "/varies", "Accept-Encoding: gzip\r\n", false),
        ("www.example.com", "/plain", "Range: bytes=0-9\r\n", false),
        ("www.example.com", "/plain", "If-None-Match: \"no\"\r\n", false),
        ("www.example.com", "/plain", "Cache-Control: no-cache\r\n", false),
        ("www.example.com", "/plain", "Authorization: Basic eDp5\r\n", false),
        ("www.example.com", "/plain", "X-Anything: 1\r\n", false),
        ("rules.example.com", "/edited", "", true),
        ("rules.example.com", "/aged", "", false),
        ("rules.example.com", "/linked", "Referer: http://www.example.com/\r\n", false),
        ("header.example.com", "/plain", "Cookie: vip\r\n", false),
        ("header.example.com", "/plain", "Cookie: nobody\r\n", false),
    ];
    for (host, target, fields, by_lane) in cases {
        warm(&edge, host, target, fields);
        let mut client = Raw::open(edge.http().address);
        // date, age and ttl are of the second: ask again when it turned in between
        let same = (0..5).find_map(|_| {
            let before = lane_hits(&edge);
            let lane = client.ask(host, target, fields);
            let full = client.ask(host, target, &format!("{fields}X-Full-Way: 1\r\n"));
            counted(&edge, before + u64::from(by_lane), &format!("{host}{target} {fields:?}"));
            (lane == full).then_some(()).ok_or_else(|| wait::pause(Duration::from_millis(50))).ok()
        });
        if same.is_none() {
            let lane = client.ask(host, target, fields);
            let full = client.ask(host, target, &format!("{fields}X-Full-Way: 1\r\n"));
            let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(800)]).into_owned();
            panic!("{host}{target}\n{}\nis not\n{}", text(&lane), text(&full));
        }
    }
    edge.stop();
}

#[test]
fn requests_of_every_kind_in_one_write_are_answered_in_order() {
    let source = Source::start(|asked| plan(asked.path));
    let edge = edge(&source, "");
    for target in ["/plain-1", "/plain-2", "/large"] {
        warm(&edge, "www.example.com", target, "");
    }
    let mut client = Raw::open(edge.http().address);
    let plain = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    let other = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: www.example.com\r\nX-Full-Way: 1\r\n\r\n");
    let post = "POST /plain-9 HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 5\r\n\r\nhello";
    let wanted =
        ["/plain-1", "/plain-2", "/private", "/large", "/plain-2", "/plain-1", "/plain-9", "/plain-1", "/plain-2"];
    let text = [
        plain("/plain-1"),
        other("/plain-2"),
        plain("/private"),
        plain("/large"),
        plain("/plain-2"),
        other("/plain-1"),
        post.to_owned(),
        plain("/plain-1"),
        plain("/plain-2"),
    ]
    .concat();
    for _ in 0..3 {
        client.send(&text);
        for target in wanted {
            let answer = client.answer();
            let head = String::from_utf8_lossy(&answer).into_owned();
            assert!(head.contains(&format!("{target}\r\n")), "wanted {target}\n{:.600}", head);
        }
    }
    // a head in pieces is a head
    for piece in ["GE", "T /plain-1 HT", "TP/1.1\r\nHost: www.exam", "ple.com\r\n\r", "\n"] {
        client.send(piece);
        wait::pause(Duration::from_millis(30));
    }
    assert!(String::from_utf8_lossy(&client.answer()).contains("/plain-1"), "a head in pieces");
    assert!(lane_hits(&edge) > 0, "the lane answered none of them");
    edge.stop();
}

/// What the framework has read of the next request together with this one does not pass the lane.
#[test]
fn what_is_sent_along_with_a_plain_request_is_not_taken_for_one() {
    let source = Source::start(|asked| plan(asked.path));
    let edge = edge(&source, "");
    for (number, fields) in ["Range: bytes=0-9", "If-None-Match: \"1\"", "X-Anything: 1"].into_iter().enumerate() {
        let target = format!("/plain-along-{number}");
        warm(&edge, "www.example.com", &target, "X-Full-Way: 1\r\n");
        let mut client = Raw::open(edge.http().address);
        let first = format!("GET /first-{number} HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
        let second = format!("GET {target} HTTP/1.1\r\nHost: www.example.com\r\n{fields}\r\nConnection: close\r\n\r\n");
        let kept = second.replace("Connection: close\r\n", "");
        client.send(&[first.as_str(), &kept, &kept, &second].concat());
        let mut all = Vec::new();
        client.0.read_to_end(&mut all).unwrap();
        let answer = Raw::open(edge.http().address).ask("www.example.com", &target, "");
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.starts_with("HTTP/1.1 200") && text.contains("ontent-Length: 1000\r\n"), "{fields}: {text:.400}");
    }
    edge.stop();
}

#[test]
fn what_changes_is_not_answered_from_memory() {
    let version = Arc::new(AtomicU64::new(1));
    let given = Arc::clone(&version);
    let source = Source::start(move |asked| Plan {
        version: given.load(Ordering::SeqCst),
        ..if asked.path == "/short" { Plan::with(1000, "Cache-Control: max-age=1\r\n") } else { plan(asked.path) }
    });
    let edge = edge(&source, "");
    let ask = |target: &str| {
        let answer = Raw::open(edge.http().address).ask("www.example.com", target, "");
        String::from_utf8_lossy(&answer).to_ascii_lowercase()
    };
    let next = || format!("x-version: {}\r\n", version.fetch_add(1, Ordering::SeqCst) + 1);
    let known = |target: &str| {
        warm(&edge, "www.example.com", target, "");
        let before = lane_hits(&edge);
        ask(target);
        counted(&edge, before + 1, target);
    };
    for what in [
        r#"{"url": "http://www.example.com/purged"}"#,
        r#"{"all": true}"#,
        r#"{"url": "http://www.example.com/purged", "soft": true}"#,
    ] {
        known("/purged");
        let wanted = next();
        let mut request = Request::new("POST", "localhost", "/v1/purge").with("Content-Type", "application/json");
        request.body = Some(what.as_bytes().to_vec());
        assert_eq!(Target::plain(edge.admin_address()).ask(&request).unwrap().status(), 200, "{what}");
        ask("/purged");
        wait::until("the purged object to be the new one", wait::PATIENCE, || {
            ask("/purged").contains(&wanted).then_some(())
        });
    }
    known("/changed");
    let wanted = next();
    let posted = "POST /changed HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 0\r\n\r\n";
    let mut client = Raw::open(edge.http().address);
    client.send(posted);
    client.answer();
    assert!(ask("/changed").contains(&wanted), "after a POST");
    warm(&edge, "www.example.com", "/short", "");
    let wanted = next();
    wait::pause(Duration::from_millis(2100));
    ask("/short");
    wait::until("what expired to be asked for again", wait::PATIENCE, || ask("/short").contains(&wanted).then_some(()));
    known("/reloaded");
    let edited = "cache: { store_on_hit: 1, memory: 64MiB }\n";
    let config = config(&source, edited).replace("host: www.example.com, origin: main }", "host: www.example.com, origin: main, rules: [{ matches: [{ name: url-wildcard, value: \"/*\" }], behaviors: [{ name: modify-outgoing-response-header, type: add, params: { name: X-New, value: \"1\" } }] }] }");
    edge.write_config(&config);
    assert!(edge.reload(), "{}", edge.story());
    assert!(ask("/reloaded").contains("x-new: 1\r\n"), "after a reload");
    warm(&edge, "www.example.com", "/reloaded", "");
    let before = lane_hits(&edge);
    assert!(ask("/reloaded").contains("x-new: 1\r\n"), "after a reload, by the lane");
    counted(&edge, before + 1, "after a reload");
    edge.stop();
}

#[test]
fn hits_of_the_lane_are_logged_and_counted_like_others() {
    let source = Source::start(|asked| plan(asked.path));
    let edge = edge(&source, "");
    warm(&edge, "www.example.com", "/logged", "User-Agent: me\r\n");
    let (before, hits) = (lane_hits(&edge), edge.metrics().sum("leeward_requests_total", &[("cache", "hit")]));
    let lines = edge.output().access().len();
    let mut client = Raw::open(edge.http().address);
    client.ask("www.example.com", "/logged?token=secret", "User-Agent: me\r\n");
    client.ask("www.example.com", "/logged?token=secret", "User-Agent: me\r\nX-Full-Way: 1\r\n");
    client.ask("www.example.com", "/logged?token=secret", "User-Agent: me\r\n");
    let all = || (edge.metrics().sum("leeward_requests_total", &[("cache", "hit")]) == hits + 3.0).then_some(());
    wait::until("three hits to be counted", wait::PATIENCE, all);
    assert!(lane_hits(&edge) > before, "the lane answered");
    let entries = edge.output().wait_for_entries(lines + 3, wait::PATIENCE);
    let mut last: Vec<_> = entries.into_iter().rev().take(2).collect();
    for entry in &mut last {
        for of_its_own in ["time", "seconds"] {
            assert!(entry.as_object_mut().unwrap().remove(of_its_own).is_some(), "{of_its_own}");
        }
    }
    assert_eq!(last[0], last[1], "lines of the lane and of the workflow");
    edge.stop();
}

#[test]
fn the_lane_can_be_turned_off() {
    let source = Source::start(|asked| plan(asked.path));
    let edge = edge(&source, ", hit_lane: false");
    warm(&edge, "www.example.com", "/plain", "");
    warm(&edge, "www.example.com", "/plain", "");
    assert_eq!(lane_hits(&edge), 0);
    edge.stop();
}
