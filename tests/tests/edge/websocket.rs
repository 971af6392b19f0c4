//! WebSockets through the edge, spoken by a real library on both ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use leeward_tests::certificates::Leaf;
use leeward_tests::client::Request;
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::{Answer, Ending, Origin, Raw, Script};
use leeward_tests::turn;
use leeward_tests::wait::{self, PATIENCE};
use rustix::process::Signal;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use socket2::SockRef;
use tungstenite::handshake::client::Request as Handshake;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

const MESSAGES: usize = 10_000;
/// Messages on their way at once.
const WINDOW: usize = 20;
const LARGE: usize = 70_000;

/// A server that sends back what it gets, message for message, until the client says goodbye.
fn echo_server(tls: Option<Arc<ServerConfig>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let tls = tls.clone();
            std::thread::spawn(move || match tls {
                None => echo(tcp),
                Some(config) => echo(StreamOwned::new(ServerConnection::new(config).unwrap(), tcp)),
            });
        }
    });
    address
}

fn echo(stream: impl Read + Write) {
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                if socket.send(message).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// An edge with short times for everything that is no WebSocket.
fn edge(servers: &[SocketAddr], websocket: bool) -> Edge {
    let servers: Vec<String> = servers.iter().map(|server| format!("\"http://{server}\"")).collect();
    let config = format!(
        r#"
server:
  listen: [{{ address: "${{listen}}" }}]
  limits: {{ body: 1KiB, body_timeout: 700ms, header_timeout: 1s, keepalive_timeout: 1s }}
  grace_period: 2s
admin: {{ address: "${{admin}}" }}
log: {{ access: stdout }}
origins:
  - directory: main
    http: {{ servers: [{}], balance: primary_failover }}
    timeouts: {{ connect: 1s, first_byte: 800ms, between_bytes: 500ms }}
    websocket: {websocket}
sites: [{{ host: www.example.com, origin: main }}]
"#,
        servers.join(", ")
    );
    Edge::start(&Setup::new(&config))
}

fn handshake(url: &str) -> Handshake {
    let host = url.split('/').nth(2).unwrap();
    let request = Handshake::builder().uri(url).header("Host", host);
    let request = request.header("Connection", "keep-alive, Upgrade").header("Upgrade", "websocket");
    let request = request.header("Sec-WebSocket-Version", "13");
    request.header("Sec-WebSocket-Key", tungstenite::handshake::client::generate_key()).body(()).unwrap()
}

fn dial(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp
}

fn open(edge: &Edge) -> Result<WebSocket<TcpStream>, Error> {
    match tungstenite::client(handshake("ws://www.example.com/chat"), dial(edge.http().address)) {
        Ok((socket, response)) => {
            assert_eq!(response.status(), 101);
            Ok(socket)
        }
        Err(HandshakeError::Failure(error)) => Err(error),
        Err(HandshakeError::Interrupted(_)) => panic!("a socket that blocks is never interrupted"),
    }
}

/// The status and the body of the answer to a handshake that did not lead to a WebSocket.
fn declined(edge: &Edge) -> (u16, String) {
    match open(edge) {
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            (response.status().as_u16(), String::from_utf8(body).unwrap())
        }
        other => panic!("an answer of HTTP was expected, not {other:?}"),
    }
}

fn message(index: usize) -> Message {
    match index % 100 {
        0 => Message::binary(vec![u8::try_from(index % 251).unwrap(); LARGE]),
        1..50 => Message::text(format!("message {index}")),
        _ => Message::binary(index.to_be_bytes().to_vec()),
    }
}

fn exchange<S: Read + Write>(socket: &mut WebSocket<S>, messages: usize, mut at: impl FnMut(usize)) {
    for index in 0..messages + WINDOW {
        if index < messages {
            at(index);
            socket.send(message(index)).unwrap_or_else(|error| panic!("message {index}: {error}"));
        }
        if index >= WINDOW {
            let index = index - WINDOW;
            let back = socket.read().unwrap_or_else(|error| panic!("message {index} back: {error}"));
            assert!(back == message(index), "message {index} came back as {} bytes", back.len());
        }
    }
}

/// Says goodbye and waits for the answer and for the end of the connection.
fn close<S: Read + Write>(mut socket: WebSocket<S>) {
    socket.close(None).unwrap();
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return,
            // the goodbyes of the WebSocket are said; TLS has none behind them
            Err(Error::Io(error)) if error.kind() == ErrorKind::UnexpectedEof => return,
            Err(error) => panic!("the end: {error}"),
        }
    }
}

