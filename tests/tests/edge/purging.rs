//! A purge among many objects: acknowledged at once, effective at once, and for good.

use std::time::{Duration, Instant};

use leeward_tests::bulk::{Plan, Source};
use leeward_tests::client::{CacheUse, Request, Target};
use leeward_tests::edge::Edge;
use leeward_tests::{scale, turn, wait};

use crate::disk::{client, fill, setup, wait_for_objects};

/// From the request to its acknowledgement.
const ACKNOWLEDGED: Duration = Duration::from_millis(100);
/// In every run, beside other programs and without optimisation.
const ACKNOWLEDGED_ANYWHERE: Duration = Duration::from_secs(3);

/// One object of so many has the tag.
const ONE_OF: u64 = 100;

fn object(number: u64) -> String {
    format!("/object/{number}")
}

fn purge(edge: &Edge, what: &str) -> Duration {
    let mut request = Request::new("POST", "localhost", "/v1/purge").with("Content-Type", "application/json");
    request.body = Some(what.as_bytes().to_vec());
    let begun = Instant::now();
    let answer = Target::plain(edge.admin_address()).ask(&request).unwrap();
    let took = begun.elapsed();
    assert_eq!(answer.status(), 200, "{what}: {}", answer.text());
    took
}

fn number_of(path: &str) -> u64 {
    path.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Asks for objects whose numbers are `first`, `first + step`, ...: how many came from the cache.
fn hits(edge: &Edge, count: u64, first: u64, step: u64) -> u64 {
    let tally = client(edge, 8).get(0..count, |number| object(first + number * step));
    tally.all_right("asking for everything");
    tally.hits
}

/// The same, where at least so many must have come from the cache.
fn hits_of_most(edge: &Edge, count: u64, first: u64, least: u64, what: &str) {
    let hits = hits(edge, count, first, ONE_OF);
    assert!(hits >= least, "hits of {what}: {hits} of {count}, at least {least} are wanted");
}

#[test]
fn a_tag_of_many_objects_is_purged_at_once_and_stays_so_after_a_crash() {
    let _alone = turn::alone();
    let objects = scale::given("LEEWARD_TEST_OBJECTS", 3000, 1_000_000);
    let tagged = objects / ONE_OF;
    let source = Source::start(|asked| {
        let tag = if number_of(asked.path).is_multiple_of(ONE_OF) { "rare" } else { "common" };
        Plan::with(1000, &format!("Cache-Control: max-age=3600\r\nSurrogate-Key: {tag} all\r\n"))
    });
    let mut edge = Edge::start(&setup(&source, "32MiB", "16GiB"));
    let stored = fill(&edge, objects, object);
    let least = tagged - (objects - stored).min(tagged / 10);
    let took = purge(&edge, r#"{"tag": "rare"}"#);
    eprintln!("{tagged} of {objects} objects purged by tag in {took:?}");
    // Without a stop in between: the process has had no time to write anything but what it acknowledged.
    edge.kill();
    edge.start_again();
    assert_eq!(hits(&edge, tagged, 0, ONE_OF), 0, "hits of purged objects after a crash");
    let begun = Instant::now();
    // A crash leaves no index of the last minutes: of very many objects the names are still looked at after the start.
    wait_for_objects(&edge, stored - tagged);
    eprintln!("all the others are known {:?} later", begun.elapsed());
    hits_of_most(&edge, tagged, 1, least, "objects beside them after a crash");
    hits_of_most(&edge, tagged, 0, least, "purged objects that were fetched again");
    let again = purge(&edge, r#"{"tag": "rare"}"#);
    assert_eq!(hits(&edge, tagged, 0, ONE_OF), 0, "hits of objects purged again, without a restart");
    hits_of_most(&edge, tagged, 1, least, "objects beside them, without a restart");
    let soon = if scale::full() { ACKNOWLEDGED } else { ACKNOWLEDGED_ANYWHERE };
    assert!(took.max(again) <= soon, "acknowledged after {took:?} and {again:?}");
    let everything = purge(&edge, r#"{"all": true}"#);
    assert!(everything <= soon, "everything: acknowledged after {everything:?}");
    assert_eq!(hits(&edge, tagged, 1, ONE_OF), 0, "hits after everything was purged");
    edge.stop();
}

/// A fill that began before the purge carries what the origin gave before: it must not be served afterwards.
#[test]
fn what_arrives_while_it_is_purged_is_not_served_afterwards() {
    let _beside = turn::beside();
    let source = Source::start(|_| Plan {
        pace: Some(200_000),
        ..Plan::with(100_000, "Cache-Control: max-age=3600\r\nSurrogate-Key: a\r\n")
    });
    let edge = Edge::start(&setup(&source, "16MiB", "1GiB"));
    let purges = [r#"{"tag": "a"}"#, r#"{"url": "http://www.example.com/arriving-1"}"#, r#"{"all": true}"#];
    for (index, what) in purges.into_iter().enumerate() {
        let path = format!("/arriving-{index}");
        let before = source.requests();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| client(&edge, 1).get(0..1, |_| path.clone()));
            wait::until("the fill to begin", wait::PATIENCE, || (source.requests() > before).then_some(()));
            wait::pause(Duration::from_millis(100));
            let _ = purge(&edge, what);
            reader.join().unwrap().all_right("who reads already");
        });
        let next = edge.http().get("www.example.com", &path);
        assert_ne!(next.cache(), CacheUse::Hit, "after {what}");
        assert_eq!(source.requests(), before + 2, "requests at the origin after {what}");
    }
}
