use leeward_config::ready::{Platform, Timeouts};

use super::*;

fn server(host: &str) -> OriginServer {
    OriginServer { tls: false, host: host.into(), port: 80 }
}

fn origin(hosts: &[&str], balance: Balance) -> Arc<Origin> {
    Arc::new(Origin {
        name: "photos".into(),
        directory: Some("photos".into()),
        platform: Platform::HttpLarge,
        http: Some(Servers { servers: hosts.iter().map(|host| server(host)).collect(), balance }),
        timeouts: Timeouts {
            connect: Duration::from_secs(2),
            first_byte: Duration::from_secs(15),
            between_bytes: Duration::from_secs(15),
        },
        group_key: 7,
        ..Origin::default()
    })
}

/// Walks a plan to its end; a server named `two` has two addresses, `none` has none.
fn walk(plan: &mut Attempts, now: Instant) -> (Vec<String>, Exhausted) {
    let mut tried = Vec::new();
    loop {
        match plan.next(now) {
            Ok(Step::Connect(target)) => tried.push(format!("{}@{}", target.server.host, target.address.ip())),
            Ok(Step::Resolve(server)) => {
                let addresses: &[&str] = match server.host.as_str() {
                    "two" => &["192.0.2.1", "192.0.2.2"],
                    "none" => &[],
                    _ => &["192.0.2.9"],
                };
                let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
                plan.resolved(&server, &addresses);
            }
            Err(end) => return (tried, end),
        }
    }
}

#[test]
fn every_address_of_every_server_is_tried_in_order() {
    let (turns, now) = (Turns::default(), Instant::now());
    let origin = origin(&["a", "none", "two", "b"], Balance::PrimaryFailover);
    let mut plan = Attempts::plan(&origin, false, &turns, now).unwrap();
    let (tried, end) = walk(&mut plan, now);
    assert_eq!(tried, ["a@192.0.2.9", "two@192.0.2.1", "two@192.0.2.2", "b@192.0.2.9"]);
    assert_eq!(end, Exhausted::Servers);
    assert!(!plan.more(now));
}

#[test]
fn round_robin_begins_with_the_next_server_each_time() {
    let (turns, now) = (Turns::default(), Instant::now());
    let origin = origin(&["a", "b", "c"], Balance::RoundRobin);
    let first = || walk(&mut Attempts::plan(&origin, false, &turns, now).unwrap(), now).0[0].clone();
    assert_eq!([first(), first(), first(), first()], ["a@192.0.2.9", "b@192.0.2.9", "c@192.0.2.9", "a@192.0.2.9"]);
}

#[test]
fn primary_failover_always_begins_with_the_first() {
    let (turns, now) = (Turns::default(), Instant::now());
    let origin = origin(&["a", "b"], Balance::PrimaryFailover);
    for _ in 0..3 {
        assert_eq!(walk(&mut Attempts::plan(&origin, false, &turns, now).unwrap(), now).0[0], "a@192.0.2.9");
    }
}

#[test]
fn there_is_no_cross_scheme_fallback() {
    let origin = origin(&["a"], Balance::RoundRobin);
    assert!(Attempts::plan(&origin, true, &Turns::default(), Instant::now()).is_none());
}

#[test]
fn no_attempt_begins_after_the_deadline_or_beyond_the_budget() {
    let (turns, now) = (Turns::default(), Instant::now());
    let many: Vec<&str> = vec!["a"; 20];
    let origin = origin(&many, Balance::PrimaryFailover);
    let mut plan = Attempts::plan(&origin, false, &turns, now).unwrap();
    assert_eq!(walk(&mut plan, now).0.len(), MAX_ATTEMPTS);
    let mut plan = Attempts::plan(&origin, false, &turns, now).unwrap();
    assert_eq!(plan.next(now + Duration::from_secs(34)), Err(Exhausted::Deadline));
}
