//! How long country filters take: one, thousands beside the path that is asked for, and one for every directory above it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use leeward_config::ready::Snapshot;
use leeward_rules::{Code, Place};

#[allow(dead_code, unreachable_pub, reason = "a file of the black-box tests")]
#[path = "../../../tests/src/mmdb.rs"]
mod mmdb;

/// A configuration with a filter for each of these paths, which lets everybody pass but the French.
fn snapshot(paths: impl Iterator<Item = String>) -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    let record = serde_json::json!({ "country": { "iso_code": "JP" } });
    std::fs::write(folder.path().join("geo.mmdb"), mmdb::database("Test", &[("192.0.2.0/24", record)])).unwrap();
    let mut text =
        "geo: { database: geo.mmdb }\norigins: [{ directory: photos, http: { servers: ['http://10.0.0.1'] } }]\n\
                    sites: [{ host: www.example.com, origin: photos }]\ncountry_filters:\n"
            .to_owned();
    for path in paths {
        writeln!(text, "  - {{ path: '/photos{path}', action: block, countries: [FR] }}").unwrap();
    }
    let file = folder.path().join("leeward.yaml");
    std::fs::write(&file, text).unwrap();
    let loaded = leeward_config::load(&file);
    loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

fn filters(criterion: &mut Criterion) {
    let place = Place::of_country(Code::new("JP").unwrap());
    let path = "/members/2030/tokyo/towers/a-page.html";
    let mut group = criterion.benchmark_group("country filters");
    for filters in [1, 10_000] {
        let beside = (1..filters).map(|n| format!("/members/{n}/tokyo"));
        let snapshot = snapshot(beside.chain(["/members".to_owned()]));
        let found = snapshot.origins[0].countries.clone().unwrap();
        group.bench_with_input(BenchmarkId::new("in all", filters), &found, |bencher, found| {
            bencher.iter(|| black_box(found).refuse("", black_box(path), Some(&place)));
        });
    }
    group.finish();
}

criterion_group!(benches, filters);
criterion_main!(benches);