#[test]
fn ten_thousand_messages_come_back_also_across_reloads() {
    let _beside = turn::beside();
    let edge = edge(&[echo_server(None)], true);
    let mut socket = open(&edge).unwrap();
    exchange(&mut socket, MESSAGES, |index| {
        if index % 4000 == 3000 {
            assert!(edge.reload(), "at message {index}");
        }
    });
    socket.send(Message::Ping("are you there".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("are you there".into()));
    close(socket);
    let (entry, all) = edge.output().wait_for_access(PATIENCE, |entry| entry["path"] == json!("/chat"));
    let entry = entry.unwrap_or_else(|| panic!("no line in {all:?}"));
    assert_eq!((&entry["status"], &entry["cache"]), (&json!(101), &json!("bypass")), "{entry}");
    assert_eq!((&entry["error"], &entry["attempts"][0]["result"]), (&json!(null), &json!("ok")), "{entry}");
    let least = u64::try_from(MESSAGES / 100 * LARGE).unwrap();
    assert!(entry["bytes"].as_u64().unwrap() > least, "the bytes of the messages count: {entry}");
    let counted = edge.metrics().sum("leeward_requests_total", &[("status", "101"), ("cache", "bypass")]);
    assert!((counted - 1.0).abs() < f64::EPSILON, "{counted} requests with 101");
}

#[test]
fn a_websocket_over_tls_on_both_sides() {
    let _beside = turn::beside();
    let server = echo_server(Some(Leaf::new(&["origin.example.net".to_owned()]).server()));
    let config = r#"
server:
  listen: [{ address: "${listen.tls}", tls: { http2: true, certificates: [{ chain: tls/www.pem, key: tls/www.key }] } }]
admin: { address: "${admin}" }
origins:
  - directory: main
    https: { servers: ["https://${origin}"] }
    tls: { ca: tls/ca.pem, sni: origin.example.net }
    websocket: true
sites: [{ host: www.example.com, origin: main }]
"#;
    let setup = Setup::new(config).name("origin", &server).certificate("www", &["www.example.com"]);
    let edge = Edge::start(&setup);
    let name = ServerName::try_from("www.example.com").unwrap();
    let session = ClientConnection::new(leeward_tests::certificates::client(&["http/1.1"]), name).unwrap();
    let stream = StreamOwned::new(session, dial(edge.https_address()));
    let (mut socket, _) = tungstenite::client(handshake("wss://www.example.com/chat"), stream).unwrap();
    exchange(&mut socket, 500, |_| {});
    close(socket);
}

#[test]
fn a_silent_websocket_outlives_every_time_that_bounds_http() {
    let _beside = turn::beside();
    let edge = edge(&[echo_server(None)], true);
    let mut socket = open(&edge).unwrap();
    for turn in 0..2 {
        wait::pause(Duration::from_millis(2500));
        exchange(&mut socket, WINDOW, |_| {});
        assert!(edge.reload(), "turn {turn}");
    }
    close(socket);
}

/// A quick 101 must not be taken for the end of a request whose end the framework did not see yet.
#[test]
fn every_websocket_stays_open_however_quickly_the_origin_switched() {
    let _beside = turn::beside();
    let edge = edge(&[echo_server(None)], true);
    std::thread::scope(|scope| {
        for client in 0..24 {
            let edge = &edge;
            scope.spawn(move || {
                for turn in 0..25 {
                    let mut socket = open(edge).unwrap();
                    wait::pause(Duration::from_millis(20));
                    socket.send(message(turn)).unwrap_or_else(|error| panic!("{client}/{turn}: {error}"));
                    let back = socket.read().unwrap_or_else(|error| panic!("{client}/{turn}: {error}"));
                    assert!(back == message(turn), "{client}/{turn}");
                }
            });
        }
    });
}

#[test]
fn an_origin_may_decline() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer { status: 403, ..Answer::ok("not here") }));
    let edge = edge(&[origin.address()], true);
    assert_eq!(declined(&edge), (403, "not here".to_owned()));
    let asked = origin.received();
    let fields = ["connection", "upgrade", "sec-websocket-version"].map(|name| asked[0].head.value(name));
    assert_eq!(fields, ["Upgrade", "websocket", "13"].map(|value| Some(value.to_owned())));
}

#[test]
fn where_websockets_are_not_allowed_the_request_is_an_ordinary_one() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("plain")));
    let edge = edge(&[origin.address()], false);
    assert_eq!(declined(&edge), (200, "plain".to_owned()));
    let asked = origin.received();
    assert_eq!(asked[0].head.value("upgrade"), None);
    assert_eq!(asked[0].head.value("connection"), None);
}

#[test]
fn no_other_protocol_is_passed_on() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer { echo: true, ..Answer::default() }));
    let edge = edge(&[origin.address()], true);
    for (method, upgrade) in [("GET", "h2c"), ("GET", "websocket, h2c"), ("GET", "TLS/1.0"), ("POST", "websocket")] {
        let request = Request::new(method, "www.example.com", "/").with("Connection", "Upgrade, HTTP2-Settings");
        let request = request.with("Upgrade", upgrade).with("HTTP2-Settings", "AAMAAABkAAQAAP__");
        let response = edge.http().ask(&request).unwrap();
        let seen = response.text().to_ascii_lowercase();
        assert_eq!(response.status(), 200, "{method} {upgrade}");
        assert!(!seen.contains("upgrade") && !seen.contains("http2-settings"), "{method} {upgrade}: {seen}");
    }
}

