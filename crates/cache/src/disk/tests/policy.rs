use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::disk::index::{Found, Index};
use crate::disk::name::{Name, Version};
use crate::disk::order::{Inserted, Order, Step};

const KIB: u64 = 1024;

fn name(place: u128, generation: u64, length: u64) -> Name {
    Name::new(Version { place, generation }, length).expect("a name")
}

/// Puts a file into the index as a finished write would; answers what was evicted for it.
fn store(index: &Index, name: Name) -> Vec<Name> {
    let mut evicted = Vec::new();
    assert!(index.begin(name.version, false), "{name} is there already");
    assert!(index.charge(name.cost(), &mut evicted), "no room for {name}");
    index.land(name).expect("lands");
    evicted
}

#[derive(Debug, Clone)]
enum Act {
    Insert(u128, u64, u64),
    Remove(u128),
    Use(u128),
    Step,
}

fn act() -> impl Strategy<Value = Act> {
    let place = 0_u128..40;
    prop_oneof![
        4 => (place.clone(), 0_u64..9, 0_u64..100_000).prop_map(|(place, generation, length)| Act::Insert(place, generation, length)),
        1 => place.clone().prop_map(Act::Remove),
        2 => place.prop_map(Act::Use),
        2 => Just(Act::Step),
    ]
}

proptest! {
    #[test]
    fn the_order_holds_exactly_what_was_put_in_and_not_taken_out(acts in vec(act(), 0..400)) {
        let (mut order, mut model) = (Order::default(), HashMap::<u128, Name>::new());
        for act in acts {
            match act {
                Act::Insert(place, generation, length) => {
                    let new = name(place, generation, length);
                    let inserted = order.insert(new);
                    let expected = match model.get(&place) {
                        None => Inserted::New,
                        Some(old) if *old == new => Inserted::Same,
                        Some(old) if old.version.generation >= generation => Inserted::Refused,
                        Some(old) => Inserted::Replaced(*old),
                    };
                    prop_assert_eq!(inserted, expected);
                    if matches!(inserted, Inserted::New | Inserted::Replaced(_)) {
                        model.insert(place, new);
                    }
                }
                Act::Remove(place) => prop_assert_eq!(order.remove(place, None), model.remove(&place)),
                Act::Use(place) => prop_assert_eq!(order.take_use(place), model.get(&place).copied()),
                Act::Step => match order.step() {
                    Step::Empty => prop_assert!(model.is_empty()),
                    Step::Moved => prop_assert!(!model.is_empty()),
                    Step::Evicted(name) => prop_assert_eq!(model.remove(&name.version.place), Some(name)),
                },
            }
            let mut held = order.standings().map(|(standing, _)| standing.name).collect::<Vec<_>>();
            let mut expected = model.values().copied().collect::<Vec<_>>();
            held.sort_by_key(|name| name.version.place);
            expected.sort_by_key(|name| name.version.place);
            prop_assert_eq!(held, expected);
        }
        while order.step() != Step::Empty {}
        prop_assert_eq!(order.len(), 0);
    }
}

#[test]
fn the_budget_is_never_exceeded_and_what_is_evicted_is_said() {
    let index = Index::new(400 * KIB);
    let mut held = std::collections::HashSet::new();
    for place in 0..1000_u128 {
        let new = name(place, 1, u64::try_from(place).unwrap() % 9 * 5000);
        for evicted in store(&index, new) {
            assert!(held.remove(&evicted), "{evicted} is evicted twice");
        }
        held.insert(new);
        let bytes = held.iter().map(Name::cost).sum::<u64>();
        assert_eq!((index.used(), index.objects()), (bytes, held.len() as u64));
        assert!(bytes <= 400 * KIB, "{bytes} after {place}");
    }
    assert_eq!(index.evictions(), 1000 - held.len() as u64);
}

#[test]
fn a_scan_over_objects_that_nobody_asks_for_again_leaves_those_in_use() {
    let index = Index::new(4000 * KIB);
    for place in 0..500 {
        store(&index, name(place, 1, 4096));
        index.take_use(place);
    }
    for place in 1000..20_000 {
        store(&index, name(place, 1, 4096));
        if place % 100 == 0 {
            (0..500).for_each(|place| _ = index.take_use(place));
        }
    }
    let left = (0..500).filter(|place| index.get(*place).is_some()).count();
    assert_eq!(left, 500, "of 500 objects in use");
}

#[test]
fn an_object_that_comes_back_soon_after_its_eviction_stays() {
    let mut order = Order::default();
    (0..10_000).for_each(|place| _ = order.insert(name(place, 1, 4096)));
    let Step::Evicted(evicted) = order.step() else { panic!("nothing is evicted") };
    assert_eq!(evicted.version.place, 0);
    order.insert(name(0, 2, 4096));
    for _ in 0..5000 {
        order.step();
    }
    assert!(order.get(0).is_some(), "it went with those that were asked for once");
}

#[test]
fn an_object_costs_at_most_100_bytes_of_memory() {
    for objects in [10_000_u128, 33_000, 100_000, 150_000] {
        let index = Index::new(1 << 50);
        for place in 0..objects {
            // Spread as hashes are.
            store(&index, name(place.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835), 1, 4096));
        }
        let each = index.memory() as f64 / objects as f64;
        println!("{objects} objects: {each:.1} bytes each");
        assert!(each <= 100.0, "{each:.1} bytes each for {objects}");
        // With as many evicted before as are remembered.
        let mut evicted = Vec::new();
        index.evict_to(index.used() / 2, &mut evicted);
        for place in 0..objects {
            let name = name(place.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835), 2, 4096);
            store(&index, name);
        }
        let each = index.memory() as f64 / index.objects() as f64;
        println!("{objects} objects after evictions: {each:.1} bytes each");
        assert!(each <= 100.0, "{each:.1} bytes each for {objects} after evictions");
    }
}

#[test]
fn what_is_removed_while_the_names_are_looked_at_does_not_come_back() {
    let index = Index::new(400 * KIB);
    index.begin_scan();
    for place in [1, 2, 3, 4] {
        assert_eq!(index.found(name(place, 5, 100)), Found::Kept);
    }
    index.remove(1, None);
    index.remove(2, Some(5));
    index.remove(3, Some(4));
    index.remove(4, None);
    store(&index, name(4, 9, 100));
    // Not reached by the scan yet when it was removed.
    index.remove(7, None);
    index.remove(8, Some(5));
    let cases = [
        (1, 5, Found::Unwanted),
        (2, 5, Found::Unwanted),
        (2, 6, Found::Kept),
        (3, 5, Found::Kept),
        (4, 5, Found::Unwanted),
        (4, 9, Found::Kept),
        (7, 5, Found::Unwanted),
        (8, 5, Found::Unwanted),
        (8, 6, Found::Kept),
        (9, 5, Found::Kept),
    ];
    for (place, generation, expected) in cases {
        assert_eq!(index.found(name(place, generation, 100)), expected, "{place}, generation {generation}");
    }
    index.end_scan(true);
    assert_eq!(index.found(name(1, 5, 100)), Found::Kept, "the notes outlive the scan");
}
