//! The admin listener: state, metrics, and who may ask.

use std::process::Command;

use leeward_tests::client::Request;
use leeward_tests::edge::{Edge, Setup, binary};
use leeward_tests::origin::{Answer, Origin, Script};
use leeward_tests::wait::PATIENCE;
use rustix::process::Signal;

use crate::stage;

/// The series of the contract that an edge with one site has after one request.
const ALWAYS: &[&str] = &[
    "leeward_requests_total",
    "leeward_request_seconds_count",
    "leeward_response_bytes_total",
    "leeward_origin_requests_total",
    "leeward_origin_seconds_count",
    "leeward_cache_objects",
    "leeward_cache_bytes",
    "leeward_config_generation",
    "leeward_connections",
];

#[test]
fn state_and_metrics_are_told_on_the_admin_listener_only() {
    let origin = Origin::start(Script::always(Answer::ok("hello").with("Cache-Control", "max-age=60")));
    let edge = stage::edge(&origin, "cache: { store_on_hit: 1 }");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(edge.admin("GET", path, None).unwrap().status(), 200, "{path}");
    }
    assert_eq!(edge.admin("GET", "/nothing", None).unwrap().status(), 404);
    for _ in 0..2 {
        assert_eq!(edge.http().get("www.example.com", "/a").text(), "hello");
    }
    let metrics = leeward_tests::wait::until("both requests to be counted", PATIENCE, || {
        let metrics = edge.metrics();
        (metrics.sum("leeward_requests_total", &[]) >= 2.0).then_some(metrics)
    });
    let missing: Vec<_> = ALWAYS.iter().filter(|name| !metrics.has(name)).collect();
    assert!(missing.is_empty(), "not among the metrics: {missing:?}");
    let requests = |cache| {
        metrics.sum(
            "leeward_requests_total",
            &[("site", "www.example.com"), ("method", "GET"), ("status", "200"), ("cache", cache)],
        )
    };
    assert_eq!((requests("miss"), requests("hit")), (1.0, 1.0));
    assert_eq!(metrics.sum("leeward_response_bytes_total", &[("site", "www.example.com")]), 10.0);
    assert_eq!(metrics.sum("leeward_origin_requests_total", &[("origin", "main"), ("result", "ok")]), 1.0);
    assert_eq!(metrics.sum("leeward_cache_objects", &[]), 1.0);
    // The public listener knows none of these paths.
    for path in ["/metrics", "/healthz", "/readyz", "/v1/config", "/v1/reload"] {
        let answer = edge.http().get("127.0.0.1", path);
        assert_eq!(answer.status(), 404, "{path} on the public listener");
    }
}

#[test]
fn a_token_is_asked_for_where_one_is_configured() {
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let setup = stage::setup(&origin, "");
    let config = setup
        .config
        .replace(r#"admin: { address: "${admin}" }"#, r#"admin: { address: "${admin}", token: { file: token } }"#);
    let edge = Edge::start(&Setup { config, ..setup }.file("token", "correct-horse\n").name("token", &"correct-horse"));
    for token in [None, Some("wrong"), Some(""), Some("correct-hors")] {
        let answer = edge.admin("GET", "/metrics", token).unwrap();
        assert_eq!(answer.status(), 401, "token {token:?}");
        assert!(answer.field("www-authenticate").is_some(), "token {token:?}");
    }
    assert_eq!(edge.admin("GET", "/metrics", Some("correct-horse")).unwrap().status(), 200);
    // Probes need no secret.
    assert_eq!(edge.admin("GET", "/healthz", None).unwrap().status(), 200);
    assert_eq!(edge.admin("GET", "/readyz", None).unwrap().status(), 200);
}

#[test]
fn an_admin_address_beyond_loopback_needs_a_token() {
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let setup = stage::setup(&origin, "");
    let config = setup.config.replace(r#""${admin}""#, r#""0.0.0.0:0""#);
    let story = Edge::refuse(&Setup { config, ..setup });
    assert!(story.contains("token"), "the refusal does not say why:\n{story}");
}

#[test]
fn a_request_that_names_the_admin_listener_as_host_is_not_served_from_it() {
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let edge = stage::edge(&origin, "");
    let admin = edge.admin_address().to_string();
    let answer = edge.http().ask(&Request::get(&admin, "/metrics")).unwrap();
    assert_eq!(answer.status(), 404, "{}", answer.text());
}

#[test]
fn random_hosts_and_paths_add_no_series() {
    let origin = Origin::start(Script::always(Answer::ok("x").with("Cache-Control", "no-store")));
    let edge = stage::edge(&origin, "");
    let ask = |index: usize| {
        let mut connection = edge.http().connect().unwrap();
        let _ = connection.ask(&Request::get(&format!("h{index}.example.org"), &format!("/p{index}"))).unwrap();
        let _ = connection.ask(&Request::new(&format!("M{index}"), "www.example.com", &format!("/p{index}"))).unwrap();
        let _ = connection.ask(&Request::get("www.example.com", &format!("/p{index}"))).unwrap();
    };
    let counted = |requests: f64| {
        leeward_tests::wait::until("the requests to be counted", PATIENCE, || {
            let metrics = edge.metrics();
            (metrics.sum("leeward_requests_total", &[]) >= requests).then(|| metrics.series())
        })
    };
    (0..3).for_each(ask);
    let before = counted(9.0);
    (3..40).for_each(ask);
    let after = counted(120.0);
    assert_eq!(before, after, "series before and after");
}

#[test]
fn status_tells_by_its_exit_code_whether_the_edge_serves_whatever_the_file_says_now() {
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let mut edge = stage::edge(&origin, "");
    let address = edge.admin_address().to_string();
    let status = |arguments: &[&str]| {
        let output = Command::new(binary()).arg("status").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    edge.write_config("broken");
    assert_eq!(status(&["--address", &address]), (Some(0), "ready".to_owned()));
    let file = edge.directory().join("leeward.yaml").display().to_string();
    assert_eq!(status(&["--config", &file]), (Some(2), String::new()));
    edge.signal(Signal::TERM);
    assert!(edge.wait(PATIENCE).success());
    assert_eq!(status(&["--address", &address]), (Some(1), String::new()));
}
