//! The memory tier: more than it holds passes through, and neither what it says of itself nor what the process holds grows.

use leeward_tests::bulk::{Client, Plan, Source};
use leeward_tests::client::CacheUse;
use leeward_tests::edge::Edge;
use leeward_tests::origin::{Answer, Origin, Script, pattern};
use leeward_tests::wait::{self, PATIENCE};
use leeward_tests::{scale, turn};

use crate::stage;

const LIMIT: f64 = 16.0 * 1024.0 * 1024.0;
const OBJECT: usize = 1_000_000;
const OBJECTS: usize = 40;

#[test]
fn older_objects_make_room_and_the_limit_holds() {
    let origin = Origin::start(Script::always(Answer::sized(OBJECT).with("Cache-Control", "max-age=60")));
    let edge = stage::edge(&origin, "cache: { store_on_hit: 1, memory: 16MiB }");
    let wanted = pattern(OBJECT);
    for index in 0..OBJECTS {
        let response = edge.http().get("www.example.com", &format!("/{index}"));
        assert!(response.body == wanted, "object {index}: {} bytes, not the right ones", response.body.len());
        let bytes = edge.metrics().sum("leeward_cache_bytes", &[("tier", "memory")]);
        assert!(bytes <= LIMIT, "{bytes} bytes stored after object {index}, the limit is {LIMIT}");
    }
    let last = edge.http().get("www.example.com", &format!("/{}", OBJECTS - 1));
    assert_eq!(last.cache(), CacheUse::Hit, "the newest object");
    wait::until("evictions to be counted", PATIENCE, || {
        (edge.metrics().sum("leeward_cache_evictions_total", &[("tier", "memory")]) >= 20.0).then_some(())
    });
}

/// What a process may hold beside the cache it is configured to have: 1.2 times that and so much.
const BESIDE: u64 = 100_000_000;
/// What a build without optimisation holds more.
const UNOPTIMISED: u64 = 25_000_000;
const MIB: u64 = 1024 * 1024;

fn within_the_limit(edge: &Edge, memory: u64, what: &str) {
    let (now, peak) = edge.resident();
    let most = memory * 12 / 10 + BESIDE + if scale::full() { 0 } else { UNOPTIMISED };
    eprintln!(
        "{what}: {} MB resident, {} MB at most, {} MB allowed",
        now / 1_000_000,
        peak / 1_000_000,
        most / 1_000_000
    );
    assert!(peak <= most, "{what}: {peak} bytes were resident, {most} are allowed with cache.memory {memory}");
}

/// From 100 bytes to 24 KiB, 4 KiB on average.
fn size_of(path: &str) -> u64 {
    let number: u64 = path.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    match number % 8 {
        0 => 24 * 1024,
        1..4 => 100 + number % 1000,
        _ => 1200 + number % 1000,
    }
}

fn many_distinct_objects(disk: &str) {
    let _alone = turn::alone();
    let more: String = (0..6).map(|n| format!("X-Field-{n}: value {n}\r\n")).collect();
    let source =
        Source::start(move |asked| Plan::with(size_of(asked.path), &format!("Cache-Control: max-age=3600\r\n{more}")));
    let objects = scale::of(5000, 1_000_000);
    let memory = scale::of(16, 256);
    let extra = format!("cache: {{ store_on_hit: 1, memory: {memory}MiB{disk} }}\nlog: {{ access: \"off\" }}");
    let edge = Edge::start(&stage::setup_at(source.address(), &extra));
    let tally = Client::new(edge.http().address, 8).get(0..objects, |number| format!("/many/{number}"));
    tally.all_right("distinct objects");
    eprintln!("{objects} objects, {:.0} a second", tally.rate());
    let memory = memory * MIB;
    within_the_limit(&edge, memory, "after distinct objects");
    let kept = edge.metrics().sum("leeward_cache_bytes", &[("tier", "memory")]);
    assert!(kept <= memory as f64, "{kept} bytes in memory, the limit is {memory}");
}

#[test]
fn the_process_stays_near_its_limit_over_many_distinct_objects() {
    many_distinct_objects("");
}

/// One object far larger than the memory tier: whoever reads it, and however, the process does not grow with it.
fn one_large_fill(cache: &str) {
    let _alone = turn::alone();
    let size = scale::of(128 * MIB, 4096 * MIB);
    let source = Source::start(move |_| Plan::stored(size));
    let extra = format!("cache: {{ store_on_hit: 1, memory: 32MiB{cache} }}\nlog: {{ access: \"off\" }}");
    let edge = Edge::start(&stage::setup_at(source.address(), &extra));
    let fast = Client::new(edge.http().address, 1).get(0..1, |_| "/fast".into());
    fast.all_right("a fast client");
    eprintln!("a fast client: {} MB in {:?}", size / 1_000_000, fast.took);
    within_the_limit(&edge, 32 * MIB, "after a fast client");
    let slow = Client::new(edge.http().address, 1).slow(80_000_000).get(0..1, |_| "/slow".into());
    slow.all_right("a slow client");
    within_the_limit(&edge, 32 * MIB, "after a slow client");
}

#[test]
fn one_fill_larger_than_memory_leaves_the_process_small() {
    one_large_fill(", max_object: 8GiB");
}

#[test]
fn one_fill_larger_than_is_stored_leaves_the_process_small() {
    one_large_fill(", max_object: 16MiB");
}

#[test]
fn a_client_that_stands_still_stops_the_origin_and_not_the_memory() {
    let _alone = turn::alone();
    let size = 256 * MIB;
    let source = Source::start(move |_| Plan::stored(size));
    let extra = "cache: { store_on_hit: 1, memory: 32MiB, max_object: 16MiB }\nlog: { access: \"off\" }";
    let edge = Edge::start(&stage::setup_at(source.address(), extra));
    let target = edge.http().with_receive_buffer(8192);
    let mut client = target.connect().unwrap();
    client.send(b"GET /large HTTP/1.1\r\nHost: www.example.com\r\n\r\n").unwrap();
    let _ = client.read_head().unwrap();
    wait::pause(std::time::Duration::from_secs(2));
    let sent = source.bytes();
    eprintln!("{} MB sent to a client that stands still", sent / 1_000_000);
    assert!(sent < 64 * MIB, "{sent} bytes were read from the origin for a client that reads nothing");
    within_the_limit(&edge, 32 * MIB, "with a client that stands still");
}

#[test]
fn the_process_stays_near_its_limit_over_many_distinct_objects_with_a_disk() {
    many_distinct_objects(", disk: { path: \"${dir}/cache\", size: 256MiB }");
}

#[test]
fn one_fill_larger_than_memory_and_stored_on_disk_leaves_the_process_small() {
    one_large_fill(", max_object: 8GiB, disk: { path: \"${dir}/cache\", size: 32GiB }");
}
