//! Stopped and started: what is on disk is served at once.

use std::time::{Duration, Instant};

use leeward_tests::bulk::{Plan, Source};
use leeward_tests::client::{CacheUse, Request};
use leeward_tests::edge::Edge;
use leeward_tests::{scale, turn, wait};

use super::{cache_of, client, on_disk, setup};

/// From the start of the process to the first hit at most.
const SOON: Duration = Duration::from_secs(2);
/// In every run, beside other programs and without optimisation.
const SOON_ANYWHERE: Duration = Duration::from_secs(15);

fn object(number: u64) -> String {
    format!("/object/{number}")
}

/// What an operator or an accident does to the index file while the edge is down.
type Between = fn(&Edge);

fn nothing(_: &Edge) {}

fn without_index(edge: &Edge) {
    std::fs::remove_file(cache_of(edge).join("index")).expect("an index file after an orderly stop");
}

fn index_of_garbage(edge: &Edge) {
    let index = cache_of(edge).join("index");
    let length = std::fs::metadata(&index).expect("an index file after an orderly stop").len();
    let garbage: Vec<u8> = (0..length).map(|at| ((at * 2_654_435_761) >> 7) as u8).collect();
    std::fs::write(index, garbage).unwrap();
}

fn index_cut_short(edge: &Edge) {
    let index = std::fs::OpenOptions::new().write(true).open(cache_of(edge).join("index")).unwrap();
    let length = index.metadata().unwrap().len();
    index.set_len(length * 2 / 3 + 5).unwrap();
}

/// From the start of the process to the first answer from the cache.
fn time_to_hit(edge: &mut Edge, path: &str) -> Duration {
    let begun = Instant::now();
    edge.begin_again();
    let target = edge.http();
    let answer = wait::until("an answer", Duration::from_secs(30), || {
        let asked = target.ask(&Request::get("www.example.com", path)).ok();
        asked.filter(|answer| answer.status() == 200)
    });
    let took = begun.elapsed();
    assert_eq!(answer.cache(), CacheUse::Hit, "the first answer after the start");
    took
}

#[test]
fn what_is_on_disk_is_served_at_once_after_every_kind_of_end() {
    let _alone = turn::alone();
    let objects = scale::of(2000, 100_000);
    let source = Source::start(|_| Plan::stored(1024));
    let mut edge = Edge::start(&setup(&source, "16MiB", "8GiB"));
    let missing = objects - super::fill(&edge, objects, object);
    let soon = if scale::full() { SOON } else { SOON_ANYWHERE };
    let ends: [(&str, bool, Between); 5] = [
        ("a stop", false, nothing),
        ("a crash", true, nothing),
        ("a stop, the index file removed", false, without_index),
        ("a stop, the index file overwritten with garbage", false, index_of_garbage),
        ("a stop, the index file cut short", false, index_cut_short),
    ];
    for (end, crash, between) in ends {
        if crash {
            edge.kill();
        } else {
            edge.halt();
        }
        between(&edge);
        let took = time_to_hit(&mut edge, &object(objects / 2));
        let requests = source.requests();
        let asked = objects / scale::of(4, 1);
        let tally = client(&edge, 8).get(0..asked, |number| object(number * objects / asked));
        tally.all_right(end);
        eprintln!("after {end}: the first hit {took:?} after the start, then {} hits of {asked}", tally.hits);
        assert!(took < soon, "after {end}: the first hit {took:?} after the start of the process");
        let fetched = source.requests() - requests;
        assert_eq!(tally.hits + fetched, asked, "hits, and requests at the origin, after {end}");
        assert!(fetched <= missing, "after {end}: {fetched} objects were fetched, {missing} were not on disk");
        assert!(on_disk(&edge) >= objects - missing, "objects on disk after {end}");
    }
    edge.stop();
}

/// What was asked for again is kept over a restart when others come; what was not makes room.
#[test]
fn the_order_of_use_outlives_a_stop() {
    let _beside = turn::beside();
    const SIZE: u64 = 100_000;
    const EACH: u64 = 200;
    let source = Source::start(|_| Plan::stored(SIZE));
    // Two of three groups have room.
    let mut edge = Edge::start(&setup(&source, "16MiB", "48MiB"));
    let group = |name: &'static str| move |number: u64| format!("/{name}/{number}");
    client(&edge, 4).get(0..EACH, group("wanted")).all_right("what is wanted");
    super::wait_for_objects(&edge, EACH);
    for _ in 0..2 {
        let again = client(&edge, 4).get(0..EACH, group("wanted"));
        again.all_right("what is wanted, again");
        assert_eq!(again.hits, EACH);
    }
    client(&edge, 4).get(0..EACH, group("once")).all_right("what is asked for once");
    super::wait_for_objects(&edge, EACH * 2);
    edge.halt();
    edge.start_again();
    client(&edge, 4).get(0..EACH, group("new")).all_right("what is new");
    // Only now nothing is written any more that would push out what is counted.
    wait::pause(Duration::from_millis(500));
    edge.halt();
    edge.start_again();
    let wanted = client(&edge, 4).get(0..EACH, group("wanted"));
    let once = client(&edge, 4).get(0..EACH, group("once"));
    wanted.all_right("what is wanted, at last");
    once.all_right("what was asked for once, at last");
    eprintln!("{} of {EACH} that are wanted are still there, {} of those asked for once", wanted.hits, once.hits);
    assert!(wanted.hits >= EACH * 9 / 10, "{} of {EACH} that are wanted are still there", wanted.hits);
    assert!(once.hits <= EACH * 7 / 10, "{} of {EACH} asked for once are still there, so nothing made room", once.hits);
}

#[test]
fn a_second_process_is_refused_the_directory() {
    let _beside = turn::beside();
    let source = Source::start(|_| Plan::stored(1000));
    let first = Edge::start(&setup(&source, "16MiB", "1GiB"));
    let cache = cache_of(&first).display().to_string();
    let said = Edge::refuse(&super::setup_in(&cache, &source, "16MiB", "1GiB"));
    assert!(said.contains("in use by another process"), "{said}");
    first.stop();
}
