//! A wall clock that jumps under a running edge: by an hour and by years, forward and back. Played where `libfaketime` is installed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::{Answer, Origin, Script};
use leeward_tests::{scale, wait};

use crate::stage;

/// Where Debian's package has the library.
fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok).map(|entry| entry.path().join("faketime"));
    folders
        .chain([PathBuf::from("/usr/lib/faketime")])
        .map(|folder| folder.join("libfaketime.so.1"))
        .find(|path| path.exists())
}

/// Sets the clock of the edge to so many seconds beside the real one.
fn jump(file: &Path, seconds: i64) {
    let next = file.with_extension("next");
    std::fs::write(&next, format!("{seconds:+}\n")).unwrap();
    std::fs::rename(next, file).unwrap();
    // read again by every call of the library, for which it has to look at the file
    wait::pause(Duration::from_millis(50));
}

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

fn start(origin: &Origin, library: &Path, file: &Path) -> Edge {
    let extra = r#"
cache: { store_on_hit: 1 }
rate_limits: [{ name: few, requests: 3, per: 1m, penalty: 1m, matches: [{ name: url-path, value: limited }] }]
"#;
    let setup = stage::setup(origin, extra);
    let limits = "grace_period: 5s, limits: { header_timeout: 2s, keepalive_timeout: 60s }";
    let variables = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        // what jumps is the wall clock
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let environment = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Edge::start(&Setup { config: setup.config.replace("grace_period: 5s", limits), environment, ..setup })
}

/// The state of the cache in an answer.
fn state(edge: &Edge, path: &str) -> String {
    let answer = edge.http().get("www.example.com", path);
    assert_eq!(answer.status(), 200, "{path}");
    let said = answer.field("cache-status").unwrap_or_default();
    assert!(!said.contains("ttl=-") || said.contains("fwd"), "{said}");
    let age: u64 = answer.field("age").map_or(0, |age| age.parse().unwrap());
    assert!(age < 100 * YEAR.unsigned_abs(), "an age of {age}");
    if said.contains("; hit") { "hit".to_owned() } else { "asked".to_owned() }
}

#[test]
fn a_clock_that_jumps_makes_nothing_immortal_and_stops_nothing() {
    play(true);
    play(false);
}

/// `dated`: the origin says what time it is.
fn play(dated: bool) {
    let Some(library) = library() else {
        assert!(!scale::full(), "libfaketime is not there: Debian's package libfaketime");
        eprintln!("not played: libfaketime is not there (Debian's package libfaketime)");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clock");
    std::fs::write(&file, "+0\n").unwrap();
    let script = Script::always(Answer { date: dated, ..Answer::ok("x") }.with("Cache-Control", "max-age=600"));
    let origin = Origin::start(script);
    let edge = start(&origin, &library, &file);
    let mut connection = edge.http().connect().unwrap();
    let request = leeward_tests::client::Request::get("www.example.com", "/kept");
    assert_eq!(connection.ask(&request).unwrap().status(), 200);
    for path in ["/limited", "/limited", "/limited"] {
        assert_eq!(edge.http().get("www.example.com", path).status(), 200);
    }
    assert_eq!(edge.http().get("www.example.com", "/limited").status(), 503);
    let mut before_that = 0;
    for (number, offset) in [HOUR, -HOUR, 10 * YEAR, -10 * YEAR, 0].into_iter().enumerate() {
        let (before, after) = (format!("/before-{number}"), format!("/after-{number}"));
        state(&edge, &before);
        let kept = state(&edge, &before);
        // to a clock that is ahead, what has a Date of now is old: asked for again, which harms nobody
        assert!(kept == "hit" || dated && before_that > 0, "{offset}: before");
        jump(&file, offset);
        // what was stored before: asked for again when the clock says that its time is over; at the latest soon after, never for ever
        let first = state(&edge, &before);
        if offset > 0 {
            assert_eq!(first, "asked", "{offset}: ten minutes are over");
        }
        // what is stored from now on has its ten minutes
        state(&edge, &after);
        let second = state(&edge, &after);
        assert!(second == "hit" || dated && offset > 0, "{offset}: after");
        // connections go on, deadlines come, limits hold: none of them looks at the wall clock
        assert_eq!(connection.ask(&request).unwrap().status(), 200, "{offset}: the kept connection");
        assert_eq!(edge.http().get("www.example.com", "/limited").status(), 503, "{offset}: the penalty");
        let mut slow = edge.http().connect().unwrap();
        slow.send(b"GET / HT").unwrap();
        let (rest, end) = slow.end(Duration::from_secs(6));
        assert!(rest.is_empty() && end != leeward_tests::wire::Lost::TimedOut, "{offset}: a slow head: {end:?}");
        assert!(edge.reload(), "{offset}: a reload\n{}", edge.story());
        before_that = offset;
    }
    // what was stored ten years from now, before the clock was set right, is not kept for ten years
    jump(&file, 10 * YEAR);
    state(&edge, "/future");
    jump(&file, 0);
    let mut states = (0..3).map(|_| state(&edge, "/future"));
    assert!(states.any(|state| state == "asked"), "what was stored in the future is a hit for ever");
    assert!(edge.output().err().iter().all(|line| !line.contains("panicked")));
    edge.stop();
}
