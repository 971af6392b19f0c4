//! What requests are told about names, against a DNS server that is scripted.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use leeward_tests::dns::{Dns as Server, Entry, Kind, Says};
use leeward_tests::wait;

use super::*;

const NAME: &str = "origin.example.net";
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Short enough for a test, long enough to see one step after the other.
const PACE: Pace = Pace {
    floor: Duration::from_millis(50),
    cap: Duration::from_millis(100),
    confirm: Duration::from_millis(50),
    retry: Duration::from_millis(20),
    retry_max: Duration::from_millis(100),
};
const VERSIONS: [IpVersion; 5] =
    [IpVersion::Default, IpVersion::V4Only, IpVersion::V6Only, IpVersion::V4Preferred, IpVersion::V6Preferred];

fn entry(script: &str) -> Entry {
    Entry::parse(script).unwrap_or_else(|error| panic!("{script}: {error}"))
}

fn server(script: &str) -> Server {
    Server::start([(NAME.to_owned(), entry(script))].into())
}

fn dns(servers: &[&Server]) -> Dns {
    Dns { servers: servers.iter().map(|server| server.address()).collect(), timeout: Duration::from_millis(100) }
}

fn no_files() -> Files {
    Files { hosts: "/nonexistent".into(), resolv_conf: "/nonexistent".into() }
}

fn resolver(servers: &[&Server]) -> Resolver {
    Resolver::with(&dns(servers), PACE, no_files())
}

fn follow_one(resolver: &Resolver, version: IpVersion) {
    resolver.follow_names([(NAME, version.into())].into_iter(), false);
}

