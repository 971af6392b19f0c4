//! Shields and gateways: several edges on one machine, each the real binary.

use leeward_tests::client::{Request, Response};
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::{Answer, Origin, Script};
use leeward_tests::turn;
use leeward_tests::wait::{self, PATIENCE, Span};
use serde_json::Value;

const HOST: &str = "www.example.com";
/// Every edge of these tests is known to every other one.
const KNOWN: &str = "addresses: { edge: [127.0.0.0/8] }";

/// A Leeward for `www.example.com`: `origin` are further keys of its origin, `site` of its site, `extra` of the configuration.
fn leeward(origin: &Origin, of_origin: &str, of_site: &str, extra: &str) -> Setup {
    let config = format!(
        r#"
server: {{ threads: 2, listen: [{{ address: "${{listen}}" }}], grace_period: 5s }}
admin: {{ address: "${{admin}}" }}
cache: {{ store_on_hit: 1 }}
origins: [{{ directory: main, http: {{ servers: ["http://${{origin}}"] }}{of_origin} }}]
sites: [{{ host: {HOST}, origin: main{of_site} }}]
{extra}
"#
    );
    Setup::new(&config).name("origin", &origin.address())
}

fn shield(origin: &Origin) -> Edge {
    Edge::start(&leeward(origin, "", "", KNOWN))
}

fn behind(shields: &[&Edge], origin: &Origin) -> Setup {
    let nodes: Vec<_> = shields.iter().map(|shield| format!("\"{}\"", node(shield))).collect();
    leeward(origin, &format!(", shield: {{ pops: {{ all: [{}] }} }}", nodes.join(", ")), "", "")
}

fn node(shield: &Edge) -> String {
    format!("http://127.0.0.1:{}", port(shield))
}

fn port(edge: &Edge) -> u16 {
    edge.http().address.port()
}

fn get(edge: &Edge, path: &str) -> Response {
    edge.http().get(HOST, path)
}

fn requests(edge: &Edge) -> f64 {
    edge.metrics().sum("leeward_requests_total", &[])
}

/// A request is counted when its last byte was sent, which its client may see earlier.
fn requests_settle(what: &str, edges: &[(&Edge, f64)]) {
    wait::until(what, PATIENCE, || edges.iter().all(|(edge, count)| requests(edge) == *count).then_some(()));
}

/// What `/v1/origins` says of the tier of the only origin.
fn tier(edge: &Edge) -> Value {
    let answer = edge.admin("GET", "/v1/origins", None).unwrap();
    let all: Value = serde_json::from_str(&answer.text()).unwrap();
    all["origins"][0]["tier"].clone()
}

#[test]
fn a_cold_object_asked_at_three_edges_is_one_origin_request_and_ages_on_the_way() {
    let _beside = turn::beside();
    let stored = Answer::ok("x").with("Cache-Control", "max-age=60").with("Age", "20");
    let origin = Origin::start(Script::always(stored));
    let shields = [shield(&origin), shield(&origin)];
    let nodes = [&shields[0], &shields[1]];
    // the order of the list is each edge's own business
    let setups = [nodes, [nodes[1], nodes[0]], nodes].map(|nodes| behind(&nodes, &origin));
    let edges = setups.map(|setup| Edge::start(&setup));
    for edge in &edges {
        let response = get(edge, "/a");
        assert_eq!((response.status(), response.text().as_str()), (200, "x"));
        let age: u32 = response.field("age").expect("an Age").parse().unwrap();
        assert!((20..40).contains(&age), "Age: {age}");
        let ttl = get(edge, "/a").field("cache-status").unwrap();
        let ttl: u32 = ttl.rsplit("ttl=").next().unwrap().parse().unwrap_or_else(|_| panic!("{ttl}"));
        assert!((20..=40).contains(&ttl), "of 60 s, 20 s were over at the shield already: {ttl}");
    }
    assert_eq!(origin.count(), 1, "{:?}", origin.received());
    for i in 0..20 {
        for edge in &edges {
            assert_eq!(get(edge, &format!("/spread/{i}")).status(), 200);
        }
    }
    assert_eq!(origin.count(), 21);
    let asked = wait::until("all requests to be counted", PATIENCE, || {
        let asked = shields.each_ref().map(requests);
        (asked[0] + asked[1] == 63.0).then_some(asked)
    });
    assert!(asked[0] >= 9.0 && asked[1] >= 9.0, "{asked:?}");
}

