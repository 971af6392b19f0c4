//! An origin that varies by a field that every client sends differently: the cache stays useful for everybody else.

use leeward_tests::bulk::{Client, Plan, Source};
use leeward_tests::edge::Edge;
use leeward_tests::{scale, turn};

use crate::stage;

/// `cache.variants`
const VARIANTS: u64 = 32;
const OTHERS: u64 = 200;
const SIZE: u64 = 20_000;

#[test]
fn variants_of_one_object_are_bounded_and_others_stay_stored() {
    let _beside = turn::beside();
    let agents = scale::of(1000, 10_000);
    let source = Source::start(|asked| match asked.path {
        "/varies" => Plan::with(SIZE, "Cache-Control: max-age=3600\r\nVary: User-Agent\r\n"),
        _ => Plan::stored(SIZE),
    });
    let extra =
        format!("cache: {{ store_on_hit: 1, memory: 16MiB, variants: {VARIANTS} }}\nlog: {{ access: \"off\" }}");
    let edge = Edge::start(&stage::setup_at(source.address(), &extra));
    let client = || Client::new(edge.http().address, 4);
    client().get(0..OTHERS, |number| format!("/other/{number}")).all_right("others");
    let (before, _) = edge.resident();
    let tally = client().ask(
        0..agents,
        |number| ("/varies".into(), format!("User-Agent: agent {}\r\n", number * 2_654_435_761)),
        &|_| None,
    );
    tally.all_right("many agents");
    let stored = edge.metrics().sum("leeward_cache_objects", &[("tier", "memory")]) as u64;
    let (now, _) = edge.resident();
    eprintln!(
        "{agents} agents, {:.0} a second: {stored} objects stored, {} MB resident more",
        tally.rate(),
        now.saturating_sub(before) / 1_000_000
    );
    // One more, because the object itself may stand beside its variants.
    assert!(stored <= OTHERS + VARIANTS + 1, "{stored} objects are stored, {OTHERS} of them others");
    assert!(now.saturating_sub(before) < 40_000_000, "{} bytes resident more", now - before);
    let others = client().get(0..OTHERS, |number| format!("/other/{number}"));
    others.all_right("others, afterwards");
    assert_eq!(others.hits, OTHERS, "hits of others");
    // The last agents are those that come again.
    let request = |_| ("/varies".into(), "User-Agent: the same\r\n".into());
    let again = client().ask(0..10, request, &|_| None);
    again.all_right("one agent again and again");
}
