//! What costs the engine more than it should.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

/// CPU time of this thread: what other processes do does not count.
fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
}

/// A form of `unit` again and again, in arguments as long as they may be.
fn form(unit: &str, bytes: usize) -> Request {
    let argument = |bytes: usize| format!("a={}&", encode(unit).repeat(bytes.min(ARGUMENT) / unit.len()));
    let body: String = (0..bytes.div_ceil(ARGUMENT)).map(|n| argument(bytes - n * ARGUMENT)).collect();
    post(FORM, body.as_bytes())
}

fn encode(unit: &str) -> String {
    unit.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn cost(unit: &str, bytes: usize) -> (Duration, Verdict) {
    let request = form(unit, bytes);
    let began = cpu();
    let verdict = judge(&request);
    (cpu() - began, verdict)
}

/// Bytes of the longest argument.
const ARGUMENT: usize = 4096;

/// Patterns that cost seconds for a kilobyte without the guard, and what quadratic patterns show first.
#[test]
fn known_hostile_bodies_stay_cheap() {
    rules();
    for unit in [
        "${", "<", "'", "a;", "+", "/*", "\"", "(", "$", "<a ", "`", "=", "union ", "0x", "..", "../", "%", "&a=", "{",
        "[", "\\", ";/a", ";a=b ", "; '", ";cat ", ";c'", "|/bin/", "&& ", "$(({", "`w", "\n", "cmd ", ";{cat,",
        "; ls -", "%{#", ";sleep ", "A", "rO0AB",
    ] {
        for (bytes, limit) in [(1024, 50), (4 * 1024, 100), (16 * 1024, 300)] {
            // a shared machine may lend its caches to others: the least of three
            let (mut took, verdict) = cost(unit, bytes);
            for _ in 0..2 {
                took = if took < Duration::from_millis(limit) { took } else { took.min(cost(unit, bytes).0) };
            }
            assert!(!verdict.rules.contains(&leeward_waf::modsecurity::ARGUMENT), "{bytes} bytes of {unit:?}");
            assert!(took < Duration::from_millis(limit), "{bytes} bytes of {unit:?} took {took:?}");
        }
    }
}

/// Each printable byte and each pair of two, repeated to 4 KB. Two minutes: with `LEEWARD_TEST_FULL=1`, else a part of it.
#[test]
fn every_printable_byte_and_pair_repeated_stays_cheap() {
    const LIMIT: Duration = Duration::from_millis(50);
    let printable = || (b' '..=b'~').map(char::from);
    let mut units: Vec<String> = printable().map(String::from).collect();
    units.extend(printable().flat_map(|one| printable().map(move |other| format!("{one}{other}"))));
    if std::env::var_os("LEEWARD_TEST_FULL").is_none() {
        units = units.into_iter().step_by(37).collect();
    }
    rules();
    let next = AtomicUsize::new(0);
    let mut found: Vec<(Duration, String)> = std::thread::scope(|scope| {
        let work = || {
            let mut found = Vec::new();
            while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                found.push((cost(unit, ARGUMENT).0, unit.clone()));
            }
            found
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    found.sort();
    found.reverse();
    let (median, all) = (found[found.len() / 2].0, found.len());
    println!("{all} patterns of 4 KB: median {median:?}, dearest {:?}", &found[..20.min(all)]);
    let over: Vec<_> = found.iter().filter(|(took, _)| *took > LIMIT).collect();
    assert!(over.is_empty(), "{} of {all} over {LIMIT:?}: {over:?}", over.len());
}