#[test]
fn a_shield_that_is_gone_is_replaced_by_the_other_and_both_by_the_origin() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("x").with("Cache-Control", "max-age=60")));
    let (one, other) = (shield(&origin), shield(&origin));
    let edge = Edge::start(&behind(&[&one, &other], &origin));
    let ask = |round: &str| {
        for i in 0..10 {
            assert_eq!(get(&edge, &format!("/{round}/{i}")).status(), 200, "{round} {i}");
        }
    };
    one.stop();
    ask("one");
    assert_eq!(origin.count(), 10);
    requests_settle("the other shield to take over all of them", &[(&other, 10.0)]);
    other.stop();
    ask("none");
    assert_eq!(origin.count(), 20);
    let by_the_origin = origin.received().last().unwrap().head.value("x-midgress");
    assert_eq!(by_the_origin, None, "the edge asks in its own name");
    let metrics = edge.metrics();
    assert_eq!(metrics.sum("leeward_failovers_total", &[("to", "direct")]), 10.0);
    let refused = metrics.sum("leeward_origin_requests_total", &[("origin", "main shield all"), ("result", "connect")]);
    assert!((1.0..=4.0).contains(&refused), "a node known to be down is not asked again and again: {refused}");
    let (found, all) = edge.output().wait_for_access(PATIENCE, |entry| entry["failover"]["to"] == "direct");
    assert!(found.is_some(), "{all:?}");
}

/// Rules that would show if they were applied twice, and a redirect and refusal that only the edge may decide on.
const RULES: &str = r#", path: /site, rules: [
  { matches: [{ name: url-wildcard, value: "/*" }], behaviors: [
    { name: modify-outgoing-request-header, type: add, params: { name: X-Rule, value: once } },
    { name: modify-outgoing-response-header, type: add, params: { name: X-Rule, value: once } },
    { name: downstream-caching, value: no-cache }] }]"#;

#[test]
fn a_shield_sees_the_clients_request_and_what_rules_change_is_changed_once() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("x").with("Cache-Control", "max-age=60")));
    let shield = Edge::start(&leeward(&origin, "", RULES, KNOWN));
    let nodes = format!(", shield: {{ pops: {{ all: [\"{}\"] }} }}", node(&shield));
    let mut setup = leeward(&origin, &nodes, RULES, "");
    setup.config = setup.config.replace("server: {", "server: { node: edge-1,");
    let edge = Edge::start(&setup);
    let request = Request::get(HOST, "/a?b=c").with("X-Midgress", "7").with("X-Forwarded-For", "192.0.2.66");
    let response = edge.http().ask(&request).unwrap();
    assert_eq!(response.status(), 200, "{}", response.text());
    let received = &origin.received()[0];
    assert_eq!(received.target(), "/site/a?b=c");
    for (name, want) in [
        ("host", HOST),
        ("x-rule", "once"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-host", HOST),
        ("x-midgress", "1"),
        ("via", "1.1 leeward, 1.1 leeward"),
    ] {
        assert_eq!(received.head.value(name).as_deref(), Some(want), "{name}");
    }
    let nodes = received.head.value("cdn-loop").unwrap();
    assert!(nodes.starts_with("leeward; node=edge-1, leeward; node="), "{nodes}");
    for (name, want) in [("x-rule", "once"), ("cache-control", "no-cache"), ("via", "1.1 leeward, 1.1 leeward")] {
        assert_eq!(response.field(name).as_deref(), Some(want), "{name}");
    }
    let again = get(&edge, "/a?b=c");
    let cache = again.field("cache-status").unwrap();
    assert!(cache.contains("leeward; hit; ttl="), "the shield gave the edge the origin's own lifetime: {cache}");
}

