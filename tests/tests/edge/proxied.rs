//! Clients that a load balancer names with the PROXY protocol: every check is about them; and who manages the edge gets through when
//! clients have taken all there is.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use leeward_tests::client::{Connection, Request, Response};
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::{Answer, Origin, Script};
use leeward_tests::wait::{self, PATIENCE};
use leeward_tests::wire::Lost;
use serde_json::json;

fn setup(origin: &Origin, limits: &str) -> Setup {
    let config = format!(
        r#"
server:
  threads: 2
  listen: [{{ address: "${{listen}}", proxy_protocol: {{ trusted: [127.0.0.0/8] }} }}]
  trusted_proxies: [198.51.100.0/24]
  grace_period: 5s
  limits: {{ {limits} }}
admin: {{ address: "${{admin}}" }}
geo: {{ database: geo.mmdb }}
origins: [{{ directory: main, http: {{ servers: ["http://${{origin}}"] }} }}]
country_filters: [{{ path: /main, action: block, countries: [FR] }}]
rate_limits: [{{ name: few, requests: 2, per: 1m, matches: [{{ name: url-path, value: limited }}] }}]
sites:
  - host: www.example.com
    origin: main
    rules:
      - matches: [{{ name: url-wildcard, value: "/*" }}]
        behaviors: [{{ name: ip-blacklist, value: "${{listed}}" }}]
"#
    );
    // thousands of networks that nobody here comes from, and two that somebody does
    let listed: Vec<String> = (0..5000_u32).map(|n| format!("{}/30", Ipv4Addr::from(0x0a00_0000 + 8 * n))).collect();
    let listed = [listed, vec!["192.0.2.7/32".to_owned(), "2001:db8:7::/48".to_owned()]].concat().join(" ");
    let networks =
        [("192.0.2.0/24", "JP"), ("203.0.113.0/24", "FR"), ("2001:db8:f::/48", "FR"), ("2001:db8:7::/48", "JP")];
    let place = |(network, country): (&str, &str)| (network.to_owned(), json!({ "country": { "iso_code": country } }));
    let databases = vec![("geo.mmdb".to_owned(), networks.map(place).to_vec())];
    Setup { databases, ..Setup::new(&config).name("origin", &origin.address()).name("listed", &listed) }
}

fn version1(client: &str) -> Vec<u8> {
    match client.parse::<IpAddr>().unwrap() {
        IpAddr::V4(_) => format!("PROXY TCP4 {client} 127.0.0.1 40000 80\r\n").into_bytes(),
        IpAddr::V6(_) => format!("PROXY TCP6 {client} ::1 40000 80\r\n").into_bytes(),
    }
}

fn version2(client: &str) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    match client.parse::<IpAddr>().unwrap() {
        IpAddr::V4(ip) => {
            bytes.extend([0x11, 0, 12]);
            bytes.extend(ip.octets());
            bytes.extend([127, 0, 0, 1]);
        }
        IpAddr::V6(ip) => {
            bytes.extend([0x21, 0, 36]);
            bytes.extend(ip.octets());
            bytes.extend(std::net::Ipv6Addr::LOCALHOST.octets());
        }
    }
    bytes.extend([0x9c, 0x40, 0, 80]);
    bytes
}

fn ask(edge: &Edge, header: &[u8], request: &Request) -> Result<Response, Lost> {
    let mut connection = edge.http().connect()?;
    connection.exchange(&[header, &request.bytes()].concat(), "GET")
}