#[test]
fn an_origin_that_switches_unasked_is_not_followed() {
    let _beside = turn::beside();
    let switch = |to: &str| {
        Raw::Send(format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\r\nx"))
    };
    let raw = |to| Answer { raw: Some(vec![switch(to)]), then: Ending::Hang, ..Answer::default() };
    let origin = Origin::start(Script::default().on("/", [raw("websocket")]).on("/chat", [raw("h2c")]));
    let edge = edge(&[origin.address()], true);
    assert_eq!(edge.http().get("www.example.com", "/").status(), 502, "an ordinary request");
    assert_eq!(declined(&edge).0, 502, "another protocol");
}

#[test]
fn the_handshake_goes_on_to_the_next_server() {
    let _beside = turn::beside();
    let mut down = Origin::start(Script::default());
    down.stop();
    let edge = edge(&[down.address(), echo_server(None)], true);
    let mut socket = open(&edge).unwrap();
    exchange(&mut socket, 50, |_| {});
    close(socket);
}

#[test]
fn the_handshake_has_the_time_of_a_response_head() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer { raw: Some(vec![]), then: Ending::Hang, ..Answer::default() }));
    let edge = edge(&[origin.address()], true);
    let started = Instant::now();
    assert_eq!(declined(&edge).0, 504);
    let took = started.elapsed();
    assert!(took > Duration::from_millis(700) && took < Duration::from_secs(4), "{took:?}");
}

/// CVE-2026-2833: bytes behind a handshake that reach the origin before it switched are a request that nobody checked.
#[test]
fn what_a_client_sends_too_early_is_a_request_like_any_other() {
    let _beside = turn::beside();
    let origin = Origin::start(
        Script::default()
            .on("/chat", [Answer { gate: Some("answer".into()), ..Answer::ok("declined") }])
            .on("/smuggled", [Answer { echo: true, ..Answer::default() }]),
    );
    let edge = edge(&[origin.address()], true);
    let mut client = edge.http().connect().unwrap();
    let handshake = Request::get("www.example.com", "/chat").with("Connection", "Upgrade").with("Upgrade", "websocket");
    let early = Request::get("www.example.com", "/smuggled");
    client.send(&[handshake.bytes(), early.bytes()].concat()).unwrap();
    origin.wait_for(1, PATIENCE);
    wait::pause(Duration::from_millis(200));
    assert_eq!((origin.count(), origin.broken().len()), (1, 0), "nothing follows before the answer");
    origin.open("answer");
    assert_eq!(client.read("GET").unwrap().text(), "declined");
    let second = client.read("GET").unwrap();
    assert!(second.text().contains("x-forwarded-for"), "it went through the edge's own hands: {}", second.text());
}

#[test]
fn early_messages_are_kept_until_the_origin_switched() {
    let _beside = turn::beside();
    let edge = edge(&[echo_server(None)], true);
    let mut client = dial(edge.http().address);
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let head = format!(
        "GET /chat HTTP/1.1\r\nHost: www.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    );
    // a masked text frame "hi" with a mask of zeros
    client.write_all(&[head.as_bytes(), b"\x81\x82\0\0\0\0hi"].concat()).unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"\x81\x02hi") {
        let mut block = [0; 1024];
        let count = client.read(&mut block).unwrap();
        assert!(count > 0, "ended after {}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&block[..count]);
    }
    assert!(got.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&got));
}

#[test]
fn an_open_websocket_ends_with_the_grace_period() {
    let _beside = turn::beside();
    let mut edge = edge(&[echo_server(None)], true);
    let mut socket = open(&edge).unwrap();
    exchange(&mut socket, 50, |_| {});
    let started = Instant::now();
    edge.signal(Signal::TERM);
    exchange(&mut socket, 50, |_| {});
    assert!(socket.read().is_err(), "the connection ends");
    let status = edge.wait(Duration::from_secs(6));
    assert!(status.success(), "ended with {status}");
    let took = started.elapsed();
    assert!(took > Duration::from_millis(1900) && took < Duration::from_secs(5), "{took:?} of 2 s grace");
}

#[test]
fn a_client_that_resets_is_the_reason_in_the_log() {
    let _beside = turn::beside();
    let edge = edge(&[echo_server(None)], true);
    let socket = open(&edge).unwrap();
    SockRef::from(socket.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
    let (entry, all) = edge.output().wait_for_access(PATIENCE, |entry| entry["path"] == json!("/chat"));
    let entry = entry.unwrap_or_else(|| panic!("no line in {all:?}"));
    let got = [&entry["status"], &entry["cache"], &entry["reason"]];
    assert_eq!(got, [&json!(101), &json!("bypass"), &json!("client")], "{entry}");
}
