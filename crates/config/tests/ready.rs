//! What a configuration becomes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use leeward_config::ready::{AccessLogTo, Balance, OriginServer, Platform, QueryString, SetCookie};
use leeward_config::{Loaded, Snapshot, load};

const LEAST: &str = "origins:
  - { directory: photos, http: { servers: [\"http://10.0.0.1:8000\"] } }
sites:
  - { host: www.example.com, origin: photos }
";

/// A folder with configurations in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
    fn load(&self, main: &str) -> Loaded {
        load(&self.write("leeward.yaml", main))
    }
}

/// The messages without the places.
fn said(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(|diagnostic| format!("{}: {}", diagnostic.severity, diagnostic.message)).collect()
}

fn snapshot(main: &str) -> Snapshot {
    let loaded = Folder::new().load(main);
    loaded.snapshot.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

#[test]
fn what_is_not_written_has_the_contracts_default() {
    let snapshot = snapshot(LEAST);
    let seconds = Duration::from_secs;
    assert_eq!(snapshot.account, "0001");
    assert!(snapshot.cdn_hosts.is_empty());
    assert!(snapshot.server.threads >= 1);
    let listen: Vec<_> = snapshot
        .server
        .listen
        .iter()
        .map(|one| (one.address.to_string(), one.tls.is_some(), one.proxy_protocol.is_some()))
        .collect();
    assert_eq!(listen, [("0.0.0.0:8080".to_owned(), false, false)]);
    assert_eq!(snapshot.server.grace_period, seconds(10));
    let limits = &snapshot.server.limits;
    assert_eq!(
        (limits.header_timeout, limits.keepalive_timeout, limits.body_timeout, limits.write_timeout),
        (seconds(10), seconds(60), seconds(30), seconds(30))
    );
    assert_eq!((limits.uri, limits.headers, limits.header_count, limits.body), (8 << 10, 32 << 10, 100, 1 << 30));
    assert_eq!((limits.connections, limits.connections_per_ip), (20_000, 4_000));
    assert_eq!((snapshot.admin.address.to_string().as_str(), &snapshot.admin.token), ("127.0.0.1:9180", &None));
    assert_eq!((&snapshot.log.access, snapshot.log.sample), (&AccessLogTo::Stdout, 1.0));
    let cache = &snapshot.cache;
    assert_eq!((cache.memory, cache.store_on_hit, cache.max_object), (512 << 20, 2, 5 << 30));
    assert_eq!((cache.default_max_age, cache.max_stale), (seconds(7 * 86_400), seconds(120)));
    assert_eq!(
        (cache.set_cookie, cache.query_string, cache.no_cache_parameter),
        (SetCookie::Refuse, QueryString::Ignore, true)
    );
    let origin = &snapshot.origins[0];
    assert_eq!(
        (origin.name.as_str(), origin.directory.as_deref(), origin.platform),
        ("photos", Some("photos"), Platform::HttpLarge)
    );
    let http = origin.http.as_ref().unwrap();
    assert_eq!(http.servers, [OriginServer { tls: false, host: "10.0.0.1".to_owned(), port: 8000 }]);
    assert_eq!((http.balance, origin.https.is_none(), &origin.host_header), (Balance::RoundRobin, true, &None));
    let timeouts = &origin.timeouts;
    assert_eq!((timeouts.connect, timeouts.first_byte, timeouts.between_bytes), (seconds(2), seconds(15), seconds(15)));
    assert_eq!((origin.tls.verify, &origin.tls.sni, origin.tls.ca.len()), (true, &None, 0));
    let site = snapshot.sites.find("www.example.com").unwrap();
    assert_eq!((site.path.as_str(), site.query_string), ("", QueryString::Ignore));
    assert_eq!(site.origin.as_ref().unwrap().name, "photos");
}

#[test]
fn json_says_the_same_as_yaml() {
    let folder = Folder::new();
    let yaml: serde_yaml::Value = serde_yaml::from_str(LEAST).unwrap();
    let json = folder.write("leeward.json", &serde_json::to_string_pretty(&yaml).unwrap());
    let (json, yaml) = (load(&json), folder.load(LEAST));
    assert_eq!(format!("{:?}", json.snapshot), format!("{:?}", yaml.snapshot));
    assert_eq!((said(&json), said(&yaml)), (vec![], vec![]));
}

#[test]
fn a_site_is_found_by_its_name_then_by_the_longest_wildcard_then_by_default() {
    let mut main = LEAST.to_owned();
    for host in ["*.example.com", "*.img.example.com", "WWW.Example.org", "*"] {
        main += &format!("  - {{ host: \"{host}\", origin: photos }}\n");
    }
    let snapshot = snapshot(&main);
    for (host, site) in [
        ("www.example.com", "www.example.com"),
        ("a.example.com", "*.example.com"),
        ("a.b.example.com", "*.example.com"),
        ("a.img.example.com", "*.img.example.com"),
        ("img.example.com", "*.example.com"),
        ("example.com", "*"),
        ("www.example.org", "www.example.org"),
        ("10.0.0.1", "*"),
    ] {
        assert_eq!(snapshot.sites.find(host).map(|site| site.host.as_str()), Some(site), "{host}");
    }
}

#[test]
fn cdn_urls_alone_need_no_site() {
    let snapshot = snapshot(
        "cdn_hosts: { cdn.example.net: http_large }
origins: [{ directory: photos, http: { servers: [\"http://10.0.0.1:8000\"] } }]
",
    );
    assert_eq!((snapshot.sites.iter().count(), snapshot.origins.len()), (0, 1));
}

#[test]
fn servers_have_the_port_of_their_scheme_unless_they_say_another() {
    let table = [
        ("http", "http://origin.example.net", "http://origin.example.net:80"),
        ("https", "https://Origin.Example.net/", "https://origin.example.net:443"),
        ("http", "HTTP://10.0.0.1:8000", "http://10.0.0.1:8000"),
        ("https", "https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("http", "http://[::1]", "http://[::1]:80"),
    ];
    for (list, written, ready) in table {
        let main = LEAST.replace(
            "http: { servers: [\"http://10.0.0.1:8000\"] }",
            &format!("{list}: {{ servers: [\"{written}\"] }}"),
        );
        let snapshot = snapshot(&main);
        let origin = &snapshot.origins[0];
        let server = &origin.http.as_ref().or(origin.https.as_ref()).unwrap().servers[0];
        assert_eq!((server.to_string().as_str(), server.tls), (ready, list == "https"), "{written}");
    }
}

#[test]
fn a_path_prefix_has_no_slash_at_its_end() {
    for (written, ready) in [("/", ""), ("/a", "/a"), ("/a/b/", "/a/b")] {
        let main = LEAST.replace("origin: photos }", &format!("origin: photos, path: {written} }}"));
        assert_eq!(snapshot(&main).sites.find("www.example.com").unwrap().path, ready, "{written}");
    }
}

#[test]
fn the_key_of_an_origin_changes_with_what_it_is_and_not_with_its_timeouts() {
    let key = |from: &str, to: &str| snapshot(&LEAST.replace(from, to)).origins[0].group_key;
    let base = key("", "");
    assert_eq!(base, key("directory: photos,", "directory: photos, timeouts: { connect: 9s },"));
    for (from, to) in [
        ("photos", "films"),
        ("10.0.0.1", "10.0.0.2"),
        ("directory: photos,", "directory: photos, platform: adn,"),
        ("directory: photos,", "directory: photos, tls: { sni: x.example.net },"),
        ("directory: photos,", "directory: photos, host_header: x.example.net,"),
    ] {
        assert_ne!(base, key(from, to), "{to}");
    }
}

#[test]
fn an_included_file_adds_its_lists_and_names_files_from_its_own_folder() {
    let folder = Folder::new();
    folder.write("sites.d/b.yaml", "sites: [{ host: b.example.com, origin: photos }]\n");
    folder.write(
        "sites.d/a.yaml",
        "origins: [{ directory: films, https: { servers: [\"https://10.0.0.1\"] }, tls: { ca: ca.pem } }]\n",
    );
    folder.write("sites.d/notes.txt", "not: [a, configuration");
    folder.write("sites.d/.hidden.yaml", "not: [a, configuration");
    folder.write("sites.d/ca.pem", &authority());
    let loaded = folder.load(&format!("include: [\"sites.d/*.yaml\", \"sites.d/b.yaml\"]\n{LEAST}"));
    assert_eq!(said(&loaded), Vec::<String>::new());
    let files: Vec<_> =
        loaded.files.iter().map(|file| file.strip_prefix(folder.0.path()).unwrap().display().to_string()).collect();
    assert_eq!(files, ["leeward.yaml", "sites.d/a.yaml", "sites.d/b.yaml"]);
    let snapshot = loaded.snapshot.unwrap();
    let origins: Vec<_> = snapshot.origins.iter().map(|origin| (origin.name.as_str(), origin.tls.ca.len())).collect();
    assert_eq!(origins, [("photos", 0), ("films", 1)]);
    assert!(snapshot.sites.find("b.example.com").is_some());
}

#[test]
fn a_secret_is_read_from_where_it_is_kept_and_never_printed() {
    let folder = Folder::new();
    for (content, secret) in [("hunter2\n", "hunter2"), ("hunter2\r\n", "hunter2"), ("hunter2", "hunter2")] {
        folder.write("token", content);
        let loaded = folder.load(&format!("admin: {{ address: 0.0.0.0:9180, token: {{ file: token }} }}\n{LEAST}"));
        let snapshot = loaded.snapshot.unwrap();
        assert_eq!(snapshot.admin.token.as_ref().unwrap().expose(), secret.as_bytes(), "{content:?}");
        assert!(!format!("{snapshot:?}").contains("hunter2"));
    }
    let name = "PATH";
    let loaded = folder.load(&format!("admin: {{ token: {{ env: {name} }} }}\n{LEAST}"));
    let token = loaded.snapshot.unwrap().admin.token.unwrap();
    assert_eq!(token.expose(), std::env::var_os(name).unwrap().as_encoded_bytes());
    assert_eq!(
        (format!("{token:?}"), serde_json::to_string(&token).unwrap()),
        ("[secret]".to_owned(), "\"[secret]\"".to_owned())
    );
    folder.write("token", "hunter2\n\n");
    let two_line_ends = folder.load(&format!("admin: {{ token: {{ file: token }} }}\n{LEAST}"));
    assert_eq!(said(&two_line_ends), ["error: this token has characters that no client can send"]);
    folder.write("token", "\n");
    assert_eq!(
        said(&folder.load(&format!("admin: {{ token: {{ file: token }} }}\n{LEAST}"))),
        ["error: this secret is empty"]
    );
}

fn named() -> rcgen::CertificateParams {
    rcgen::CertificateParams::new(vec!["www.example.com".to_owned()]).unwrap()
}

fn authority() -> String {
    let mut params = named();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
}

#[test]
fn a_certificate_needs_its_own_key_and_a_date_that_clients_accept() {
    let folder = Folder::new();
    let (own, other) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    folder.write("www.pem", &named().self_signed(&own).unwrap().pem());
    folder.write("own.key", &own.serialize_pem());
    folder.write("other.key", &other.serialize_pem());
    let mut old = named();
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    folder.write("old.pem", &old.self_signed(&own).unwrap().pem());
    let mut early = named();
    early.not_before = rcgen::date_time_ymd(2090, 1, 1);
    early.not_after = rcgen::date_time_ymd(2091, 1, 1);
    folder.write("early.pem", &early.self_signed(&own).unwrap().pem());
    folder.write("half.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    let at = folder.0.path().display();
    for (chain, key, expected) in [
        ("www.pem", "own.key", vec![]),
        (
            "www.pem",
            "other.key",
            vec![format!("error: the key in `{at}/other.key` does not belong to the certificate in `{at}/www.pem`")],
        ),
        (
            "old.pem",
            "own.key",
            vec![format!("warning: the certificate in `{at}/old.pem` expired on Jan  1 00:00:00 2020 +00:00")],
        ),
        (
            "early.pem",
            "own.key",
            vec![format!(
                "warning: the certificate in `{at}/early.pem` is not valid before Jan  1 00:00:00 2090 +00:00"
            )],
        ),
        ("own.key", "own.key", vec![format!("error: `{at}/own.key` holds no certificate in PEM")]),
        ("www.pem", "www.pem", vec![format!("error: `{at}/www.pem` holds no private key in PEM")]),
    ] {
        let tls = format!(
            "server: {{ listen: [{{ address: \"127.0.0.1:8443\", tls: {{ certificates: [{{ chain: {chain}, key: {key} }}] }} }}] }}\n"
        );
        let loaded = folder.load(&format!("{tls}{LEAST}"));
        assert_eq!(said(&loaded), expected, "{chain} {key}");
        if let Some(snapshot) = loaded.snapshot {
            let tls = snapshot.server.listen[0].tls.as_ref().unwrap();
            assert_eq!((tls.certificates.len(), tls.http2), (1, true));
            assert_eq!(tls.certificates[0].chain, std::fs::read(folder.0.path().join(chain)).unwrap());
            assert!(!format!("{snapshot:?}").contains("PRIVATE"));
        }
    }
    let loaded = folder.load(&format!("server: {{ listen: [{{ address: \"127.0.0.1:8443\", tls: {{ certificates: [{{ chain: half.pem, key: own.key }}] }} }}] }}\n{LEAST}"));
    assert!(loaded.snapshot.is_none(), "{:?}", said(&loaded));
}

#[test]
fn an_authority_that_is_not_one_is_an_error() {
    let folder = Folder::new();
    folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    folder.write("good.pem", &authority());
    for (ca, errors) in [("good.pem", 0), ("broken.pem", 1), ("none.pem", 1)] {
        let loaded =
            folder.load(&LEAST.replace("directory: photos,", &format!("directory: photos, tls: {{ ca: {ca} }},")));
        assert_eq!(said(&loaded).len(), errors, "{ca}: {:?}", said(&loaded));
        assert_eq!(loaded.snapshot.is_some(), errors == 0, "{ca}");
    }
}

#[test]
fn paths_in_a_file_start_at_its_folder() {
    let folder = Folder::new();
    let snapshot = folder.load(&format!("log: {{ access: logs/access.log }}\n{LEAST}")).snapshot.unwrap();
    assert_eq!(snapshot.log.access, AccessLogTo::File(folder.0.path().join("logs/access.log")));
    let absolute = folder.load(&format!("log: {{ access: /var/log/access.log }}\n{LEAST}")).snapshot.unwrap();
    assert_eq!(absolute.log.access, AccessLogTo::File(Path::new("/var/log/access.log").to_owned()));
}

#[test]
fn an_edge_uses_the_shield_of_its_region_goes_around_it_or_has_all_to_choose_from() {
    let east_and_europe = r#"us_east: ["http://10.1.0.1"], us_west: BYWC, europe: ["http://10.3.0.1"]"#;
    let table = [
        (r#"all: ["http://10.1.0.1", "http://10.1.0.2"]"#, None, Some("photos shield all")),
        (r#"all: ["http://10.1.0.1"]"#, Some("asia"), Some("photos shield all")),
        (east_and_europe, Some("europe"), Some("photos shield europe")),
        (east_and_europe, Some("us_west"), None),
        (east_and_europe, Some("asia"), Some("photos shield us_east, photos shield europe")),
        (east_and_europe, None, Some("photos shield us_east, photos shield europe")),
    ];
    for (pops, region, wanted) in table {
        let region = region.map(|region| format!("server: {{ region: {region} }}\n")).unwrap_or_default();
        let main = LEAST.replace("http: {", &format!("shield: {{ pops: {{ {pops} }} }}, http: {{"));
        let snapshot = snapshot(&format!("{region}{main}"));
        let groups = |shield: &leeward_config::ready::Shield| {
            shield.groups().map(|group| group.name.clone()).collect::<Vec<_>>().join(", ")
        };
        let got = snapshot.origins[0].shield.as_ref().map(groups);
        assert_eq!(got.as_deref(), wanted, "{pops} {region}");
    }
}

#[test]
fn nodes_are_found_by_name_and_kept_apart_like_any_origin() {
    let shield = r#"shield: { pops: { all: ["https://shield.example.net", "http://10.1.0.2:81"] } }"#;
    let snapshot = snapshot(&LEAST.replace("http: {", &format!("{shield}, http: {{")));
    let all: Vec<_> = snapshot.all_origins().collect();
    let names: Vec<_> = all.iter().map(|origin| origin.name.as_str()).collect();
    assert_eq!(names, ["photos", "photos shield all"]);
    let nodes = |origin: &leeward_config::ready::Origin| {
        [&origin.http, &origin.https]
            .map(|list| list.iter().flat_map(|list| &list.servers).map(ToString::to_string).collect::<Vec<_>>())
    };
    let list = vec!["https://shield.example.net:443".to_owned(), "http://10.1.0.2:81".to_owned()];
    assert_eq!(nodes(all[1]), [list.clone(), list]);
    assert_ne!(all[0].group_key, all[1].group_key);
}
