//! TLS: certificates by server name, replaced while running; HTTP/2 beside HTTP/1.1.

use leeward_tests::certificates::Leaf;
use leeward_tests::client::h2;
use leeward_tests::client::{CacheUse, Request, Target};
use leeward_tests::edge::Edge;
use leeward_tests::origin::{Answer, Origin, Script, pattern};
use leeward_tests::wait::{self, PATIENCE};

use crate::stage;

fn cacheable() -> Origin {
    stage::tls_origin(Script::always(Answer { echo: true, ..Answer::default() }.with("Cache-Control", "max-age=60")))
}

/// The certificate shown for a server name.
fn leaf(target: &Target, host: &str) -> Result<Vec<u8>, String> {
    let mut connection = target.connect().map_err(|lost| format!("{lost:?}"))?;
    connection.ask(&Request::get(host, "/leaf")).map_err(|lost| format!("{lost:?}"))?;
    connection.leaf().ok_or_else(|| "no certificate".to_owned())
}

fn names(leaf: &[u8], host: &str) -> bool {
    leaf.windows(host.len()).any(|part| part == host.as_bytes())
}

#[test]
fn the_certificate_is_chosen_by_server_name() {
    let origin = cacheable();
    let edge = Edge::start(&stage::tls_setup(&origin, ""));
    for host in ["www.example.com", "shop.example.com"] {
        let shown = leaf(&edge.https(host), host).unwrap();
        assert!(names(&shown, host), "another certificate was shown for {host}");
    }
    let unknown = leaf(&edge.https("unknown.example.com"), "www.example.com").unwrap_err();
    assert!(unknown.contains("NotValidForName") || unknown.contains("not valid for name"), "{unknown}");
    wait::until("three handshakes to be counted", PATIENCE, || {
        (edge.metrics().sum("leeward_tls_handshakes_total", &[]) >= 3.0).then_some(())
    });
}

#[test]
fn a_certificate_is_replaced_without_a_restart_or_a_lost_connection() {
    let origin = cacheable();
    let edge = Edge::start(&stage::tls_setup(&origin, ""));
    let target = edge.https("www.example.com");
    let mut kept = target.connect().unwrap();
    assert_eq!(kept.ask(&Request::get("www.example.com", "/a")).unwrap().status(), 200);
    let before = leaf(&target, "www.example.com").unwrap();
    Leaf::new(&["www.example.com".to_owned()]).write(&edge.directory().join("tls"), "www");
    assert!(edge.reload(), "the reload failed");
    let after = leaf(&target, "www.example.com").unwrap();
    assert!(before != after, "the old certificate is still shown");
    assert_eq!(kept.ask(&Request::get("www.example.com", "/a")).unwrap().status(), 200, "the connection from before");
    // A key that does not belong to its certificate changes nothing.
    std::fs::copy(edge.directory().join("tls/shop.key"), edge.directory().join("tls/www.key")).unwrap();
    assert!(!edge.reload(), "a wrong key was accepted");
    assert!(leaf(&target, "www.example.com").unwrap() == after, "the certificate changed in a refused reload");
}

#[test]
fn http2_and_http1_clients_share_the_cache() {
    let origin = cacheable();
    let edge = Edge::start(&stage::tls_setup(&origin, "cache: { store_on_hit: 1 }"));
    let connection = h2::Connection::open(edge.https_address(), "www.example.com");
    let get = h2::Request::get("https://www.example.com/shared");
    let miss = connection.ask(&get).unwrap();
    assert_eq!((miss.status, miss.cache()), (200, CacheUse::Stored), "{:?}", miss.fields);
    let hit = connection.ask(&get).unwrap();
    assert_eq!((hit.status, hit.cache(), &hit.body), (200, CacheUse::Hit, &miss.body));
    assert!(hit.field("age").is_some());
    let over_http1 = edge.https("www.example.com").get("www.example.com", "/shared");
    assert_eq!((over_http1.status(), over_http1.cache()), (200, CacheUse::Hit));
    assert_eq!(origin.count(), 1);
    // To an HTTP/1.1 origin the authority is the Host, and no connection field of either protocol goes along.
    let received = &origin.received()[0];
    assert_eq!(received.head.value("host").as_deref(), Some("www.example.com"));
    assert_eq!(received.head.value("transfer-encoding"), None);
}

