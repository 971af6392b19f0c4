use std::sync::Barrier;

use super::*;

fn sketch(keys: usize) -> Sketch {
    Sketch::new(Options { window: Duration::from_secs(60), keys })
}

/// Spreads small numbers over all bits.
fn hash(n: u64) -> u128 {
    let mix = |n: u64| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    u128::from(mix(n)) << 64 | u128::from(mix(mix(n)))
}

#[test]
fn every_request_for_an_object_is_counted_and_none_for_another() {
    let sketch = sketch(1 << 10);
    let counts = |n| [0; 4].map(|_| sketch.observe_at(hash(n), sketch.start));
    assert_eq!((counts(7), counts(8), counts(7)), ([1, 2, 3, 4], [1, 2, 3, 4], [5, 6, 7, 8]));
}

#[test]
fn a_request_is_remembered_for_one_window_and_forgotten_after_two() {
    for (later, count) in [(0, 2), (59, 2), (61, 2), (121, 1), (500, 1)] {
        let sketch = sketch(1 << 10);
        sketch.observe_at(hash(1), sketch.start);
        // Other traffic ends the periods.
        for second in 0..later {
            sketch.observe_at(hash(2), sketch.start + Duration::from_secs(second));
        }
        let counted = sketch.observe_at(hash(1), sketch.start + Duration::from_secs(later));
        assert_eq!(counted, count, "{later} s later");
    }
}

#[test]
fn of_a_burst_on_a_cold_key_exactly_one_request_is_the_first() {
    const THREADS: usize = 8;
    for round in 0..50 {
        let (sketch, gate) = (sketch(1 << 12), Barrier::new(THREADS));
        let first: usize = std::thread::scope(|scope| {
            let ask = || {
                gate.wait();
                usize::from(sketch.observe_at(hash(round), sketch.start) == 1)
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(first, 1, "round {round}: {first} counted as the first");
    }
}

#[test]
fn strangers_seldom_pass_for_each_other_and_are_seldom_forgotten() {
    let (sketch, strangers) = (sketch(1 << 14), 1 << 14);
    let ready = || (0..strangers).filter(|n| sketch.observe_at(hash(*n), sketch.start) >= 2).count() as u64;
    let (early, in_time) = (ready(), ready());
    assert!(early < strangers / 100, "{early} of {strangers} first requests were taken for second ones");
    assert!(in_time > strangers * 98 / 100, "{in_time} of {strangers} second requests were recognised");
}

#[test]
fn a_full_table_ends_its_window() {
    let sketch = sketch(64);
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
fn variants_are_counted_apart() {
    let sketch = sketch(1 << 10);
    let parts = crate::key::Parts { scheme: "http", host_component: "h", path: "/", query: b"" };
    let of = |variance: Option<[u8; 16]>| {
        let mut key = crate::key::build(&parts);
        if let Some(variance) = variance {
            key.set_variance_key(variance);
        }
        let before = sketch.count(&key);
        let now = sketch.observe(&key);
        assert_eq!((before + 1, sketch.count(&key)), (now, now), "looking counts nothing");
        now
    };
    assert_eq!([of(None), of(Some([1; 16])), of(Some([2; 16])), of(None), of(Some([1; 16]))], [1, 1, 1, 2, 2]);
}
