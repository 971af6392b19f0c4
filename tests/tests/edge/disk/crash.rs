//! Killed while it writes: whatever is served afterwards is whole and right.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leeward_tests::bulk::{Asked, Client, Plan, Source};
use leeward_tests::edge::Edge;
use leeward_tests::{scale, turn, wait};

use super::{Chance, MIB, client, on_disk, setup};

const CONNECTIONS: usize = 12;
const SMALL: u64 = 1500;
const SHORT: u64 = 200;
const LARGE: u64 = 12;

/// Which object a number is: most are small, some live for a second and are then confirmed or replaced, some are large.
fn path(number: u64) -> String {
    let mut chance = Chance::new(number + 1);
    match chance.below(40) {
        0 => format!("/large/{}", chance.below(LARGE)),
        1..10 => format!("/short/{}", chance.below(SHORT)),
        _ => format!("/small/{}", chance.below(SMALL)),
    }
}

fn number_of(path: &str) -> u64 {
    path.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The origin: what lives for a second has another version in each life of the edge, or the same one with other fields.
fn plan(asked: &Asked<'_>, life: u64, turn: u64) -> Plan {
    let number = number_of(asked.path);
    match asked.path {
        path if path.starts_with("/large/") => Plan::stored(8 * MIB + number),
        path if path.starts_with("/short/") => {
            let padding = "x".repeat(usize::try_from(turn % 40).unwrap());
            let fields = format!("Cache-Control: max-age=1\r\nX-Turn: {turn}{padding}\r\n");
            let version = if number.is_multiple_of(3) { life } else { 1 };
            Plan { version, ..Plan::with(300 + number * 97, &fields) }
        }
        _ => Plan::stored(200 + number * number % 60_000),
    }
}

/// Loads the edge until it is killed, at a moment by chance.
fn live_and_die(edge: &mut Edge, first: u64, after: Duration) -> (u64, u64) {
    let client = client(edge, CONNECTIONS);
    let tally = std::thread::scope(|scope| {
        let load = scope.spawn(|| client.get(first..u64::MAX, path));
        wait::pause(after);
        client.stop();
        edge.kill();
        load.join().unwrap()
    });
    tally.all_right("before the crash");
    (tally.answers, tally.hits)
}

#[test]
fn what_is_served_after_a_crash_is_what_the_origin_gave() {
    let _alone = turn::alone();
    let kills = scale::given("LEEWARD_TEST_KILLS", 8, 50);
    let (life, turn) = (Arc::new(AtomicU64::new(1)), AtomicU64::new(0));
    let source = {
        let life = Arc::clone(&life);
        Source::start(move |asked| plan(asked, life.load(Ordering::SeqCst), turn.fetch_add(1, Ordering::SeqCst)))
    };
    let mut edge = Edge::start(&setup(&source, "16MiB", "1GiB"));
    let mut chance = Chance::new(23);
    let mut answers = 0;
    let mut slowest = Duration::ZERO;
    for kill in 0..kills {
        let after = Duration::from_millis(100 + chance.below(900));
        let (mine, _) = live_and_die(&mut edge, chance.below(1 << 40), after);
        answers += mine;
        life.fetch_add(1, Ordering::SeqCst);
        slowest = slowest.max(edge.start_again());
        assert!(kill < 1 || on_disk(&edge) > 0, "nothing is found on disk after crash {kill}");
    }
    // Everything once: the bytes, and that much of it was kept.
    let objects: Vec<String> = (0..SMALL)
        .map(|number| format!("/small/{number}"))
        .chain((0..SHORT).map(|number| format!("/short/{number}")))
        .chain((0..LARGE).map(|number| format!("/large/{number}")))
        .collect();
    let tally = client(&edge, CONNECTIONS).get(0..objects.len() as u64, |number| objects[number as usize].clone());
    tally.all_right("after the last crash");
    eprintln!(
        "{kills} crashes, {answers} answers before them, {} of {} objects served from the cache after the last, {} confirmed by \
         the origin, the longest start {slowest:?}",
        tally.hits,
        tally.answers,
        source.unchanged()
    );
    assert!(
        tally.hits > tally.answers / 10,
        "only {} of {} objects survived {kills} crashes",
        tally.hits,
        tally.answers
    );
    assert!(source.unchanged() > 0, "no head was updated: the test does not test that");
    let unfinished = std::fs::read_dir(super::cache_of(&edge).join("tmp")).map_or(0, Iterator::count);
    assert!(unfinished < CONNECTIONS * 4, "{unfinished} files are left unfinished");
    edge.stop();
}

/// Large objects only, so that every crash finds some half written.
#[test]
fn a_crash_within_large_objects_leaves_none_that_is_short() {
    let _alone = turn::alone();
    let source = Source::start(|asked| Plan { pace: Some(24 * MIB), ..Plan::stored(8 * MIB + number_of(asked.path)) });
    let mut edge = Edge::start(&setup(&source, "16MiB", "1GiB"));
    let large = |number: u64| format!("/large/{number}");
    for crash in 0..scale::of(2, 10) {
        let load = client(&edge, 4);
        let tally = std::thread::scope(|scope| {
            let running = scope.spawn(|| load.get(crash * 4..crash * 4 + 4, large));
            wait::pause(Duration::from_millis(250));
            load.stop();
            edge.kill();
            running.join().unwrap()
        });
        assert_eq!((tally.answers, tally.wrong), (0, 0), "the crash came too late: {:?}", tally.told);
        edge.start_again();
        let requests = source.requests();
        let tally = Client::new(edge.http().address, 4).get(crash * 4..crash * 4 + 4, large);
        tally.all_right("large objects after a crash");
        assert_eq!(source.requests() - requests, 4, "requests at the origin for objects that were half there");
    }
    // What was complete stays.
    super::wait_for_objects(&edge, 4);
    edge.kill();
    edge.start_again();
    let tally = client(&edge, 4).get(0..4, large);
    tally.all_right("complete large objects after a crash");
    assert_eq!(tally.hits, 4, "hits of complete large objects after a crash");
}
