use leeward_cache::purge::{MAX_RULES, Stamp, Verdict};
use leeward_rules::Scheme;
use pingora::http::RequestHeader;

use super::*;
use crate::context::Context;
use crate::phase::{request, store};

const CONFIG: &str = r#"
account: "0001"
cdn_hosts: { wpc.0001.example.net: http_large }
origins:
  - { directory: photos, http: { servers: ["http://192.0.2.1"] }, host_header: origin.example.com }
  - { directory: own, http: { servers: ["http://192.0.2.2"] } }
sites:
  - { host: www.example.com, origin: photos, path: /photography }
  - { host: alias.example.com, origin: photos, path: /photography }
  - { host: below.example.com, origin: photos }
  - { host: own.example.com, origin: own, query_string: unique }
  - { host: "*.wild.example.com", origin: own }
  - host: ruled.example.com
    origin: photos
    rules:
      - matches: [{ name: header, value: "X-Short: 1" }]
        behaviors: [{ name: cachekey-query-args, type: include, value: a }]
      - matches: [{ name: url-wildcard, value: "/old/*" }]
        behaviors: [{ name: rewrite, params: { source: "^/old/(.*)$", destination: "/new/$1" } }]
"#;

fn snapshot() -> Arc<Snapshot> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("leeward.yaml");
    std::fs::write(&path, CONFIG).unwrap();
    let loaded = leeward_config::load_to_run(&path);
    assert!(loaded.snapshot.is_some(), "{:?}", loaded.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>());
    Arc::new(loaded.snapshot.unwrap())
}

/// The stamp of the object that a request stores.
fn stored(snapshot: &Arc<Snapshot>, ledger: &Ledger, url: &str) -> Stamp {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (rest, field) = rest.split_once(' ').map_or((rest, None), |(rest, field)| (rest, Some(field)));
    let (host, target) = rest.split_at(rest.find('/').unwrap());
    let mut header = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
    header.insert_header("Host", host).unwrap();
    if let Some((name, value)) = field.and_then(|field| field.split_once('=')) {
        header.insert_header(name.to_owned(), value).unwrap();
    }
    let mut ctx = Context::new(Arc::clone(snapshot));
    ctx.client.scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request::route(&header, &mut ctx).unwrap_or_else(|_| panic!("{url} has no route"));
    let route = ctx.route.take().unwrap();
    let mut answer = http::HeaderMap::new();
    answer.insert("surrogate-key", "front page".parse().unwrap());
    let labels = Arc::new(store::labels(&header, &answer, &ctx, &route));
    Stamp { sequence: ledger.sequence(), labels }
}

struct Bed {
    snapshot: Arc<Snapshot>,
    ledger: Arc<Ledger>,
    purges: Purges,
}

fn bed() -> Bed {
    let (snapshot, ledger) = (snapshot(), Ledger::open(None).unwrap());
    let current = Arc::new(ArcSwap::from(Arc::clone(&snapshot)));
    let purges = Purges::new(current, Arc::clone(&ledger), Arc::new(Metrics::new().unwrap()));
    Bed { snapshot, ledger, purges }
}

async fn ask(purges: &Purges, body: &str) -> (u16, String) {
    let Reply { status, body, .. } = purges.reply(body.as_bytes()).await;
    (status, body.to_string())
}

