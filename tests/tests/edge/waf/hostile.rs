//! What inspections cost, and whom. Nothing is said about time but with `LEEWARD_TEST_FULL=1`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leeward_tests::turn;

use super::*;

/// Hits in a row on one kept connection: how long each took, ascending.
fn hits(edge: &Edge, host: &str, number: usize, target: impl Fn(usize) -> String) -> Vec<Duration> {
    let mut connection = edge.http().connect().unwrap();
    let mut all: Vec<Duration> = (0..number)
        .map(|n| {
            let request = browser("GET", host, &target(n));
            let began = Instant::now();
            assert_eq!(connection.ask(&request).unwrap().status(), 200);
            began.elapsed()
        })
        .collect();
    all.sort();
    all
}

fn at(all: &[Duration], per_mille: usize) -> Duration {
    all[(all.len() * per_mille / 1000).min(all.len() - 1)]
}

#[test]
fn a_verdict_that_is_remembered_costs_a_hash() {
    let _alone = turn::alone();
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    let full = std::env::var_os("LEEWARD_TEST_FULL").is_some();
    let number = if full { 5000 } else { 500 };
    let one = |_: usize| "/hot".to_owned();
    for host in [BLOCK, "off.example.com"] {
        hits(&edge, host, 20, one);
    }
    let off = hits(&edge, "off.example.com", number, one);
    let remembered = hits(&edge, BLOCK, number, one);
    let inspected = hits(&edge, BLOCK, number / 5, |n| format!("/hot?n={n}"));
    for (name, all) in [("off", &off), ("remembered", &remembered), ("inspected, and fetched or stored", &inspected)] {
        println!("{name}: p50 {:?} p99 {:?} of {}", at(all, 500), at(all, 990), all.len());
    }
    let metrics = edge.metrics();
    println!(
        "inspections: {}, mean {:.3} ms",
        metrics.sum_of("leeward_waf_seconds_count"),
        1000.0 * metrics.sum_of("leeward_waf_seconds_sum") / metrics.sum_of("leeward_waf_seconds_count")
    );
    assert!(metrics.sum_of("leeward_waf_remembered_total") >= number as f64);
    if full {
        assert!(at(&remembered, 500) < at(&inspected, 500), "{remembered:?}");
    }
}

/// A form that costs the rules as much as one can, of arguments that are just short enough: some patterns take time by the square of the
/// number of signs of equality.
fn costly(bytes: usize) -> String {
    const ARGUMENT: usize = 4096;
    (0..bytes / ARGUMENT).map(|n| format!("{n:02}={}&", "=".repeat(ARGUMENT - 4))).collect()
}

/// Hits on several connections at once.
fn parallel(edge: &Edge, host: &str, number: usize) -> Vec<Duration> {
    const CONNECTIONS: usize = 2;
    let mut all: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(|| hits(edge, host, number / CONNECTIONS, |_| "/hot".to_owned())))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort();
    all
}

/// Hits while `most` hostile bodies are sent, one after the other; how many were.
fn beside(edge: &Edge, body: &str, host: &str, number: usize, most: usize) -> (Vec<Duration>, usize) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hostile = scope.spawn(|| {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) && sent < most {
                let status = ask(edge, &post(BLOCK, "/form", FORM, body.as_bytes())).status();
                assert_eq!(status, 200, "nothing but what it costs is wrong with it");
                sent += 1;
            }
            sent
        });
        let all = parallel(edge, host, number);
        stop.store(true, Ordering::Relaxed);
        (all, hostile.join().unwrap())
    })
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    at(&all, 500)
}

/// Every hit is answered, and so is every hostile body. How long they take is only judged with `LEEWARD_TEST_FULL=1` (tests/full.sh):
/// rounds without and with hostile bodies take turns, and the medians over the rounds are compared.
#[test]
fn a_hostile_body_does_not_hold_up_the_hits_beside_it() {
    let _alone = turn::alone();
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    let full = std::env::var_os("LEEWARD_TEST_FULL").is_some();
    let (rounds, number) = if full { (40, 4000) } else { (1, 400) };
    let body = costly(64 * 1024);
    parallel(&edge, BLOCK, 100);
    for host in [BLOCK, "off.example.com"] {
        parallel(&edge, host, 100);
        // of the rounds: p50 and p99 without, beside one, beside one after the other
        let mut figures: [(Vec<Duration>, Vec<Duration>, usize); 3] = Default::default();
        for round in 0..rounds {
            for turn in 0..3 {
                let kind = (round + turn) % 3;
                let most = [0, 1, usize::MAX][kind];
                let (all, sent) = beside(&edge, &body, host, number, most);
                figures[kind].0.push(at(&all, 500));
                figures[kind].1.push(at(&all, 990));
                figures[kind].2 += sent;
            }
        }
        let [alone, one, stream] = figures.map(|(p50, p99, sent)| (median(p50), median(p99), sent));
        for (what, (p50, p99, sent)) in [("alone", alone), ("beside one", one), ("beside one after the other", stream)]
        {
            let ratio = p99.as_secs_f64() / alone.1.as_secs_f64();
            println!(
                "{host}, hits {what}: p50 {p50:?} p99 {p99:?} ({ratio:.2} of alone), {rounds} rounds, {sent} hostile bodies"
            );
        }
        if full {
            // an inspection on a thread that serves would take 60 ms of each hit beside it
            for (what, (_, p99, _), times) in [("one", one, 2), ("one after the other", stream, 4)] {
                let most = alone.1 * times + Duration::from_micros(500);
                assert!(p99 < most, "{host}: p99 {:?} alone, {p99:?} beside {what}", alone.1);
            }
        }
    }
}

