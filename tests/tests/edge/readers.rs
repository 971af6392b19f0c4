//! Those who read an object while it arrives: none waits for another, each gets its part, and who leaves ends nothing.

use std::time::{Duration, Instant};

use leeward_tests::bulk::{Client, Plan, Source};
use leeward_tests::client::{CacheUse, Request, h2};
use leeward_tests::edge::Edge;
use leeward_tests::origin::{Answer, Origin, Pause, Script, pattern};
use leeward_tests::wait::{self, PATIENCE};
use leeward_tests::{scale, turn};

use crate::stage;

/// More than the kernel and one HTTP/2 window hold for a reader that stands still.
const OBJECT: usize = 6_000_000;
/// Before this byte the origin sends freely, after it once its gate opens.
const FIRST_PART: usize = 1_000_000;
/// Receive buffer of a reader that stands still.
const SMALL: usize = 4096;
const HOST: &str = "www.example.com";

/// Clients come over TLS, so that both versions of HTTP meet one object.
fn stage_of(answer: Answer) -> (Origin, Edge) {
    let origin = stage::tls_origin(Script::always(answer.with("Cache-Control", "max-age=600")));
    let edge = Edge::start(&stage::tls_setup(&origin, "cache: { store_on_hit: 1 }"));
    (origin, edge)
}

fn gated() -> Answer {
    Answer { pause: Some(Pause { after: FIRST_PART, wait: None, gate: Some("rest".into()) }), ..Answer::sized(OBJECT) }
}

/// Reads the whole object over one version of HTTP.
fn whole(edge: &Edge, http2: bool, path: &str) -> (u16, Option<String>, Vec<u8>) {
    if http2 {
        let connection = h2::Connection::open(edge.https_address(), HOST);
        let response = connection.ask(&h2::Request::get(&format!("https://{HOST}{path}"))).unwrap();
        (response.status, response.cut, response.body.to_vec())
    } else {
        let response = edge.https(HOST).ask(&Request::get(HOST, path)).unwrap();
        (response.status(), response.cut.map(|lost| format!("{lost:?}")), response.body)
    }
}

/// A reader that has read a head and stands still.
enum Still {
    One(Box<(leeward_tests::client::Connection, leeward_tests::http1::Head)>),
    Two(Box<(h2::Connection, h2::Begun)>),
}

impl Still {
    fn begin(edge: &Edge, http2: bool, path: &str) -> Self {
        if http2 {
            let connection = h2::Connection::open(edge.https_address(), HOST);
            let begun = connection.begin(&h2::Request::get(&format!("https://{HOST}{path}")));
            return Self::Two(Box::new((connection, begun)));
        }
        let mut connection = edge.https(HOST).with_receive_buffer(SMALL).connect().unwrap();
        connection.send(&Request::get(HOST, path).bytes()).unwrap();
        let head = connection.read_head().unwrap();
        Self::One(Box::new((connection, head)))
    }

    fn rest(self) -> (u16, Option<String>, Vec<u8>) {
        match self {
            Self::One(one) => {
                let (mut connection, head) = *one;
                connection.within(PATIENCE);
                let response = connection.read_rest(head);
                (response.status(), response.cut.map(|lost| format!("{lost:?}")), response.body)
            }
            Self::Two(two) => {
                let (connection, begun) = *two;
                let response = connection.read_rest(begun);
                (response.status, response.cut, response.body.to_vec())
            }
        }
    }
}

/// One reader begins and stands still, another reads everything within a time, and then the first gets everything too, unless
/// it was given up meanwhile.
fn one_behind_another(edge: &Edge, path: &str, (first, second): (bool, bool), within: Duration, given_up: bool) {
    let wanted = (200, None, pattern(OBJECT));
    let name = |http2| if http2 { "HTTP/2" } else { "HTTP/1.1" };
    let still = Still::begin(edge, first, path);
    let begun = Instant::now();
    let got = whole(edge, second, path);
    let took = begun.elapsed();
    let what = format!("{} behind a standing {}: {} bytes in {took:?}", name(second), name(first), got.2.len());
    eprintln!("{what}");
    assert!(got == wanted, "{what}, status {}, {:?}", got.0, got.1);
    assert!(took < within, "{what}");
    if !given_up {
        let got = still.rest();
        assert!(got == wanted, "the standing {}: {} bytes, status {}, {:?}", name(first), got.2.len(), got.0, got.1);
    }
}

#[test]
fn a_reader_over_http1_that_stands_still_slows_no_other() {
    let _beside = turn::beside();
    let (origin, edge) = stage_of(Answer::sized(OBJECT));
    for (index, second) in [false, true].into_iter().enumerate() {
        one_behind_another(&edge, &format!("/object-{index}"), (false, second), Duration::from_secs(10), false);
        assert_eq!(origin.count(), index + 1, "requests at the origin");
    }
}

