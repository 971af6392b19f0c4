//! A hundred clients, one cold object, one request at the origin, and a first client that stops reading.

use std::time::Duration;

use leeward_tests::client::{Request, Target};
use leeward_tests::edge::Edge;
use leeward_tests::origin::{Answer, Origin, Pause, Script, pattern};
use leeward_tests::turn;
use leeward_tests::wait::{self, PATIENCE};

use crate::stage;

/// More than the kernel buffers for a reader that stalls.
const OBJECT: usize = 6_000_000;
/// Before this byte the origin sends freely, after it only once every client is there.
const FIRST_PART: usize = 100_000;
const CLIENTS: usize = 100;
/// Receive buffer of the stalling client.
const SMALL: usize = 4096;

fn slow_object() -> Script {
    let pause = Pause { after: FIRST_PART, wait: None, gate: Some("rest".into()) };
    Script::always(Answer { pause: Some(pause), ..Answer::sized(OBJECT) }.with("Cache-Control", "max-age=60"))
}

fn one_request_serves_all(edge: &Edge, origin: &Origin, target: &Target) {
    let request = Request::get("www.example.com", "/object");
    let mut first = target.clone().with_receive_buffer(SMALL).connect().unwrap();
    first.send(&request.bytes()).unwrap();
    origin.wait_for(1, PATIENCE);
    let head = first.read_head().unwrap();
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..CLIENTS).map(|_| scope.spawn(|| target.ask(&request))).collect();
        wait::until("every client to be connected", PATIENCE, || {
            (edge.metrics().sum("leeward_connections", &[]) >= CLIENTS as f64).then_some(())
        });
        origin.open("rest");
        let wanted = pattern(OBJECT);
        for (index, other) in others.into_iter().enumerate() {
            let response = other.join().unwrap().unwrap_or_else(|lost| panic!("client {}: {lost:?}", index + 1));
            assert_eq!((response.status(), &response.cut), (200, &None), "client {}", index + 1);
            assert!(response.body == wanted, "client {}: {} bytes, not the right ones", index + 1, response.body.len());
        }
    });
    // Only now the first client reads on: nobody waited for it, and it still gets everything.
    first.within(PATIENCE);
    let response = first.read_rest(head);
    let got = response.body.len();
    assert_eq!((response.status(), response.cut), (200, None), "the client that stalled, after {got} bytes");
    assert!(
        response.body == pattern(OBJECT),
        "the client that stalled: {} bytes, not the right ones",
        response.body.len()
    );
    assert_eq!(origin.count(), 1, "requests at the origin");
}

#[test]
fn a_hundred_clients_of_a_cold_object_cost_one_origin_request_and_do_not_wait_for_the_slowest() {
    let _alone = turn::alone();
    let origin = Origin::start(slow_object());
    let edge = stage::edge(&origin, "cache: { store_on_hit: 1 }");
    one_request_serves_all(&edge, &origin, &edge.http());
}

#[test]
fn the_same_through_tls() {
    let _alone = turn::alone();
    let origin = stage::tls_origin(slow_object());
    let edge = Edge::start(&stage::tls_setup(&origin, "cache: { store_on_hit: 1 }"));
    one_request_serves_all(&edge, &origin, &edge.https("www.example.com"));
}

#[test]
fn clients_waiting_for_an_object_that_is_not_storable_each_get_their_own() {
    let _alone = turn::alone();
    let answer = Answer { gate: Some("go".into()), echo: true, ..Answer::default() }.with("Cache-Control", "private");
    let origin = Origin::start(Script::always(answer));
    let edge = stage::edge(&origin, "cache: { store_on_hit: 1 }");
    let target = edge.http();
    std::thread::scope(|scope| {
        let ask = |index: usize| {
            let target = &target;
            scope.spawn(move || {
                let request = Request::get("www.example.com", "/mine").with("X-Client", &format!("number {index};"));
                target.ask(&request).unwrap().text()
            })
        };
        let first = ask(0);
        origin.wait_for(1, PATIENCE);
        let others: Vec<_> = (1..20).map(ask).collect();
        wait::until("every client to be connected", PATIENCE, || {
            (edge.metrics().sum("leeward_connections", &[]) >= 20.0).then_some(())
        });
        origin.open("go");
        for (index, client) in std::iter::once(first).chain(others).enumerate() {
            let text = client.join().unwrap();
            assert!(text.contains(&format!("number {index};")), "client {index} got somebody else's answer: {text}");
        }
    });
}

#[test]
fn a_fill_whose_first_client_leaves_still_serves_the_others() {
    let _alone = turn::alone();
    let origin = Origin::start(slow_object());
    let edge = stage::edge(&origin, "cache: { store_on_hit: 1 }");
    let target = edge.http();
    let request = Request::get("www.example.com", "/object");
    let mut first = target.connect().unwrap();
    first.send(&request.bytes()).unwrap();
    origin.wait_for(1, PATIENCE);
    let _ = first.read_head().unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| target.ask(&request));
        wait::until("both clients to be connected", PATIENCE, || {
            (edge.metrics().sum("leeward_connections", &[]) >= 2.0).then_some(())
        });
        first.reset();
        wait::until("the first client to be gone", Duration::from_secs(5), || {
            (edge.metrics().sum("leeward_connections", &[]) <= 1.0).then_some(()).or_else(|| {
                // An edge that goes on writing notices only when it writes: let it.
                origin.open("rest");
                None
            })
        });
        origin.open("rest");
        let response = other.join().unwrap().unwrap();
        assert_eq!((response.status(), &response.cut), (200, &None));
        assert!(response.body == pattern(OBJECT));
    });
}