/// The addresses as text, or `none`, once the name was asked for.
fn told(resolver: &Resolver, version: IpVersion) -> String {
    wait::until("an answer", PATIENCE, || match resolver.known(NAME, version) {
        Known::Addresses(addresses) => Some(addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
        Known::Failed(_) => Some("none".to_owned()),
        Known::Never => None,
    })
}

fn wait_until_told(resolver: &Resolver, want: &str) {
    wait::until(want, PATIENCE, || (told(resolver, IpVersion::Default) == want).then_some(()));
}

#[tokio::test]
async fn a_literal_address_is_its_own_answer_whatever_the_version() {
    let resolver = Resolver::with(&dns(&[]), PACE, no_files());
    for host in ["127.0.0.1", "::1"] {
        for version in VERSIONS {
            let want: Arc<[IpAddr]> = Arc::from([host.parse().unwrap()]);
            resolver.follow_names([(host, version.into())].into_iter(), false);
            assert_eq!(resolver.known(host, version), Known::Addresses(Arc::clone(&want)), "{host} {version:?}");
            assert_eq!(resolver.first(host, version, Duration::ZERO).await, Ok(want), "{host} {version:?}");
        }
    }
    assert_eq!(resolver.known(NAME, IpVersion::Default), Known::Never);
    assert_eq!(resolver.list(), vec![], "nothing is asked of anybody");
}

#[test]
fn each_version_falls_back_only_where_it_may_and_only_when_there_is_no_record() {
    // What is said of A and AAAA; what default and v4_only, v6_only, v4_preferred, v6_preferred make of it.
    let cases = [
        ("{ a: [192.0.2.1], aaaa: ['2001:db8::1'] }", "192.0.2.1", "2001:db8::1", "192.0.2.1", "2001:db8::1"),
        ("{ a: [192.0.2.1] }", "192.0.2.1", "none", "192.0.2.1", "192.0.2.1"),
        ("{ aaaa: ['2001:db8::1'] }", "none", "2001:db8::1", "2001:db8::1", "2001:db8::1"),
        ("{ a: [192.0.2.1], aaaa: nxdomain }", "192.0.2.1", "none", "192.0.2.1", "192.0.2.1"),
        ("{ a: [192.0.2.1], aaaa: servfail }", "192.0.2.1", "none", "192.0.2.1", "none"),
        ("{ a: servfail, aaaa: ['2001:db8::1'] }", "none", "2001:db8::1", "none", "2001:db8::1"),
        ("{ a: nothing, aaaa: ['2001:db8::1'] }", "none", "2001:db8::1", "none", "2001:db8::1"),
        ("{ a: refused, aaaa: ['2001:db8::1'] }", "none", "2001:db8::1", "none", "2001:db8::1"),
        // Names that blocking resolvers answer with nobody's address are failures, not missing records.
        ("{ a: [0.0.0.0], aaaa: ['2001:db8::1'] }", "none", "2001:db8::1", "none", "2001:db8::1"),
        ("{ a: [192.0.2.1], aaaa: ['::ffff:0.0.0.0'] }", "192.0.2.1", "none", "192.0.2.1", "none"),
        ("{}", "none", "none", "none", "none"),
        ("nxdomain", "none", "none", "none", "none"),
    ];
    for (script, v4, v6, v4_preferred, v6_preferred) in cases {
        let server = server(script);
        let resolver = resolver(&[&server]);
        let wanted = VERSIONS.map(|version| (NAME, version.into()));
        resolver.follow_names(wanted.into_iter(), false);
        let got = VERSIONS.map(|version| told(&resolver, version));
        assert_eq!(got, [v4, v4, v6, v4_preferred, v6_preferred], "{script}, of {VERSIONS:?}");
    }
}

#[test]
fn only_the_families_that_a_version_allows_are_asked_for() {
    let cases = [(IpVersion::Default, Kind::Aaaa), (IpVersion::V4Only, Kind::Aaaa), (IpVersion::V6Only, Kind::A)];
    for (version, never) in cases {
        let server = server("{}");
        let resolver = resolver(&[&server]);
        follow_one(&resolver, version);
        assert_eq!(told(&resolver, version), "none");
        assert_eq!(server.asked(NAME, never), 0, "{version:?}");
    }
}

#[test]
fn the_last_good_answer_is_kept_while_nobody_answers() {
    for failure in ["servfail", "refused", "nothing", "{ a: [0.0.0.0] }"] {
        let server = server("{ a: [192.0.2.1] }");
        let resolver = resolver(&[&server]);
        follow_one(&resolver, IpVersion::Default);
        wait_until_told(&resolver, "192.0.2.1");
        server.set(NAME, entry(failure));
        server.wait_for(NAME, Kind::A, 4, PATIENCE);
        assert_eq!(told(&resolver, IpVersion::Default), "192.0.2.1", "{failure}");
        server.set(NAME, entry("{ a: [192.0.2.2] }"));
        wait_until_told(&resolver, "192.0.2.2");
    }
}

#[test]
fn a_name_that_is_gone_is_believed_to_be_gone_when_that_is_said_twice() {
    for end in ["nxdomain", "{}"] {
        let server = server("{ a: [192.0.2.1] }");
        let resolver = resolver(&[&server]);
        follow_one(&resolver, IpVersion::Default);
        wait_until_told(&resolver, "192.0.2.1");
        server.set(NAME, entry(end));
        wait_until_told(&resolver, "none");
        assert!(server.asked(NAME, Kind::A) >= 2, "{end}: {} questions", server.asked(NAME, Kind::A));
        server.set(NAME, entry("{ a: [192.0.2.2] }"));
        wait_until_told(&resolver, "192.0.2.2");
    }
}

#[test]
fn a_change_is_followed_and_a_rotated_answer_is_none() {
    let server = server("{ a: [192.0.2.2, 192.0.2.1, 192.0.2.2, 192.0.2.3], ttl: 1s }");
    let resolver = resolver(&[&server]);
    follow_one(&resolver, IpVersion::Default);
    wait_until_told(&resolver, "192.0.2.1 192.0.2.2 192.0.2.3");
    let before = resolver.known(NAME, IpVersion::Default);
    server.set(NAME, entry("{ a: [192.0.2.3, 192.0.2.2, 192.0.2.1] }"));
    server.wait_for(NAME, Kind::A, 2, PATIENCE);
    let (Known::Addresses(before), Known::Addresses(after)) = (before, resolver.known(NAME, IpVersion::Default)) else {
        panic!("addresses before and after");
    };
    assert!(Arc::ptr_eq(&before, &after), "{before:?} became {after:?}");
    server.set(NAME, entry("{ a: [192.0.2.4, 192.0.2.3] }"));
    wait_until_told(&resolver, "192.0.2.3 192.0.2.4");
}

#[test]
fn a_name_behind_another_name_is_followed() {
    let server = server("{ cname: lb.example.org, ttl: 3600s }");
    server.set("lb.example.org", entry("{ a: [192.0.2.1], ttl: 3600s }"));
    let resolver = resolver(&[&server]);
    follow_one(&resolver, IpVersion::Default);
    wait_until_told(&resolver, "192.0.2.1");
    server.set("lb.example.org", entry("{ a: [192.0.2.2], ttl: 3600s }"));
    wait_until_told(&resolver, "192.0.2.2");
}

#[test]
fn an_answer_that_fits_no_datagram_is_taken_over_tcp_and_only_so_many_of_its_addresses() {
    let many = |count: u8| (1..=count).map(|last| format!("192.0.2.{last}")).collect::<Vec<_>>();
    for (count, used) in [(60, 60), (200, 64)] {
        let server = server(&format!("{{ a: [{}] }}", many(count).join(", ")));
        let resolver = Resolver::with(&Dns { timeout: PATIENCE, ..dns(&[&server]) }, PACE, no_files());
        follow_one(&resolver, IpVersion::Default);
        wait_until_told(&resolver, &many(used).join(" "));
    }
}

#[test]
fn an_answer_is_asked_for_again_neither_before_the_floor_nor_after_the_cap() {
    for ttl in ["0s", "1s", "86400s"] {
        let server = server(&format!("{{ a: [192.0.2.1], ttl: {ttl} }}"));
        let resolver = resolver(&[&server]);
        let started = Instant::now();
        follow_one(&resolver, IpVersion::Default);
        server.wait_for(NAME, Kind::A, 6, PATIENCE);
        let (asked, passed) = (server.asked(NAME, Kind::A), started.elapsed());
        let most = passed.as_millis() / PACE.floor.as_millis() + 1;
        assert!(asked as u128 <= most, "{ttl}: {asked} questions in {passed:?}");
    }
}

#[test]
fn a_server_that_fails_is_passed_over_and_the_one_that_answered_is_asked_first_from_then_on() {
    for failure in ["servfail", "refused", "nothing"] {
        let (bad, good) = (server(failure), server("{ a: [192.0.2.1] }"));
        let resolver = resolver(&[&bad, &good]);
        follow_one(&resolver, IpVersion::Default);
        wait_until_told(&resolver, "192.0.2.1");
        bad.set(NAME, entry(failure));
        let so_far = good.asked(NAME, Kind::A);
        good.wait_for(NAME, Kind::A, so_far + 3, PATIENCE);
        assert_eq!(bad.asked(NAME, Kind::A), 0, "{failure}: asked again though the other answers");
    }
    // "No such name" is an answer: the next server is not asked for a better one.
    let (first, second) = (server("nxdomain"), server("{ a: [192.0.2.1] }"));
    let resolver = resolver(&[&first, &second]);
    follow_one(&resolver, IpVersion::Default);
    assert_eq!((told(&resolver, IpVersion::Default), second.asked(NAME, Kind::A)), ("none".to_owned(), 0));
}

#[tokio::test]
async fn only_the_first_answer_of_a_name_is_waited_for_and_no_longer_than_asked() {
    let server = server("nothing");
    let mut slow = dns(&[&server]);
    slow.timeout = Duration::from_secs(60);
    let resolver = Resolver::with(&slow, PACE, no_files());
    let started = Instant::now();
    let error = resolver.first(NAME, IpVersion::Default, Duration::from_millis(200)).await.unwrap_err();
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(2), "{took:?}");
    assert_eq!(error.to_string(), "origin.example.net: no answer within 200ms");
    assert_eq!(resolver.known(NAME, IpVersion::Default), Known::Never, "the question goes on");

    let late = Server::start([(NAME.to_owned(), entry("{ a: [192.0.2.1], late: 50ms }"))].into());
    let resolver = Arc::new(Resolver::with(&dns(&[&late]), PACE, no_files()));
    let mut firsts = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let resolver = Arc::clone(&resolver);
        firsts.spawn(async move { resolver.first(NAME, IpVersion::Default, PATIENCE).await });
    }
    let want: Arc<[IpAddr]> = Arc::from(["192.0.2.1".parse().unwrap()]);
    for first in firsts.join_all().await {
        assert_eq!(first, Ok(Arc::clone(&want)));
    }
    assert_eq!(resolver.list().len(), 1, "{:?}", resolver.list());
}

