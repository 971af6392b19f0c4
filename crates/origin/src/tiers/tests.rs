use std::collections::{HashMap, HashSet};
use std::time::Instant;

use leeward_config::ready::{Balance, Pop, Region};

use super::*;

fn server(host: &str) -> OriginServer {
    OriginServer { tls: false, host: host.to_owned(), port: 80 }
}

fn group(name: &str, hosts: &[&str]) -> Arc<Origin> {
    let servers = hosts.iter().map(|host| server(host)).collect();
    let list = Some(Servers { servers, balance: Balance::PrimaryFailover });
    let group_key = FixedState::default().hash_one((name, hosts));
    Arc::new(Origin { name: name.to_owned(), http: list.clone(), https: list, group_key, ..Origin::default() })
}

fn hosts(order: &[OriginServer]) -> Vec<&str> {
    order.iter().map(|server| server.host.as_str()).collect()
}

fn took(times: &[Result<u64, Reason>]) -> Vec<Option<Took>> {
    let at = Instant::now();
    times.iter().map(|time| Some(Took { result: time.map(Duration::from_millis), at })).collect()
}

fn keys() -> impl Iterator<Item = String> {
    (0..3000).map(|i| format!("http www.example.com /object/{i}"))
}

#[test]
fn the_order_of_a_list_does_not_move_any_object() {
    let (one, other) = (["a", "b", "c", "d"].map(server), ["c", "a", "d", "b"].map(server));
    for key in keys() {
        let (one, other) = (rendezvous::order(key.as_bytes(), &one, 3), rendezvous::order(key.as_bytes(), &other, 3));
        assert_eq!(hosts(&one), hosts(&other), "{key}");
    }
}

#[test]
fn a_node_that_is_gone_moves_its_own_objects_only_and_each_to_its_next_node() {
    let (before, after) = (["a", "b", "c", "d"].map(server), ["a", "c", "d"].map(server));
    for key in keys() {
        let old = rendezvous::order(key.as_bytes(), &before, 4);
        let new = rendezvous::order(key.as_bytes(), &after, 4);
        let left: Vec<_> = hosts(&old).into_iter().filter(|host| *host != "b").collect();
        assert_eq!(hosts(&new), left, "{key}");
    }
}

#[test]
fn nodes_share_the_objects_evenly() {
    let nodes = ["a", "b", "c", "d"].map(server);
    let mut share: HashMap<String, usize> = HashMap::new();
    for key in keys() {
        *share.entry(rendezvous::order(key.as_bytes(), &nodes, 1)[0].host.clone()).or_default() += 1;
    }
    assert_eq!(share.len(), 4, "{share:?}");
    assert!(share.values().all(|count| (600..900).contains(count)), "of 3000: {share:?}");
}

#[test]
fn every_version_of_an_edge_sends_an_object_to_the_same_node() {
    let nodes = ["10.1.0.1", "10.1.0.2", "10.1.0.3"].map(server);
    let first = |key: &str| hosts(&rendezvous::order(key.as_bytes(), &nodes, 3)).join(" ");
    let got: Vec<_> = ["http www.example.com /a", "https www.example.com /a", "http www.example.com /b"]
        .iter()
        .map(|key| first(key))
        .collect();
    let wanted =
        ["10.1.0.1 10.1.0.3 10.1.0.2", "10.1.0.2 10.1.0.1 10.1.0.3", "10.1.0.3 10.1.0.2 10.1.0.1"].map(str::to_owned);
    assert_eq!(got, wanted, "a change of the hash empties every shield once: is it meant?");
}

#[test]
fn the_fastest_is_first_and_stays_it_until_another_is_much_faster() {
    use Reason::{ConnectRefused as Refused, Status};
    type Case<'c> = (&'c [Result<u64, Reason>], Option<usize>, &'c [usize]);
    let table: &[Case<'_>] = &[
        (&[Ok(30), Ok(10), Ok(20)], None, &[1, 2, 0]),
        (&[Ok(10), Ok(10), Ok(10)], None, &[0, 1, 2]),
        (&[Ok(11), Ok(10)], Some(0), &[0, 1]),
        (&[Ok(13), Ok(10)], Some(0), &[1, 0]),
        (&[Err(Refused), Ok(900), Err(Status)], Some(0), &[1, 0, 2]),
        (&[Err(Refused), Err(Status)], Some(1), &[0, 1]),
    ];
    for (times, current, wanted) in table {
        assert_eq!(order::best(&took(times), *current), *wanted, "{times:?} from {current:?}");
    }
    assert_eq!(order::best(&[took(&[Err(Refused)])[0], None], None), [1, 0], "unknown is better than failing");
}

#[test]
fn of_several_pops_the_nearest_is_asked_and_before_any_measurement_the_first() {
    let pop = |region, hosts: &[&str]| Pop { region: Some(region), nodes: group("photos shield", hosts) };
    let shield = Shield::Pops(vec![pop(Region::UsEast, &["e1", "e2"]), pop(Region::Europe, &["f1", "f2"])]);
    let tiers = Tiers::default();
    let asked = || {
        let of = |key: String| tiers.order(&shield, key.as_bytes()).1;
        keys().take(50).flat_map(of).map(|server| server.host).collect::<HashSet<_>>()
    };
    let set = |hosts: [&str; 2]| hosts.map(str::to_owned).into_iter().collect::<HashSet<_>>();
    assert_eq!(asked(), set(["e1", "e2"]));
    tiers.learn(&shield, &took(&[Ok(80), Ok(20)]));
    assert_eq!(asked(), set(["f1", "f2"]));
    tiers.learn(&shield, &took(&[Ok(19), Ok(20)]));
    assert_eq!(asked(), set(["f1", "f2"]), "as near is not nearer");
    tiers.learn(&shield, &took(&[Ok(80), Err(Reason::ConnectTimeout)]));
    assert_eq!(asked(), set(["e1", "e2"]));
}

#[test]
fn of_the_gateways_the_three_fastest_are_asked_in_the_order_of_their_times() {
    let shield = Shield::Gateways(group("app gateways", &["a", "b", "c", "d", "e"]));
    let tiers = Tiers::default();
    let asked = || tiers.order(&shield, b"any").1;
    assert_eq!(hosts(&asked()), ["a", "b", "c"]);
    tiers.learn(&shield, &took(&[Ok(50), Ok(40), Err(Reason::Status), Ok(30), Ok(60)]));
    assert_eq!(hosts(&asked()), ["d", "b", "a"]);
    let ranks: Vec<_> = tiers.list(&shield).into_iter().map(|seen| seen.rank).collect();
    assert_eq!(ranks, [Some(3), Some(2), None, Some(1), None]);
}