#[tokio::test]
async fn a_purge_reaches_every_address_of_the_object_and_no_other() {
    let cases = [
        // what is purged, what was asked for, whether it is gone
        (r#"{"url":"https://www.example.com/a.jpg"}"#, "https://www.example.com/a.jpg", true),
        (r#"{"url":"https://www.example.com/a.jpg"}"#, "http://www.example.com/a.jpg", true),
        (r#"{"url":"http://www.example.com/a.jpg"}"#, "https://www.example.com/a.jpg", true),
        (r#"{"url":"https://WWW.example.com./a.jpg"}"#, "https://www.example.com/a.jpg", true),
        (r#"{"url":"www.example.com/%61.jpg"}"#, "https://www.example.com/a.jpg", true),
        (r#"{"url":"www.example.com/x/../a.jpg"}"#, "https://www.example.com/a.jpg", true),
        (r#"{"url":"www.example.com/a.jpg"}"#, "https://alias.example.com/a.jpg", true),
        (r#"{"url":"www.example.com/a.jpg"}"#, "https://below.example.com/photography/a.jpg", true),
        (r#"{"url":"www.example.com/a.jpg"}"#, "http://wpc.0001.example.net/800001/photos/photography/a.jpg", true),
        (
            r#"{"url":"http://wpc.0001.example.net/800001/photos/photography/a.jpg"}"#,
            "http://www.example.com/a.jpg",
            true,
        ),
        (r#"{"url":"www.example.com/a.jpg"}"#, "https://below.example.com/a.jpg", false),
        (r#"{"url":"www.example.com/a.jpg"}"#, "https://www.example.com/A.jpg", false),
        (r#"{"url":"www.example.com/a"}"#, "https://www.example.com/a.jpg", false),
        (r#"{"url":"www.example.com/a.jpg"}"#, "https://own.example.com/a.jpg", false),
        (r#"{"url":"www.example.com"}"#, "https://www.example.com/", true),
        // ports: a key may have one, a purge means all
        (r#"{"url":"own.example.com/a"}"#, "http://own.example.com:8080/a", true),
        (r#"{"url":"own.example.com:9090/a"}"#, "http://own.example.com:8080/a", true),
        // queries
        (r#"{"url":"own.example.com/a"}"#, "http://own.example.com/a?x=1", true),
        (r#"{"url":"own.example.com/a?x=1"}"#, "http://own.example.com/a?x=1", true),
        (r#"{"url":"own.example.com/a?x=2"}"#, "http://own.example.com/a?x=1", false),
        (r#"{"url":"own.example.com/a?x=1"}"#, "http://own.example.com/a", false),
        (r#"{"url":"own.example.com/a?"}"#, "http://own.example.com/a", true),
        (r#"{"url":"own.example.com/a?"}"#, "http://own.example.com/a?x=1", false),
        (r#"{"url":"www.example.com/a?x=1"}"#, "http://www.example.com/a?x=2", true),
        (r#"{"url":"ruled.example.com/a?a=1&b=2"}"#, "http://ruled.example.com/a?a=1&b=2", true),
        (r#"{"url":"ruled.example.com/a?a=1&b=2"}"#, "http://ruled.example.com/a?a=1&b=3", false),
        (r#"{"url":"ruled.example.com/a?a=1&b=2"}"#, "http://ruled.example.com/a?a=1&b=2 X-Short=1", true),
        (r#"{"url":"ruled.example.com/a?a=1&b=2"}"#, "http://ruled.example.com/a?a=2&b=2 X-Short=1", false),
        // rewritten paths
        (r#"{"url":"ruled.example.com/old/a"}"#, "http://ruled.example.com/old/a", true),
        (r#"{"url":"ruled.example.com/old/a"}"#, "http://ruled.example.com/new/a", true),
        (r#"{"prefix":"ruled.example.com/old/"}"#, "http://ruled.example.com/new/a", true),
        (r#"{"prefix":"ruled.example.com/new/"}"#, "http://ruled.example.com/old/a", true),
        (r#"{"prefix":"ruled.example.com/old/"}"#, "http://ruled.example.com/a", false),
        // prefixes
        (r#"{"prefix":"www.example.com/img/"}"#, "http://www.example.com/img/a/b", true),
        (r#"{"prefix":"www.example.com/img/*"}"#, "http://www.example.com/img/a/b", true),
        (r#"{"url":"www.example.com/img/*"}"#, "http://www.example.com/img/a/b", true),
        (r#"{"url":"www.example.com/im*"}"#, "http://www.example.com/img/a/b", true),
        (r#"{"prefix":"www.example.com/img"}"#, "http://alias.example.com/img2", true),
        (r#"{"prefix":"www.example.com/img/"}"#, "http://www.example.com/img", false),
        (r#"{"prefix":"www.example.com/img"}"#, "http://www.example.com/images/a", false),
        (r#"{"prefix":"https://www.example.com/"}"#, "http://www.example.com/a", true),
        (r#"{"prefix":"www.example.com"}"#, "http://alias.example.com/a", true),
        (r#"{"prefix":"www.example.com"}"#, "http://below.example.com/a", false),
        // hosts
        (r#"{"host":"www.example.com"}"#, "http://www.example.com/a", true),
        (r#"{"host":"WWW.example.com:443"}"#, "http://www.example.com/a", true),
        (r#"{"host":"www.example.com"}"#, "http://alias.example.com/a", true),
        (r#"{"host":"www.example.com"}"#, "http://below.example.com/photography/a", true),
        (r#"{"host":"www.example.com"}"#, "http://below.example.com/a", false),
        (r#"{"host":"www.example.com"}"#, "http://own.example.com/a", false),
        (r#"{"host":"a.wild.example.com"}"#, "http://a.wild.example.com:81/a", true),
        (r#"{"host":"a.wild.example.com"}"#, "http://b.wild.example.com/a", false),
        (r#"{"host":"wpc.0001.example.net"}"#, "http://wpc.0001.example.net/800001/photos/a", true),
        (r#"{"host":"wpc.0001.example.net"}"#, "http://www.example.com/a", true),
        (r#"{"host":"wpc.0001.example.net"}"#, "http://own.example.com/a", false),
        // tags and everything
        (r#"{"tag":"front"}"#, "http://own.example.com/a", true),
        (r#"{"tags":["back","page"]}"#, "http://own.example.com/a", true),
        (r#"{"tag":"Front"}"#, "http://own.example.com/a", false),
        (r#"{"all":true}"#, "http://own.example.com/a", true),
        (r#"{"urls":["www.example.com/x","own.example.com/a"],"tags":["y"]}"#, "http://own.example.com/a", true),
        (r#"{"url":"gone.example.com/a","force":true}"#, "http://own.example.com/a", false),
    ];
    for (body, url, gone) in cases {
        let bed = bed();
        let stamp = stored(&bed.snapshot, &bed.ledger, url);
        let (status, said) = ask(&bed.purges, body).await;
        assert_eq!(status, 200, "{body}: {said}");
        let verdict = bed.ledger.verdict(&stamp);
        assert_eq!(verdict == Verdict::Gone, gone, "{body} and {url}: {verdict:?}\n{stamp:?}\n{said}");
        assert!(gone || verdict == Verdict::Stands, "{body} and {url}: {verdict:?}");
        let after = stored(&bed.snapshot, &bed.ledger, url);
        assert_eq!(bed.ledger.verdict(&after), Verdict::Stands, "{body} and {url}, asked for afterwards");
    }
}

#[tokio::test]
async fn what_cannot_be_purged_is_refused_with_the_reason_and_nothing_is() {
    let many = format!(r#"{{"tags":[{}"x"]}}"#, r#""x","#.repeat(ENTRIES));
    let long = format!(r#"{{"tag":"{}"}}"#, "x".repeat(1025));
    let cases = [
        ("", "the body:"),
        ("[]", "the body:"),
        ("{}", "nothing to purge"),
        (r#"{"urls":[]}"#, "nothing to purge"),
        (r#"{"soft":true}"#, "nothing to purge"),
        (r#"{"all":false}"#, "nothing to purge"),
        (r#"{"everything":true}"#, "unknown field `everything`"),
        (r#"{"url":"a","urls":["b"]}"#, "duplicate field"),
        (r#"{"urls":[1]}"#, "a text or a list of texts"),
        (&many, "1001 things to purge, and at most 1000"),
        (r#"{"url":"nowhere.example.org/a"}"#, "no site or CDN URL here has it"),
        (r#"{"host":"nowhere.example.org"}"#, "no site or CDN URL here has it"),
        (r#"{"prefix":"nowhere.example.org/"}"#, "force"),
        (r#"{"url":"wpc.0001.example.net/800001/nothing/a"}"#, "no site or CDN URL here has it"),
        (r#"{"url":"/a"}"#, "a host comes first"),
        (r#"{"url":""}"#, "a host comes first"),
        (r#"{"url":"ftp://www.example.com/a"}"#, "ftp://"),
        (r#"{"url":"http://user@www.example.com/a"}"#, "is no host"),
        (r#"{"url":"http://www.exa mple.com/a"}"#, "is no host"),
        (r#"{"url":"www.example.com/a b"}"#, "escaped"),
        (r#"{"url":"www.example.com/%zz"}"#, "hexadecimal"),
        (r#"{"url":"www.example.com/a#b"}"#, "fragment"),
        (r#"{"url":"www.example.com/a*.jpg"}"#, "at its end only"),
        (r#"{"prefix":"www.example.com/a/*/b"}"#, "at its end only"),
        (r#"{"prefix":"www.example.com/a?x"}"#, "no query"),
        (r#"{"host":"https://www.example.com"}"#, "no scheme and no path"),
        (r#"{"host":"www.example.com/a"}"#, "no scheme and no path"),
        (r#"{"tag":""}"#, "1 to 1024 bytes"),
        (&long, "1 to 1024 bytes"),
        (r#"{"tag":"a b, c"}"#, "no comma"),
        (r#"{"urls":["www.example.com/a","nowhere.example.org/a"]}"#, "nowhere.example.org"),
    ];
    let bed = bed();
    for (body, why) in cases {
        let (status, said) = ask(&bed.purges, body).await;
        assert_eq!(status, 400, "{body}: {said}");
        assert!(said.contains(why), "{body}: {why:?} is not in {said}");
    }
    assert_eq!(bed.ledger.rules(), 0, "something was purged all the same");
}

#[tokio::test]
async fn a_full_ledger_asks_to_come_again_and_still_purges_everything() {
    let bed = bed();
    let rules =
        |from: usize| (from..from + MAX_RULES / 2).map(|n| leeward_cache::purge::Rule::Tag(n.to_string())).collect();
    for half in [0, MAX_RULES / 2] {
        bed.ledger.record(&Purge { soft: false, rules: rules(half) }).await.unwrap();
    }
    let refused = bed.purges.reply(br#"{"tag":"one more"}"#).await;
    assert_eq!((refused.status, refused.again), (503, Some(AFTER_A_SWEEP)), "{}", refused.body);
    assert_eq!(ask(&bed.purges, r#"{"all":true}"#).await.0, 200);
    assert_eq!(bed.ledger.rules(), 1);
}

#[tokio::test]
async fn a_purge_is_counted_by_what_it_names_and_one_more_than_may_run_comes_again() {
    let bed = bed();
    ask(&bed.purges, r#"{"urls":["www.example.com/a","www.example.com/b"],"tag":"c","soft":true}"#).await;
    let counted = String::from_utf8(bed.purges.metrics.render()).unwrap();
    for line in [r#"leeward_purges_total{kind="url"} 2"#, r#"leeward_purges_total{kind="tag"} 1"#] {
        assert!(counted.contains(line), "{line} is not in {counted}");
    }
    let all = bed.purges.room.acquire_many(AT_ONCE as u32).await.unwrap();
    let refused = bed.purges.reply(br#"{"all":true}"#).await;
    assert_eq!((refused.status, refused.again), (503, Some(AGAIN)), "{}", refused.body);
    drop(all);
    assert_eq!(ask(&bed.purges, r#"{"all":true}"#).await.0, 200);
}
