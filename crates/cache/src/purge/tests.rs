use http::HeaderMap;

use super::*;

const NAMES: Names<'static> = Names {
    key_host: "http_large/photos",
    key_path: "/photography/img/a.jpg",
    client_host: "www.example.com",
    client_path: "/img/a.jpg",
    query: b"x=1",
};

fn answer(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn labels() -> Arc<Labels> {
    let fields = [("surrogate-key", "front  Product-7"), ("cache-tag", "sale, news,"), ("surrogate-key", "more")];
    Arc::new(Labels::new(&NAMES, &answer(&fields)))
}

fn url(side: Side, host: &str, path: &str, query: Option<&str>) -> Rule {
    Rule::Url { side, host: host.into(), path: path.into(), query: query.map(|query| query.as_bytes().to_vec()) }
}

fn prefix(side: Side, host: &str, path: &str) -> Rule {
    Rule::Prefix { side, host: host.into(), path: path.into() }
}

fn host(side: Side, host: &str) -> Rule {
    Rule::Host { side, host: host.into() }
}

fn tag(tag: &str) -> Rule {
    Rule::Tag(tag.into())
}

/// Which rules name the object of [`NAMES`].
fn table() -> Vec<(Rule, bool)> {
    use Side::{Client, Key};
    let long = format!("/img/a.jpg{}", "x".repeat(9000));
    vec![
        (url(Client, "www.example.com", "/img/a.jpg", None), true),
        (url(Client, "www.example.com", "/img/a.jpg", Some("x=1")), true),
        (url(Client, "www.example.com", "/img/a.jpg", Some("x=2")), false),
        (url(Client, "www.example.com", "/img/a.jpg", Some("")), false),
        (url(Client, "www.example.com", "/img/a.jp", None), false),
        (url(Client, "www.example.com", "/img/A.jpg", None), false),
        (url(Client, "example.com", "/img/a.jpg", None), false),
        (url(Client, "http_large/photos", "/photography/img/a.jpg", None), false),
        (url(Key, "http_large/photos", "/photography/img/a.jpg", None), true),
        (url(Key, "http_large/photos", "/photography/img/a.jpg", Some("x=1")), true),
        (url(Key, "http_large/photos", "/img/a.jpg", None), false),
        (url(Key, "www.example.com", "/img/a.jpg", None), false),
        (prefix(Client, "www.example.com", ""), true),
        (prefix(Client, "www.example.com", "/"), true),
        (prefix(Client, "www.example.com", "/im"), true),
        (prefix(Client, "www.example.com", "/img"), true),
        (prefix(Client, "www.example.com", "/img/"), true),
        (prefix(Client, "www.example.com", "/img/a.jpg"), true),
        (prefix(Client, "www.example.com", "/img/a.jpg2"), false),
        (prefix(Client, "www.example.com", "/images"), false),
        (prefix(Client, "www.example.com", "/images/"), false),
        (prefix(Client, "www.example.com", &long), false),
        (prefix(Client, "www.example.co", "m/img"), false),
        (prefix(Key, "http_large/photos", "/photography/"), true),
        (prefix(Key, "http_large/photos", "/photographs/"), false),
        (prefix(Key, "http_large/photo", "/photography/"), false),
        (host(Client, "www.example.com"), true),
        (host(Client, "www.example.org"), false),
        (host(Key, "http_large/photos"), true),
        (host(Key, "www.example.com"), false),
        (tag("front"), true),
        (tag("Product-7"), true),
        (tag("more"), true),
        (tag("sale"), true),
        (tag("news"), true),
        (tag("product-7"), false),
        (tag("front  Product-7"), false),
        (tag("sal"), false),
        (tag(""), false),
        (Rule::Everything, true),
    ]
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Stands => "stands",
        Verdict::Stale(_) => "stale",
        Verdict::Gone => "gone",
    }
}

#[tokio::test]
async fn a_rule_holds_for_what_it_names_and_what_was_asked_for_before_it() {
    for (rule, names_it) in table() {
        for soft in [false, true] {
            let ledger = Ledger::open(None).unwrap();
            let before = Stamp { sequence: ledger.sequence(), labels: labels() };
            assert_eq!(word(ledger.verdict(&before)), "stands", "{rule:?} not yet");
            let purge = Purge { soft, rules: vec![rule.clone()] };
            let sequence = ledger.record(&purge).await.unwrap();
            let after = Stamp { sequence: ledger.sequence(), labels: labels() };
            let wanted = match (names_it, soft) {
                (false, _) => "stands",
                (true, true) => "stale",
                (true, false) => "gone",
            };
            assert_eq!(word(ledger.verdict(&before)), wanted, "{purge:?}");
            assert_eq!(word(ledger.verdict(&after)), "stands", "{purge:?}, asked for afterwards");
            assert!(before.sequence <= sequence && sequence < after.sequence, "{before:?} {sequence} {after:?}");
        }
    }
}

#[tokio::test]
async fn many_rules_do_not_hide_each_other() {
    let ledger = Ledger::open(None).unwrap();
    let stamp = Stamp { sequence: ledger.sequence(), labels: labels() };
    let (named, others): (Vec<_>, Vec<_>) = table().into_iter().partition(|(_, names_it)| *names_it);
    for (rule, _) in others {
        ledger.record(&Purge { soft: false, rules: vec![rule] }).await.unwrap();
    }
    assert_eq!(word(ledger.verdict(&stamp)), "stands");
    for (rule, _) in named {
        let stamp = Stamp { sequence: ledger.sequence(), labels: labels() };
        ledger.record(&Purge { soft: true, rules: vec![rule.clone()] }).await.unwrap();
        assert_eq!(word(ledger.verdict(&stamp)), "stale", "{rule:?}");
    }
}
