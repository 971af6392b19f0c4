use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

use super::*;

const CONNECT: Duration = Duration::from_secs(2);
const FIRST_BYTE: Duration = Duration::from_secs(15);

fn server(host: &str) -> OriginServer {
    OriginServer { tls: false, host: host.into(), port: 80 }
}

fn origin(hosts: &[&str], balance: Balance) -> Arc<Origin> {
    Arc::new(Origin {
        name: "photos".into(),
        http: Some(Servers { servers: hosts.iter().map(|host| server(host)).collect(), balance }),
        timeouts: Timeouts { connect: CONNECT, first_byte: FIRST_BYTE, between_bytes: FIRST_BYTE },
        group_key: 7,
        ..Origin::default()
    })
}

fn leg(origin: &Arc<Origin>) -> Leg {
    Leg {
        way: Way::Servers,
        origin: Arc::clone(origin),
        servers: None,
        timeouts: origin.timeouts.clone(),
        extra: 0,
        others_behind: false,
    }
}

/// The addresses of `a` to `e` are 192.0.2.1 to .5, `two` has .21 and .22, `new` is unknown at first, `none` has none.
fn known(server: &OriginServer) -> Known {
    let addresses: Vec<IpAddr> = match server.host.as_str() {
        "two" => vec![[192, 0, 2, 21].into(), [192, 0, 2, 22].into()],
        "new" => return Known::Never,
        "none" => return Known::Failed(ResolveError::new("none", "no address")),
        host => vec![[192, 0, 2, host.as_bytes()[0] - b'a' + 1].into()],
    };
    Known::Addresses(addresses.into())
}

/// Walks to the end and says what was tried. `until` is the end of an exclusion by address, in seconds; odd ones are for
/// refusals, even ones for timeouts.
fn trace(walk: &mut Walk, until: &[(&str, u64)], now: Instant) -> Vec<String> {
    let until: HashMap<SocketAddr, Instant> = until
        .iter()
        .map(|(ip, seconds)| (SocketAddr::new(ip.parse().unwrap(), 80), now + Duration::from_secs(*seconds)))
        .collect();
    let admit = |_: &OriginServer, address: SocketAddr| match until.get(&address) {
        Some(until) => {
            let refuses = until.duration_since(now).as_secs() % 2 == 1;
            let reason = if refuses { Reason::ConnectRefused } else { Reason::ConnectTimeout };
            Admission::Excluded { until: *until, reason }
        }
        None => Admission::Open,
    };
    let mut seen = Vec::new();
    loop {
        match walk.step(&admit, now) {
            Step::Connect(target) => seen.push(format!("{}@{}", target.server.host, target.address.ip())),
            Step::Resolve(server) => {
                seen.push(format!("resolve {}", server.host));
                walk.resolved(&server, Known::Addresses([IpAddr::from([192, 0, 2, 99])].into()));
            }
            Step::Unresolved(server, _) => seen.push(format!("no address for {}", server.host)),
            end => {
                seen.push(format!("{end:?}"));
                return seen;
            }
        }
    }
}

fn begin(leg: Leg, now: Instant) -> Walk {
    Walk::begin(leg, false, &Turns::default(), &known, now).unwrap()
}

#[test]
fn every_address_of_every_server_is_tried_in_order() {
    let now = Instant::now();
    let table: &[(&[&str], &[&str])] = &[
        (&["a", "b"], &["a@192.0.2.1", "b@192.0.2.2", "Over"]),
        (&["two", "a"], &["two@192.0.2.21", "two@192.0.2.22", "a@192.0.2.1", "Over"]),
        (&["none", "a"], &["no address for none", "a@192.0.2.1", "Over"]),
        (&["new", "a"], &["resolve new", "new@192.0.2.99", "a@192.0.2.1", "Over"]),
        // an address that two names share is tried once
        (&["a", "a"], &["a@192.0.2.1", "Over"]),
        (&["none"], &["no address for none", "Over"]),
    ];
    for (hosts, want) in table {
        let mut walk = begin(leg(&origin(hosts, Balance::PrimaryFailover)), now);
        assert_eq!(trace(&mut walk, &[], now), *want, "{hosts:?}");
    }
}

#[test]
fn a_server_known_not_to_answer_is_left_out_until_nothing_else_helps() {
    let now = Instant::now();
    let walk = |hosts: &[&str]| begin(leg(&origin(hosts, Balance::PrimaryFailover)), now);
    let until = [("192.0.2.1", 9), ("192.0.2.2", 4), ("192.0.2.4", 3)];
    let table: &[(&[&str], Forced, &[&str])] = &[
        (&["a", "b", "c"], Forced::None, &["c@192.0.2.3", "Down { refusing: true }"]),
        (&["a", "b"], Forced::None, &["Down { refusing: true }"]),
        (&["b"], Forced::None, &["Down { refusing: false }"]),
        // then those first that are due first; a refusal costs no waiting
        (&["a", "b", "d"], Forced::Refusing, &["d@192.0.2.4", "a@192.0.2.1", "Down { refusing: false }"]),
        (&["a", "b", "d"], Forced::All, &["d@192.0.2.4", "b@192.0.2.2", "a@192.0.2.1", "Over"]),
    ];
    for (hosts, forced, want) in table {
        let mut walk = walk(hosts);
        walk.force(*forced);
        assert_eq!(trace(&mut walk, &until, now), *want, "{hosts:?} {forced:?}");
    }
}

