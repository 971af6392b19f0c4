//! Requests counted and clients told apart.

use leeward_config::load;

use super::*;

/// A configuration with these limits, and its snapshot.
fn snapshot(limits: &str) -> Snapshot {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("leeward.yaml");
    let base = "origins: [{ directory: photos, http: { servers: [\"http://10.0.0.1:80\"] } }]\n\
                sites: [{ host: www.example.com, origin: photos }]\n";
    std::fs::write(&path, format!("{base}rate_limits:\n{limits}")).unwrap();
    let loaded = load(&path);
    let said = loaded.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    loaded.snapshot.unwrap_or_else(|| panic!("{said}"))
}

fn request(fields: &[(&'static str, &'static str)]) -> RequestHeader {
    let mut request = RequestHeader::build("GET", b"/", None).unwrap();
    for (name, value) in fields {
        request.append_header(*name, *value).unwrap();
    }
    request
}

#[test]
fn one_request_too_many_refuses_its_client_alone() {
    let snapshot = snapshot("  - { name: a, requests: 3, per: 1m, penalty: 2m }\n");
    let limit = &snapshot.rate_limits[0];
    let limits = Limits::default();
    let count = |address: &str| limits.count(limit, address.parse().unwrap(), &request(&[])).is_some();
    let first: Vec<bool> = (0..6).map(|_| count("192.0.2.1")).collect();
    assert_eq!(first, [false, false, false, true, true, true]);
    assert!(!count("192.0.2.2"), "another client");
    assert!(count("::ffff:192.0.2.1"), "the same one, written otherwise");
}