#[test]
fn every_check_is_about_the_client_that_the_proxy_protocol_names() {
    let origin =
        Origin::start(Script::always(Answer { echo: true, ..Answer::default() }.with("Cache-Control", "no-store")));
    let edge = Edge::start(&setup(&origin, ""));
    // who the balancer names, X-Forwarded-For, the status, and who the origin is told it is
    let cases = [
        ("192.0.2.1", None, 200, "192.0.2.1"),
        ("203.0.113.9", None, 403, ""),
        ("2001:db8:f::1", None, 403, ""),
        ("2001:db8:e::1", None, 200, "2001:db8:e::1"),
        ("192.0.2.7", None, 403, ""),
        ("192.0.2.8", None, 200, "192.0.2.8"),
        ("2001:db8:7:1::2", None, 403, ""),
        // believed from a trusted proxy behind the balancer, and from nobody else: the balancer itself is none
        ("192.0.2.1", Some("203.0.113.9"), 200, "192.0.2.1"),
        ("203.0.113.9", Some("192.0.2.1"), 403, ""),
        ("198.51.100.4", Some("203.0.113.9"), 403, ""),
        ("198.51.100.4", Some("192.0.2.7"), 403, ""),
        ("198.51.100.4", Some("203.0.113.9, 192.0.2.1"), 200, "192.0.2.1"),
    ];
    for (number, (client, forwarded, status, told)) in cases.into_iter().enumerate() {
        for (version, header) in [(1, version1(client)), (2, version2(client))] {
            let mut request = Request::get("www.example.com", &format!("/{number}"));
            if let Some(forwarded) = forwarded {
                request = request.with("X-Forwarded-For", forwarded);
            }
            let answer = ask(&edge, &header, &request).unwrap();
            let what = format!("version {version}: {client} {forwarded:?}");
            assert_eq!(answer.status(), status, "{what}");
            if status == 200 {
                let text = answer.text().to_ascii_lowercase();
                assert!(text.contains(&format!("x-forwarded-for: {told}\r\n")), "{what}: {text}");
            }
        }
    }
    // each client counts for itself, an IPv6 network as one
    for (client, statuses) in [
        ("192.0.2.1", [200, 200, 503]),
        ("192.0.2.2", [200, 200, 503]),
        ("2001:db8::1", [200, 200, 503]),
        ("2001:db8::2", [503, 503, 503]),
        ("2001:db8:0:1::1", [200, 200, 503]),
    ] {
        let got = statuses
            .map(|_| ask(&edge, &version2(client), &Request::get("www.example.com", "/limited")).unwrap().status());
        assert_eq!(got, statuses, "{client}");
    }
    let refused = |reason: &str, count: usize| {
        let of = || edge.output().access().iter().filter(|entry| entry["reason"] == reason).count();
        wait::until(&format!("{count} refusals by {reason}"), PATIENCE, || (of() >= count).then_some(()));
    };
    refused("country", 8);
    refused("rate_limit", 7);
    edge.stop();
}

/// Opens a connection as a client and asks once; nothing when it is refused.
fn open(edge: &Edge, client: &str) -> Option<Connection> {
    let mut connection = edge.http().connect().ok()?;
    let bytes = [version1(client), Request::get("www.example.com", "/").bytes()].concat();
    connection.exchange(&bytes, "GET").ok().map(|_| connection)
}

#[test]
fn connections_are_counted_for_the_client_that_the_proxy_protocol_names() {
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let edge = Edge::start(&setup(&origin, "connections_per_ip: 2"));
    let cases = [
        ("192.0.2.1", true),
        ("192.0.2.1", true),
        ("192.0.2.1", false),
        ("192.0.2.2", true),
        ("2001:db8::1", true),
        ("2001:db8::ffff:1", true),
        ("2001:db8::2", false),
        ("2001:db8:0:1::1", true),
    ];
    let mut held = Vec::new();
    for (client, taken) in cases {
        let connection = open(&edge, client);
        assert_eq!(connection.is_some(), taken, "{client} beside {}", held.len());
        held.extend(connection);
    }
    drop(held);
    wait::until("the places to be free again", PATIENCE, || open(&edge, "192.0.2.1"));
    edge.stop();
}

#[test]
fn the_admin_listener_answers_when_clients_have_taken_every_connection() {
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let edge = Edge::start(&setup(&origin, "connections: 8, keepalive_timeout: 30s"));
    let held: Vec<Connection> = (1..=8).filter_map(|n| open(&edge, &format!("192.0.2.{}", 10 + n))).collect();
    assert_eq!(held.len(), 8);
    for _ in 0..50 {
        assert!(open(&edge, "192.0.2.99").is_none(), "a ninth");
    }
    for path in ["/healthz", "/readyz", "/metrics", "/v1/origins"] {
        let begun = Instant::now();
        let answer = edge.admin("GET", path, None).unwrap();
        assert!(answer.status() == 200 || path == "/readyz", "{path}: {}", answer.status());
        assert!(begun.elapsed() < Duration::from_secs(2), "{path} took {:?}", begun.elapsed());
    }
    assert!(edge.reload(), "{}", edge.story());
    drop(held);
    wait::until("clients to be served again", PATIENCE, || open(&edge, "192.0.2.99"));
    edge.stop();
}
