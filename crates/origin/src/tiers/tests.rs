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

/// An address of loopback that nobody else uses, with a port that was free.
async fn listener(ip: [u8; 4], port: u16) -> (tokio::net::TcpListener, u16) {
    let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::from(ip), port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test]
async fn what_is_measured_is_measured_again_and_the_order_follows() {
    const EAST: [u8; 4] = [127, 91, 0, 1];
    const EUROPE: [u8; 4] = [127, 91, 0, 2];
    let ((east, east_port), (europe, europe_port)) = (listener(EAST, 0).await, listener(EUROPE, 0).await);
    drop(east);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leeward.yaml");
    let pops = format!(
        "us_east: [\"http://127.91.0.1:{east_port}\"], asia: bypass, europe: [\"http://127.91.0.2:{europe_port}\"]"
    );
    let origin =
        format!("directory: photos, http: {{ servers: [\"http://10.0.0.1\"] }}, shield: {{ pops: {{ {pops} }} }}");
    std::fs::write(&file, format!("origins: [{{ {origin} }}]\nsites: [{{ host: \"*\", origin: photos }}]\n")).unwrap();
    let loaded = leeward_config::load(&file);
    let snapshot = Arc::new(loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics)));
    let (tiers, resolver) = (Arc::new(Tiers::default()), Arc::new(crate::Resolver::new(&snapshot.dns)));
    let pace = measure::Pace { every: Duration::from_millis(50), after_failure: Duration::from_millis(50) };
    let current = Arc::clone(&snapshot);
    let name = || "leeward; node=test".to_owned();
    let measuring = Measuring::with_pace(Arc::clone(&tiers), resolver, move || Arc::clone(&current), name, pace);
    let task = tokio::spawn(measuring.run());
    let shield = snapshot.origins[0].shield.as_ref().unwrap();
    let until = async |what: &str, holds: &dyn Fn(&[Seen]) -> bool| {
        let waited = async {
            while !holds(&tiers.list(shield)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), waited).await;
        assert!(in_time.is_ok(), "waited for {what}: {:?}", tiers.list(shield));
    };
    let refused = |seen: &Seen| seen.took.is_some_and(|took| took.error() == Some(Reason::ConnectRefused));
    let good = |seen: &Seen| seen.took.is_some_and(|took| took.seconds().is_some());
    until("Europe first, the east refused", &|all| refused(&all[0]) && all[1].rank == Some(1) && good(&all[1])).await;
    let _east = listener(EAST, east_port).await;
    until("the east to be back", &|all| good(&all[0]) && good(&all[1])).await;
    drop(europe);
    until("the east first, Europe refused", &|all| all[0].rank == Some(1) && good(&all[0]) && refused(&all[1])).await;
    task.abort();
}
