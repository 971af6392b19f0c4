//! The admin listener: state, metrics, and who may ask.

use std::process::Command;
use std::time::{Duration, Instant};

use leeward_tests::client::{Request, Target};
use leeward_tests::edge::{Edge, Setup, binary};
use leeward_tests::origin::{Answer, Origin, Script};
use leeward_tests::turn;
use leeward_tests::wait::{self, PATIENCE};
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
    let metrics = wait::until("both requests to be counted", PATIENCE, || {
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
    let ask = &|index: usize| {
        let mut connection = edge.http().connect().unwrap();
        let _ = connection.ask(&Request::get(&format!("h{index}.example.org"), &format!("/p{index}"))).unwrap();
        let _ = connection.ask(&Request::new(&format!("M{index}"), "www.example.com", &format!("/p{index}"))).unwrap();
        let _ = connection.ask(&Request::get("www.example.com", &format!("/p{index}"))).unwrap();
    };
    let counted = |requests: f64| {
        wait::until("the requests to be counted", PATIENCE, || {
            let metrics = edge.metrics();
            (metrics.sum("leeward_requests_total", &[]) >= requests).then(|| metrics.series())
        })
    };
    (0..3).for_each(ask);
    let before = counted(9.0);
    std::thread::scope(|scope| {
        for quarter in 0..4 {
            scope.spawn(move || (0..420).for_each(|index| ask(1000 * quarter + index)));
        }
    });
    let after = counted(5040.0);
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

/// Every path of the admin API, and some that look like one.
const PATHS: [&str; 16] = [
    "/metrics",
    "/healthz",
    "/readyz",
    "/v1/config",
    "/v1/cache",
    "/v1/origins",
    "/v1/reload",
    "/v1/purge",
    "/v1/rollback",
    "/v1/generations",
    "/v1/explain",
    "/v1",
    "//metrics",
    "/%6detrics",
    "/x/../metrics",
    "/metrics/",
];

#[test]
fn no_trick_reaches_the_admin_listener_through_the_public_one() {
    let origin = Origin::start(Script::always(Answer::ok("of the origin").with("Cache-Control", "no-store")));
    let edge = stage::edge(&origin, "");
    let admin = edge.admin_address().to_string();
    let hosts = [&admin, "127.0.0.1", "localhost", "[::1]", "admin", "www.example.com"];
    let mut asked = 0;
    for path in PATHS {
        for host in hosts {
            for method in ["GET", "POST"] {
                let mut requests =
                    vec![Request::new(method, host, path), Request::new(method, host, &format!("http://{host}{path}"))];
                for field in ["X-Forwarded-Host", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-For"] {
                    requests.push(
                        Request::new(method, host, path)
                            .with(field, if field.ends_with("URL") { path } else { &admin }),
                    );
                }
                for request in requests {
                    let answer = edge.http().ask(&request).unwrap();
                    asked += 1;
                    let ours = answer.status() == 200 && answer.text() == "of the origin" && host == "www.example.com";
                    let refused = matches!(answer.status(), 400 | 404) && !answer.text().contains("leeward_");
                    assert!(ours || refused, "{request:?}: {} {}", answer.status(), answer.text());
                }
            }
        }
    }
    assert!(asked >= 1000, "only {asked} requests");
    assert!(edge.metrics().sum("leeward_reloads_total", &[]) <= 1.0, "a reload came through");
}

#[test]
fn nothing_but_the_token_itself_is_one_and_no_secret_is_printed() {
    const TOKEN: &str = "correct-horse-battery-staple";
    const DEBUG: &str = "open-sesame-open-sesame";
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let setup = stage::setup(&origin, &format!("debug: {{ secret: {DEBUG} }}\nlog: {{ access: stdout }}"));
    let config = setup
        .config
        .replace(r#"admin: { address: "${admin}" }"#, r#"admin: { address: "${admin}", token: { file: token } }"#);
    let edge = Edge::start(&Setup { config, ..setup }.file("token", TOKEN).name("token", &TOKEN));
    let target = Target::plain(edge.admin_address());
    let mut said = String::new();
    let upper = TOKEN.to_uppercase();
    let wrong = [
        vec![],
        vec![format!("Bearer {}", &TOKEN[1..])],
        vec![format!("Bearer {TOKEN}x")],
        vec![format!("Bearer  {TOKEN}")],
        vec![format!("Bearer {upper}")],
        vec![format!("Bearer {TOKEN} {TOKEN}")],
        vec![format!("Bearer {TOKEN},{TOKEN}")],
        vec![format!("Basic {TOKEN}")],
        vec![TOKEN.to_owned()],
        vec!["Bearer".to_owned()],
        vec!["Bearer ".to_owned()],
        vec![format!("Bearer {TOKEN}"), format!("Bearer {TOKEN}")],
        vec!["Bearer x".to_owned(), format!("Bearer {TOKEN}")],
        vec![format!("Bearer {DEBUG}")],
        vec![format!("Bearer {}", "a".repeat(100_000))],
    ];
    for fields in &wrong {
        for (method, path) in
            [("GET", "/v1/config"), ("GET", "/metrics"), ("POST", "/v1/reload"), ("POST", "/v1/purge"), ("GET", "/x")]
        {
            let request = fields
                .iter()
                .fold(Request::new(method, "x", path), |request, field| request.with("Authorization", field));
            let answer = target.ask(&request).unwrap();
            assert_eq!(answer.status(), 401, "{method} {path} with {fields:?}");
            said += &String::from_utf8_lossy(&[&answer.head.raw[..], &answer.body].concat());
        }
    }
    assert!(edge.metrics().sum("leeward_reloads_total", &[]) <= 1.0, "a reload without the token");
    for (method, path) in [
        ("GET", "/v1/config"),
        ("GET", "/v1/origins"),
        ("GET", "/v1/cache"),
        ("GET", "/metrics"),
        ("POST", "/v1/reload"),
    ] {
        let answer = edge.admin(method, path, Some(TOKEN)).unwrap();
        assert_eq!(answer.status(), 200, "{method} {path}");
        said += &String::from_utf8_lossy(&[&answer.head.raw[..], &answer.body].concat());
    }
    // a client that tries the secrets elsewhere, and a configuration that is broken beside them
    let tried = Request::get("www.example.com", "/a")
        .with("X-Leeward-Debug", "wrong")
        .with("Authorization", &format!("Bearer {TOKEN}"));
    assert_eq!(edge.http().ask(&tried).unwrap().status(), 200);
    let file = edge.directory().join("leeward.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    edge.write_config(&good.replace("secret: open", "secrets: open"));
    for arguments in [&["check"][..], &["explain", "http://www.example.com/a", "--config"]] {
        let output = Command::new(binary()).args(arguments).arg(&file).output().unwrap();
        said += &format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    let reloaded = edge.admin("POST", "/v1/reload", Some(TOKEN)).unwrap();
    assert_eq!(reloaded.status(), 422);
    said += &reloaded.text();
    said += &edge.output().err().join("\n");
    said += &edge.output().out().join("\n");
    for secret in [TOKEN, DEBUG] {
        let at = said.find(secret).map(|at| said[at.saturating_sub(200)..at].to_owned());
        assert_eq!(at, None, "{secret} was printed after this");
    }
}

#[test]
fn large_and_slow_requests_to_the_admin_listener_are_bounded() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let edge = stage::edge(&origin, "");
    let target = Target::plain(edge.admin_address());
    let (before, _) = edge.resident();
    for (path, bytes) in [("/v1/reload", 70_000), ("/v1/purge", 1_100_000)] {
        let request = Request { body: Some(vec![b' '; bytes]), ..Request::new("POST", "x", path) };
        assert_eq!(target.ask(&request).unwrap().status(), 413, "{path}");
        let request = Request { chunked: true, ..request };
        assert_eq!(target.ask(&request).unwrap().status(), 413, "{path} in chunks");
    }
    let large = target.ask(&Request::get("x", "/healthz").with("X", &"a".repeat(2_000_000)));
    assert!(large.as_ref().map_or(true, |answer| answer.status() == 400), "{large:?}");
    // more than it serves at once, and all of them silent
    let crowd: Vec<_> = (0..300).map(|_| target.connect().unwrap()).collect();
    let mut slow = target.connect().unwrap();
    drop(crowd);
    let _ = slow.send(b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
    wait::until("the listener to answer again", PATIENCE, || {
        edge.admin("GET", "/healthz", None).is_ok_and(|answer| answer.status() == 200).then_some(())
    });
    let mut slow = target.connect().unwrap();
    slow.send(b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{").unwrap();
    assert_eq!(slow.read("POST").map(|answer| answer.status()), Ok(408));
    let (after, _) = edge.resident();
    assert!(after < before + (50 << 20), "{before} bytes before, {after} after");
}

#[test]
fn who_opens_every_connection_of_the_admin_listener_and_says_nothing_shuts_out_no_probe() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let edge = stage::edge(&origin, "");
    let target = Target::plain(edge.admin_address());
    let probe = || {
        let begun = Instant::now();
        let answer = target.ask(&Request::get("x", "/healthz"));
        assert!(begun.elapsed() < Duration::from_secs(2), "a probe took {:?}: {answer:?}", begun.elapsed());
        answer.is_ok_and(|answer| answer.status() == 200)
    };
    assert!(probe(), "before");
    // more than it serves at once; half of them begin a head
    let mut crowd: Vec<_> = (0..300).map(|_| target.connect().unwrap()).collect();
    for connection in crowd.iter_mut().step_by(2) {
        let _ = connection.send(b"GET /healthz HT");
    }
    // none of them has left, and none will for half a minute
    wait::pause(Duration::from_millis(1500));
    wait::until("a probe to get through", PATIENCE, || probe().then_some(()));
    for number in 0..20 {
        assert!(probe(), "probe {number} beside the crowd");
    }
    assert_eq!(edge.http().get("www.example.com", "/a").text(), "x", "a client beside the crowd");
    assert!(edge.reload(), "{}", edge.story());
    // those that came first are still served, each as long as any other
    let kept = crowd.iter_mut().step_by(2).take(50);
    let served = kept.filter_map(|connection| {
        connection.send(b"TP/1.1\r\nHost: x\r\n\r\n").ok()?;
        connection.read("GET").ok().filter(|answer| answer.status() == 200)
    });
    assert_eq!(served.count(), 50, "of those that came first");
    drop(crowd);
    wait::until("every place to be free", PATIENCE, || {
        let kept: Vec<_> = (0..100).map(|_| target.ask(&Request::get("x", "/healthz"))).collect();
        kept.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 200)).then_some(())
    });
}
