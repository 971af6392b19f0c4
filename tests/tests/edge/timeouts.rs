//! Whose slowness it is: an origin is never given up because its client is slow.

use std::time::Duration;

use leeward_tests::client::Request;
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::{Answer, Origin, Pause, Script, Shape, pattern};
use leeward_tests::turn;
use leeward_tests::wait::{self, PATIENCE, Span};

/// More than all buffers between an origin and a client that does not read hold together.
const OBJECT: usize = 24 * 1024 * 1024;

fn edge(origin: &Origin, timeouts: &str) -> Edge {
    let config = format!(
        r#"
server: {{ listen: [{{ address: "${{listen}}" }}], limits: {{ write_timeout: 60s }} }}
admin: {{ address: "${{admin}}" }}
cache: {{ store_on_hit: 1 }}
origins: [{{ directory: main, http: {{ servers: ["http://${{origin}}"] }}, timeouts: {timeouts} }}]
sites: [{{ host: www.example.com, origin: main }}]
"#
    );
    Edge::start(&Setup::new(&config).name("origin", &origin.address()))
}

#[test]
fn an_origin_is_not_given_up_because_its_client_is_slow() {
    let _beside = turn::beside();
    let sized = |framing, caching| Answer { framing, ..Answer::sized(OBJECT) }.with("Cache-Control", caching);
    let cases = [
        ("/length", Shape::Length, "no-store"),
        ("/until-closed", Shape::Close, "no-store"),
        ("/stored", Shape::Length, "max-age=60"),
    ];
    let script = cases
        .iter()
        .fold(Script::default(), |script, (path, framing, caching)| script.on(path, [sized(*framing, caching)]));
    let origin = Origin::start(script);
    let edge = edge(&origin, "{ first_byte: 5s, between_bytes: 1s }");
    std::thread::scope(|scope| {
        for (path, ..) in cases {
            let edge = &edge;
            scope.spawn(move || read_slowly(edge, path));
        }
    });
}

fn read_slowly(edge: &Edge, path: &str) {
    let mut slow = edge.http().with_receive_buffer(8 * 1024).connect().unwrap();
    slow.send(&Request::get("www.example.com", path).bytes()).unwrap();
    let head = slow.read_head().unwrap();
    for stop in 1..=4 {
        wait::pause(Duration::from_millis(1300));
        slow.look_at(stop * OBJECT / 8).unwrap_or_else(|lost| panic!("{path}: stop {stop}: {lost:?}"));
    }
    slow.within(PATIENCE * 3);
    let response = slow.read_rest(head);
    assert_eq!((response.status(), &response.cut), (200, &None), "{path}");
    assert!(response.body == pattern(OBJECT), "{path}: {} bytes, not the right ones", response.body.len());
}

/// Attempts follow each other on kept connections while others on the same origin run into their time.
#[test]
fn only_the_attempt_that_is_late_is_ended() {
    let _beside = turn::beside();
    let pause = |millis| Some(Pause { after: 2, wait: Some(Span(Duration::from_millis(millis))), gate: None });
    let script = Script::default()
        .on("/quick", [Answer::ok("quick").with("Cache-Control", "no-store")])
        .on("/pause", [Answer { pause: pause(300), ..Answer::ok("pause") }.with("Cache-Control", "no-store")])
        .on("/stall", [Answer { pause: pause(3000), ..Answer::ok("stall") }.with("Cache-Control", "no-store")]);
    let origin = Origin::start(script);
    let edge = edge(&origin, "{ first_byte: 5s, between_bytes: 700ms }");
    std::thread::scope(|scope| {
        for client in 0..6 {
            let edge = &edge;
            scope.spawn(move || {
                for turn in 0..20 {
                    let path = match (client + turn) % 10 {
                        0 => "/stall",
                        1..=3 => "/pause",
                        _ => "/quick",
                    };
                    let response = edge.http().get("www.example.com", path);
                    let cut = response.cut.is_some();
                    assert_eq!((response.status(), cut), (200, path == "/stall"), "{client}/{turn} {path}");
                }
            });
        }
    });
}

/// Nor is another way taken for it; and what the origin then answers is delivered when no time is left for another way.
#[test]
fn an_origin_is_not_given_up_because_its_client_pauses_within_the_request() {
    let _beside = turn::beside();
    let script =
        Script::default().on("/good", [Answer::ok("main")]).on("/bad", [Answer { status: 503, ..Answer::ok("main") }]);
    let origin = Origin::start(script);
    let backup = Origin::start(Script::default().on("*", [Answer::ok("backup")]));
    let config = r#"
server: { listen: [{ address: "${listen}" }] }
admin: { address: "${admin}" }
origins:
  - directory: main
    http: { servers: ["http://${origin}"] }
    timeouts: { connect: 500ms, first_byte: 500ms, between_bytes: 500ms }
    backup: { server: "http://${backup}" }
sites: [{ host: www.example.com, origin: main }]
"#;
    let setup = Setup::new(config).name("origin", &origin.address()).name("backup", &backup.address());
    let edge = Edge::start(&setup);
    std::thread::scope(|scope| {
        for (method, path, status) in [("PUT", "/good", 200), ("POST", "/good", 200), ("PUT", "/bad", 503)] {
            let edge = &edge;
            scope.spawn(move || {
                let mut client = edge.http().connect().unwrap();
                let head =
                    format!("{method} {path} HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 10\r\n\r\n01234");
                client.send(head.as_bytes()).unwrap();
                wait::pause(Duration::from_millis(2500));
                client.send(b"56789").unwrap();
                let response = client.read(method).unwrap();
                assert_eq!((response.status(), response.text()), (status, "main".to_owned()), "{method} {path}");
            });
        }
    });
    assert_eq!(backup.count(), 0, "the backup was asked");
}