#[test]
fn fifty_streams_of_one_connection_are_answered_each_with_its_own() {
    let origin =
        stage::tls_origin(Script::always(Answer { echo: true, ..Answer::default() }.with("Cache-Control", "no-store")));
    let edge = Edge::start(&stage::tls_setup(&origin, ""));
    let connection = h2::Connection::open(edge.https_address(), "www.example.com");
    let requests: Vec<_> =
        (0..50).map(|index| h2::Request::get(&format!("https://www.example.com/stream/{index}"))).collect();
    for (index, response) in connection.ask_all(&requests).into_iter().enumerate() {
        let response = response.unwrap();
        let text = String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!((response.status, response.cut), (200, None), "stream {index}");
        assert!(text.starts_with(&format!("GET /stream/{index} HTTP")), "stream {index}: {text}");
    }
}

#[test]
fn a_large_body_and_a_head_request_work_over_http2() {
    let origin = stage::tls_origin(Script::always(Answer::sized(3_000_000).with("Cache-Control", "max-age=60")));
    let edge = Edge::start(&stage::tls_setup(&origin, "cache: { store_on_hit: 1 }"));
    let connection = h2::Connection::open(edge.https_address(), "www.example.com");
    for turn in ["stored", "hit"] {
        let response = connection.ask(&h2::Request::get("https://www.example.com/large")).unwrap();
        assert_eq!((response.status, &response.cut), (200, &None), "{turn}");
        assert!(response.body == pattern(3_000_000), "{turn}: {} bytes, not the right ones", response.body.len());
    }
    let head = h2::Request { method: "HEAD".into(), ..h2::Request::get("https://www.example.com/large") };
    let response = connection.ask(&head).unwrap();
    assert_eq!((response.status, response.body.len(), response.field("content-length")), (200, 0, Some("3000000")));
}

#[test]
fn a_head_may_be_as_large_over_http2_as_the_limit_says() {
    let origin = cacheable();
    let edge = Edge::start(&stage::tls_setup(&origin, ""));
    let connection = h2::Connection::open(edge.https_address(), "www.example.com");
    for (bytes, status) in [(100, 200), (90_000, 200), (103_000, 431), (200_000, 431), (100, 200)] {
        let mut request = h2::Request::get("https://www.example.com/head");
        request.fields.push(("x-long".to_owned(), "l".repeat(bytes)));
        let answered = connection.ask(&request).map(|response| response.status);
        assert_eq!(answered.as_ref().ok(), Some(&status), "{bytes}: {answered:?}");
    }
}

#[test]
fn a_request_in_the_clear_on_the_tls_port_ends_without_harm() {
    let origin = cacheable();
    let edge = Edge::start(&stage::tls_setup(&origin, ""));
    let asked = Target::plain(edge.https_address()).ask(&Request::get("www.example.com", "/"));
    assert!(asked.as_ref().map_or(true, |response| response.status() >= 400), "{asked:?}");
    assert_eq!(edge.https("www.example.com").get("www.example.com", "/").status(), 200);
}

#[test]
fn a_host_is_served_only_over_connections_that_its_certificate_is_for() {
    let origin = cacheable();
    let setup = stage::tls_setup(&origin, "");
    let sites = "sites: [{ host: more.example.com, origin: main }, { host: \"*.wild.example.com\", origin: main }, ";
    let setup = leeward_tests::edge::Setup { config: setup.config.replace("sites: [", sites), ..setup };
    let setup = leeward_tests::edge::Setup {
        config: setup.config.replace("tls/www.key }", "tls/www.key }, { chain: tls/more.pem, key: tls/more.key }"),
        ..setup
    }
    .certificate("more", &["more.example.com", "*.wild.example.com"]);
    let edge = Edge::start(&setup);
    let cases = [
        // server name, Host, status
        ("www.example.com", "www.example.com", 200),
        ("www.example.com", "WWW.Example.COM:443", 200),
        ("www.example.com", "www.example.com.", 200),
        ("www.example.com", "shop.example.com", 421),
        ("shop.example.com", "www.example.com", 421),
        ("more.example.com", "a.wild.example.com", 200),
        ("a.wild.example.com", "b.wild.example.com", 200),
        ("a.wild.example.com", "www.example.com", 421),
        ("www.example.com", "127.0.0.1", 404),
        ("shop.example.com", "nobody.example.org", 421),
        ("www.example.com", "nobody.example.org", 404),
    ];
    for (server_name, host, status) in cases {
        let answer = edge.https(server_name).ask(&Request::get(host, "/")).unwrap();
        assert_eq!(answer.status(), status, "{host} over a connection to {server_name}");
        let connection = h2::Connection::open(edge.https_address(), server_name);
        let over_http2 = connection.ask(&h2::Request::get(&format!("https://{host}/"))).unwrap();
        assert_eq!(over_http2.status, status, "{host} over an HTTP/2 connection to {server_name}");
    }
    assert!(origin.received().iter().all(|got| got.head.value("host").is_some_and(|host| !host.contains("nobody"))));
}