#[test]
fn names_that_are_no_longer_wanted_are_no_longer_asked_for() {
    let server = server("{ a: [192.0.2.1] }");
    let other = "other.example.net";
    server.set(other, entry("{ a: [192.0.2.2] }"));
    let resolver = resolver(&[&server]);
    resolver.follow_names([(NAME, Families::V4.into()), (other, Families::V4.into())].into_iter(), false);
    server.wait_for(NAME, Kind::A, 2, PATIENCE);
    resolver.follow_names([(other, Families::V4.into())].into_iter(), false);
    // A question that was under way may still come.
    server.wait_for(other, Kind::A, server.asked(other, Kind::A) + 2, PATIENCE);
    server.set(NAME, entry("{ a: [192.0.2.1] }"));
    server.wait_for(other, Kind::A, server.asked(other, Kind::A) + 3, PATIENCE);
    assert_eq!(server.asked(NAME, Kind::A), 0);
    assert_eq!(resolver.known(NAME, IpVersion::Default), Known::Never);
    assert!(matches!(resolver.known(other, IpVersion::Default), Known::Addresses(_)));
}

#[test]
fn following_again_keeps_what_is_known_and_asks_at_once_for_what_is_not() {
    let server = server("{ a: [192.0.2.1] }");
    server.set("bad.example.net", entry("servfail"));
    let slow = Pace { floor: PATIENCE, cap: PATIENCE, retry: PATIENCE, retry_max: PATIENCE, ..PACE };
    let resolver = Resolver::with(&dns(&[&server]), slow, no_files());
    let both = [(NAME, Families::V4.into()), ("bad.example.net", Families::V4.into())];
    resolver.follow_names(both.into_iter(), false);
    wait_until_told(&resolver, "192.0.2.1");
    wait::until("a failure", PATIENCE, || {
        matches!(resolver.known("bad.example.net", IpVersion::Default), Known::Failed(_)).then_some(())
    });
    server.set("bad.example.net", entry("{ a: [192.0.2.2] }"));
    resolver.follow_names(both.into_iter(), false);
    wait::until("an answer before the pause is over", PATIENCE / 2, || {
        matches!(resolver.known("bad.example.net", IpVersion::Default), Known::Addresses(_)).then_some(())
    });
    assert_eq!(server.asked(NAME, Kind::A), 1, "what is known was asked for again");
}

