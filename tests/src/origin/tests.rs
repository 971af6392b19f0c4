//! The origin tested with the client: each is the other's measure.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Answer, Ending, Origin, Pause, Raw, Script, Shape, pattern, pattern_of};
use crate::certificates::Leaf;
use crate::client::{Request, Target};
use crate::wait::Span;
use crate::wire::Lost;

const SOON: Duration = Duration::from_secs(5);

fn target(origin: &Origin) -> Target {
    Target::plain(origin.address())
}

#[test]
fn an_answer_arrives_as_scripted_and_the_request_is_kept_byte_for_byte() {
    let origin = Origin::start(Script::always(Answer::ok("hello").with("X-One", "1").with("x-one", "2")));
    let mut request = Request::new("POST", "www.example.com", "/a?b").with("X-Mixed-CASE", "v");
    request.body = Some(b"body".to_vec());
    let response = target(&origin).ask(&request).unwrap();
    assert_eq!((response.status(), response.text().as_str(), response.cut), (200, "hello", None));
    let names: Vec<&str> = response.head.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Date", "X-One", "x-one", "Content-Length"]);
    let received = &origin.received()[0];
    assert_eq!(
        received.head.raw,
        b"POST /a?b HTTP/1.1\r\nHost: www.example.com\r\nX-Mixed-CASE: v\r\nContent-Length: 4\r\n\r\n"
    );
    assert_eq!(received.body, b"body");
}

#[test]
fn a_sequence_plays_in_order_and_its_last_answer_repeats() {
    let script = Script::default().on("/s", [Answer { status: 503, ..Answer::default() }, Answer::ok("back")]);
    let origin = Origin::start(script);
    let statuses: Vec<u16> = (0..3).map(|_| target(&origin).get("h", "/s?q").status()).collect();
    assert_eq!((statuses, target(&origin).get("h", "/other").status()), (vec![503, 200, 200], 599));
}

#[test]
fn every_way_to_break_a_body_is_seen_as_what_it_is() {
    let cases = [
        ("too short", Answer { length: Some(10), then: Ending::Close, ..Answer::ok("four") }, Some(Lost::Closed), 4),
        ("reset", Answer { length: Some(10), then: Ending::Reset, ..Answer::ok("four") }, Some(Lost::Reset), 4),
        ("cut", Answer { cut: Some(100), then: Ending::Close, ..Answer::sized(1000) }, Some(Lost::Closed), 100),
        (
            "cut chunks",
            Answer { cut: Some(2000), framing: Shape::Chunked, then: Ending::Close, ..Answer::sized(9000) },
            Some(Lost::Closed),
            2000,
        ),
        ("until close", Answer { framing: Shape::Close, ..Answer::ok("all") }, None, 3),
        ("chunked", Answer { framing: Shape::Chunked, ..Answer::sized(5000) }, None, 5000),
        ("trickle", Answer { trickle: Some(Span(Duration::from_millis(1))), ..Answer::ok("drops") }, None, 5),
        (
            "broken chunks",
            Answer { framing: Shape::BrokenChunks, ..Answer::sized(5000) },
            Some(Lost::Malformed("chunk size \"zz\"".into())),
            1024,
        ),
    ];
    for (what, answer, cut, bytes) in cases {
        let origin = Origin::start(Script::always(answer));
        let response = target(&origin).get("h", "/");
        assert_eq!((response.cut, response.body.len()), (cut, bytes), "{what}");
    }
}

#[test]
fn an_origin_that_says_nothing_or_garbage_gives_no_response() {
    let cases = [
        ("close", Answer { raw: Some(vec![]), then: Ending::Close, ..Answer::default() }, Lost::Closed),
        ("reset", Answer { raw: Some(vec![]), then: Ending::Reset, ..Answer::default() }, Lost::Reset),
        ("hang", Answer { raw: Some(vec![]), then: Ending::Hang, ..Answer::default() }, Lost::TimedOut),
        (
            "half a head",
            Answer {
                raw: Some(vec![Raw::Send("HTTP/1.1 200 OK\r\nA: b\r\n".into())]),
                then: Ending::Close,
                ..Answer::default()
            },
            Lost::Malformed("the stream ended within a head: \"HTTP/1.1 200 OK\\r\\nA: b\\r\\n\"".into()),
        ),
    ];
    for (what, answer, lost) in cases {
        let origin = Origin::start(Script::always(answer));
        let mut connection = target(&origin).connect().unwrap();
        connection.send(&Request::get("h", "/").bytes()).unwrap();
        connection.within(Duration::from_millis(300));
        assert_eq!(connection.read("GET"), Err(lost), "{what}");
    }
}