// The framework writes to an HTTP/2 client in the task that reads from the origin.
#[test]
fn a_reader_over_http2_that_stands_still_holds_others_no_longer_than_the_write_timeout() {
    let _beside = turn::beside();
    let origin = stage::tls_origin(Script::always(Answer::sized(OBJECT).with("Cache-Control", "max-age=600")));
    let mut setup = stage::tls_setup(&origin, "cache: { store_on_hit: 1 }");
    setup.config = setup.config.replace("headers: 100KiB", "write_timeout: 2s");
    let edge = Edge::start(&setup);
    for (index, second) in [false, true].into_iter().enumerate() {
        one_behind_another(&edge, &format!("/object-{index}"), (true, second), Duration::from_secs(10), true);
        assert_eq!(origin.count(), index + 1, "requests at the origin");
    }
}

#[test]
fn readers_join_a_fill_at_any_offset_and_each_gets_its_bytes() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(gated().with("Cache-Control", "max-age=600")));
    let edge = stage::edge(&origin, "cache: { store_on_hit: 1 }");
    let first = std::thread::scope(|scope| {
        let target = edge.http();
        let leader = {
            let target = target.clone();
            scope.spawn(move || target.ask(&Request::get(HOST, "/object")))
        };
        origin.wait_for(1, PATIENCE);
        let last = OBJECT - 1;
        // A part that is there, one around the gate, one behind it, the end, and everything.
        let parts = [
            (0, 99),
            (500_000, 700_000),
            (FIRST_PART - 1, FIRST_PART),
            (900_000, 1_100_000),
            (5_000_000, 5_000_100),
            (131_071, 262_144),
            (last, last),
            (1, last),
        ];
        let readers: Vec<_> = parts
            .into_iter()
            .map(|(from, to)| {
                let target = target.clone();
                let request = Request::get(HOST, "/object").with("Range", &format!("bytes={from}-{to}"));
                (from, to, scope.spawn(move || target.ask(&request)))
            })
            .collect();
        let whole = scope.spawn(move || target.ask(&Request::get(HOST, "/object")));
        wait::until("all readers to be connected", PATIENCE, || {
            (edge.metrics().sum("leeward_connections", &[]) >= 10.0).then_some(())
        });
        origin.open("rest");
        for (from, to, reader) in readers {
            let response = reader.join().unwrap().unwrap();
            let got = (response.status(), response.field("content-range"), response.cut.clone());
            assert_eq!(got, (206, Some(format!("bytes {from}-{to}/{OBJECT}")), None), "bytes {from}-{to}");
            assert!(response.body == pattern(OBJECT)[from..=to], "bytes {from}-{to}: not the right ones");
        }
        for reader in [leader, whole] {
            let response = reader.join().unwrap().unwrap();
            assert!((response.status(), &response.body) == (200, &pattern(OBJECT)), "{} bytes", response.body.len());
        }
        origin.count()
    });
    assert_eq!(first, 1, "requests at the origin");
}

/// How a client goes away.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    Closing,
    Reset,
    Cancelled,
}

#[test]
fn the_fill_of_an_only_client_that_leaves_is_completed() {
    let _beside = turn::beside();
    for (index, leaves) in [Leaves::Closing, Leaves::Reset, Leaves::Cancelled].into_iter().enumerate() {
        let (origin, edge) = stage_of(gated());
        let path = format!("/object-{index}");
        match Still::begin(&edge, matches!(leaves, Leaves::Cancelled), &path) {
            Still::One(one) if matches!(leaves, Leaves::Reset) => one.0.reset(),
            Still::One(one) => drop(one),
            Still::Two(two) => {
                let (connection, begun) = *two;
                connection.cancel(begun);
                drop(connection);
            }
        }
        origin.open("rest");
        wait::until(&format!("the fill to be completed after {leaves:?}"), PATIENCE, || {
            (edge.metrics().sum("leeward_cache_fills_total", &[("result", "ok")]) >= 1.0).then_some(())
        });
        let response = edge.https(HOST).get(HOST, &path);
        assert_eq!((response.status(), response.cache()), (200, CacheUse::Hit), "after {leaves:?}");
        assert!(response.body == pattern(OBJECT), "after {leaves:?}: {} bytes", response.body.len());
        assert_eq!(origin.count(), 1, "requests at the origin after {leaves:?}");
    }
}

/// Clients of one cold object at once.
const BURST: usize = 1000;

