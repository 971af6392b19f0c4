//! SIGTERM: requests in flight are finished, idle connections go at once, and the process ends with 0.

use std::time::{Duration, Instant};

use leeward_tests::client::Request;
use leeward_tests::edge::Edge;
use leeward_tests::origin::{Answer, Ending, Origin, Pause, Script, pattern};
use leeward_tests::turn;
use leeward_tests::wait::{self, PATIENCE};
use leeward_tests::wire::Lost;
use rustix::process::Signal;

use crate::stage;

/// "At once", on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

#[test]
fn a_request_in_flight_is_finished_and_an_idle_connection_closed_at_once() {
    let _beside = turn::beside();
    let pause = Pause { after: 100_000, wait: None, gate: Some("rest".into()) };
    let script =
        Script::always(Answer::ok("quick")).on("/slow", [Answer { pause: Some(pause), ..Answer::sized(200_000) }]);
    let origin = Origin::start(script);
    let mut edge = stage::edge(&origin, "");
    let mut idle = edge.http().connect().unwrap();
    assert_eq!(idle.ask(&Request::get("www.example.com", "/quick")).unwrap().text(), "quick");
    let mut busy = edge.http().connect().unwrap();
    busy.send(&Request::get("www.example.com", "/slow").bytes()).unwrap();
    let head = busy.read_head().unwrap();

    edge.signal(Signal::TERM);
    let (rest, end) = idle.end(AT_ONCE);
    assert_eq!((rest.len(), end), (0, Lost::Closed), "the idle connection");
    if let Ok(answer) = edge.admin("GET", "/readyz", None) {
        assert_eq!(answer.status(), 503, "GET /readyz while draining");
    }
    origin.open("rest");
    let response = busy.read_rest(head);
    assert_eq!((response.status(), &response.cut), (200, &None), "the request in flight");
    assert!(response.body == pattern(200_000), "the request in flight: wrong bytes");
    let status = edge.wait(Duration::from_secs(8));
    assert!(status.success(), "ended with {status}");
    assert!(edge.http().connect().is_err(), "somebody still listens");
}

#[test]
fn a_request_that_does_not_end_is_given_the_grace_period_and_no_more() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer { raw: Some(vec![]), then: Ending::Hang, ..Answer::default() }));
    let setup = stage::setup(&origin, "");
    let setup =
        leeward_tests::edge::Setup { config: setup.config.replace("grace_period: 5s", "grace_period: 1s"), ..setup };
    let mut edge = Edge::start(&setup);
    let mut busy = edge.http().connect().unwrap();
    busy.send(&Request::get("www.example.com", "/never").bytes()).unwrap();
    origin.wait_for(1, PATIENCE);
    let started = Instant::now();
    edge.signal(Signal::TERM);
    let status = edge.wait(Duration::from_secs(6));
    assert!(status.success(), "ended with {status}");
    assert!(started.elapsed() >= Duration::from_millis(900), "only {:?} of grace", started.elapsed());
}

#[test]
fn with_nothing_to_do_it_stops_quickly() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let mut edge = stage::edge(&origin, "");
    let started = Instant::now();
    edge.signal(Signal::TERM);
    let status = edge.wait(PATIENCE);
    assert!(status.success(), "ended with {status}");
    assert!(started.elapsed() < Duration::from_secs(3), "took {:?}", started.elapsed());
}

#[test]
fn every_answer_given_before_the_end_is_in_the_log() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let mut edge = stage::edge(&origin, "log: { access: stdout }");
    let mut connection = edge.http().connect().unwrap();
    for index in 0..50 {
        assert_eq!(connection.ask(&Request::get("www.example.com", &format!("/{index}"))).unwrap().status(), 200);
    }
    edge.signal(Signal::TERM);
    let _ = edge.wait(PATIENCE);
    assert_eq!(edge.output().access().len(), 50);
}

#[test]
fn an_http2_client_is_told_to_go_and_its_stream_finished() {
    let _beside = turn::beside();
    let script =
        Script::always(Answer { wait: Some(wait::Span(Duration::from_millis(800))), ..Answer::sized(100_000) });
    let origin = stage::tls_origin(script);
    let mut edge = Edge::start(&stage::tls_setup(&origin, ""));
    let connection = leeward_tests::client::h2::Connection::open(edge.https_address(), "www.example.com");
    let response = std::thread::scope(|scope| {
        let asked =
            scope.spawn(|| connection.ask(&leeward_tests::client::h2::Request::get("https://www.example.com/slow")));
        origin.wait_for(1, PATIENCE);
        edge.signal(Signal::TERM);
        asked.join().unwrap().expect("a response")
    });
    assert_eq!((response.status, &response.cut), (200, &None));
    assert!(response.body == pattern(100_000));
    // what the client's library still says when it was told to go may find nobody
    let error = connection.end().filter(|error| error != "broken pipe");
    assert!(error.is_none(), "the connection ended with {error:?}");
    let status = edge.wait(Duration::from_secs(8));
    assert!(status.success(), "ended with {status}");
}
