//! What becomes of the policies of sites.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leeward_config::ready::{Origin, QueryString, Servers, Site};
use leeward_config::{Snapshot, load};
use leeward_rules::{Facts, Path, Scheme, decide};

/// The two documents of the site-failover description, as customers have them.
const FAILOVER: &str = r#"
       { 
         "rules": [
           {
             "matches": [
               {
                 "name": "http-method",
                 "value": "GET"
               }
             ],
             "behaviors": [
               {
                 "name": "site-failover",
                 "type": "serve-301",
                 "params": {
                   "httpResponseStatus": "404 500:504",
                   "alternateHostname": "www.alternatehostname.com",
                   "alternatePath": "/newdir1/newdir2",
                   "preserveQueryString": true
                 }
               }
             ]
           }
         ]
       }
"#;
const DOWNSTREAM: &str = r#"
       {
         "rules": [ 
           {
             "matches": [
               {
                 "name": "http-method",
                 "value": "GET"
               }
             ],
             "behaviors": [
               {
                 "name": "downstream-caching",
                 "value": "no-store"
               }
             ]
           }
         ]
       }
"#;

const ORIGINS: &str = "origins:
  - directory: photos
    http: { servers: [\"http://a.example.net:8000\", \"http://b.example.net\"] }
    https: { servers: [\"https://a.example.net\"] }
    host_header: photos.example.net
    timeouts: { connect: 1s }
    tls: { sni: secure.example.net }
  - directory: films
    http: { servers: [\"http://films.example.net\"] }
";

/// A configuration in a folder of its own, with the two documents beside it.
fn folder(main: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("failover.json"), FAILOVER).unwrap();
    std::fs::write(folder.path().join("downstream.json"), DOWNSTREAM).unwrap();
    let path = folder.path().join("leeward.yaml");
    std::fs::write(&path, main).unwrap();
    (folder, path)
}

fn read(path: &std::path::Path) -> Snapshot {
    let loaded = load(path);
    loaded.snapshot.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

fn snapshot(main: &str) -> Snapshot {
    read(&folder(main).1)
}

fn site(snapshot: &Snapshot, host: &str) -> Arc<Site> {
    Arc::clone(snapshot.sites.find(host).unwrap())
}

/// Asks with a GET of `/a?x=1` what is decided.
fn with_facts<T>(site: &Site, method: &str, ask: impl FnOnce(&Facts<'_>) -> T) -> T {
    let path = Path::normalise("/a").unwrap();
    let headers = http::HeaderMap::new();
    ask(&Facts {
        method,
        scheme: Scheme::Http,
        host: &site.host,
        authority: &site.host,
        path: &path,
        query: Some("x=1"),
        headers: &headers,
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        place: None,
        now: 1_900_000_000,
    })
}

fn target(site: &Site) -> Option<String> {
    with_facts(site, "GET", |facts| {
        let effective = site.policy.evaluate(facts);
        decide::failover(&site.policy, &effective, facts, 503).map(|failover| failover.url.to_string())
    })
}

/// The origin that a GET goes to.
fn origin_of(site: &Site, method: &str) -> Option<Arc<Origin>> {
    with_facts(site, method, |facts| {
        let effective = site.policy.evaluate(facts);
        let choice = decide::origin(&site.policy, &effective)?;
        site.policy_origins.get(&choice).cloned()
    })
}

fn servers(list: Option<&Servers>) -> Vec<String> {
    list.map(|list| list.servers.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

#[test]
fn the_documented_policies_load_unchanged_from_json_and_inside_yaml() {
    let indented = |document: &str| document.replace('\n', "\n    ");
    let main = format!(
        "{ORIGINS}sites:
  - {{ host: a.example.com, origin: photos, policy: failover.json }}
  - {{ host: b.example.com, origin: photos, policy: downstream.json }}
  - host: c.example.com
    origin: photos
    rules: {}
  - host: d.example.com
    origin: photos
    rules: {}
",
        indented(FAILOVER.trim().trim_start_matches('{').trim_end_matches('}').trim().trim_start_matches("\"rules\":")),
        indented(
            DOWNSTREAM.trim().trim_start_matches('{').trim_end_matches('}').trim().trim_start_matches("\"rules\":")
        ),
    );
    let snapshot = snapshot(&main);
    for (host, expected) in [
        ("a.example.com", Some("http://www.alternatehostname.com/newdir1/newdir2?x=1")),
        ("b.example.com", None),
        ("c.example.com", Some("http://www.alternatehostname.com/newdir1/newdir2?x=1")),
        ("d.example.com", None),
    ] {
        let site = site(&snapshot, host);
        assert_eq!(target(&site).as_deref(), expected, "{host}");
        let stored = with_facts(&site, "GET", |facts| {
            let effective = site.policy.evaluate(facts);
            decide::deliver(&site.policy, &effective).downstream.is_some()
        });
        assert_eq!(stored, expected.is_none(), "{host}");
    }
}

#[test]
fn the_query_is_in_the_key_of_a_site_with_a_policy_unless_it_says_otherwise() {
    let main = format!(
        "cache: {{ query_string: bypass }}\n{ORIGINS}sites:
  - {{ host: plain.example.com, origin: photos }}
  - {{ host: said.example.com, origin: photos, query_string: ignore }}
  - {{ host: policy.example.com, origin: photos, policy: failover.json }}
  - {{ host: rules.example.com, origin: photos, rules: [] }}
  - {{ host: both.example.com, origin: photos, policy: failover.json, query_string: ignore }}
"
    );
    let snapshot = snapshot(&main);
    for (host, expected) in [
        ("plain.example.com", QueryString::Bypass),
        ("said.example.com", QueryString::Ignore),
        ("policy.example.com", QueryString::Unique),
        ("rules.example.com", QueryString::Unique),
        ("both.example.com", QueryString::Ignore),
    ] {
        assert_eq!(site(&snapshot, host).query_string, expected, "{host}");
    }
}

/// A site of its own whose GET goes to the origin with these params.
fn site_with_origin(host: &str, params: &str) -> String {
    format!(
        "  - host: {host}
    rules:
      - matches: [{{ name: http-method, value: GET }}]
        behaviors: [{{ name: origin, value: \"-\", params: {{ {params} }} }}]
"
    )
}

#[test]
fn an_origin_domain_is_a_configured_origin_with_that_server_or_a_new_one_with_defaults() {
    let table = [
        // params, name, servers for http, servers for https
        (
            "originDomain: A.example.net",
            "photos",
            "http://a.example.net:8000 http://b.example.net:80",
            "https://a.example.net:443",
        ),
        ("originDomain: films.example.net", "films", "http://films.example.net:80", ""),
        ("originDomain: n.example.net", "n.example.net", "http://n.example.net:80", "https://n.example.net:443"),
        (
            "originDomain: n.example.net, originScheme: http",
            "http://n.example.net",
            "http://n.example.net:80",
            "http://n.example.net:80",
        ),
        (
            "originDomain: n.example.net, originScheme: https",
            "https://n.example.net",
            "https://n.example.net:443",
            "https://n.example.net:443",
        ),
        (
            "originDomain: a.example.net, originPort: 81",
            "a.example.net:81",
            "http://a.example.net:81",
            "https://a.example.net:81",
        ),
    ];
    let sites: String =
        table.iter().zip(0..).map(|((params, ..), i)| site_with_origin(&format!("s{i}.example.com"), params)).collect();
    let snapshot = snapshot(&format!("{ORIGINS}sites:\n{sites}"));
    for ((params, name, http, https), i) in table.into_iter().zip(0..) {
        let origin = origin_of(&site(&snapshot, &format!("s{i}.example.com")), "GET").unwrap();
        let (for_http, for_https) = (servers(origin.http.as_ref()).join(" "), servers(origin.https.as_ref()).join(" "));
        assert_eq!((origin.name.as_str(), for_http.as_str(), for_https.as_str()), (name, http, https), "{params}");
    }
    let keys: std::collections::HashSet<u64> = snapshot.origins.iter().map(|origin| origin.group_key).collect();
    assert_eq!(keys.len(), snapshot.origins.len());
}

#[test]
fn two_sites_that_name_one_domain_have_one_origin() {
    let sites = site_with_origin("a.example.com", "originDomain: n.example.net")
        + &site_with_origin("b.example.com", "originDomain: N.example.net");
    let snapshot = snapshot(&format!("{ORIGINS}sites:\n{sites}"));
    let of = |host| origin_of(&site(&snapshot, host), "GET").unwrap();
    assert!(Arc::ptr_eq(&of("a.example.com"), &of("b.example.com")));
    let names: Vec<_> =
        snapshot.origins.iter().map(|origin| (origin.name.as_str(), origin.directory.is_some())).collect();
    assert_eq!(names, [("photos", true), ("films", true), ("n.example.net", false)]);
}

#[test]
fn a_rule_that_changes_the_port_of_a_configured_server_keeps_its_other_settings() {
    let sites = site_with_origin("www.example.com", "originDomain: a.example.net, originPort: 81");
    let snapshot = snapshot(&format!("{ORIGINS}sites:\n{sites}"));
    let origin = origin_of(&site(&snapshot, "www.example.com"), "GET").unwrap();
    let settings = (origin.host_header.as_deref(), origin.tls.sni.as_deref(), origin.timeouts.connect);
    assert_eq!(settings, (Some("photos.example.net"), Some("secure.example.net"), Duration::from_secs(1)));
}

#[test]
fn a_refresh_that_is_due_now_is_due_since_its_file_was_written() {
    const RULES: &str = r#"{ "rules": [{ "matches": [{ "name": "url-wildcard", "value": "/*" }], "behaviors": [{ "name": "content-refresh", "type": "natural", "value": "now" }] }] }"#;
    let main = format!("{ORIGINS}sites: [{{ host: www.example.com, origin: photos, policy: refresh.json }}]\n");
    let (folder, path) = folder(&main);
    let policy = folder.path().join("refresh.json");
    std::fs::write(&policy, RULES).unwrap();
    let written = SystemTime::now() - Duration::from_secs(86_400);
    std::fs::File::options().append(true).open(&policy).unwrap().set_modified(written).unwrap();
    let snapshot = read(&path);
    let site = site(&snapshot, "www.example.com");
    let since = with_facts(&site, "GET", |facts| {
        let effective = site.policy.evaluate(facts);
        decide::lookup(&site.policy, &effective).refresh.map(|refresh| refresh.since)
    });
    assert_eq!(since, Some(written.duration_since(UNIX_EPOCH).unwrap().as_secs()));
}

#[test]
fn a_policy_in_yaml_may_use_lists_and_numbers_and_one_in_json_may_not() {
    let rules = "rules:\n  - matches: [{ name: url-path, value: [static, img] }]\n    behaviors: [{ name: caching, type: fixed, value: 30 }]\n";
    let main =
        |policy: &str| format!("{ORIGINS}sites: [{{ host: www.example.com, origin: photos, policy: {policy} }}]\n");
    let (folder, path) = folder(&main("rules.yaml"));
    std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    assert!(!site(&read(&path), "www.example.com").policy.is_empty());
    let value: serde_yaml::Value = serde_yaml::from_str(rules).unwrap();
    std::fs::write(folder.path().join("rules.json"), serde_json::to_string(&value).unwrap()).unwrap();
    std::fs::write(&path, main("rules.json")).unwrap();
    let loaded = load(&path);
    assert!(loaded.snapshot.is_none() && loaded.diagnostics.len() == 2, "{:#?}", loaded.diagnostics);
}

#[test]
fn a_policy_file_beyond_its_limit_is_not_read() {
    let main = format!("{ORIGINS}sites: [{{ host: www.example.com, origin: photos, policy: big.json }}]\n");
    let (folder, path) = folder(&main);
    std::fs::write(folder.path().join("big.json"), format!("{{ \"rules\": [] }}{}", " ".repeat(1 << 20))).unwrap();
    let said: Vec<String> = load(&path).diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].ends_with("big.json`: it is larger than 1MiB"), "{said:?}");
}