#[test]
fn a_thousand_clients_of_one_cold_object_cost_one_request() {
    let _alone = turn::alone();
    let source = Source::start(|_| Plan { wait: Duration::from_secs(1), ..Plan::stored(20_000) });
    let edge = Edge::start(&stage::setup_at(source.address(), "cache: { store_on_hit: 1 }\nlog: { access: \"off\" }"));
    let clients = Client::new(edge.http().address, BURST);
    let tally = clients.get(0..BURST as u64, |_| "/cold".into());
    tally.all_right("a burst on a cold object");
    eprintln!("{BURST} clients of a cold object: {:?}, the longest {:?}", tally.took, tally.longest);
    assert_eq!((tally.answers, source.requests()), (BURST as u64, 1), "answers, and requests at the origin");
}

#[test]
fn clients_of_what_is_not_stored_do_not_wait_for_each_other() {
    let _alone = turn::alone();
    const WAIT: Duration = Duration::from_millis(300);
    const CLIENTS: u64 = 100;
    let cases = [(200, "Cache-Control: private\r\n"), (503, "")];
    for (status, fields) in cases {
        let source = Source::start(move |_| Plan { status, wait: WAIT, ..Plan::with(1000, fields) });
        let edge = Edge::start(&stage::setup_at(source.address(), "cache: { store_on_hit: 1 }"));
        // The first crowd finds out together, the second need not.
        for crowd in ["first", "second"] {
            let clients = Client::new(edge.http().address, CLIENTS as usize);
            let tally = clients.get(0..CLIENTS, |_| "/same".into());
            let what = format!("the {crowd} crowd of {status} {fields:?}");
            let got = tally.statuses.get(&status).copied();
            assert_eq!((got, tally.wrong), (Some(CLIENTS), 0), "{what}: {:?}", tally.told);
            eprintln!("{what}: {:?}, the longest {:?}", tally.took, tally.longest);
            let in_turn = WAIT * CLIENTS as u32;
            assert!(tally.took < in_turn / 3, "{what}: {:?}; one after the other is {in_turn:?}", tally.took);
        }
    }
}

/// Bytes that are fetched at most after the last reader has left, and what may be on its way then.
const FOR_NOBODY: u64 = (64 + 24) * 1024 * 1024;

/// One client reads the beginning of an object and leaves; whether the origin was told to stop, and what it had sent by then.
fn left_behind(edge: &Edge, source: &Source, path: &str, within: Duration) -> (bool, u64) {
    let before = source.bytes();
    let mut client = edge.http().connect().unwrap();
    client.send(&Request::get(HOST, path).bytes()).unwrap();
    let _ = client.look_at(10_000).unwrap();
    client.reset();
    let begun = Instant::now();
    while source.broken() == 0 && begun.elapsed() < within {
        wait::pause(Duration::from_millis(20));
    }
    (source.broken() > 0, source.bytes() - before)
}

#[test]
fn what_nobody_waits_for_is_not_fetched_to_its_end_when_much_is_left() {
    let _beside = turn::beside();
    const SIZE: u64 = 120_000_000;
    let cases = [
        ("of which much is left", SIZE, "memory: 1GiB"),
        ("larger than memory", 10 * SIZE, "memory: 32MiB"),
        ("larger than is stored", 10 * SIZE, "memory: 1GiB, max_object: 16MiB"),
        ("larger than memory, with a disk", 10 * SIZE, "memory: 32MiB, disk: { path: \"${dir}/cache\", size: 16GiB }"),
    ];
    for (what, size, cache) in cases {
        let source = Source::start(move |_| Plan { pace: Some(50_000_000), ..Plan::stored(size) });
        let cache = format!("cache: {{ store_on_hit: 1, {cache} }}");
        let edge = Edge::start(&stage::setup_at(source.address(), &cache));
        let (stopped, sent) = left_behind(&edge, &source, "/large", Duration::from_secs(10));
        assert!(
            stopped && sent < FOR_NOBODY,
            "an object {what}: {sent} bytes were fetched for nobody, ended: {stopped}"
        );
    }
}

/// What trickles in for nobody ends too, later.
#[test]
fn what_nobody_waits_for_is_not_fetched_for_ever() {
    if !scale::full() {
        return;
    }
    let source = Source::start(|_| Plan { pace: Some(10_000), ..Plan::stored(10_000_000) });
    let edge = Edge::start(&stage::setup_at(source.address(), "cache: { store_on_hit: 1 }"));
    let (stopped, sent) = left_behind(&edge, &source, "/slow", Duration::from_secs(100));
    assert!(stopped, "{sent} bytes were fetched for nobody, and no end is seen");
}