#[test]
fn clients_are_told_apart_by_the_key() {
    // key, prefix, two requests (address, agent, field), whether they count together
    type Sent = (&'static str, Option<&'static str>, Option<&'static str>);
    let table: &[(&str, u8, Sent, Sent, bool)] = &[
        ("ip", 64, ("192.0.2.1", Some("a"), None), ("192.0.2.1", Some("b"), None), true),
        ("ip", 64, ("192.0.2.1", None, None), ("192.0.2.2", None, None), false),
        ("ip", 64, ("2001:db8::1", None, None), ("2001:db8::ffff:1", None, None), true),
        ("ip", 64, ("2001:db8::1", None, None), ("2001:db8:0:1::1", None, None), false),
        ("ip", 128, ("2001:db8::1", None, None), ("2001:db8::2", None, None), false),
        ("ip", 1, ("2001:db8::1", None, None), ("3001:db8::2", None, None), true),
        ("none", 64, ("192.0.2.1", Some("a"), None), ("2001:db8::1", None, Some("k")), true),
        ("ip_and_user_agent", 64, ("192.0.2.1", Some("a"), None), ("192.0.2.1", Some("b"), None), false),
        ("ip_and_user_agent", 64, ("192.0.2.1", Some(""), None), ("192.0.2.1", None, None), true),
        ("ip_and_user_agent", 64, ("192.0.2.1", Some(" "), None), ("192.0.2.1", None, None), true),
        ("ip_and_user_agent", 64, ("192.0.2.1", None, None), ("192.0.2.2", None, None), false),
        ("header:X-Key", 64, ("192.0.2.1", None, Some("k")), ("192.0.2.2", None, Some("k")), true),
        ("header:X-Key", 64, ("192.0.2.1", None, Some("k")), ("192.0.2.1", None, Some("l")), false),
        ("header:X-Key", 64, ("192.0.2.1", None, None), ("192.0.2.1", None, None), true),
        ("header:X-Key", 64, ("192.0.2.1", None, None), ("192.0.2.2", None, None), false),
    ];
    for (key, prefix, one, other, together) in table {
        let snapshot =
            snapshot(&format!("  - {{ name: a, requests: 1, per: 1m, key: \"{key}\", ipv6_prefix: {prefix} }}\n"));
        let limits = Limits::default();
        let count = |(address, agent, field): &Sent| {
            let fields: Vec<_> =
                agent.map(|agent| ("user-agent", agent)).into_iter().chain(field.map(|key| ("x-key", key))).collect();
            limits.count(&snapshot.rate_limits[0], address.parse().unwrap(), &request(&fields)).is_some()
        };
        assert!(!count(one), "{key}: the first of all");
        assert_eq!(count(other), *together, "{key}/{prefix}: {one:?} {other:?}");
    }
}

#[test]
fn what_was_counted_outlives_a_reload_that_leaves_the_limit_as_it_is() {
    let address = "192.0.2.1".parse().unwrap();
    let first = snapshot("  - { name: a, requests: 1, per: 1m }\n  - { name: b, requests: 1, per: 1m }\n");
    let second =
        snapshot("  - { name: b, requests: 1, per: 1m, mode: enforce }\n  - { name: a, requests: 2, per: 1m }\n");
    let limits = Limits::default();
    for limit in &first.rate_limits {
        assert_eq!(limits.count(limit, address, &request(&[])), None);
    }
    limits.keep(&second);
    let again: Vec<(&str, bool)> = second
        .rate_limits
        .iter()
        .map(|limit| (limit.name.as_str(), limits.count(limit, address, &request(&[])).is_some()))
        .collect();
    assert_eq!(again, [("b", true), ("a", false)]);
    assert_eq!(limits.counted.load().len(), 2, "what nobody counts is forgotten");
}

#[test]
fn many_clients_do_not_count_as_one() {
    let snapshot = snapshot("  - { name: a, requests: 100, per: 1m }\n");
    let limits = Limits::default();
    let refused = (0..200_000_u32)
        .filter(|n| {
            let address = IpAddr::from((0x0b00_0000 + n).to_be_bytes());
            limits.count(&snapshot.rate_limits[0], address, &request(&[])).is_some()
        })
        .count();
    assert_eq!(refused, 0);
}

#[test]
fn the_border_of_a_window_lets_no_more_pass() {
    let snapshot = snapshot("  - { name: a, requests: 100, per: 10s, penalty: 1s }\n");
    let limits = Limits::default();
    let address = "192.0.2.1".parse().unwrap();
    // a burst right before each tenth second and one right after it
    let bursts = (1..=10_u64).flat_map(|n| [n * 10_000 - 1, n * 10_000]);
    let passed: Vec<(u64, usize)> = bursts
        .map(|at| {
            let count = |_: &usize| {
                let now = Duration::from_millis(at);
                limits.count_at(&snapshot.rate_limits[0], address, &request(&[]), now).is_none()
            };
            (at, (0..100).filter(count).count())
        })
        .collect();
    for pair in passed.windows(2) {
        assert!(pair[0].1 + pair[1].1 <= 100 || pair[1].0 - pair[0].0 >= 10_000, "{passed:?}");
    }
    assert!(passed.iter().map(|(_, count)| count).sum::<usize>() >= 400, "{passed:?}");
}

#[test]
fn a_client_is_taken_for_few_others() {
    let snapshot = snapshot("  - { name: a, requests: 10, per: 10s }\n");
    let (limits, limit) = (Limits::default(), &snapshot.rate_limits[0]);
    let counted = limits.counted_for(limit);
    let key = |n: u32| counted.key(limit, IpAddr::from(n.to_be_bytes()), &request(&[]));
    for n in 0..1_000_000_u32 {
        counted.window.count(key(n), u64::MAX, Duration::from_micros(u64::from(n) * 10));
    }
    let now = Duration::from_millis(9_999);
    let worst = (0..200).map(|n| {
        let key = key(2_000_000 + n);
        (0..1000).find(|most| counted.window.count(key, *most, now)).unwrap() - 1
    });
    let worst = worst.max().unwrap();
    // what keys are counted together is drawn anew with every start
    assert!(worst <= 150, "a client that never asked is taken to have asked {worst} times");
}
