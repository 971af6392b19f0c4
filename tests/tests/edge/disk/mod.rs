//! The disk tier from outside: what is served after crashes, restarts, damage and failures of the disk is what the origin gave.

mod crash;
mod damage;
mod failing;
mod restart;

use std::path::{Path, PathBuf};
use std::time::Duration;

use leeward_tests::bulk::{Client, Source};
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::wait::{self, PATIENCE};

use crate::stage;

pub(crate) const MIB: u64 = 1024 * 1024;

/// A configuration with both tiers, the smaller one in memory, so that most is served from disk. The directory is `cache` beside the
/// configuration.
pub(crate) fn setup(source: &Source, memory: &str, size: &str) -> Setup {
    setup_in("${dir}/cache", source, memory, size)
}

/// The same with the directory somewhere else.
pub(crate) fn setup_in(path: &str, source: &Source, memory: &str, size: &str) -> Setup {
    let extra = format!(
        "cache: {{ store_on_hit: 1, memory: {memory}, disk: {{ path: \"{path}\", size: {size} }} }}\nlog: {{ access: \"off\" }}"
    );
    stage::setup_at(source.address(), &extra)
}

/// Where [`setup`] keeps its objects.
fn cache_of(edge: &Edge) -> PathBuf {
    edge.directory().join("cache")
}

/// Objects on disk, as the edge counts them.
pub(crate) fn on_disk(edge: &Edge) -> u64 {
    edge.metrics().sum("leeward_cache_objects", &[("tier", "disk")]) as u64
}

/// Waits until at least so many objects are on disk: they are written behind the answers.
pub(crate) fn wait_for_objects(edge: &Edge, count: u64) {
    wait::until(&format!("{count} objects to be on disk"), PATIENCE, || (on_disk(edge) >= count).then_some(()));
}

/// Rounds of asking for everything until it is on disk.
const ROUNDS: usize = 12;

/// Stores many small objects: answers how many are on disk. What comes faster than it can be written is not kept, so it is asked
/// for again; a few may stay in memory only.
pub(crate) fn fill(edge: &Edge, count: u64, path: impl Fn(u64) -> String + Sync) -> u64 {
    let mut stored = 0;
    for round in 0..ROUNDS {
        let tally = client(edge, 8).get(0..count, &path);
        tally.all_right("filling");
        stored = settled(edge);
        eprintln!(
            "round {round} of filling: {:.0} answers a second, {stored} of {count} objects on disk",
            tally.rate()
        );
        if stored == count {
            break;
        }
    }
    assert!(stored >= count * 98 / 100, "only {stored} of {count} objects are on disk after {ROUNDS} rounds");
    stored
}

/// Objects on disk once nothing more is written.
fn settled(edge: &Edge) -> u64 {
    let mut before = on_disk(edge);
    loop {
        wait::pause(Duration::from_millis(500));
        let now = on_disk(edge);
        if now == before {
            return now;
        }
        before = now;
    }
}

/// The files of objects, in no order.
fn files(cache: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in std::fs::read_dir(cache).unwrap().flatten() {
        let name = folder.file_name();
        if folder.path().is_dir() && name.len() == 2 {
            files.extend(std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path()));
        }
    }
    files
}

/// A client of the edge's plain listener.
pub(crate) fn client(edge: &Edge, connections: usize) -> Client {
    Client::new(edge.http().address, connections)
}

/// Numbers by chance, the same ones in each run: what fails can be played again.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end.max(1)
    }
}
