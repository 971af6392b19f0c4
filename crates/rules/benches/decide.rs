//! How long it takes to decide one request against 10, 1,000 and 10,000 rules, most of which cannot match it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue};
use leeward_rules::decide::{self, AccessMode};
use leeward_rules::{Code, Context, Facts, Form, Path, Place, Policy, Scheme, read};
use serde_json::{Value, json};

/// A large customer's policy: general rules first, then one rule for each directory, file, host or campaign.
fn document(rules: usize) -> Value {
    let mut list = vec![
        json!({ "matches": [{ "name": "url-wildcard", "value": "/*" }], "behaviors": [
            { "name": "origin", "value": "-", "params": { "originDomain": "origin.example.net" } },
            { "name": "caching", "type": "honor", "value": "1h" }] }),
        json!({ "matches": [{ "name": "http-method", "value": "GET HEAD" }], "behaviors": [
            { "name": "site-failover", "type": "serve-alternate", "params": { "httpResponseStatus": "500 502:504",
              "alternateHostname": "failover.example.com", "alternatePath": "-", "preserveQueryString": true } }] }),
        json!({ "matches": [{ "name": "url-extension", "value": "png gif jpg" }], "behaviors": [
            { "name": "caching", "type": "fixed", "value": "1d" },
            { "name": "modify-outgoing-response-header", "type": "add", "params": { "name": "X-Kind", "value": "image" } }] }),
        json!({ "matches": [{ "name": "url-wildcard", "value": "/protected/*" }], "behaviors": [
            { "name": "ip-blacklist", "value": "198.18.48.213/32 10.0.0.0/8" }] }),
    ];
    for number in list.len()..rules {
        list.push(match number % 6 {
            0 => json!({ "matches": [{ "name": "url-wildcard", "value": format!("/static/product-{number}/*") }],
                         "behaviors": [{ "name": "caching", "type": "fixed", "value": "1h" }] }),
            1 => json!({ "matches": [{ "name": "url-path", "value": format!("tenant{number} t{number}") }],
                         "behaviors": [{ "name": "origin", "params": { "originDomain": format!("o{number}.example.net") } }] }),
            2 => json!({ "matches": [{ "name": "host-name", "value": format!("h{number}.example.com") }, { "name": "url-extension", "value": "jpg css" }],
                         "behaviors": [{ "name": "cachekey-query-args", "type": "ignore", "value": "utm_source" }] }),
            3 => json!({ "matches": [{ "name": "url-wildcard", "value": format!("/page/{number}.html /alt/{number}.html") }],
                         "behaviors": [{ "name": "content-refresh", "type": "natural", "value": "now" }] }),
            4 => json!({ "matches": [{ "name": "url-filename", "value": format!("poster-{number}.jpg") }, { "name": "http-method", "value": "GET" }],
                         "behaviors": [{ "name": "downstream-caching", "value": "no-store" }] }),
            _ => json!({ "matches": [{ "name": "url-extension", "value": format!("x{number}") }, { "name": "cookie", "value": "session" }],
                         "behaviors": [{ "name": "caching", "type": "bypass-cache" }] }),
        });
    }
    json!({ "rules": list })
}

fn policy(rules: usize) -> Policy {
    compiled(&document(rules))
}

fn compiled(document: &Value) -> Policy {
    let context = Context {
        property_hosts: &[],
        known_host: &|_| true,
        has_default_origin: true,
        access_mode: None,
        published_at: 1_700_000_000,
        publishing: true,
    };
    let (written, problems) = read(document, Form::Json, &context);
    Policy::compile(&written.unwrap_or_else(|| panic!("{problems:?}")), &context)
}

/// An ordinary request.
fn facts<'a>(path: &'a Path, headers: &'a HeaderMap) -> Facts<'a> {
    Facts {
        method: "GET",
        scheme: Scheme::Https,
        host: "www.example.com",
        authority: "www.example.com",
        path,
        query: None,
        headers,
        client_ip: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
        place: None,
        now: 1_700_000_000,
    }
}

/// Every decision that an ordinary request goes through.
fn decide_all(policy: &Policy, facts: &Facts<'_>) -> u64 {
    let effective = policy.evaluate(facts);
    let request = decide::request(policy, &effective, facts);
    let verdict = decide::security(policy, &effective, facts, AccessMode::Exempt);
    let lookup = decide::lookup(policy, &effective);
    let store = decide::store(policy, &effective);
    let deliver = decide::deliver(policy, &effective);
    black_box((&request, &verdict, &lookup, &store, &deliver));
    u64::from(decide::has_failover(policy, &effective))
}

