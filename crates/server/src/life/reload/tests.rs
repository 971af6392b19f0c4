use super::*;
use crate::life::endpoints;
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory with a configuration, and the reloader of a process that started with it.
struct Running {
    directory: tempfile::TempDir,
    reloader: Reloader,
    /// What the memory hook was told last.
    memory: Arc<AtomicU64>,
    /// Generation that the publishing hook was told last.
    published: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

const ORIGINS: &str = "origins: [{ directory: photos, http: { servers: ['http://127.0.0.1:1'] } }]\n\
                       sites: [{ host: www.one.test, origin: photos }]\n";

fn write(directory: &Path, file: &str, text: &str) {
    std::fs::write(directory.join(file), text).unwrap();
}

fn issue(directory: &Path, name: &str) {
    let issued = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    write(directory, "www.pem", &issued.cert.pem());
    write(directory, "www.key", &issued.signing_key.serialize_pem());
}

fn start(configuration: &str) -> Running {
    let directory = tempfile::tempdir().unwrap();
    issue(directory.path(), "www.one.test");
    write(directory.path(), "leeward.yaml", &format!("{configuration}{ORIGINS}"));
    let path = directory.path().join("leeward.yaml");
    let loaded = leeward_config::load(&path);
    let current = publish(loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics)));
    let certificates = endpoints(&current.load().server, false).unwrap().certificates;
    let (memory, published) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let hooks = Hooks {
        cache_memory: Box::new({
            let memory = Arc::clone(&memory);
            move |bytes| memory.store(bytes, Ordering::Relaxed)
        }),
        cache_disk: Box::new(|_| {}),
        published: Box::new({
            let published = Arc::clone(&published);
            move |snapshot| published.store(snapshot.generation, Ordering::Relaxed)
        }),
    };
    let metrics = Arc::new(Metrics::new().unwrap());
    let reloader = Reloader::new(path, current, certificates, Arc::clone(&metrics), hooks);
    Running { directory, reloader, memory, published, metrics }
}

impl Running {
    fn reload(&self, configuration: &str) -> Arc<Report> {
        write(self.directory.path(), "leeward.yaml", &format!("{configuration}{ORIGINS}"));
        self.reloader.reload()
    }
}

const PLAIN: &str = "server: { listen: [{ address: '127.0.0.1:0' }] }\n";

