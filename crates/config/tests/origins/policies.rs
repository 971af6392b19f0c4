//! Backups of `origin-failover`, and origins that only policies name.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use leeward_config::Snapshot;
use leeward_config::ready::{Backup, Origin, Site};
use leeward_rules::{Facts, Path, Scheme, decide};

use super::{servers, snapshot};

const NAMED: &str = "origins:
  - directory: photos
    http: { servers: [\"http://a.example.net:8000\", \"http://b.example.net:8001\"] }
    https: { servers: [\"https://a.example.net\"] }
    host_header: photos.example.net
    timeouts: { connect: 1s }
    backup: { server: \"https://standby.example.net\", exclude: [\"4*\"], tls: { sni: standby.example.org } }
  - directory: films
    http: { servers: [\"http://films.example.net\", \"http://a.example.net:8000\"] }
    backup: { server: \"https://mirror.example.net\", exclude: [\"4*\"] }
sites:
";

/// A site of `photos` whose requests go to a backup by rule.
fn site_with_backup(host: &str, params: &str) -> String {
    format!(
        "  - host: {host}
    origin: photos
    rules:
      - matches: [{{ name: http-method, value: GET }}]
        behaviors: [{{ name: origin-failover, params: {{ {params} }} }}]
"
    )
}

/// What is decided for a GET of `/a`.
fn with_policy<T>(site: &Site, ask: impl FnOnce(&leeward_rules::Policy, &leeward_rules::Effective) -> T) -> T {
    let path = Path::normalise("/a").unwrap();
    let headers = http::HeaderMap::new();
    let effective = site.policy.evaluate(&Facts {
        method: "GET",
        scheme: Scheme::Http,
        host: &site.host,
        authority: &site.host,
        path: &path,
        query: None,
        headers: &headers,
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        place: None,
        now: 1_900_000_000,
    });
    ask(&site.policy, &effective)
}

fn backup_of(snapshot: &Snapshot, host: &str) -> Option<Backup> {
    let site = snapshot.sites.find(host).unwrap();
    with_policy(site, |policy, effective| site.policy_origins.backup(&decide::backup(policy, effective)?).cloned())
}

#[test]
fn a_backup_domain_is_a_configured_origin_with_that_server_or_one_asked_for_its_own_name() {
    let table = [
        // backupDomain, name, servers for http, servers for https, Host
        (
            "backup.example.net",
            "backup.example.net",
            "http://backup.example.net:80",
            "https://backup.example.net:443",
            Some("backup.example.net"),
        ),
        (
            r#""2001:db8::9""#,
            "2001:db8::9",
            "http://[2001:db8::9]:80",
            "https://[2001:db8::9]:443",
            Some("[2001:db8::9]"),
        ),
        ("FILMS.example.net", "films", "http://films.example.net:80 http://a.example.net:8000", "", None),
        // a server of the site's own origin: this one alone, as that origin asks it
        (
            "b.example.net",
            "b.example.net",
            "http://b.example.net:8001",
            "https://b.example.net:443",
            Some("photos.example.net"),
        ),
        // the first origin with this server is the site's own
        (
            "a.example.net",
            "a.example.net",
            "http://a.example.net:8000",
            "https://a.example.net:443",
            Some("photos.example.net"),
        ),
        // backups of origins
        ("standby.example.net", "photos", "https://standby.example.net:443", "https://standby.example.net:443", None),
        ("mirror.example.net", "films", "https://mirror.example.net:443", "https://mirror.example.net:443", None),
    ];
    let sites: String = table
        .iter()
        .zip(0..)
        .map(|((domain, ..), i)| {
            site_with_backup(&format!("s{i}.example.com"), &format!("backupDomain: {domain}, excludeStatus: 4*"))
        })
        .collect();
    let snapshot = snapshot(&format!("{NAMED}{sites}"));
    for ((domain, name, http, https, host), i) in table.into_iter().zip(0..) {
        let backup = backup_of(&snapshot, &format!("s{i}.example.com")).unwrap();
        let origin = &backup.origin;
        let found = (servers(origin.http.as_ref()), servers(origin.https.as_ref()));
        assert_eq!((origin.name.as_str(), found.0.as_str(), found.1.as_str()), (name, http, https), "{domain}");
        assert_eq!(origin.host_header.as_deref(), host, "{domain}");
        assert_eq!((backup.on.statuses.to_string().as_str(), backup.on.unanswered), ("500:599", true), "{domain}");
        assert!(snapshot.all_origins().any(|known| Arc::ptr_eq(known, origin)), "{domain} is not followed");
    }
}

#[test]
fn two_rules_may_have_one_backup_and_other_exclusions() {
    let main = format!(
        "{NAMED}  - host: www.example.com
    origin: photos
    rules:
      - matches: [{{ name: url-wildcard, value: \"/*\" }}]
        behaviors: [{{ name: origin-failover, params: {{ backupDomain: n.example.net, excludeStatus: 4* }} }}]
      - matches: [{{ name: url-path, value: a }}]
        behaviors: [{{ name: origin-failover, params: {{ backupDomain: n.example.net, excludeStatus: 40x 5* }} }}]
"
    );
    let snapshot = snapshot(&main);
    let site = snapshot.sites.find("www.example.com").unwrap();
    let found: Vec<(String, Arc<Origin>)> = site
        .policy
        .backups()
        .map(|(choice, _)| {
            let backup = site.policy_origins.backup(&choice).unwrap();
            (backup.on.statuses.to_string(), Arc::clone(&backup.origin))
        })
        .collect();
    assert_eq!([found[0].0.as_str(), found[1].0.as_str()], ["500:599", "410:499"]);
    assert!(Arc::ptr_eq(&found[0].1, &found[1].1));
}

#[test]
fn every_origin_and_every_backup_is_named_once() {
    let rules = |host: &str, behavior: &str| {
        format!(
            "  - host: {host}
    origin: photos
    rules:
      - matches: [{{ name: http-method, value: GET }}]
        behaviors: [{behavior}]
"
        )
    };
    let origin = |domain: &str| format!("{{ name: origin, value: \"-\", params: {{ originDomain: {domain} }} }}");
    let sites = rules("a.example.com", &origin("n.example.net"))
        + &rules("b.example.com", &origin("n.example.net"))
        + &rules("c.example.com", &origin("a.example.net, originPort: 81"))
        + &site_with_backup("d.example.com", "backupDomain: n.example.net, excludeStatus: 4*");
    let snapshot = snapshot(&format!("{NAMED}{sites}"));
    let list = |origins: &mut dyn Iterator<Item = &Arc<Origin>>| -> Vec<String> {
        origins.map(|origin| format!("{} {}", origin.name, servers(origin.https.as_ref()))).collect()
    };
    assert_eq!(
        list(&mut snapshot.origins.iter()),
        [
            "photos https://a.example.net:443",
            "films ",
            "n.example.net https://n.example.net:443",
            // with the backup of `photos`, whose settings it has
            "a.example.net:81 https://a.example.net:81",
            // asked for its own name, unlike the one above
            "n.example.net https://n.example.net:443",
        ]
    );
    assert_eq!(
        list(&mut snapshot.all_origins()),
        [
            "photos https://a.example.net:443",
            "photos https://standby.example.net:443",
            "films ",
            "films https://mirror.example.net:443",
            "n.example.net https://n.example.net:443",
            "a.example.net:81 https://a.example.net:81",
            "n.example.net https://n.example.net:443",
        ]
    );
    let of_rule = &snapshot.origins[3];
    let inherited = of_rule.backup.as_ref().map(|backup| Arc::as_ptr(&backup.origin));
    assert_eq!(inherited, snapshot.origins[0].backup.as_ref().map(|backup| Arc::as_ptr(&backup.origin)));
}

#[test]
fn a_server_is_no_backup_of_itself() {
    let sites = "  - host: www.example.com
    origin: films
    rules:
      - matches: [{ name: http-method, value: GET }]
        behaviors: [{ name: origin, value: \"-\", params: { originDomain: a.example.net, originScheme: https, originPort: 444 } }]
";
    let same = NAMED.replace("https://mirror.example.net", "https://a.example.net:444");
    for (main, has_backup) in [(NAMED, true), (same.as_str(), false)] {
        let snapshot = snapshot(&format!("{main}{sites}"));
        let made = snapshot.origins.iter().find(|origin| origin.name == "https://a.example.net:444").unwrap();
        assert_eq!(made.backup.is_some(), has_backup, "{main}");
    }
}
