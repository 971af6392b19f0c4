//! Rules that change while requests are answered, and rules that are missing or broken.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use leeward_tests::wait::{self, PATIENCE};

use super::*;

const ATTACK: &str = "/search?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E";

#[test]
fn eight_reloads_under_traffic_change_no_verdict() {
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    let (stop, asked, wrong) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..3 {
            let (edge, stop, asked, wrong) = (&edge, &stop, &asked, &wrong);
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (request, want) = match n % 3 {
                        0 => (browser("GET", BLOCK, &format!("{ATTACK}&n={client}.{n}")), 403),
                        1 => (post(BLOCK, "/form", FORM, b"q=%3Cscript%3Ealert(1)%3C%2Fscript%3E"), 403),
                        _ => (browser("GET", BLOCK, &format!("/page/{n}")), 200),
                    };
                    let status = ask(edge, &request).status();
                    wrong.fetch_add(usize::from(status != want), Ordering::Relaxed);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for n in 0..8 {
            // between any two of them requests are judged, however slow the machine is
            let before = asked.load(Ordering::Relaxed);
            wait::until("requests", PATIENCE, || (asked.load(Ordering::Relaxed) > before + 13).then_some(()));
            edge.write_config(&config(&format!("mode: off, threshold: {}, deadline: 20s", 5 - n % 2)));
            assert!(edge.reload(), "{}", edge.story());
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (asked, wrong) = (asked.into_inner(), wrong.into_inner());
    println!("8 reloads, {asked} requests, {wrong} wrong");
    assert!(asked > 100, "{asked}");
    assert_eq!(wrong, 0, "of {asked}");
}

#[test]
fn rules_that_are_missing_or_broken_are_refused_with_file_and_line_and_the_old_ones_stay() {
    let origin = origin();
    let own = "SecRule ARGS:own \"@streq evil\" \"id:1,phase:2,deny,log,msg:'own'\"\n";
    let with = |rules: &str| config("mode: off, deadline: 20s").replace(CORE, rules);
    let setup = Setup::new(&with("[own.conf]")).name("origin", &origin.address()).file("own.conf", own);
    let edge = Edge::start(&setup);
    let judges = |edge: &Edge, what: &str| {
        assert_eq!(ask(edge, &browser("GET", BLOCK, "/?own=evil")).status(), 403, "{what}");
        assert_eq!(ask(edge, &browser("GET", BLOCK, "/?own=fine")).status(), 200, "{what}");
    };
    judges(&edge, "at the start");
    let file = edge.directory().join("own.conf");
    for (text, said) in [
        ("SecRule ARGS \"@rx (\" \"id:2,phase:2,denyy\"\n", "own.conf:2:1: error: the engine does not take this rule"),
        ("SecRuleEngine Off\n", "own.conf:2:1: error: `SecRuleEngine` is not part of a rule set"),
    ] {
        std::fs::write(&file, format!("{own}{text}")).unwrap();
        assert!(!edge.reload(), "{}", edge.story());
        assert!(edge.output().wait_for_err(Duration::from_secs(5), said), "{said}\n{}", edge.story());
        judges(&edge, said);
    }
    std::fs::write(&file, own.replace("evil", "worse")).unwrap();
    assert!(edge.reload(), "{}", edge.story());
    assert_eq!(ask(&edge, &browser("GET", BLOCK, "/?own=worse")).status(), 403);
    assert_eq!(ask(&edge, &browser("GET", BLOCK, "/?own=evil")).status(), 200, "a verdict of the old rules");
    // at a start and in a check nothing else is said
    std::fs::write(&file, "SecRule\n").unwrap();
    let story =
        Edge::refuse(&Setup::new(&with("[own.conf]")).name("origin", &origin.address()).file("own.conf", "SecRule\n"));
    assert!(story.contains("own.conf:1:1: error:"), "{story}");
    let check = std::process::Command::new(leeward_tests::edge::binary())
        .args(["check", "leeward.yaml"])
        .current_dir(edge.directory())
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&check.stdout);
    assert_eq!((check.status.code(), out.contains("own.conf:1:1: error:")), (Some(1), true), "{out}");
}

#[test]
fn rules_that_have_not_changed_are_kept_with_what_is_remembered_of_verdicts() {
    let origin = origin();
    let own = "SecRule ARGS:own \"@pmFromFile own.data\" \"id:1,phase:2,deny,log,msg:'own'\"\n";
    let with = |more: &str| config(&format!("mode: off, deadline: 20s, {more}")).replace(CORE, "[own.conf]");
    let setup =
        Setup::new(&with("")).name("origin", &origin.address()).file("own.conf", own).file("own.data", "evil\n");
    let edge = Edge::start(&setup);
    let counts = || {
        let metrics = edge.metrics();
        (metrics.sum_of("leeward_waf_seconds_count"), metrics.sum_of("leeward_waf_remembered_total"))
    };
    let asks = |target: &str| ask(&edge, &browser("GET", BLOCK, target)).status();
    assert_eq!((asks("/?own=fine"), asks("/?own=fine"), asks("/?own=worse")), (200, 200, 200));
    assert_eq!(counts(), (2.0, 1.0));
    let file = |name: &str| edge.directory().join(name);
    // what changed, whether the rules are the same then, and what becomes of `worse`
    let changes: [(&str, &dyn Fn(), bool, u16); 6] = [
        ("nothing", &|| (), true, 200),
        ("the deadline", &|| edge.write_config(&with("").replace("20s", "10s")), true, 200),
        ("a file that a rule names", &|| std::fs::write(file("own.data"), "evil\nworse\n").unwrap(), false, 403),
        ("an exclusion", &|| edge.write_config(&with("exclude: [{ rule: 1 }]")), false, 200),
        ("no exclusion", &|| edge.write_config(&with("")), false, 403),
        ("a rule", &|| std::fs::write(file("own.conf"), own.replace("ARGS:own", "ARGS:other")).unwrap(), false, 200),
    ];
    for (what, change, kept, worse) in changes {
        change();
        let (inspected, remembered) = counts();
        assert!(edge.reload(), "{}", edge.story());
        assert_eq!(asks("/?own=fine"), 200, "{what}");
        let (new, old) = if kept { (0.0, 1.0) } else { (1.0, 0.0) };
        assert_eq!(counts(), (inspected + new, remembered + old), "{what}\n{}", edge.story());
        assert_eq!(asks("/?own=worse"), worse, "{what}");
    }
}

/// A library that cannot be loaded: what is at its place, and what is said of it.
fn broken_library(text: &str) -> (Setup, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("libmodsecurity.so.3"), text).unwrap();
    let mut setup = Setup::new(&config("mode: off, deadline: 20s"));
    // the loader looks there first, and takes what it finds
    setup.environment.push(("LD_LIBRARY_PATH".to_owned(), directory.path().display().to_string()));
    (setup, directory)
}

