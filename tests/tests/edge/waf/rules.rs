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
            edge.write_config(&config(&format!("mode: off, threshold: 5, deadline: {}s", 5 + n)));
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