#[test]
fn nobody_is_another_tier_by_saying_so() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("x").with("Cache-Control", "private")));
    let rules = r#", rules: [{ matches: [{ name: url-wildcard, value: "/*" }], behaviors: [{ name: ip-whitelist, value: "192.0.2.0/24" }] }]"#;
    let of_tier = |path: &str| {
        let request = Request::get(HOST, path).with("X-Midgress", "1").with("X-Forwarded-For", "192.0.2.7");
        request.with("CDN-Loop", "leeward; node=elsewhere")
    };
    let plain = Request::get(HOST, "/a").with("X-Midgress", "1").with("X-Forwarded-For", "192.0.2.7");
    let table = [
        ("", of_tier("/a"), 508, "127.0.0.1"),
        ("", plain, 403, "127.0.0.1"),
        (KNOWN, of_tier("/a"), 200, "192.0.2.7"),
        // the scheme is the client's, too: this origin has servers for HTTP only
        (KNOWN, of_tier("/a").with("X-Forwarded-Proto", "http"), 200, "192.0.2.7"),
        (KNOWN, of_tier("/a").with("X-Forwarded-Proto", "https"), 502, "192.0.2.7"),
        (KNOWN, Request::get(HOST, "/a").with("CDN-Loop", "leeward; node=elsewhere"), 508, "127.0.0.1"),
        (KNOWN, of_tier("/a").with("CDN-Loop", "leeward"), 508, "192.0.2.7"),
    ];
    for (addresses, request, status, client) in table {
        let edge = Edge::start(&leeward(&origin, "", rules, addresses));
        let response = edge.http().ask(&request).unwrap();
        assert_eq!(response.status(), status, "{addresses:?} {request:?}\n{}", response.text());
        assert_eq!(edge.output().wait_for_entries(1, PATIENCE)[0]["client"], client, "{addresses:?} {request:?}");
    }
}

#[test]
fn a_proxy_is_no_tier_for_the_address_that_it_has() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("x").with("Cache-Control", "private")));
    let rules = r#", rules: [{ matches: [{ name: url-wildcard, value: "/*" }], behaviors: [{ name: ip-whitelist, value: "192.0.2.0/24" }] }]"#;
    let mut setup = leeward(&origin, "", rules, KNOWN);
    setup.config = setup.config.replace("server: {", "server: { trusted_proxies: [127.0.0.0/8],");
    let edge = Edge::start(&setup);
    for (client, status) in [("192.0.2.7", 200), ("203.0.113.1", 403), ("192.0.2.7, 203.0.113.1", 403)] {
        let request = Request::get(HOST, "/a").with("X-Midgress", "1").with("X-Forwarded-For", client);
        let response = edge.http().ask(&request).unwrap();
        assert_eq!(response.status(), status, "{client}\n{}", response.text());
    }
    assert_eq!(origin.received()[0].head.value("x-midgress"), None, "the proxy's client wrote it");
}

#[test]
fn two_that_point_at_each_other_answer_508_and_ask_no_further() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("x")));
    let points_at = |other: &Edge, addresses: &str| behind_config(&[other], &origin, addresses);
    for (addresses, status, asked) in [("", 508, 0), (KNOWN, 200, 1)] {
        let before = origin.count();
        let one = Edge::start(&leeward(&origin, "", "", addresses));
        let other = Edge::start(&points_at(&one, addresses));
        one.write_config(&fill(&one, &points_at(&other, addresses)));
        assert!(one.reload());
        let response = get(&one, "/a");
        assert_eq!((response.status(), origin.count() - before), (status, asked), "{addresses:?}");
        requests_settle(&format!("one request at each with {addresses:?}"), &[(&one, 1.0), (&other, 1.0)]);
    }
    // each is the other's origin
    let one = Edge::start(&leeward(&origin, "", "", KNOWN));
    let mut setup = leeward(&origin, "", "", KNOWN);
    setup.config = setup.config.replace("http://${origin}", &node(&one));
    let other = Edge::start(&setup);
    setup.config = setup.config.replace(&node(&one), &node(&other));
    one.write_config(&fill(&one, &setup));
    assert!(one.reload());
    assert_eq!(get(&one, "/a").status(), 508);
    requests_settle("one request at each", &[(&one, 1.0), (&other, 1.0)]);
}

fn behind_config(shields: &[&Edge], origin: &Origin, extra: &str) -> Setup {
    let mut setup = behind(shields, origin);
    setup.config.push_str(extra);
    setup
}

/// A configuration for an edge that runs, on the ports that it has.
fn fill(edge: &Edge, setup: &Setup) -> String {
    let known = [("listen", edge.http().address), ("admin", edge.admin_address())];
    let known = known.map(|(name, address)| (name.to_owned(), address.to_string()));
    leeward_tests::edge::fill_in(&setup.config, &[known.as_slice(), &setup.names].concat())
}

