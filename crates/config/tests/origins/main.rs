//! What an origin does when it fails, from the file to the ready form.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::path::PathBuf;
use std::time::Duration;

use leeward_config::ready::{HealthCheck, IpVersion, Servers, Unavailable, Validation};
use leeward_config::{Loaded, Snapshot, load, load_to_run};
use leeward_rules::decide::Way;

mod backups;
mod policies;

/// A folder with configurations in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
    fn load(&self, main: &str) -> Loaded {
        load(&self.write("leeward.yaml", main))
    }
}

fn snapshot(main: &str) -> Snapshot {
    let loaded = Folder::new().load(main);
    loaded.snapshot.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

/// The messages without the places.
fn said(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(|diagnostic| format!("{}: {}", diagnostic.severity, diagnostic.message)).collect()
}

/// One origin `photos` with these keys and one site.
fn with(keys: &str) -> String {
    format!(
        "origins:
  - directory: photos
    http: {{ servers: [\"http://a.example.net\", \"http://b.example.net:8080\"] }}
    https: {{ servers: [\"https://a.example.net\"] }}
    {keys}
sites: [{{ host: www.example.com, origin: photos }}]
"
    )
}

fn servers(list: Option<&Servers>) -> String {
    let servers: Vec<String> = list.iter().flat_map(|list| &list.servers).map(ToString::to_string).collect();
    servers.join(" ")
}

#[test]
fn an_origin_that_says_nothing_has_the_contracts_defaults() {
    let snapshot = snapshot(&with(""));
    let origin = &snapshot.origins[0];
    let seconds = Duration::from_secs;
    assert_eq!(origin.ip_version, IpVersion::Default);
    assert_eq!(origin.unavailable, Unavailable { first: seconds(5), factor: 1.5, max: seconds(60) });
    assert_eq!((&origin.backup, &origin.validation, &origin.health_check), (&None, &None, &None));
    assert_eq!((origin.websocket, origin.follow_redirects, &origin.tls.client), (false, false, &None));
    let order = [Way::Servers, Way::Backup, Way::SiteFailover, Way::Stale];
    assert_eq!(snapshot.cache.failover_order, order);
    assert_eq!(snapshot.sites.find("www.example.com").unwrap().failover_order, order);
    assert_eq!((snapshot.dns.servers.len(), snapshot.dns.timeout), (0, seconds(1)));
    assert_eq!(snapshot.addresses, leeward_config::ready::Addresses::default());
}

#[test]
fn every_setting_arrives() {
    let keys = "host_header: www.example.net
    ip_version: v6_preferred
    unavailable: { first: 2s, factor: 3, max: 20s }
    websocket: true
    follow_redirects: true
    validation_path: \"HTTPS://WWW.example.net:444?probe=1\"
    health_check: { path: \"/health?deep\", interval: 3s, timeout: 1s, failures: 4 }";
    let main = format!(
        "dns: {{ servers: [10.0.0.53, \"[::1]:5353\"], timeout: 300ms }}
addresses: {{ edge: [192.0.2.0/24, \"2001:db8::/32\"], gateways: [198.51.100.7], reserved: [203.0.113.0/25] }}
{}",
        with(keys)
    );
    let snapshot = snapshot(&main);
    let origin = &snapshot.origins[0];
    let seconds = Duration::from_secs;
    assert_eq!(origin.ip_version, IpVersion::V6Preferred);
    assert_eq!(origin.unavailable, Unavailable { first: seconds(2), factor: 3.0, max: seconds(20) });
    assert!(origin.websocket && origin.follow_redirects);
    let validation = Validation {
        url: "HTTPS://WWW.example.net:444?probe=1".to_owned(),
        tls: true,
        authority: "www.example.net:444".to_owned(),
        path: "/?probe=1".to_owned(),
    };
    assert_eq!(origin.validation, Some(validation));
    let check =
        HealthCheck { path: Some("/health?deep".to_owned()), interval: seconds(3), timeout: seconds(1), failures: 4 };
    assert_eq!(origin.health_check, Some(check));
    let dns: Vec<String> = snapshot.dns.servers.iter().map(ToString::to_string).collect();
    assert_eq!((dns.join(" ").as_str(), snapshot.dns.timeout), ("10.0.0.53:53 [::1]:5353", Duration::from_millis(300)));
    let written = |list: &[ipnet::IpNet]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let addresses = &snapshot.addresses;
    assert_eq!(
        [written(&addresses.edge), written(&addresses.gateways), written(&addresses.reserved)],
        ["192.0.2.0/24 2001:db8::/32", "198.51.100.7/32", "203.0.113.0/25"]
    );
}

#[test]
fn a_health_check_without_keys_is_a_connection_with_the_defaults() {
    let snapshot = snapshot(&with("health_check: {}"));
    let seconds = Duration::from_secs;
    let check = HealthCheck { path: None, interval: seconds(5), timeout: seconds(2), failures: 2 };
    assert_eq!(snapshot.origins[0].health_check, Some(check));
}

#[test]
fn connections_are_shared_only_where_nothing_that_makes_them_differs() {
    let folder = Folder::new();
    for name in ["one", "two"] {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["edge.example.net".to_owned()]).unwrap();
        folder.write(&format!("{name}.pem"), &params.self_signed(&key).unwrap().pem());
        folder.write(&format!("{name}.key"), &key.serialize_pem());
    }
    let keys = |keys: &str| {
        let loaded = folder.load(&with(keys));
        let snapshot = loaded.snapshot.unwrap_or_else(|| panic!("{keys}: {:?}", loaded.diagnostics));
        let origin = &snapshot.origins[0];
        (origin.group_key, origin.backup.as_ref().map(|backup| backup.origin.group_key))
    };
    let certificate = |name: &str| format!("tls: {{ client_certificate: {{ chain: {name}.pem, key: {name}.key }} }}");
    let backup = |keys: &str| format!("backup: {{ server: \"https://b.example.net:444\", exclude: [\"4*\"], {keys} }}");
    let base = keys("");
    for same in [
        "ip_version: v6_only",
        "unavailable: { first: 1s }",
        "websocket: true",
        "follow_redirects: true",
        "health_check: {}",
        "validation_path: http://www.example.net/",
        &backup(""),
    ] {
        assert_eq!(keys(same).0, base.0, "{same}");
    }
    assert_ne!(keys(&certificate("one")).0, base.0);
    assert_ne!(keys(&certificate("one")).0, keys(&certificate("two")).0);
    assert_eq!(keys(&certificate("one")).0, keys(&certificate("one")).0);
    let of_backup = keys(&backup("")).1;
    for other in [certificate("one"), "host_header: b.example.net".to_owned(), "tls: { sni: x.example.net }".to_owned()]
    {
        assert_ne!(keys(&backup(&other)).1, of_backup, "{other}");
        assert_eq!(keys(&backup(&other)).0, base.0, "{other}");
    }
}

#[test]
fn a_client_certificate_is_loaded_with_its_key_or_refused() {
    let folder = Folder::new();
    let (own, other) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let params = rcgen::CertificateParams::new(vec!["edge.example.net".to_owned()]).unwrap();
    let issued = params.self_signed(&own).unwrap();
    folder.write("edge.pem", &format!("{0}{0}", issued.pem()));
    folder.write("own.key", &own.serialize_pem());
    folder.write("other.key", &other.serialize_pem());
    let main = |key: &str| with(&format!("tls: {{ client_certificate: {{ chain: edge.pem, key: {key} }} }}"));
    let snapshot = folder.load(&main("own.key")).snapshot.unwrap();
    let client = snapshot.origins[0].tls.client.as_ref().unwrap();
    assert_eq!(client.chain, [issued.der().to_vec(), issued.der().to_vec()]);
    assert_eq!(client.key.expose(), own.serialize_der());
    assert!(format!("{client:?}").contains("key: [secret]"), "{client:?}");
    let at = folder.0.path().display().to_string();
    let expected = format!("error: the key in `{at}/other.key` does not belong to the certificate in `{at}/edge.pem`");
    assert_eq!(said(&folder.load(&main("other.key"))), [expected]);
}

#[test]
fn a_site_has_the_order_of_its_own_or_that_of_the_cache() {
    let main = "cache: { failover_order: [servers, stale, site_failover] }
origins: [{ directory: photos, http: { servers: [\"http://10.0.0.1\"] } }]
sites:
  - { host: a.example.com, origin: photos }
  - { host: b.example.com, origin: photos, failover_order: [servers] }
  - { host: c.example.com, origin: photos, failover_order: [servers, backup, stale, site_failover] }
";
    let snapshot = snapshot(main);
    for (host, expected) in [
        ("a.example.com", "servers stale site_failover"),
        ("b.example.com", "servers"),
        ("c.example.com", "servers backup stale site_failover"),
    ] {
        let order = &snapshot.sites.find(host).unwrap().failover_order;
        let words: Vec<&str> = order.iter().map(|way| way.word()).collect();
        assert_eq!(words.join(" "), expected, "{host}");
    }
    let of_cache: Vec<&str> = snapshot.cache.failover_order.iter().map(|way| way.word()).collect();
    assert_eq!(of_cache.join(" "), "servers stale site_failover");
}

#[test]
fn an_origin_that_a_site_names_is_neither_deleted_nor_renamed_by_a_reload() {
    const SITES: &str = "sites:
  - { host: www.example.com, origin: photos }
  - { host: shop.example.com, origin: films }
  - { host: \"*.example.com\", origin: photos }
";
    let origin = |name: &str| format!("  - {{ directory: {name}, http: {{ servers: [\"http://10.0.0.1\"] }} }}\n");
    let folder = Folder::new();
    for (origins, expected) in [
        (origin("photos") + &origin("films"), vec![]),
        (
            origin("films"),
            vec![
                "error: there is no origin `photos` for the site `www.example.com`",
                "error: there is no origin `photos` for the site `*.example.com`",
            ],
        ),
        (
            origin("photos2") + &origin("films"),
            vec![
                "error: there is no origin `photos` for the site `www.example.com`",
                "error: there is no origin `photos` for the site `*.example.com`",
            ],
        ),
        (origin("photos"), vec!["error: there is no origin `films` for the site `shop.example.com`"]),
    ] {
        let loaded = load_to_run(&folder.write("leeward.yaml", &format!("origins:\n{origins}{SITES}")));
        assert_eq!(said(&loaded), expected, "{origins}");
        assert_eq!(loaded.snapshot.is_some(), expected.is_empty(), "{origins}");
    }
    let none = load_to_run(&folder.write("leeward.yaml", SITES));
    let hints: Vec<_> = none.diagnostics.iter().filter_map(|diagnostic| diagnostic.hint.as_deref()).collect();
    assert_eq!(
        hints,
        [
            "the site `www.example.com` names the origin `photos`, `shop.example.com` names the origin `films`, `*.example.com` names the origin `photos`"
        ]
    );
}