#[test]
fn round_robin_begins_with_the_next_address_each_time() {
    let (turns, now) = (Turns::default(), Instant::now());
    let first = |hosts: &[&str], balance| {
        let origin = origin(hosts, balance);
        (0..4)
            .map(|_| trace(&mut Walk::begin(leg(&origin), false, &turns, &known, now).unwrap(), &[], now)[0].clone())
            .collect::<Vec<_>>()
    };
    let spread = ["two@192.0.2.21", "two@192.0.2.22", "a@192.0.2.1", "two@192.0.2.21"];
    assert_eq!(first(&["two", "a"], Balance::RoundRobin), spread);
    assert_eq!(first(&["two", "a"], Balance::PrimaryFailover), ["two@192.0.2.21"; 4]);
}

#[test]
fn there_is_no_cross_scheme_fallback() {
    let origin = origin(&["a"], Balance::RoundRobin);
    assert!(Walk::begin(leg(&origin), true, &Turns::default(), &known, Instant::now()).is_none());
}

#[test]
fn no_attempt_begins_after_the_deadline_or_beyond_the_budget() {
    let now = Instant::now();
    let hosts = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let many = origin(&hosts, Balance::PrimaryFailover);
    let share = CONNECT + FIRST_BYTE;
    let tries = |others_behind, after| {
        let mut walk = begin(Leg { others_behind, ..leg(&many) }, now);
        let seen = trace(&mut walk, &[], now + after);
        (seen.len() - 1, seen[seen.len() - 1].clone())
    };
    let over = || "Over".to_owned();
    assert_eq!(tries(false, Duration::ZERO), (MAX_ATTEMPTS, over()));
    assert_eq!(tries(true, Duration::ZERO), (MAX_ATTEMPTS - KEPT_FOR_OTHERS, over()));
    assert_eq!(tries(false, share), (MAX_ATTEMPTS, over()));
    assert_eq!(tries(true, share), (0, over()), "the ways behind get their share");
    assert_eq!(tries(false, share * 2), (0, "Deadline".to_owned()));
}

#[test]
fn another_way_has_its_own_servers_and_what_is_left_of_time_and_attempts() {
    let now = Instant::now();
    let mut walk = begin(Leg { others_behind: true, ..leg(&origin(&["a", "b"], Balance::PrimaryFailover)) }, now);
    trace(&mut walk, &[], now);
    let backup = Leg { way: Way::Backup, ..leg(&origin(&["e"], Balance::PrimaryFailover)) };
    let later = now + CONNECT + FIRST_BYTE;
    assert!(walk.enter(backup, false, &Turns::default(), &known, later));
    assert_eq!((walk.way, walk.left(later)), (Way::Backup, CONNECT + FIRST_BYTE));
    assert!(walk.more(&|_, _| true, later));
    assert_eq!(trace(&mut walk, &[], later), ["e@192.0.2.5", "Over"]);
    assert!(!walk.more(&|_, _| true, later));
}

#[test]
fn an_attempt_leaves_the_ways_behind_it_their_time() {
    let now = Instant::now();
    let own = origin(&["a", "b"], Balance::PrimaryFailover);
    let share = CONNECT + FIRST_BYTE;
    let walk = |others_behind| begin(Leg { others_behind, ..leg(&own) }, now);
    for (others_behind, after, want) in [
        (false, Duration::ZERO, share * 2),
        (false, share / 2, share * 3 / 2),
        (true, Duration::ZERO, share),
        (true, share / 2, share * 3 / 4),
        (true, share * 3, Duration::ZERO),
    ] {
        assert_eq!(walk(others_behind).left(now + after), want, "{others_behind} {after:?}");
    }
    // a redirect to a slower origin
    let slower = Timeouts { connect: CONNECT, first_byte: share * 4, between_bytes: FIRST_BYTE };
    let mut walk = walk(true);
    let target = Leg { others_behind: true, timeouts: slower, ..leg(&origin(&["c"], Balance::PrimaryFailover)) };
    assert!(walk.enter(target, false, &Turns::default(), &known, now));
    assert_eq!(walk.left(now), share);
}

#[test]
fn further_tries_go_to_the_first_server() {
    let now = Instant::now();
    let mut walk = begin(Leg { extra: 2, ..leg(&origin(&["a", "b"], Balance::PrimaryFailover)) }, now);
    assert_eq!(trace(&mut walk, &[], now), ["a@192.0.2.1", "b@192.0.2.2", "a@192.0.2.1", "a@192.0.2.1", "Over"]);
}

#[test]
fn a_closed_kept_connection_is_no_reason_to_go_on() {
    let now = Instant::now();
    let mut walk = begin(leg(&origin(&["a", "b"], Balance::PrimaryFailover)), now);
    let tried = RefCell::new(Vec::new());
    let mut step = || {
        let step = walk.step(&|_, _| Admission::Open, now);
        if let Step::Connect(target) = &step {
            tried.borrow_mut().push(target.server.host.clone());
            if tried.borrow().len() == 1 {
                walk.again(target.address);
            }
        }
    };
    (0..3).for_each(|_| step());
    assert_eq!(*tried.borrow(), ["a", "a", "b"]);
}