#[test]
fn the_hosts_file_is_the_whole_truth_about_its_names_and_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    let write = |text: &str| {
        let next = folder.path().join("next");
        std::fs::File::create(&next).unwrap().write_all(text.as_bytes()).unwrap();
        std::fs::rename(next, &hosts).unwrap();
    };
    write("# ours\n192.0.2.9 other.example.net Origin.Example.net\n");
    let server = server("{ a: [192.0.2.1], aaaa: ['2001:db8::1'] }");
    let files = Files { hosts: hosts.clone(), resolv_conf: "/nonexistent".into() };
    let resolver = Resolver::with(&dns(&[&server]), PACE, files);
    resolver.follow_names(VERSIONS.map(|version| (NAME, version.into())).into_iter(), false);
    let got = VERSIONS.map(|version| told(&resolver, version));
    assert_eq!(got, ["192.0.2.9", "192.0.2.9", "none", "192.0.2.9", "192.0.2.9"], "{VERSIONS:?}");
    assert_eq!((server.asked(NAME, Kind::A), server.asked(NAME, Kind::Aaaa)), (0, 0));
    write("192.0.2.9 other.example.net\n");
    wait_until_told(&resolver, "192.0.2.1");
    write("192.0.2.10 origin.example.net\n192.0.2.9 origin.example.net\n");
    wait_until_told(&resolver, "192.0.2.10 192.0.2.9".split(' ').rev().collect::<Vec<_>>().join(" ").as_str());
}

