use std::sync::Barrier;

use super::*;

fn sketch(requests: u8, keys: usize) -> Sketch {
    Sketch::new(Options { requests, window: Duration::from_secs(60), keys })
}

/// Spreads small numbers over all bits.
fn hash(n: u64) -> u128 {
    let mix = |n: u64| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    u128::from(mix(n)) << 64 | u128::from(mix(mix(n)))
}

#[test]
fn an_object_is_ready_from_the_configured_request_on() {
    for (requests, expected) in [(1, [true, true, true]), (2, [false, true, true]), (3, [false, false, true])] {
        let sketch = sketch(requests, 1 << 10);
        let got = [0; 3].map(|_| !sketch.observe_at(hash(7), sketch.start).is_deferred());
        assert_eq!(got, expected, "stored on request {requests}");
    }
}

#[test]
fn a_request_is_remembered_for_one_window_and_forgotten_after_two() {
    for (later, ready) in [(0, true), (59, true), (61, true), (121, false), (500, false)] {
        let sketch = sketch(2, 1 << 10);
        sketch.observe_at(hash(1), sketch.start);
        // Other traffic ends the periods.
        for second in 0..later {
            sketch.observe_at(hash(2), sketch.start + Duration::from_secs(second));
        }
        let decision = sketch.observe_at(hash(1), sketch.start + Duration::from_secs(later));
        assert_eq!(!decision.is_deferred(), ready, "{later} s later: {decision:?}");
    }
}

#[test]
fn of_a_burst_on_a_cold_key_exactly_one_request_is_deferred() {
    const THREADS: usize = 8;
    for round in 0..50 {
        let (sketch, gate) = (sketch(2, 1 << 12), Barrier::new(THREADS));
        let deferred: usize = std::thread::scope(|scope| {
            let ask = || {
                gate.wait();
                usize::from(sketch.observe_at(hash(round), sketch.start).is_deferred())
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(deferred, 1, "round {round}: {deferred} deferred");
    }
}

#[test]
fn strangers_seldom_pass_for_each_other_and_are_seldom_forgotten() {
    let (sketch, strangers) = (sketch(2, 1 << 14), 1 << 14);
    let ready = || (0..strangers).filter(|n| !sketch.observe_at(hash(*n), sketch.start).is_deferred()).count() as u64;
    let (early, in_time) = (ready(), ready());
    assert!(early < strangers / 100, "{early} of {strangers} first requests were taken for second ones");
    assert!(in_time > strangers * 98 / 100, "{in_time} of {strangers} second requests were recognised");
}

#[test]
fn a_full_table_ends_its_window() {
    let sketch = sketch(2, 64);
    for n in 0..1000 {
        sketch.observe_at(hash(n), sketch.start);
    }
    let windows = sketch.windows.load(Ordering::Relaxed);
    assert!(windows >= 10, "{windows} windows for 1000 keys in tables for 64");
}

#[test]
fn a_count_never_spills_into_its_neighbours() {
    let mut word = count(count(0, 0x10), 0x20);
    for _ in 0..100 {
        word = count(word, 0x10);
    }
    assert_eq!([count_of(word, 0x10), count_of(word, 0x20), count_of(word, 0x30), count_of(word, 0)], [15, 1, 0, 0]);
}

#[test]
fn the_framework_asks_with_its_key() {
    let sketch = sketch(2, 1 << 10);
    let parts = crate::key::Parts { scheme: "http", host_component: "h", path: "/", query: b"" };
    let key = crate::key::build(&parts);
    assert_eq!(
        [sketch.observe(&key), sketch.observe(&key)],
        [Decision::Defer { observed: 1 }, Decision::Ready { observed: 2 }]
    );
}
