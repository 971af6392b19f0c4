//! What purges cost: a hit that has to be judged, with few and with many in force, and recording one.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue};
use leeward_cache::purge::{Labels, Ledger, Names, Purge, Rule, Side, Stamp, Verdict};

fn stamp(ledger: &Ledger) -> Stamp {
    let names = Names {
        key_host: "http_large/photos",
        key_path: "/photography/2024/11/summer/0042.jpg",
        client_host: "www.example.com",
        client_path: "/2024/11/summer/0042.jpg",
        query: b"",
    };
    let mut answer = HeaderMap::new();
    let tags = HeaderValue::from_static("front product-7 sale news summer");
    answer.insert(HeaderName::from_static("surrogate-key"), tags);
    Stamp { sequence: ledger.sequence(), labels: Arc::new(Labels::new(&names, &answer)) }
}

fn url(n: usize) -> Rule {
    let path = format!("/2024/11/summer/{n}.png");
    Rule::Url { side: Side::Client, host: "www.example.com".to_owned(), path, query: None }
}

fn done<T>(runtime: &tokio::runtime::Runtime, future: impl Future<Output = T>) -> T {
    runtime.block_on(future)
}

fn purges(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap_or_else(|_| unreachable!());
    let open = || Ledger::open(None).unwrap_or_else(|_| unreachable!());
    let record = |ledger: &Ledger, rule: Rule| {
        let purge = Purge { soft: false, rules: vec![rule] };
        let _ = done(&runtime, ledger.record(&purge));
    };

    let mut group = c.benchmark_group("verdict");
    for rules in [0, 1, 100, 10_000, 100_000] {
        let ledger = open();
        let old = stamp(&ledger);
        (0..rules).for_each(|n| record(&ledger, url(n)));
        group.bench_function(BenchmarkId::new("older than", rules), |b| {
            b.iter(|| assert_eq!(ledger.verdict(black_box(&old)), Verdict::Stands));
        });
    }
    let ledger = open();
    let old = stamp(&ledger);
    (0..10_000).for_each(|n| record(&ledger, Rule::Tag(n.to_string())));
    group.bench_function("10000 tags", |b| {
        b.iter(|| assert_eq!(ledger.verdict(black_box(&old)), Verdict::Stands));
    });
    let ledger = open();
    let old = stamp(&ledger);
    for n in 0..10_000 {
        let path = format!("/{}", "x".repeat(n % 30));
        record(&ledger, Rule::Prefix { side: Side::Client, host: n.to_string(), path });
    }
    group.bench_function("10000 prefixes of 30 lengths", |b| {
        b.iter(|| assert_eq!(ledger.verdict(black_box(&old)), Verdict::Stands));
    });
    let young = stamp(&ledger);
    group.bench_function("younger than all", |b| {
        b.iter(|| assert_eq!(ledger.verdict(black_box(&young)), Verdict::Stands));
    });
    group.finish();

    let mut group = c.benchmark_group("record");
    let ledger = open();
    let mut n = 0;
    group.bench_function("in memory", |b| {
        b.iter(|| {
            n = (n + 1) % 100_000;
            record(&ledger, url(n));
        });
    });
    group.finish();
}

criterion_group!(benches, purges);
criterion_main!(benches);