#[test]
fn other_servers_of_a_reload_are_asked_at_once() {
    let (old, new) = (server("nothing"), server("{ a: [192.0.2.2] }"));
    let slow = Pace { retry: PATIENCE, retry_max: PATIENCE, ..PACE };
    let resolver = Resolver::with(&dns(&[&old]), slow, no_files());
    let snapshot = |server: SocketAddr| {
        let folder = tempfile::tempdir().unwrap();
        snapshot(folder.path(), &format!("dns: {{ servers: [\"{server}\"], timeout: 100ms }}\n"))
    };
    resolver.follow(&snapshot(old.address()));
    wait_until_told(&resolver, "none");
    resolver.follow(&snapshot(new.address()));
    wait::until("the new server's answer", PATIENCE / 2, || {
        (told(&resolver, IpVersion::Default) == "192.0.2.2").then_some(())
    });
}

fn snapshot(folder: &Path, more: &str) -> Snapshot {
    let file = folder.join("leeward.yaml");
    let config = "origins:\n\
                  - { directory: main, http: { servers: ['http://origin.example.net', 'http://192.0.2.7'] },\n\
                  \x20   https: { servers: ['https://secure.example.net:8443'] }, ip_version: default,\n\
                  \x20   backup: { server: 'http://backup.example.net' } }\n\
                  - { directory: six, http: { servers: ['http://origin.example.net'] }, ip_version: v6_only }\n\
                  sites:\n\
                  - host: www.example.com\n\
                  \x20 origin: main\n\
                  \x20 rules:\n\
                  \x20 - matches: [{ name: url-path, value: img }]\n\
                  \x20   behaviors:\n\
                  \x20   - { name: origin, value: '-', params: { originDomain: policy.example.net, hostHeaderType: fixed,\n\
                  \x20       hostHeaderValue: a.example.net, cacheKeyType: digital_property } }\n\
                  \x20   - { name: origin-failover, value: '-', params: { backupDomain: spare.example.net } }\n";
    std::fs::write(&file, format!("{config}{more}")).unwrap();
    let loaded = leeward_config::load(&file);
    loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

#[test]
fn every_name_of_a_configuration_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path(), "");
    let mut got: Vec<(String, Families)> =
        wanted(&snapshot).map(|(host, question)| (host.to_owned(), question.families)).collect();
    got.sort_by_key(|(host, families)| (host.clone(), *families as usize));
    got.dedup();
    let want = [
        ("192.0.2.7", Families::V4),
        ("backup.example.net", Families::V4),
        (NAME, Families::V4),
        (NAME, Families::V6),
        ("policy.example.net", Families::V4),
        ("secure.example.net", Families::V4),
        ("spare.example.net", Families::V4),
    ];
    assert_eq!(got, want.map(|(host, families)| (host.to_owned(), families)));
}

#[test]
fn many_names_are_asked_for_at_once_and_none_is_forgotten() {
    let any = Entry { a: Says::Addresses(vec!["192.0.2.1".parse().unwrap()]), ..Entry::default() };
    let server = Server::start([("*".to_owned(), any)].into());
    let hosts: Vec<String> = (0..1000).map(|n| format!("o{n}.example.net")).collect();
    let patient = Pace { floor: PATIENCE, cap: PATIENCE, ..PACE };
    let mut servers = dns(&[&server]);
    servers.timeout = PATIENCE;
    let resolver = Resolver::with(&servers, patient, no_files());
    resolver.follow_names(hosts.iter().map(|host| (host.as_str(), Families::V4.into())), false);
    wait::until("all answers", PATIENCE, || {
        let answered =
            hosts.iter().filter(|host| matches!(resolver.known(host, IpVersion::Default), Known::Addresses(_)));
        (answered.count() == hosts.len()).then_some(())
    });
}
