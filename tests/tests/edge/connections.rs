//! Client connections: several requests at once, clients that leave, bodies that are not read.

use std::time::Duration;

use leeward_tests::client::Request;
use leeward_tests::origin::{Answer, Origin, Script, Shape, pattern};
use leeward_tests::turn;
use leeward_tests::wait::{self, PATIENCE};

use crate::stage;

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let _beside = turn::beside();
    let origin =
        Origin::start(Script::always(Answer { echo: true, ..Answer::default() }.with("Cache-Control", "no-store")));
    let edge = stage::edge(&origin, "");
    let mut connection = edge.http().connect().unwrap();
    let paths = ["/one", "/two", "/three"];
    let all: Vec<u8> = paths.iter().flat_map(|path| Request::get("www.example.com", path).bytes()).collect();
    connection.send(&all).unwrap();
    for path in paths {
        let response = connection.read("GET").unwrap_or_else(|lost| panic!("{path}: {lost:?}"));
        assert_eq!((response.status(), response.text().starts_with(&format!("GET {path} "))), (200, true), "{path}");
    }
}

#[test]
fn a_chunked_request_body_reaches_the_origin_whole_and_the_connection_goes_on() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("thanks")));
    let edge = stage::edge(&origin, "");
    let mut connection = edge.http().connect().unwrap();
    let mut request = b"POST /upload HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let body = pattern(50_000);
    for piece in body.chunks(7000) {
        request.extend(format!("{:x}\r\n", piece.len()).bytes());
        request.extend_from_slice(piece);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    connection.send(&request).unwrap();
    assert_eq!(connection.read("POST").unwrap().text(), "thanks");
    assert!(
        origin.received()[0].body == body,
        "{} bytes at the origin, not the right ones",
        origin.received()[0].body.len()
    );
    assert_eq!(connection.ask(&Request::get("www.example.com", "/next")).unwrap().text(), "thanks");
}

#[test]
fn a_large_request_body_is_passed_on_whole() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("thanks")));
    let edge = stage::edge(&origin, "");
    let mut request = Request::new("PUT", "www.example.com", "/large");
    request.body = Some(pattern(5_000_000));
    assert_eq!(edge.http().ask(&request).unwrap().text(), "thanks");
    assert!(origin.received()[0].body == pattern(5_000_000));
}

#[test]
fn the_body_of_a_refused_request_is_not_taken_for_the_next_one() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let edge = stage::edge(&origin, "");
    let mut connection = edge.http().connect().unwrap();
    let inner = "GET /smuggled HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
    let mut request = Request::new("POST", "nobody.example.org", "/");
    request.body = Some(inner.into());
    assert_eq!(connection.ask(&request).unwrap().status(), 404);
    let next = connection.ask(&Request::get("www.example.com", "/next"));
    assert!(next.as_ref().map_or(true, |response| response.text() == "x"), "{next:?}");
    assert!(origin.received().iter().all(|received| received.target() == "/next"), "the body was taken for a request");
}

#[test]
fn clients_that_leave_in_the_middle_cost_nothing_that_stays() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(
        Answer { framing: Shape::Chunked, ..Answer::sized(3_000_000) }.with("Cache-Control", "no-store"),
    ));
    let edge = stage::edge(&origin, "");
    for index in 0..30 {
        let mut connection = edge.http().with_receive_buffer(4096).connect().unwrap();
        connection.send(&Request::get("www.example.com", &format!("/{index}")).bytes()).unwrap();
        let _ = connection.read_head().unwrap();
        connection.reset();
    }
    wait::until("the connections to be gone", PATIENCE, || {
        (edge.metrics().sum("leeward_connections", &[("listener", &edge.http().address.to_string())]) <= 0.0)
            .then_some(())
    });
    let response = edge.http().get("www.example.com", "/after");
    assert!(response.body == pattern(3_000_000));
    let entries = edge.output().wait_for_entries(31, Duration::from_secs(5));
    assert_eq!(entries.len(), 31, "one log line a request");
}
