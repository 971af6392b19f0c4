//! How many attacks are stopped, and how many ordinary requests.

use std::collections::BTreeMap;

use leeward_tests::wait::{self, PATIENCE};

use super::*;

const ATTACKS: &str = include_str!("../../../corpus/waf/attacks.txt");
const ORDINARY: &str = include_str!("../../../corpus/waf/ordinary.txt");

fn lines(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
}

/// Percent-encoded, but for what is so already.
fn encoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let encode = |(at, byte): (usize, &u8)| match byte {
        b'%' if hex(at + 1) && hex(at + 2) => "%".to_owned(),
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    bytes.iter().enumerate().map(encode).collect()
}

fn carriers(payload: &str, host: &str) -> [(&'static str, Request); 3] {
    let form = format!("a=1&q={}&b=2", encoded(payload));
    let json = serde_json::json!({ "a": 1, "q": [payload], "b": "2" }).to_string();
    [
        ("query", browser("GET", host, &format!("/search?lang=en&q={}", encoded(payload)))),
        ("form", post(host, "/form", FORM, form.as_bytes())),
        ("json", post(host, "/api/v1/items", "application/json", json.as_bytes())),
    ]
}

#[test]
fn attacks_are_refused_before_the_origin_hears_of_them() {
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    let mut stopped: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    let mut passed = Vec::new();
    for (kind, payload) in lines(ATTACKS) {
        for (carrier, request) in carriers(payload, BLOCK) {
            let before = origin.count();
            let answer = ask(&edge, &request);
            let (seen, count) = stopped.entry((kind, carrier)).or_default();
            *count += 1;
            if answer.status() == 403 {
                *seen += 1;
                assert_eq!(origin.count(), before, "{kind} by {carrier}: {payload}");
                assert_eq!(answer.field("X-EC-Security-Audit").as_deref(), Some("403"), "{payload}");
                assert_eq!(answer.field("Cache-Control").as_deref(), Some("no-store"), "{payload}");
            } else {
                assert_eq!(answer.status(), 200, "{payload}");
                passed.push(format!("{kind} by {carrier}: {payload}"));
            }
        }
    }
    let (seen, count) = stopped.values().fold((0, 0), |(seen, count), (s, c)| (seen + s, count + c));
    println!("stopped {seen} of {count}: {stopped:?}\npassed: {passed:#?}");
    assert!(count >= 600, "{count}");
    assert!(seen * 1000 >= count * LEAST, "{seen} of {count}: {passed:#?}");
    let metrics = edge.metrics();
    assert_eq!(
        metrics.sum_of("leeward_waf_requests_total{site=\"block.example.com\",verdict=\"blocked\"}"),
        seen as f64
    );
    // the last request is counted when it is logged
    let denied = || edge.metrics().sum_of("leeward_denied_total{reason=\"waf\"}");
    wait::until("every refusal in the metrics", PATIENCE, || (denied() >= seen as f64).then_some(()));
    assert_eq!(denied(), seen as f64);
}

/// Of a thousand attacks, so many are refused at least.
const LEAST: usize = 995;

#[test]
fn ordinary_requests_pass() {
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    let (mut count, mut refused) = (0, Vec::new());
    for (kind, rest) in lines(ORDINARY) {
        let (target, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let request = match kind {
            "GET" => browser("GET", BLOCK, target),
            "form" => post(BLOCK, target, FORM, body.as_bytes()),
            _ => post(BLOCK, target, "application/json", body.as_bytes()),
        };
        count += 1;
        match ask(&edge, &request).status() {
            200 => {}
            403 => refused.push(rest),
            other => panic!("{rest}: {other}"),
        }
    }
    println!("refused {} of {count}: {refused:#?}", refused.len());
    assert!(count >= 200, "{count}");
    assert!(refused.len() <= 3, "{refused:#?}");
}

#[test]
fn in_detect_mode_the_same_is_found_and_everything_passes() {
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    for (number, (_, payload)) in lines(ATTACKS).enumerate().step_by(9) {
        let (carrier, detect) = carriers(payload, DETECT).into_iter().nth(number % 3).unwrap();
        let (_, block) = carriers(payload, BLOCK).into_iter().nth(number % 3).unwrap();
        let refused = ask(&edge, &block).status() == 403;
        let before = edge.metrics().sum_of("leeward_waf_requests_total{verdict=\"detected\"}");
        assert_eq!(ask(&edge, &detect).status(), 200, "{payload} by {carrier}");
        let found = edge.metrics().sum_of("leeward_waf_requests_total{verdict=\"detected\"}") > before;
        assert_eq!(found, refused, "{payload} by {carrier}");
    }
}