#[test]
fn what_a_shield_cannot_get_is_the_edges_to_answer() {
    let _beside = turn::beside();
    let mut origin = Origin::start(Script::default().on(
        "*",
        [
            Answer::ok("x").with("Cache-Control", "max-age=0").with("ETag", "\"1\""),
            Answer { status: 503, ..Answer::default() },
        ],
    ));
    let failover = r#", rules: [{ matches: [{ name: url-wildcard, value: "/away*" }], behaviors: [
      { name: site-failover, type: serve-301, params: { httpResponseStatus: "503", alternateHostname: www.example.org, alternatePath: "-", preserveQueryString: true } }] }]"#;
    let shield = Edge::start(&leeward(&origin, "", failover, KNOWN));
    let nodes = format!(", shield: {{ pops: {{ all: [\"{}\"] }} }}", node(&shield));
    let edge = Edge::start(&leeward(&origin, &nodes, failover, ""));
    assert_eq!(get(&edge, "/stale").status(), 200);
    origin.stop();
    let away = get(&edge, "/away");
    assert_eq!((away.status(), away.field("location").as_deref()), (301, Some("http://www.example.org/away")));
    let cold = get(&edge, "/cold");
    assert_eq!(cold.status(), 503);
    assert_eq!(cold.field("proxy-status").as_deref(), Some("leeward; error=connection_refused"));
    let stale = get(&edge, "/stale");
    assert_eq!((stale.status(), stale.text().as_str()), (200, "x"), "the shield's, or the edge's own: both are there");
    let metrics = edge.metrics();
    assert_eq!(metrics.sum("leeward_failovers_total", &[("to", "direct")]), 0.0, "a shield's answer is the origin's");
}

#[test]
fn a_stored_copy_stands_in_for_an_origin_that_the_shield_cannot_reach_and_not_for_the_origins_own_error() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("direct")));
    let stored = || Answer::ok("stored").with("Cache-Control", "max-age=0").with("ETag", "\"1\"");
    let error = || Answer { status: 503, ..Answer::default() };
    let cannot = error().with("Proxy-Status", "leeward; error=connection_refused");
    let shield = Origin::start(Script::default().on("/cannot", [stored(), cannot]).on("/says", [stored(), error()]));
    let nodes = format!(", shield: {{ pops: {{ all: [\"http://{}\"] }} }}", shield.address());
    let edge = Edge::start(&leeward(&origin, &nodes, "", ""));
    for (path, status) in [("/cannot", 200), ("/says", 503)] {
        assert_eq!(get(&edge, path).status(), 200, "{path}, the first time");
        assert_eq!(get(&edge, path).status(), status, "{path}, the second time");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn clients_that_wait_for_one_object_share_what_the_shield_says_of_the_origin() {
    let _beside = turn::beside();
    const CLIENTS: usize = 30;
    let origin = Origin::start(Script::always(Answer::ok("direct")));
    let cannot = Answer { status: 504, gate: Some("go".into()), ..Answer::default() };
    let shield = Origin::start(Script::always(cannot.with("Proxy-Status", "leeward; error=http_response_timeout")));
    let nodes = format!(", shield: {{ pops: {{ all: [\"http://{}\"] }} }}", shield.address());
    let edge = Edge::start(&leeward(&origin, &nodes, "", ""));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| get(&edge, "/a").status())).collect();
        wait::until("every client to be connected", PATIENCE, || {
            (edge.metrics().sum("leeward_connections", &[]) >= CLIENTS as f64).then_some(())
        });
        shield.open("go");
        for client in clients {
            assert_eq!(client.join().unwrap(), 504);
        }
    });
    // who is connected need not be waiting yet: a few may come later
    assert!(shield.count() <= 4, "{} requests at the shield", shield.count());
    assert_eq!(origin.count(), 0);
}

/// Answers as a gateway would, after a while.
fn gateway(milliseconds: u64) -> Origin {
    let wait = Some(Span(std::time::Duration::from_millis(milliseconds)));
    Origin::start(Script::always(Answer { wait, ..Answer::ok("through a gateway").with("Cache-Control", "private") }))
}

fn behind_gateways(gateways: &[String], origin: &Origin, extra: &str) -> Setup {
    let list: Vec<_> = gateways.iter().map(|gateway| format!("\"http://{gateway}\"")).collect();
    let keys = format!(
        ", platform: adn, validation_path: \"http://{HOST}/probe.png\", shield: {{ gateways: [{}] }}",
        list.join(", ")
    );
    leeward(origin, &keys, "", extra)
}

fn ranks(edge: &Edge) -> Vec<(String, Option<u64>)> {
    let order = tier(edge)["members"].as_array().unwrap().clone();
    let of = |one: &Value| (one["name"].as_str().unwrap().to_owned(), one["rank"].as_u64());
    order.iter().map(of).collect()
}

fn measured(edge: &Edge) -> Value {
    wait::until("the gateways to be measured", PATIENCE, || {
        let tier = tier(edge);
        tier["members"].as_array()?.iter().all(|one| !one["measured"].is_null()).then_some(tier)
    })
}