#[test]
fn without_the_library_a_configuration_with_a_waf_is_refused_at_the_rules() {
    let (setup, directory) = broken_library("");
    let said = "leeward.yaml:6:15: error: `libmodsecurity.so.3` cannot be loaded: ";
    assert_eq!(setup.config.lines().nth(5).and_then(|line| line.find("[/etc")), Some(14), "{}", setup.config);
    let story = Edge::refuse(&setup.clone().name("origin", &"127.0.0.1:9"));
    assert!(story.contains(said) && story.contains("libmodsecurity3"), "{story}");
    std::fs::write(
        directory.path().join("leeward.yaml"),
        setup
            .config
            .replace("${listen}", "127.0.0.1:8080")
            .replace("${admin}", "127.0.0.1:8081")
            .replace("${origin}", "127.0.0.1:9"),
    )
    .unwrap();
    let check = |library: bool| {
        let mut command = std::process::Command::new(leeward_tests::edge::binary());
        command.args(["check", "leeward.yaml"]).current_dir(directory.path());
        if !library {
            command.env("LD_LIBRARY_PATH", directory.path());
        }
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let (code, out) = check(false);
    assert!(code == Some(1) && out.contains(said), "{code:?} {out}");
    let (code, out) = check(true);
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn a_reload_that_adds_a_waf_without_its_library_leaves_what_runs() {
    let origin = origin();
    let (mut setup, _directory) = broken_library("not a library");
    let with_waf = setup.config.clone();
    setup.config = with_waf.replace("mode: block", "mode: off").replace("mode: detect", "mode: off");
    let edge = Edge::start(&setup.name("origin", &origin.address()));
    let fine = |what: &str| assert_eq!(ask(&edge, &browser("GET", BLOCK, ATTACK)).status(), 200, "{what}");
    fine("no WAF yet");
    edge.write_config(&with_waf);
    for n in 0..2 {
        assert!(!edge.reload(), "{}", edge.story());
        assert!(edge.output().wait_for_err(PATIENCE, "cannot be loaded"), "{}", edge.story());
        fine(&format!("reload {n}"));
    }
    assert_eq!(edge.metrics().sum_of("leeward_config_generation"), 1.0);
}

#[test]
fn what_a_client_writes_is_neither_logged_nor_counted() {
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    let mut request = browser(
        "GET",
        BLOCK,
        "/x%22%5D%20%5Bid%20%22942100%22%5D?a=secretvalue%22%5D+%5Bid+%22942360%22%5D+%3Cscript%3E",
    );
    request = request.with("Cookie", "b=secretvalue' or 1=1-- -");
    assert_eq!(ask(&edge, &request).status(), 403);
    let (entry, all) = edge.output().wait_for_access(Duration::from_secs(5), |entry| entry["reason"] == "waf");
    let entry = entry.unwrap_or_else(|| panic!("{all:?}"));
    let rules = entry["waf"]["rules"].as_array().unwrap();
    assert_eq!(entry["waf"]["verdict"], "blocked", "{entry}");
    assert!(entry["waf"]["score"].as_u64().unwrap() >= 5, "{entry}");
    assert!(rules.iter().any(|rule| rule == 949_110) && !rules.iter().any(|rule| rule == 942_360), "{entry}");
    assert!(!entry.to_string().contains("secretvalue"), "{entry}");
    let err = edge.output().err().join("\n");
    assert!(!err.contains("secretvalue") && !err.contains("ModSecurity:"), "{err}");
    let text = edge.admin("GET", "/metrics", None).unwrap().text();
    let hits = text.lines().filter(|line| line.starts_with("leeward_waf_rule_hits_total")).count();
    assert_eq!(hits, rules.len(), "{text}");
}
