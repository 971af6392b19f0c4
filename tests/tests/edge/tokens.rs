//! Tokens: nothing tells one or a key, the clock counts for hits too, and tiers pass on what they should.

use std::process::Command;
use std::time::{Duration, Instant};

use leeward_tests::client::Request;
use leeward_tests::edge::{Edge, Setup, binary};
use leeward_tests::origin::{Answer, Origin, Script};
use leeward_tests::wait::{self, PATIENCE};

use crate::stage;

const HOST: &str = "www.example.com";
const KEY: &str = "primarykey0001";
const SIGNING_KEY: &str = "0123456789abcdef0123456789abcdef";
const TOKENS: &str = "token_auth: { primary_key: primarykey0001, backup_key: backupkey0002, directories: [{ path: /main/paid }] }\ncache: { store_on_hit: 1 }";

fn leeward(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(binary()).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).trim_end().to_owned())
}

fn token(plaintext: &str) -> String {
    let (made, token) = leeward(&["token", "encrypt", "--key", KEY, plaintext]);
    assert!(made, "{token}");
    token
}

fn origin() -> Origin {
    Origin::start(Script::always(Answer::ok("paid").with("Cache-Control", "max-age=60")))
}

#[test]
fn nothing_that_the_edge_says_has_a_token_or_a_key() {
    let origin = origin();
    let rules = format!(
        r#"
server: {{ threads: 2, listen: [{{ address: "${{listen}}" }}], grace_period: 5s }}
admin: {{ address: "${{admin}}" }}
origins: [{{ directory: main, http: {{ servers: ["http://${{origin}}"] }} }}]
sites:
  - host: {HOST}
    origin: main
    rules:
      - matches: [{{ name: url-path, value: video }}]
        behaviors:
          - {{ name: token-auth, params: {{ tokenName: hdnts, hmacAlgorithm: SHA256, escapeTokenInputs: false, ignoreQueryString: true, key: {SIGNING_KEY} }} }}
{TOKENS}
"#
    );
    let mut edge = Edge::start(&Setup::new(&rules).name("origin", &origin.address()));
    let (good, over) = (token("ec_expire=4102444800"), token("ec_expire=946684800"));
    let tampered = format!("{}x", &good[..good.len() - 1]);
    let (_, signed) =
        leeward(&["token", "sign", "--key", SIGNING_KEY, "--expires-at", "2100-01-01T00:00:00Z", "--acl", "/video/*"]);
    let mut said = String::new();
    let mut connection = edge.http().connect().unwrap();
    for (target, status) in [
        (format!("/paid/a?{good}"), 200),
        (format!("/paid/a?{good}&v=1"), 200),
        (format!("/paid/a?{over}"), 403),
        (format!("/paid/a?{tampered}"), 403),
        (format!("/video/a?hdnts={signed}"), 200),
        (format!("/video/a?hdnts={signed}0"), 403),
    ] {
        let request = Request::get(HOST, &target).with("Referer", &format!("http://{HOST}{target}"));
        let response = connection.ask(&request).unwrap();
        assert_eq!(response.status(), status, "{target}: {}", response.text());
        said += &format!("{:?}", response.head);
        let url = format!("http://{HOST}{target}");
        let config = edge.directory().join("leeward.yaml");
        for format in ["text", "json"] {
            let (_, explained) = leeward(&["explain", &url, "--config", config.to_str().unwrap(), "--format", format]);
            assert!(explained.contains("AUTH_"), "{explained}");
            said += &explained;
        }
    }
    for path in ["/v1/config", "/v1/cache", "/v1/origins", "/metrics"] {
        said += &edge.admin("GET", path, None).unwrap().text();
    }
    let entries = edge.output().wait_for_entries(6, PATIENCE);
    let codes: Vec<_> = entries.iter().map(|entry| entry["token"].as_str().unwrap_or_default()).collect();
    assert_eq!(
        codes,
        ["AUTH_ALLOW", "AUTH_ALLOW", "AUTH_DENY_EXPIRE", "AUTH_DENY_DECRYPT", "AUTH_ALLOW", "AUTH_DENY_DECRYPT"]
    );
    edge.signal(rustix::process::Signal::TERM);
    assert!(edge.wait(PATIENCE).success());
    said += &[edge.output().out(), edge.output().err()].concat().join("\n");
    for received in origin.received() {
        assert!(["/paid/a", "/paid/a?v=1", "/video/a"].contains(&received.target()), "{}", received.target());
    }
    let mac = signed.rsplit('=').next().unwrap();
    for secret in [&*good, &*over, &*tampered, mac, KEY, "backupkey0002", SIGNING_KEY] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[test]
fn a_hit_is_no_longer_served_when_the_token_is_over() {
    let origin = origin();
    let edge = stage::edge(&origin, TOKENS);
    let (_, short) = leeward(&["token", "encrypt", "--key", KEY, "--expires-in", "3s"]);
    let target = format!("/paid/a?{short}");
    let begun = Instant::now();
    let mut connection = edge.http().connect().unwrap();
    let mut hits = 0;
    let over = wait::until("the token to be over", PATIENCE, || {
        let response = connection.ask(&Request::get(HOST, &target)).unwrap();
        hits += u32::from(response.status() == 200);
        wait::pause(Duration::from_millis(5));
        (response.status() == 403).then(|| begun.elapsed())
    });
    assert!(hits > 10, "{hits}");
    assert!(over <= Duration::from_millis(4_500), "over after {over:?}");
    // the object is there; who asks for it without a token does not see it
    for target in ["/paid/a", "/paid/a?nonsense"] {
        assert_eq!(connection.ask(&Request::get(HOST, target)).unwrap().status(), 403, "{target}");
    }
    let never = format!("/paid/a?{}", token("ec_expire=0"));
    assert_eq!(connection.ask(&Request::get(HOST, &never)).unwrap().text(), "paid");
    assert_eq!(origin.count(), 1);
    edge.stop();
}

#[test]
fn a_shield_gets_no_token_unless_the_origin_is_to_have_it() {
    for forward in [false, true] {
        let origin = origin();
        let tokens = TOKENS.replace("token_auth: {", &format!("token_auth: {{ forward: {forward},"));
        let known = "\naddresses: { edge: [127.0.0.0/8] }";
        let setup = |of_origin: &str, extra: &str| {
            let config = format!(
                r#"
server: {{ threads: 2, listen: [{{ address: "${{listen}}" }}], grace_period: 5s }}
admin: {{ address: "${{admin}}" }}
origins: [{{ directory: main, http: {{ servers: ["http://${{origin}}"] }}{of_origin} }}]
sites: [{{ host: {HOST}, origin: main, query_string: unique }}]
{tokens}{extra}
"#
            );
            Setup::new(&config).name("origin", &origin.address())
        };
        let shield = Edge::start(&setup("", known));
        let port = shield.http().address.port();
        let edge = Edge::start(&setup(&format!(", shield: {{ pops: {{ all: [\"http://127.0.0.1:{port}\"] }} }}"), ""));
        let (one, two) = (token("ec_expire=4102444800"), token("ec_expire=4102444801"));
        for (token, path) in [(&one, "/paid/a"), (&two, "/paid/a"), (&two, "/paid/b")] {
            let response = edge.http().get(HOST, &format!("{path}?{token}&v=1"));
            assert_eq!((response.status(), &*response.text()), (200, "paid"), "{path} {forward}");
        }
        let want = |path: &str, token: &str| {
            if forward { format!("{path}?{token}&v=1") } else { format!("{path}?v=1") }
        };
        let received: Vec<_> = origin.received().iter().map(|received| received.target().to_owned()).collect();
        assert_eq!(received, [want("/paid/a", &one), want("/paid/b", &two)]);
        // whoever asks the shield is a client there, unless it is a tier
        assert_eq!(edge.http().get(HOST, "/paid/a?v=1").status(), 403);
        // both have stored it without its token: another edge with another token gets the shield's copy
        let other = Edge::start(&setup(&format!(", shield: {{ pops: {{ all: [\"http://127.0.0.1:{port}\"] }} }}"), ""));
        assert_eq!(other.http().get(HOST, &format!("/paid/a?{two}&v=1")).status(), 200);
        assert_eq!(origin.count(), 2, "{forward}");
        for edge in [edge, other, shield] {
            edge.stop();
        }
    }
}