#[test]
fn a_stopped_origin_refuses_and_a_resumed_one_answers_on_the_same_port() {
    let mut origin = Origin::start(Script::always(Answer::ok("up")));
    let mut kept = target(&origin).connect().unwrap();
    assert_eq!(kept.ask(&Request::get("h", "/")).unwrap().text(), "up");
    origin.stop();
    assert!(matches!(kept.end(SOON).1, Lost::Closed | Lost::Reset), "an open connection ends with the origin");
    let refused = target(&origin).connect().map(|_| ());
    assert!(matches!(&refused, Err(Lost::Other(why)) if why.contains("refused")), "{refused:?}");
    origin.resume();
    assert_eq!(target(&origin).get("h", "/").text(), "up");
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_deaf_origin_lets_connections_time_out_until_it_starts_again() {
    let mut origin = Origin::start(Script::always(Answer::ok("up")));
    let connect = |origin: &Origin| TcpStream::connect_timeout(&origin.address(), Duration::from_millis(200)).map(drop);
    origin.deafen();
    let kinds: Vec<_> = (0..3).map(|_| connect(&origin).map_err(|error| error.kind())).collect();
    assert_eq!(kinds, vec![Err(ErrorKind::TimedOut); 3]);
    origin.resume();
    assert_eq!((target(&origin).get("h", "/").text().as_str(), origin.connections()), ("up", 1));
    origin.deafen();
    origin.stop();
    assert_eq!(connect(&origin).map_err(|error| error.kind()), Err(ErrorKind::ConnectionRefused));
}

#[test]
fn a_cycle_begins_again_and_is_shared_by_all_paths_of_a_star() {
    let statuses = [200, 500, 404].map(|status| Answer { status, ..Answer::default() });
    let origin = Origin::start(Script::default().cycle("*", statuses.clone()).cycle("/own", statuses));
    let ask = |path: &str| target(&origin).get("h", path).status();
    let got = ["/a", "/b", "/own", "/c", "/a", "/own"].map(ask);
    assert_eq!(got, [200, 500, 200, 404, 200, 500]);
}

#[test]
fn bodies_of_a_megabyte_arrive_whole_with_a_length_and_in_chunks() {
    let origin = Origin::start(Script::always(Answer::ok("thanks")));
    for chunked in [false, true] {
        let mut request = Request::new("PUT", "h", "/");
        (request.body, request.chunked) = (Some(pattern(1_048_576)), chunked);
        assert_eq!(target(&origin).ask(&request).unwrap().text(), "thanks");
        let received = origin.received().pop().unwrap();
        assert_eq!(
            (received.whole, received.body == pattern(1_048_576), received.head.chunked()),
            (true, true, chunked)
        );
    }
}

#[test]
fn an_early_answer_comes_before_the_body_was_read() {
    let cases = [(Ending::Keep, true), (Ending::Close, true), (Ending::Reset, false)];
    for (then, whole) in cases {
        // The bytes of the answer must arrive: a reset would take them along.
        let pause = Pause { after: 4, wait: Some(Span(Duration::from_millis(100))), gate: None };
        let answer = Answer { status: 503, early: true, then, pause: Some(pause), ..Answer::ok("busy") };
        let origin = Origin::start(Script::always(answer));
        let mut request = Request::new("PUT", "h", "/");
        request.body = Some(pattern(1_048_576));
        let mut connection = target(&origin).connect().unwrap();
        let response = connection.ask(&request).unwrap();
        assert_eq!((response.status(), response.text().as_str()), (503, "busy"), "{then:?}");
        drop(connection);
        crate::wait::until("the rest of the body", SOON, || (!whole || origin.received()[0].whole).then_some(()));
        assert_eq!(origin.received()[0].whole, whole, "{then:?}");
    }
}

#[test]
fn a_gate_holds_the_rest_of_a_body_until_it_is_opened() {
    let pause = Pause { after: 100, wait: None, gate: Some("go".into()) };
    let origin = Origin::start(Script::always(Answer { pause: Some(pause), ..Answer::sized(1000) }));
    let mut connection = target(&origin).connect().unwrap();
    connection.send(&Request::get("h", "/").bytes()).unwrap();
    let head = connection.read_head().unwrap();
    origin.wait_for(1, SOON);
    origin.open("go");
    let response = connection.read_rest(head);
    assert_eq!((response.cut, response.body == pattern(1000)), (None, true));
}

#[test]
fn a_validator_that_still_holds_gets_a_304() {
    let origin = Origin::start(Script::always(Answer { validates: true, ..Answer::ok("x") }.with("ETag", "\"1\"")));
    let ask = |tag: &str| target(&origin).ask(&Request::get("h", "/").with("If-None-Match", tag)).unwrap();
    assert_eq!((ask("\"1\"").status(), ask("\"2\"").status()), (304, 200));
}

#[test]
fn an_origin_speaks_tls_with_a_certificate_of_the_test_authority() {
    let leaf = Leaf::new(&["origin.example.net".to_owned()]);
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let origin = Origin::start_at(any, Some(leaf.server()), Script::always(Answer::ok("secret")));
    assert_eq!(Target::tls(origin.address(), "origin.example.net").get("h", "/").text(), "secret");
    let other = Target::tls(origin.address(), "other.example.net").ask(&Request::get("h", "/"));
    assert!(matches!(&other, Err(Lost::Other(why)) if why.contains("certificate")), "{other:?}");
}

#[test]
fn three_hundred_connections_at_once_are_served() {
    let origin = Origin::start(Script::always(Answer { gate: Some("all".into()), ..Answer::sized(10_000) }));
    let target = target(&origin);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..300).map(|_| scope.spawn(|| target.get("h", "/"))).collect();
        origin.wait_for(300, SOON * 2);
        origin.open("all");
        let wanted = pattern(10_000);
        assert!(clients.into_iter().all(|client| client.join().unwrap().body == wanted));
    });
    assert!(started.elapsed() < SOON * 2, "took {:?}", started.elapsed());
    assert_eq!(origin.connections(), 300);
}

#[test]
fn a_part_of_a_generated_body_is_that_of_the_whole() {
    let whole = pattern(1000);
    for bytes in [0..0, 0..1, 0..1000, 14..16, 15..30, 7..993, 999..1000] {
        let wanted = &whole[bytes.start as usize..bytes.end as usize];
        assert_eq!(pattern_of(bytes.clone()), wanted, "{bytes:?}");
    }
    assert_eq!(pattern_of(15_000_000_000..15_000_000_015), b"00001000000000\n");
}
