//! Many streams of one HTTP/2 connection, each on its own way from a failing primary to the backup.

use leeward_tests::client::h2::{Connection, Request};
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::{Answer, Ending, Origin, Script, pattern};
use leeward_tests::turn;
use leeward_tests::wait::Span;

use crate::stage;

const STREAMS: usize = 60;
/// Bytes of each answer: together more than the connection's window.
const OBJECT: usize = 50_000;

fn request(n: usize) -> Request {
    Request {
        method: "GET".to_owned(),
        url: format!("https://www.example.com/{n}"),
        fields: Vec::new(),
        body: bytes::Bytes::new(),
    }
}

#[test]
fn every_stream_of_a_connection_finds_its_own_way_to_the_backup() {
    let _alone = turn::alone();
    let some_time = || Some(Span(std::time::Duration::from_millis(50)));
    let failures = [
        Answer { status: 503, wait: some_time(), ..Answer::sized(3000) },
        Answer { raw: Some(Vec::new()), wait: some_time(), then: Ending::Reset, ..Answer::default() },
        Answer { status: 404, ..Answer::default() },
        Answer { raw: Some(Vec::new()), then: Ending::Hang, ..Answer::default() },
    ];
    let main = stage::tls_origin(Script::default().cycle("*", failures));
    let backup = Origin::start(Script::always(Answer { wait: some_time(), ..Answer::sized(OBJECT) }));
    let config = r#"
server:
  threads: 2
  listen: [{ address: "${listen.tls}", tls: { http2: true, certificates: [{ chain: tls/www.pem, key: tls/www.key }] } }]
admin: { address: "${admin}" }
origins:
  - directory: main
    https: { servers: ["https://${main}"] }
    tls: { ca: tls/ca.pem, sni: origin.example.net }
    timeouts: { connect: 2s, first_byte: 1s }
    backup: { server: "http://${backup}" }
sites: [{ host: www.example.com, origin: main }]
"#;
    let setup = Setup::new(config).name("main", &main.address()).name("backup", &backup.address());
    let edge = Edge::start(&setup.certificate("www", &["www.example.com"]));
    let connection = Connection::open(edge.https_address(), "www.example.com");
    let requests: Vec<Request> = (0..STREAMS).map(request).collect();
    let wanted = pattern(OBJECT);
    for (n, answer) in connection.ask_all(&requests).into_iter().enumerate() {
        let answer = answer.unwrap_or_else(|error| panic!("stream {n}: {error}"));
        assert_eq!((answer.status, &answer.cut, answer.field("proxy-status")), (200, &None, None), "stream {n}");
        assert!(answer.body == wanted, "stream {n}: {} bytes, not the right ones", answer.body.len());
    }
    assert_eq!((main.count(), backup.count()), (STREAMS, STREAMS), "requests at primary and backup");
}