/// The figures compare medians of rounds that take turns; they are only judged with `LEEWARD_TEST_FULL=1`.
#[test]
fn a_site_without_a_waf_pays_nothing_for_one_that_another_has() {
    let _alone = turn::alone();
    let origin = origin();
    let with = config("mode: off, deadline: 20s");
    let without: String =
        with.lines().filter(|line| !line.starts_with("waf:")).map(|line| format!("{line}\n")).collect();
    let without = without.replace(", waf: { mode: block }", "").replace(", waf: { mode: detect }", "");
    assert!(!without.contains("waf"), "{without}");
    let edges = [&without, &with].map(|text| Edge::start(&Setup::new(text).name("origin", &origin.address())));
    // the one that has it uses it
    assert_eq!(ask(&edges[1], &browser("GET", BLOCK, "/?q=%3Cscript%3Ealert(1)%3C/script%3E")).status(), 403);
    let full = std::env::var_os("LEEWARD_TEST_FULL").is_some();
    let (rounds, number) = if full { (40, 4000) } else { (1, 200) };
    edges.iter().for_each(|edge| drop(parallel(edge, "off.example.com", 2000.min(number))));
    let mut figures: [(Vec<Duration>, Vec<Duration>); 2] = Default::default();
    for round in 0..rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let all = parallel(&edges[which], "off.example.com", number);
            figures[which].0.push(at(&all, 500));
            figures[which].1.push(at(&all, 990));
        }
    }
    let [without, with] = figures.map(|(p50, p99)| (median(p50), median(p99)));
    for (what, (p50, p99)) in [("no WAF", without), ("a WAF for another site", with)] {
        let ratio = p50.as_secs_f64() / without.0.as_secs_f64();
        println!("{what}: p50 {p50:?} ({ratio:.3} of none) p99 {p99:?}, {rounds} rounds of {number} hits");
    }
    if full {
        assert!(with.0 < without.0 * 115 / 100, "p50 {:?} without, {:?} with", without.0, with.0);
    }
}

#[test]
fn inspections_leave_nothing_behind() {
    let _alone = turn::alone();
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    let number = if std::env::var_os("LEEWARD_TEST_FULL").is_some() { 20_000 } else { 800 };
    let upload = |n: usize| {
        format!(
            "--xx\r\nContent-Disposition: form-data; name=\"a\"; filename=\"{n}.txt\"\r\n\r\n{}\r\n--xx--\r\n",
            "b".repeat(20_000)
        )
    };
    let request = |n: usize| match n % 8 {
        0 => browser("GET", BLOCK, &format!("/?n={n}")),
        1 => browser("GET", BLOCK, &format!("/?n={n}&q=%3Cscript%3Ealert(1)%3C/script%3E")),
        2 => post(BLOCK, "/f", FORM, format!("n={n}&q=1'+union+select+a+from+b--+-").as_bytes()),
        3 => post(BLOCK, "/f", FORM, "a=b&".repeat(100).as_bytes()),
        4 => post(BLOCK, "/f", "application/json", format!("{{\"n\":[{n},{{\"a\":\"b\"}}]}}").as_bytes()),
        5 => post(BLOCK, "/f", "multipart/form-data; boundary=xx", upload(n).as_bytes()),
        6 => post(BLOCK, "/f", "text/xml", format!("<a b=\"{n}\"><c>d</c></a>").as_bytes()),
        _ => post(BLOCK, "/f", "application/json", b"{\"a\":,"),
    };
    let some = |from: usize, to: usize| {
        std::thread::scope(|scope| {
            for client in 0..2 {
                let (edge, request) = (&edge, &request);
                scope.spawn(move || (from..to).filter(|n| n % 2 == client).for_each(|n| drop(ask(edge, &request(n)))));
            }
        });
        edge.resident().0
    };
    let early = some(0, number / 4);
    let late = some(number / 4, number);
    let inspected = edge.metrics().sum_of("leeward_waf_seconds_count");
    println!("{inspected} inspections: {} KiB after a quarter of them, {} KiB at the end", early >> 10, late >> 10);
    assert!(inspected >= number as f64 * 0.99, "{inspected}");
    // what is remembered of verdicts takes 5 MB when it is full
    assert!(late < early + (24 << 20), "{early} {late}");
}
