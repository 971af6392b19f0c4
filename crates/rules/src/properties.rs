//! Laws that hold for every policy, every request and every input.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::behaviors::Setting;
use crate::decide::{self, AccessMode};
use crate::explain::explain;
use crate::fixture::{Request, in_context, policy_of, read_in};
use crate::grammar::{DeltaTime, IpSet, StatusPattern, StatusSet, Wildcard};
use crate::matches::NAMES;
use crate::{Form, Path, Policy, behaviors};

/// Matches over a small world, so that many rules apply to a request and many almost do.
fn one_match() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        prop::sample::subsequence(vec!["a", "b", "static"], 1..=2).prop_map(|tokens| ("url-path", tokens.join(" "))),
        prop::sample::subsequence(
            vec![
                "/*",
                "/a/*",
                "/a/b/*",
                "/a",
                "*.jpg",
                "/*.png",
                "/a/b/c.jpg",
                "/static/*",
                "*b*",
                "/b*/c*",
                "/*/c.jpg",
                "*/",
                "/*/b/*/"
            ],
            1..=3
        )
        .prop_map(|tokens| ("url-wildcard", tokens.join(" "))),
        prop::sample::select(vec!["/a*", "/a/*", "/a/b/*", "/a/b/c*", "/static/*", "/a /b/*"])
            .prop_map(|pattern| ("url-wildcard", pattern.to_owned())),
        prop::sample::subsequence(vec!["c.jpg", "d.png", "e"], 1..=2)
            .prop_map(|tokens| ("url-filename", tokens.join(" "))),
        prop::sample::subsequence(vec!["jpg", "png", "gz"], 1..=2)
            .prop_map(|tokens| ("url-extension", tokens.join(" "))),
        prop::sample::subsequence(vec!["GET", "HEAD", "POST"], 1..=2)
            .prop_map(|tokens| ("http-method", tokens.join(" "))),
        prop::sample::subsequence(vec!["www.example.com", "b.example.com"], 1..=2)
            .prop_map(|tokens| ("host-name", tokens.join(" "))),
        Just(("url-scheme", "HTTPS".to_owned())),
        prop::sample::select(vec!["X-A: on*", "X-A", "X-A: only no", "X-B", "x-a: * on", "X-A: no"])
            .prop_map(|value| ("header", value.to_owned())),
        prop::sample::select(vec!["session", "a=b", "a=c b", "session=1 a", "a=*b", "b=", "a=b a=b"])
            .prop_map(|value| ("cookie", value.to_owned())),
        prop::sample::select(vec!["k=v", "k", "%6b=%76 y", "x=1", "k=*v", "x=2 z"])
            .prop_map(|value| ("url-querystring", value.to_owned())),
        Just(("client-ip", "10.0.0.0/8".to_owned())),
        Just(("url-path-regex", "b.*c".to_owned())),
    ];
    (value, prop::bool::weighted(0.2))
        .prop_map(|((name, value), negated)| json!({ "name": name, "value": value, "negated": negated }))
}

fn one_behavior() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0u32..100).prop_map(|seconds| json!({ "name": "caching", "type": "fixed", "value": seconds.to_string() })),
        (0u32..100).prop_map(|number| json!({ "name": "origin", "params": { "originDomain": format!("o{number}.example.net") } })),
        prop::sample::select(vec!["yes", "no"]).prop_map(|value| json!({ "name": "deny-access", "value": value })),
        prop::sample::select(vec!["no-store", "no-cache"]).prop_map(|value| json!({ "name": "downstream-caching", "value": value })),
        (0u32..4, 0u32..100).prop_map(|(name, value)| json!({ "name": "modify-outgoing-response-header", "type": "add", "params": { "name": format!("X-{name}"), "value": value.to_string() } })),
        (0u32..4, 0u32..100).prop_map(|(name, value)| json!({ "name": "modify-outgoing-request-header", "type": "modify", "params": { "name": format!("X-{name}"), "value": value.to_string() } })),
        Just(json!({ "name": "ip-blacklist", "value": "10.0.0.0/8" })),
        Just(json!({ "name": "site-failover", "type": "serve-302", "params": { "httpResponseStatus": "500", "alternateHostname": "m.example.net", "alternatePath": "-", "preserveQueryString": true } })),
    ]
}

fn document() -> impl Strategy<Value = Value> {
    let rule = (prop::collection::vec(one_match(), 1..4), prop::collection::vec(one_behavior(), 1..5));
    prop::collection::vec(
        rule.prop_map(|(matches, behaviors)| json!({ "matches": matches, "behaviors": behaviors })),
        0..24,
    )
    .prop_map(|rules| json!({ "rules": rules }))
}

