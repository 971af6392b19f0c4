//! The access log: one JSON line a request; sampling never loses an error.

use leeward_tests::client::Request;
use leeward_tests::edge::Setup;
use leeward_tests::origin::{Answer, Origin, Script};
use leeward_tests::wait::PATIENCE;
use rustix::process::Signal;

use crate::stage;

fn origin() -> Origin {
    let busy = Answer { status: 503, ..Answer::default() };
    Origin::start(Script::always(Answer::ok("hello")).on("/busy", [busy]))
}

#[test]
fn every_request_is_one_line_of_json_with_what_an_operator_asks_for() {
    let origin = origin();
    let edge = stage::edge(&origin, "log: { access: stdout }");
    let mut connection = edge.http().connect().unwrap();
    for index in 0..20 {
        let request = Request::get("www.example.com", &format!("/a{index}?token=secret")).with("User-Agent", "a\"b\\c");
        assert_eq!(connection.ask(&request).unwrap().status(), 200);
    }
    let entries = edge.output().wait_for_entries(20, PATIENCE);
    assert_eq!(entries.len(), 20);
    let names = [
        "time",
        "client",
        "site",
        "method",
        "scheme",
        "host",
        "path",
        "protocol",
        "status",
        "bytes",
        "seconds",
        "cache",
        "generation",
    ];
    for (index, entry) in entries.iter().enumerate() {
        let missing: Vec<_> = names.iter().filter(|name| entry[**name].is_null()).collect();
        assert!(missing.is_empty(), "{missing:?} missing in {entry}");
        assert_eq!(entry["path"], format!("/a{index}"), "the query, which may hold a token, is not logged");
        assert_eq!((&entry["user_agent"], &entry["bytes"]), (&"a\"b\\c".into(), &5.into()));
        assert!(!entry.to_string().contains("secret"), "{entry}");
    }
    edge.stop();
}

#[test]
fn sampling_leaves_out_good_answers_and_never_errors() {
    let origin = origin();
    let mut edge = stage::edge(&origin, "log: { access: stdout, sample: 0.0 }");
    for _ in 0..10 {
        assert_eq!(edge.http().get("www.example.com", "/fine").status(), 200);
        assert_eq!(edge.http().get("www.example.com", "/busy").status(), 503);
        assert_eq!(edge.http().get("nobody.example.org", "/").status(), 404);
    }
    edge.signal(Signal::TERM);
    assert!(edge.wait(PATIENCE).success());
    let statuses: Vec<_> = edge.output().access().iter().map(|entry| entry["status"].as_u64().unwrap()).collect();
    let count = |status| statuses.iter().filter(|s| **s == status).count();
    assert_eq!((count(200), count(503), count(404)), (0, 10, 10), "{statuses:?}");
}

#[test]
fn a_part_of_the_good_answers_is_kept_where_sampling_says_so() {
    let origin = origin();
    let mut edge = stage::edge(&origin, "log: { access: stdout, sample: 0.25 }");
    let mut connection = edge.http().connect().unwrap();
    for _ in 0..200 {
        assert_eq!(connection.ask(&Request::get("www.example.com", "/fine")).unwrap().status(), 200);
    }
    edge.signal(Signal::TERM);
    assert!(edge.wait(PATIENCE).success());
    let logged = edge.output().access().len();
    assert!((30..=70).contains(&logged), "{logged} of 200 lines at a quarter");
}

#[test]
fn a_log_file_is_opened_anew_on_sigusr1() {
    let origin = origin();
    let setup = stage::setup(&origin, "log: { access: \"${dir}/access.log\" }");
    let mut edge = leeward_tests::edge::Edge::start(&Setup { ..setup });
    let (now, rotated) = (edge.directory().join("access.log"), edge.directory().join("access.log.1"));
    let lines = |path: &std::path::Path| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());
    assert_eq!(edge.http().get("www.example.com", "/first").status(), 200);
    leeward_tests::wait::until("the first line", PATIENCE, || (lines(&now) == 1).then_some(()));
    std::fs::rename(&now, &rotated).unwrap();
    edge.signal(Signal::USR1);
    leeward_tests::wait::until("the new file", PATIENCE, || now.exists().then_some(()));
    assert_eq!(edge.http().get("www.example.com", "/second").status(), 200);
    edge.signal(Signal::TERM);
    assert!(edge.wait(PATIENCE).success());
    assert_eq!((lines(&rotated), lines(&now)), (1, 1));
}