#[test]
fn the_fastest_gateways_are_asked_in_order_then_the_origin() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("direct")));
    let mut gateways = [gateway(700), gateway(0), gateway(350), gateway(1050)];
    let addresses = gateways.each_ref().map(|gateway| gateway.address().to_string());
    let edge = Edge::start(&behind_gateways(&addresses, &origin, ""));
    measured(&edge);
    let want = [Some(3), Some(1), Some(2), None];
    let want: Vec<_> = addresses.iter().map(|address| format!("http://{address}")).zip(want).collect();
    assert_eq!(ranks(&edge), want);
    let probe = &gateways[1].received()[0];
    for (name, value) in [("host", HOST), ("x-midgress", "1"), ("x-leeward-validate", "adn/main")] {
        assert_eq!(probe.head.value(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(probe.target(), "/probe.png");
    let list = [1, 2, 0].map(|place| addresses[place].clone()).join(",");
    for place in [1, 2, 0] {
        let response = get(&edge, "/app");
        assert_eq!((response.status(), response.text().as_str()), (200, "through a gateway"), "{place}");
        let last = gateways[place].received().pop().unwrap();
        assert_eq!((last.target(), last.head.value("x-gateway-list")), ("/app", Some(list.clone())), "{place}");
        gateways[place].stop();
    }
    let response = get(&edge, "/app");
    assert_eq!((response.status(), response.text().as_str()), (200, "direct"));
    let received = origin.received();
    assert_eq!(received.len(), 1);
    assert_eq!((received[0].head.value("x-gateway-list"), received[0].head.value("x-midgress")), (None, None));
}

#[test]
fn a_gateway_proves_itself_with_every_server_of_the_origin() {
    let _beside = turn::beside();
    let object = || Script::always(Answer::ok("x")).on("/probe.png", [Answer::sized(5000)]);
    let (origin, second) = (Origin::start(object()), Origin::start(object()));
    let with_second = |mut setup: Setup| {
        setup.config = setup.config.replace("\"http://${origin}\"", "\"http://${origin}\", \"http://${second}\"");
        setup.name("second", &second.address())
    };
    let keys = format!(", platform: adn, validation_path: \"http://{HOST}/probe.png\"");
    let good = Edge::start(&with_second(leeward(&origin, &keys, "", KNOWN)));
    let stranger = Edge::start(&with_second(leeward(&origin, &keys, "", "")));
    let addresses = [&stranger, &good].map(|edge| format!("127.0.0.1:{}", port(edge)));
    let edge = Edge::start(&with_second(behind_gateways(&addresses, &origin, "")));
    let tier = measured(&edge);
    let of = |place: usize, key: &str| tier["members"][place][key].clone();
    assert_eq!((of(0, "rank"), of(0, "error")), (2.into(), "status".into()), "it does not know this edge: {tier}");
    assert_eq!((of(1, "rank"), of(1, "error")), (1.into(), Value::Null), "{tier}");
    assert!(of(1, "seconds").as_f64().is_some_and(|seconds| seconds > 0.0), "{tier}");
    for server in [&origin, &second] {
        let probes = server.received();
        assert!(!probes.is_empty() && probes.iter().all(|probe| probe.target() == "/probe.png"), "{probes:?}");
    }
    let response = get(&edge, "/app");
    assert_eq!(response.status(), 200, "{}", response.text());
    requests_settle("two probes and this", &[(&good, 3.0)]);
}

#[test]
fn what_only_a_tier_may_say_reaches_nobody_from_a_client_whose_content_comes_from_another_site() {
    let broken = Origin::start(Script::always(Answer { status: 503, ..Answer::default() }));
    let origin = Origin::start(Script::always(Answer::ok("x").with("Cache-Control", "private")));
    let keys = format!(", validation_path: \"http://{HOST}/probe.png\"");
    let shield = Edge::start(&leeward(&origin, &keys, "", KNOWN));
    let rules = format!(
        r#"rules: [{{ matches: [{{ name: url-wildcard, value: "/*" }}], behaviors: [{{ name: site-failover,
        type: serve-alternate, params: {{ httpResponseStatus: "503", alternateHostname: {HOST}, alternatePath: "-",
        preserveQueryString: true }} }}] }}]"#
    );
    let site = format!("sites: [{{ host: first.example.com, origin: broken, {rules} }}, ");
    for mut setup in [behind(&[&shield], &origin), leeward(&origin, "", "", "")] {
        let server = "origins: [{ directory: broken, http: { servers: [\"http://${broken}\"] } }, ";
        setup.config = setup.config.replace("origins: [", server).replace("sites: [", &site);
        let edge = Edge::start(&setup.name("broken", &broken.address()));
        let request = Request::get("first.example.com", "/a").with("X-Midgress", "1").with("X-Gateway-List", "a,b");
        let response = edge.http().ask(&request.with("X-Leeward-Validate", "http_large/main")).unwrap();
        assert_eq!((response.status(), response.text().as_str()), (200, "x"), "{response:?}");
    }
    let received = origin.received();
    let said = |name: &str| received.iter().map(|request| request.head.value(name)).collect::<Vec<_>>();
    assert_eq!(said("x-midgress"), [Some("1".to_owned()), None], "the shield's word, and nobody's");
    assert_eq!((said("x-gateway-list"), said("x-leeward-validate")), (vec![None, None], vec![None, None]));
}