#[test]
fn a_broken_file_leaves_what_runs_and_says_why() {
    let running = start(PLAIN);
    let account = || running.reloader.current().load().account.clone();
    let before = account();

    let refused = running.reload("account: \"0007\"\nserver: { lissten: [] }\n");
    assert!(!refused.ok);
    assert_eq!(refused.generation, 1);
    assert!(refused.diagnostics.iter().any(|said| said.message.contains("lissten")), "{:?}", refused.diagnostics);
    assert_eq!((account(), running.published.load(Ordering::Relaxed)), (before, 0), "half of a broken file was used");

    let used = running.reload(&format!("account: \"0007\"\n{PLAIN}"));
    assert!(used.ok, "{:?}", used.diagnostics);
    assert_eq!((used.generation, account().as_str(), running.published.load(Ordering::Relaxed)), (2, "0007", 2));
    assert_eq!(running.reloader.last().generation, 2);

    let text = String::from_utf8(running.metrics.render()).unwrap();
    for line in [
        "leeward_reloads_total{result=\"failed\"} 1",
        "leeward_reloads_total{result=\"ok\"} 1",
        "leeward_config_generation 2",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn an_origin_that_a_site_names_stays_and_the_refusal_says_which_site() {
    let running = start(PLAIN);
    for (change, origins) in [
        ("deleted", "[{ directory: films, http: { servers: ['http://127.0.0.1:1'] } }]"),
        ("renamed", "[{ directory: photos2, http: { servers: ['http://127.0.0.1:1'] } }]"),
    ] {
        let sites = "[{ host: www.one.test, origin: photos }]";
        let configuration = format!("{PLAIN}origins: {origins}\nsites: {sites}\n");
        write(running.directory.path(), "leeward.yaml", &configuration);
        let refused = running.reloader.reload();
        let said: Vec<&str> = refused.diagnostics.iter().map(|said| said.message.as_str()).collect();
        assert_eq!(said, ["there is no origin `photos` for the site `www.one.test`"], "{change}");
        assert_eq!((refused.ok, refused.generation), (false, 1), "{change}");
        let current = running.reloader.current().load();
        let serving = current.sites.find("www.one.test").and_then(|site| site.origin.as_ref());
        assert_eq!(serving.map(|origin| origin.name.as_str()), Some("photos"), "{change}");
    }
}

#[test]
fn what_is_only_read_at_a_start_is_named() {
    let running = start("server: { listen: [{ address: '127.0.0.1:0' }], threads: 2 }\ncache: { memory: 64MiB }\n");
    let listen = "listen: [{ address: '127.0.0.1:0' }]";
    let cases: [(String, &[&str]); 9] = [
        (format!("server: {{ {listen}, threads: 2 }}\ncache: {{ memory: 64MiB }}\n"), &[]),
        (format!("server: {{ {listen}, threads: 3 }}\ncache: {{ memory: 64MiB }}\n"), &["server.threads"]),
        (format!("server: {{ {listen}, threads: 2, grace_period: 3s }}\ncache: {{ memory: 64MiB }}\n"), &["server.grace_period"]),
        ("server: { listen: [{ address: '127.0.0.1:1' }], threads: 2 }\ncache: { memory: 64MiB }\n".to_owned(), &["server.listen"]),
        (
            "server: { listen: [{ address: '127.0.0.1:0', proxy_protocol: { trusted: [10.0.0.0/8] } }], threads: 2 }\ncache: { memory: 64MiB }\n"
                .to_owned(),
            &["server.listen"],
        ),
        (format!("server: {{ {listen}, threads: 2 }}\ncache: {{ memory: 32MiB }}\n"), &["cache.memory"]),
        (format!("server: {{ {listen}, threads: 2, limits: {{ connections: 7 }} }}\ncache: {{ memory: 64MiB }}\n"), &[]),
        (
            format!("server: {{ {listen}, threads: 2 }}\ncache: {{ memory: 64MiB }}\nadmin: {{ address: '127.0.0.1:1' }}\n"),
            &["admin.address"],
        ),
        (
            "server: { listen: [{ address: '127.0.0.1:1' }], threads: 3 }\ncache: { memory: 64MiB }\n".to_owned(),
            &["server.listen", "server.threads"],
        ),
    ];
    for (configuration, wanted) in cases {
        let report = running.reload(&configuration);
        assert!(report.ok, "{configuration}: {:?}", report.diagnostics);
        assert_eq!(report.waits_for_restart, wanted, "{configuration}");
    }
}

#[test]
fn the_memory_tier_grows_at_once_and_shrinks_at_a_restart() {
    let running = start(&format!("{PLAIN}cache: {{ memory: 64MiB }}\n"));
    let cases = [
        // configured, told, waits
        ("64MiB", 0, false),
        ("128MiB", 128 << 20, false),
        ("96MiB", 128 << 20, true), // smaller than what runs, though larger than at the start
        ("129MiB", 129 << 20, false),
    ];
    for (memory, told, waits) in cases {
        let report = running.reload(&format!("{PLAIN}cache: {{ memory: {memory} }}\n"));
        assert_eq!(running.memory.load(Ordering::Relaxed), told, "{memory}");
        assert_eq!(report.waits_for_restart.contains(&"cache.memory"), waits, "{memory}");
    }
}

#[test]
fn an_unusable_certificate_refuses_the_whole_reload() {
    let tls =
        "server: { listen: [{ address: '127.0.0.1:0', tls: { certificates: [{ chain: www.pem, key: www.key }] } }] }\n";
    let running = start(tls);
    write(running.directory.path(), "www.pem", "rubbish");
    let refused = running.reload(&format!("account: \"0007\"\n{tls}"));
    assert!(!refused.ok && refused.generation == 1, "{refused:?}");
    assert!(format!("{:?}", refused.diagnostics).contains("www.pem"), "{:?}", refused.diagnostics);
    assert_ne!(running.reloader.current().load().account, "0007");
    issue(running.directory.path(), "www.two.test");
    assert!(running.reload(tls).ok);
}

#[test]
fn the_disk_tier_grows_at_once_and_waits_for_a_restart_with_everything_else() {
    let disk = |path: &str, size| Some(Disk { path: path.into(), size });
    let running = start(PLAIN);
    let snapshot = running.reloader.current().load();
    let with = |cache_disk| StartedWith { cache_disk, ..StartedWith::of(&snapshot) };
    for (old, new, grows, waits) in [
        (None, None, None, false),
        (disk("/a", 5), disk("/a", 5), None, false),
        (disk("/a", 5), disk("/a", 6), Some(6), false),
        (disk("/a", 5), disk("/a", 4), None, true),
        (disk("/a", 5), disk("/b", 6), None, true),
        (disk("/a", 5), None, None, true),
        (None, disk("/a", 5), None, true),
    ] {
        let (from, to) = (with(old.clone()), with(new.clone()));
        let keys = from.waiting(&to);
        assert_eq!((from.larger_disk(&to), keys.contains(&"cache.disk")), (grows, waits), "{old:?} to {new:?}");
    }
}