fn request() -> impl Strategy<Value = Request> {
    let url = (
        prop::sample::select(vec!["http", "https"]),
        prop::sample::select(vec!["www.example.com", "b.example.com", "c.example.com:8080"]),
        prop::sample::select(vec![
            "/",
            "/a",
            "/a/",
            "/a/b/c.jpg",
            "/a/b/",
            "/static/d.png",
            "/b/c",
            "/b/e",
            "/x/c.jpg",
            "/a.tar.gz",
            "//a/b",
            "/.jpg",
            "/bc/c.JPG",
        ]),
        prop::sample::select(vec!["", "?k=v", "?k", "?x=1&k=v", "?%6B=v", "?k=&x=2"]),
    );
    (url, prop::sample::select(vec!["GET", "HEAD", "POST"]), any::<(bool, bool, bool)>()).prop_map(
        |((scheme, host, path, query), method, (header, cookie, inside))| {
            let mut request = Request::get(&format!("{scheme}://{host}{path}{query}")).method(method);
            if header {
                request = request.header("x-a", "only");
            }
            if cookie {
                request = request.header("cookie", "a=b; session=1");
            }
            if inside { request.ip("10.1.2.3") } else { request }
        },
    )
}

/// The law without an index and without shortcuts: walk the rules in order, let every applicable one overwrite.
/// Gives for each behaviour (and header) the place of the winner.
fn naive(policy: &Policy, request: &Request) -> Vec<(String, usize, usize)> {
    let facts = request.facts();
    let mut winners: std::collections::BTreeMap<String, (usize, usize)> = std::collections::BTreeMap::new();
    for (number, rule) in policy.rules.iter().enumerate() {
        if !rule.tests.iter().all(|test| test.holds(&facts)) {
            continue;
        }
        for placed in policy.settings.iter().filter(|placed| placed.rule as usize == number) {
            let mut key = placed.slot.name().to_owned();
            if let Setting::Header(edit) = &placed.setting {
                key = format!("{key} {}", edit.name);
            }
            winners.insert(key, (number, placed.behavior as usize));
        }
    }
    winners.into_iter().map(|(key, (rule, behavior))| (key, rule, behavior)).collect()
}

fn explained(policy: &Policy, request: &Request) -> Vec<(String, usize, usize)> {
    let winners = explain(policy, &request.facts(), AccessMode::Exempt).winners;
    let key = |winner: &crate::explain::Winner| {
        winner
            .header
            .as_ref()
            .map_or_else(|| winner.behavior.to_owned(), |header| format!("{} {header}", winner.behavior))
    };
    let mut winners: Vec<_> = winners.iter().map(|winner| (key(winner), winner.rule, winner.index)).collect();
    winners.sort();
    winners
}

/// Any tree, with the language's own words in it often enough to get past the first check.
fn any_tree() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "rules",
            "matches",
            "behaviors",
            "name",
            "value",
            "type",
            "params",
            "negated",
            "-",
            "/*",
            "500:504",
            "1h",
            "now",
            "originDomain",
            "httpResponseStatus",
            "source",
            "destination"
        ])
        .prop_map(str::to_owned),
        prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned),
        prop::sample::select(behaviors::names()).prop_map(str::to_owned),
        ".{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// A document of the right shape with any values in it.
fn shaped() -> impl Strategy<Value = Value> {
    let one = (prop::sample::select(NAMES.to_vec()), prop_oneof![".{0,20}", "[-a-z0-9:/*.$ ]{0,20}"])
        .prop_map(|(name, value)| json!({ "name": name, "value": value }));
    let params = vec![
        "originDomain",
        "hostHeaderType",
        "hostHeaderValue",
        "httpResponseStatus",
        "alternateHostname",
        "alternatePath",
        "preserveQueryString",
        "source",
        "destination",
        "name",
        "value",
        "key",
        "excludeStatus",
        "backupDomain",
        "hostname",
        "path",
        "protocol",
        "connectTimeout",
        "originPort",
    ];
    let param = (
        prop::sample::select(params),
        prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            "[-a-z0-9:/*.$%()?#= ]{0,16}".prop_map(Value::from)
        ],
    );
    let kinds = vec![
        "fixed",
        "include",
        "epoch",
        "date",
        "date-time",
        "replace",
        "serve-302",
        "serve-alternate",
        "301",
        "add",
        "region",
        "country",
    ];
    let behavior = (prop::sample::select(behaviors::names()), prop::sample::select(kinds), prop_oneof![".{0,20}", "[-a-z0-9:/*.#&%= ]{0,20}"], prop::collection::vec(param, 0..6))
        .prop_map(|(name, kind, value, params)| json!({ "name": name, "type": kind, "value": value, "params": params.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<serde_json::Map<_, _>>() }));
    (prop::collection::vec(one, 1..4), prop::collection::vec(behavior, 1..4))
        .prop_map(|(matches, behaviors)| json!({ "rules": [{ "matches": matches, "behaviors": behaviors }] }))
}