#[test]
fn where_no_region_is_told_the_nearest_pop_is_asked() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("x").with("Cache-Control", "max-age=60")));
    let mut gone = Origin::start(Script::default());
    gone.stop();
    let shield = shield(&origin);
    let pops = format!("us_east: [\"http://{}\"], us_west: BYWC, europe: [\"{}\"]", gone.address(), node(&shield));
    let edge = Edge::start(&leeward(&origin, &format!(", shield: {{ pops: {{ {pops} }} }}"), "", ""));
    let tier = measured(&edge);
    assert_eq!(tier["members"][0]["error"], "connect_refused", "{tier}");
    assert_eq!((&tier["members"][1]["name"], &tier["members"][1]["rank"]), (&"europe".into(), &1.into()), "{tier}");
    assert_eq!(get(&edge, "/a").status(), 200);
    requests_settle("the shield in Europe to be asked", &[(&shield, 1.0)]);
}

#[test]
fn a_post_goes_past_a_shield_that_refuses_and_never_twice_after_it_was_sent() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("taken")));
    let silent = Answer { raw: Some(Vec::new()), then: leeward_tests::origin::Ending::Close, ..Answer::default() };
    let mut parent = Origin::start(Script::always(silent));
    let nodes = format!(", shield: {{ pops: {{ all: [\"http://{}\"] }} }}", parent.address());
    let edge = Edge::start(&leeward(&origin, &nodes, "", ""));
    let post = || {
        let mut request = Request::new("POST", HOST, "/a").with("Content-Type", "text/plain");
        request.body = Some(b"once".to_vec());
        edge.http().ask(&request).unwrap().status()
    };
    assert_eq!((post(), parent.count(), origin.count()), (502, 1, 0));
    assert_eq!(get(&edge, "/a").text(), "taken", "a GET may be sent again");
    assert_eq!((parent.count(), origin.count()), (2, 1));
    parent.stop();
    assert_eq!((post(), origin.count()), (200, 2));
    assert_eq!(origin.received()[1].body, b"once");
}

#[test]
fn a_shield_proves_its_own_name_and_serves_clients_by_the_scheme_that_they_use() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("x").with("Cache-Control", "max-age=60")));
    let listen_tls =
        r#"listen: [{ address: "${listen.tls}", tls: { certificates: [{ chain: tls/own.pem, key: tls/own.key }] } }]"#;
    let on_tls = |name: &str| {
        let mut setup = leeward(&origin, "", "", KNOWN).certificate("own", &[name]);
        setup.config = setup.config.replace(r#"listen: [{ address: "${listen}" }]"#, listen_tls);
        Edge::start(&setup)
    };
    let table = [
        ("localhost", "localhost", 1.0),
        ("127.0.0.1", "127.0.0.1", 1.0),
        ("elsewhere.example.net", "localhost", 0.0),
        (HOST, "127.0.0.1", 0.0),
    ];
    for (name, node, asked) in table {
        let before = origin.count();
        let shield = on_tls(name);
        let keys = format!(
            ", shield: {{ pops: {{ all: [\"https://{node}:{}\"] }}, tls: {{ ca: tls/ca.pem }} }}",
            shield.https_address().port()
        );
        let edge = Edge::start(&leeward(&origin, &keys, "", "").certificate("any", &["any.example.net"]));
        assert_eq!(get(&edge, "/a").status(), 200, "{name}");
        assert_eq!(origin.count() - before, 1, "{name}");
        requests_settle(name, &[(&shield, asked)]);
    }
}
