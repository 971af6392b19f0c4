//! Rule files: what may be in them, what is said about those that are broken, and what is applied around them.

use super::*;
use leeward_waf::Exclusion;

fn faults(text: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("own.conf");
    std::fs::write(&file, text).unwrap();
    let all = load(&Plan { files: vec![file], ..plan() }).err().unwrap_or_default();
    all.iter().map(|fault| fault.to_string().rsplit("own.conf:").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_rule_set_is_rules_and_what_is_wrong_has_its_line() {
    let fine = "SecRule ARGS \"@streq a\" \"id:1,phase:2,deny\"";
    for (text, want) in [
        (fine.to_owned(), &[][..]),
        ("# SecRuleEngine Off\n\nsecaction \\\n  \"id:5,\\\n  phase:1,pass,nolog\"\n".to_owned(), &[]),
        (format!("{fine}\nSecRuleEngine Off\n"), &["2: `SecRuleEngine` is not part of a rule set"]),
        (
            "SecAuditLog /tmp/x\nSecRequestBodyLimit 5".to_owned(),
            &["1: `SecAuditLog` is not", "2: `SecRequestBodyLimit` is not"],
        ),
        ("\n\nInclude other.conf".to_owned(), &["3: `Include` is not part"]),
        ("<IfModule x>".to_owned(), &["1: `<IfModule` is not part"]),
        (
            "SecRule ARGS \"@inspectFile /bin/x\" \"id:1,phase:2,deny\"".to_owned(),
            &["1: `@inspectFile` runs a program"],
        ),
        ("\nSecAction \\\n \"id:2,phase:2,pass,exec:/x.lua\"".to_owned(), &["2: `exec:` runs a program"]),
        ("SecAction \"id:'7700001',phase:1,pass\"".to_owned(), &["1: the rule id 7700001 is taken"]),
        (
            format!("{fine}\n\nSecRule ARGS \"@rx (\" \"id:2,phase:2,denyy\"\n"),
            &["3: the engine does not take this rule"],
        ),
        (format!("{fine}\n{fine}\n"), &["2: the rule id 1 is there already"]),
        (
            "SecRule ARGS \"@pmFromFile none.data\" \"id:2,phase:2,deny\"".to_owned(),
            &["1: the engine does not take this rule"],
        ),
    ] {
        let got = faults(&text);
        let fits = got.len() == want.len() && got.iter().zip(want).all(|(got, want)| got.starts_with(want));
        assert!(fits, "{text}\n{got:#?}\nwanted {want:#?}");
    }
}

#[test]
fn files_that_are_not_there_are_named() {
    let missing = Plan { files: vec!["/nowhere/a.conf".into(), "/".into()], ..plan() };
    let faults: Vec<String> = load(&missing).unwrap_err().iter().map(Fault::to_string).collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("/nowhere/a.conf:1: cannot read"), "{faults:?}");
    assert!(faults[1].contains("not a file"), "{faults:?}");
}

const SQL: &str = "/?comment=1%27%20union%20select%20password%20from%20users--%20-";

#[test]
fn levels_and_exclusions_hold_for_the_requests_that_name_them() {
    let exclusion = |rule, target: Option<&str>| Exclusion { rule, target: target.map(str::to_owned) };
    let set = load(&Plan {
        levels: vec![
            Level { paranoia: 1, threshold: 5, argument: 4096 },
            Level { paranoia: 1, threshold: 100, argument: 4096 },
            Level { paranoia: 3, threshold: 5, argument: 4096 },
        ],
        exclusions: vec![
            exclusion(942_100, None),
            exclusion(942_190, None),
            exclusion(942_270, Some("ARGS:comment")),
            exclusion(942_360, Some("ARGS:comment")),
            exclusion(942_360, Some("ARGS:other")),
        ],
        ..plan()
    })
    .unwrap_or_else(|faults| panic!("{faults:#?}"));
    // refused at paranoia 3 only: a field with a semicolon in an odd place
    for (target, level, exclusions, refuse, named) in [
        (SQL, 0, &[][..], true, 942_270),
        (SQL, 1, &[], false, 942_270),
        (SQL, 0, &[0, 1, 2], true, 942_360),
        (SQL, 0, &[0, 1, 2, 3], false, 0),
        (SQL, 0, &[0, 1, 2, 4], true, 942_360),
        ("/?q=a%3bb%27c%22d%28e%29f%3d%2a%24%26%7e", 0, &[], false, 0),
        ("/?q=a%3bb%27c%22d%28e%29f%3d%2a%24%26%7e", 2, &[], true, 0),
    ] {
        let got = set.inspect(&Request { level, exclusions: exclusions.to_vec(), ..get(target) }).unwrap();
        assert_eq!(got.refuse, refuse, "{target} level {level} without {exclusions:?}: {got:?}");
        assert!(named == 0 || got.rules.contains(&named), "{named} is not in {got:?}");
        assert_eq!(got.rules.is_empty(), got.score == 0, "{got:?}");
    }
}

#[test]
fn what_the_operator_sets_up_in_the_rule_files_does_not_change_level_and_engine() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("setup.conf");
    let text = "SecAction \"id:900110,phase:1,nolog,pass,t:none,setvar:tx.inbound_anomaly_score_threshold=1000\"\n\
                SecAction \"id:900200,phase:1,nolog,pass,t:none,setvar:'tx.allowed_methods=GET'\"\n";
    std::fs::write(&file, text).unwrap();
    let mut files = core_rules();
    files.insert(1, file);
    let set = load(&Plan { files, ..plan() }).unwrap();
    assert!(set.inspect(&get(SQL)).unwrap().refuse);
    // which methods there are is a matter of the rules, whose default is what the edge serves
    let put = Request { method: b"PUT".to_vec(), ..get("/a") };
    assert!(set.inspect(&put).unwrap().refuse);
    assert!(!judge(&put).refuse);
}

#[test]
fn only_rules_of_the_operators_make_a_verdict_depend_on_the_client() {
    let with = |text: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("own.conf");
        std::fs::write(&file, text).unwrap();
        let mut files = core_rules();
        files.push(file);
        load(&Plan { files, ..plan() }).unwrap().asks_for_client()
    };
    assert!(!with("SecRule ARGS \"@streq a\" \"id:1,phase:2,deny\""));
    assert!(with("SecRule REMOTE_ADDR \"@ipMatch 192.0.2.0/24\" \"id:1,phase:2,deny\""));
    assert!(with("SecRule ARGS \"@streq a\" \"id:1,phase:2,deny,chain\"\nSecRule REMOTE_ADDR \"@streq 1\""));
}