/// Reads, and when that succeeds decides: neither may panic.
fn survive(document: &Value, request: &Request) {
    for form in [Form::Json, Form::Yaml] {
        let (written, problems) = read_in(document, form);
        assert_eq!(
            written.is_none(),
            problems.iter().any(|problem| problem.severity == crate::Severity::Error),
            "{document}"
        );
        let Some(written) = written else { continue };
        let policy = in_context(|context| Policy::compile(&written, context));
        assert_eq!(policy.len(), written.rules.len(), "what passes the checks compiles: {document}");
        let explanation = explain(&policy, &request.facts(), AccessMode::Strict);
        serde_json::to_string(&explanation).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_last_applicable_rule_wins(document in document(), requests in prop::collection::vec(request(), 1..8)) {
        let policy = policy_of(&document);
        for request in &requests {
            prop_assert_eq!(explained(&policy, request), naive(&policy, request), "{:?}", request);
        }
    }

    #[test]
    fn explanations_agree_with_decisions(document in document(), request in request()) {
        let policy = policy_of(&document);
        let facts = request.facts();
        let explanation = explain(&policy, &facts, AccessMode::Exempt);
        let effective = policy.evaluate(&facts);
        prop_assert_eq!(explanation.effective(), &effective);
        for rule in &explanation.rules {
            prop_assert_eq!(rule.applies, rule.matches.iter().all(|one| one.holds), "rule {}", rule.rule);
        }
        let allowed = decide::security(&policy, &effective, &facts, AccessMode::Exempt) == decide::Verdict::Allow;
        prop_assert_eq!(explanation.decisions["security"] == "allow", allowed);
        let url = decide::failover(&policy, &effective, &facts, 500).map(|failover| failover.url.to_string());
        prop_assert_eq!(explanation.decisions["failover"]["url"].as_str().map(str::to_owned), url);
        let domain = decide::origin(&policy, &effective).map(|origin| origin.domain);
        prop_assert_eq!(explanation.decisions["fetch"]["origin"]["domain"].as_str(), domain);
        prop_assert_eq!(explanation.decisions["store"].is_null(), decide::store(&policy, &effective).is_none());
        prop_assert_eq!(explanation.decisions["deliver"]["headers"].as_array().map(Vec::len), Some(decide::deliver(&policy, &effective).headers.len()));
    }

    #[test]
    fn the_same_facts_give_the_same_decisions(document in document(), request in request()) {
        let (one, other) = (policy_of(&document), policy_of(&document));
        let facts = request.facts();
        prop_assert_eq!(one.evaluate(&facts), one.evaluate(&facts));
        prop_assert_eq!(one.evaluate(&facts), other.evaluate(&facts));
        let text = |policy: &Policy| serde_json::to_string(&explain(policy, &facts, AccessMode::Exempt)).unwrap();
        prop_assert_eq!(text(&one), text(&other));
    }

    #[test]
    fn no_tree_makes_reading_panic(document in any_tree(), request in request()) {
        survive(&document, &request);
    }

    #[test]
    fn no_value_makes_reading_or_deciding_panic(document in shaped(), request in request()) {
        survive(&document, &request);
    }

    #[test]
    fn no_text_makes_a_grammar_panic(text in prop_oneof![".{0,40}", "[-0-9a-zA-Z:/*.% x,=&+]{0,40}"]) {
        let _ = text.parse::<DeltaTime>();
        let _ = StatusSet::parse(&text);
        let _ = StatusPattern::set(&text);
        let _ = IpSet::parse(&text);
        if let Ok(path) = Path::normalise(&text) {
            prop_assert_eq!(&Path::normalise(path.as_str()).unwrap(), &path);
            prop_assert_eq!(format!("{}{}", path.directory(), path.filename()), path.as_str());
        }
        let slashed = format!("/{text}");
        if let Ok(path) = Path::normalise(&slashed) {
            prop_assert!(path.as_str().is_ascii());
            let hidden = |segment: &str| segment == "." || segment == "..";
            prop_assert!(!path.as_str().split('/').any(hidden), "{}", path);
        }
    }

    #[test]
    fn a_wildcard_agrees_with_a_regular_expression(pattern in "[ab*/]{0,12}", text in "[ab/]{0,24}") {
        let regex: String = pattern.split('*').map(regex::escape).collect::<Vec<_>>().join("(?s:.*)");
        let expected = regex::Regex::new(&format!("^{regex}$")).unwrap().is_match(&text);
        prop_assert_eq!(Wildcard::new(&pattern).matches(&text), expected, "{} {}", pattern, text);
    }

    #[test]
    fn a_wildcard_covers_only_what_it_matches(wide in "[ab*]{0,6}", narrow in "[ab*]{0,6}", text in "[ab]{0,10}") {
        let (wide, narrow) = (Wildcard::new(&wide), Wildcard::new(&narrow));
        if wide.covers(&narrow) && narrow.matches(&text) {
            prop_assert!(wide.matches(&text), "{:?} {:?} {}", wide.as_str(), narrow.as_str(), text);
        }
    }
}