fn benchmark(criterion: &mut Criterion) {
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64)"));
    headers.insert("accept", HeaderValue::from_static("image/avif,image/webp,*/*"));
    headers.insert("cookie", HeaderValue::from_static("session=0123456789abcdef; theme=dark"));
    let path = Path::normalise("/static/product-9000/detail/view-3.jpg").unwrap();
    let facts = Facts { query: Some("w=640&h=480"), ..facts(&path, &headers) };
    let mut group = criterion.benchmark_group("decide");
    group.throughput(Throughput::Elements(1));
    for rules in [10, 1_000, 10_000] {
        let policy = policy(rules);
        group.bench_with_input(BenchmarkId::new("request", rules), &policy, |bencher, policy| {
            bencher.iter(|| decide_all(black_box(policy), black_box(&facts)));
        });
    }
    group.finish();
}

/// One list of so many entries, none of which is the client's.
fn lists(criterion: &mut Criterion) {
    let mut headers = HeaderMap::new();
    headers
        .insert("referer", HeaderValue::from_static("https://www.example.com/articles/2030/01/a-page.html?from=mail"));
    let path = Path::normalise("/static/a.jpg").unwrap();
    let facts = facts(&path, &headers);
    type Entry = fn(usize) -> String;
    let prefix: Entry = |n| format!("{}.{}.{}.0/24", 1 + n % 180, n / 180 % 256, n % 251);
    let referer: Entry = |n| format!("*//leech{n}.example/*");
    let mut group = criterion.benchmark_group("lists");
    for (name, entry) in [("ip-blacklist", prefix), ("referer-blacklist", referer)] {
        for entries in [10, 10_000] {
            let value = (0..entries).map(entry).collect::<Vec<_>>().join(" ");
            let rules = json!({ "rules": [{ "matches": [{ "name": "url-wildcard", "value": "/*" }],
                                            "behaviors": [{ "name": name, "value": value }] }] });
            let policy = compiled(&rules);
            group.bench_with_input(BenchmarkId::new(name, entries), &policy, |bencher, policy| {
                let effective = policy.evaluate(&facts);
                bencher.iter(|| decide::security(black_box(policy), &effective, black_box(&facts), AccessMode::Exempt));
            });
        }
    }
    let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).unwrap());
    let country = |n: usize| format!("{}{}", letter(n / 26), letter(n));
    let region = |n: usize| format!("{}:{}{}{}", country(n), letter(n / 17_576), letter(n / 676), n / 6760);
    let place = Place { region: Code::new("ZZ9"), ..Place::of_country(Code::new("US").unwrap()) };
    let somewhere = Facts { place: Some(&place), ..facts };
    for (name, kind, sizes) in [
        ("geo-blacklist", "region", [10, 10_000]),
        ("geo-whitelist", "region", [10, 10_000]),
        ("geo-blacklist", "country", [10, 500]),
    ] {
        for entries in sizes {
            // the United States themselves are in none
            let codes = (0..entries + 30).map(|n| if kind == "region" { region(n) } else { country(n) });
            let value = codes.filter(|code| code != "US").take(entries).collect::<Vec<_>>().join(" ");
            let rules = json!({ "rules": [{ "matches": [{ "name": "url-wildcard", "value": "/*" }],
                                            "behaviors": [{ "name": name, "type": kind, "value": value }] }] });
            let policy = compiled(&rules);
            let id = BenchmarkId::new(format!("{name} by {kind}"), entries);
            group.bench_with_input(id, &policy, |bencher, policy| {
                let effective = policy.evaluate(&somewhere);
                bencher.iter(|| {
                    decide::security(black_box(policy), &effective, black_box(&somewhere), AccessMode::Exempt)
                });
            });
        }
    }
    for rules in [10, 10_000] {
        let rule = |n| json!({ "matches": [{ "name": "client-ip", "value": prefix(n) }], "behaviors": [{ "name": "deny-access" }] });
        let policy = compiled(&json!({ "rules": (0..rules).map(rule).collect::<Vec<_>>() }));
        group.bench_with_input(BenchmarkId::new("client-ip rules", rules), &policy, |bencher, policy| {
            bencher.iter(|| black_box(policy).evaluate(black_box(&facts)));
        });
    }
    group.finish();
}

criterion_group!(benches, benchmark, lists);
criterion_main!(benches);
