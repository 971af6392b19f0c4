//! Every scenario can be read and says what it is about, whether or not there is an edge to play it on.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::expect::{Expect, Got};
use super::file::Step;
use super::run::covers;
use super::{Scenario, crowd, expect, fill, folder, read, table};
use crate::wire::Lost;

fn names(folder: &Path, under: &str, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let name = if under.is_empty() { stem } else { format!("{under}/{stem}") };
        if path.is_dir() {
            names(&path, &name, into);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            into.push(name);
        }
    }
}

#[test]
fn every_scenario_can_be_read_and_states_a_law_of_its_own() {
    let mut found = Vec::new();
    names(&folder(), "", &mut found);
    assert!(found.len() >= 40, "only {} scenarios", found.len());
    let mut laws: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for name in found {
        match read(&name) {
            Err(error) => wrong.push(error),
            Ok(cases) => {
                if let Some(other) = laws.insert(cases[0].scenario.law.clone(), name.clone()) {
                    wrong.push(format!("{name} and {other} state the same law"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn got(status: u16, fields: &[(&str, &str)], body: &str) -> Got {
    Got {
        status,
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.as_bytes().to_vec(),
        cut: None,
        end: None,
        took: Duration::from_millis(100),
    }
}

#[test]
fn an_expectation_is_met_by_what_it_says_and_by_nothing_else() {
    let hit = got(200, &[("Cache-Status", "leeward; hit; ttl=9"), ("Age", "3"), ("Vary", "A"), ("vary", "B")], "hello");
    let cut = Got { cut: Some("Closed".into()), end: Some(Lost::Closed), ..got(200, &[], "0000") };
    let cases: &[(&str, &Got, usize)] = &[
        ("200", &hit, 0),
        ("404", &hit, 1),
        ("{ status: { from: 200, to: 299 } }", &hit, 0),
        ("{ status: { from: 400 } }", &hit, 1),
        ("{ body: hello, cache: hit }", &hit, 0),
        ("{ body: hell, cache: stored }", &hit, 2),
        ("{ body: { has: ell, lacks: x } }", &hit, 0),
        ("{ body: { has: x } }", &hit, 1),
        ("{ headers: { age: 3, Vary: 'A, B', Set-Cookie: null } }", &hit, 0),
        ("{ headers: { age: 4, Vary: A, Cache-Status: null, Via: { present: true } } }", &hit, 4),
        ("{ headers: { age: { from: 2, to: 3 } } }", &hit, 0),
        ("{ headers: { age: { from: 4 }, Vary: { to: 3 } } }", &hit, 2),
        ("{ size: 5 }", &hit, 1),
        ("{ within: 50ms }", &hit, 1),
        ("{ after: 200ms }", &hit, 1),
        ("{ after: 50ms, within: 200ms }", &hit, 0),
        ("{ incomplete: true }", &hit, 1),
        ("200", &cut, 1),
        ("{ status: 200, size: 1000, incomplete: true, closed: true }", &cut, 0),
        ("{ incomplete: true, closed: false }", &cut, 1),
        ("{ may_break: true }", &cut, 0),
        ("{ may_break: true }", &hit, 0),
        ("{ nothing: true }", &hit, 1),
    ];
    for (expect, got, wrong) in cases {
        let expect: Expect = serde_yaml::from_str(expect).unwrap_or_else(|error| panic!("{expect}: {error}"));
        let misses = expect.0.misses(Ok(got));
        assert_eq!(misses.len(), *wrong, "{expect:?} of {got:?}: {misses:#?}");
    }
    let nothing: Expect = serde_yaml::from_str("{ nothing: true }").unwrap();
    let something: Expect = serde_yaml::from_str("200").unwrap();
    let lost = Lost::Reset;
    assert_eq!((nothing.0.misses(Err(&lost)).len(), something.0.misses(Err(&lost)).len()), (0, 1));
}

#[test]
fn what_no_scenario_can_say_is_an_error_that_names_it() {
    let cases = [
        ("steps: [{ aks: GET http://a/ }]", "a step begins with one of"),
        ("steps: [{ ask: GET http://a/, expect: { stauts: 200 } }]", "stauts"),
        ("steps: [{ stop: main, start: main }]", "has nothing else in it"),
        ("steps: [{ wait: 5 }]", "5"),
        ("steps: [], origins: { main: { bogus: 1 } }", "bogus"),
        ("steps: [], origins: { main: { /a: { statsu: 1 } } }", "statsu"),
        ("stpes: []", "stpes"),
    ];
    for (text, wanted) in cases {
        let read: Result<Scenario, _> = serde_yaml::from_str(&format!("{{ law: x, edge: {{}}, {text} }}"));
        let error = read.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(wanted), "{text}: {error:?}");
    }
}

#[test]
fn a_table_is_one_scenario_for_each_row_and_a_cell_is_what_it_is() {
    let file = "
law: x
origins: { main: { \"*\": { status: \"${status}\" } } }
edge: { origins: [{ backup: { on: \"${on}\" } }] }
steps: [{ ask: \"GET http://a/${status}\", expect: { status: \"${status}\", body: \"${body}\" } }]
cases:
  columns: [status, on, body]
  rows:
    - [404, [4xx], text]
    - [200, [], null]
";
    let cases = table::read(file).unwrap();
    let rows: Vec<&str> = cases.iter().filter_map(|case| case.row.as_deref()).collect();
    assert_eq!(rows, ["status=404 on=[\"4xx\"] body=text", "status=200 on=[] body=null"]);
    let on = |case: &table::Case| case.scenario.edge["origins"][0]["backup"]["on"].clone();
    assert_eq!(on(&cases[0]), serde_yaml::from_str::<serde_yaml::Value>("[4xx]").unwrap());
    let Step::Ask(asked) = cases[1].scenario.steps[0].step(&[]) else { panic!("an ask") };
    assert_eq!(asked.ask.ask, "GET http://a/200");
    let misses = asked.ask.expect.0.misses(Ok(&got(200, &[], "anything")));
    assert!(misses.is_empty(), "a cell of null is not looked at: {misses:?}");
    let wrong = [
        ("{ columns: [status], rows: [[404, 500]] }", "2 cells for 1 columns"),
        ("{ columns: [statsu], rows: [[404]] }", "nothing in the file says ${statsu}"),
        ("{ columns: [status], rows: [] }", "there is no row"),
        ("{ columns: [status], rows: [[x]] }", "row status=x"),
    ];
    for (cases, why) in wrong {
        let origins = "{ m: { '*': { status: '${status}' } } }";
        let error = table::read(&format!("{{ law: x, edge: {{}}, steps: [], origins: {origins}, cases: {cases} }}"));
        let error = error.err().unwrap_or_default();
        assert!(error.contains(why), "{cases}: {error:?}");
    }
}

#[test]
fn a_number_stands_for_the_client_and_for_the_rest_of_a_division() {
    let value: serde_yaml::Value = serde_yaml::from_str("{ a: \"/x${n}/${n%4}?${other}\", b: \"${n}\" }").unwrap();
    let wanted: serde_yaml::Value = serde_yaml::from_str("{ a: \"/x6/2?${other}\", b: 6 }").unwrap();
    assert_eq!(fill::number(&value, 6), wanted);
}

#[test]
fn a_budget_of_errors_is_a_number_or_a_share() {
    let cases =
        [("0", 0, 10, true), ("0", 1, 10, false), ("2", 2, 2, true), ("0.1%", 1, 1000, true), ("0.1%", 1, 999, false)];
    for (budget, wrong, of, allowed) in cases {
        let read: crowd::Budget = serde_yaml::from_str(budget).unwrap();
        assert_eq!(read.allows(wrong, of), allowed, "{wrong} of {of} with {budget}");
    }
}

#[test]
fn two_answers_or_requests_are_alike_only_byte_for_byte() {
    let one = got(200, &[("A", "1"), ("B", "2")], "x");
    let dated = |date| got(200, &[("Date", date)], "x");
    assert!(expect::unlike_answers(&dated("Sun, 22 Nov 2026"), &dated("Mon, 23 Nov 2026")).is_none());
    assert!(expect::unlike_answers(&dated("Sun, 22 Nov 2026"), &got(200, &[], "x")).is_some());
    let aged = |age, status| got(200, &[("Age", age), ("Cache-Status", status)], "x");
    let young = aged("0", "leeward; hit; ttl=60");
    assert!(expect::unlike_answers(&young, &aged("1", "leeward; hit; ttl=59")).is_none());
    assert!(expect::unlike_answers(&young, &aged("0", "leeward; fwd=uri-miss; stored")).is_some());
    assert!(expect::unlike_answers(&young, &aged("old", "leeward; hit; ttl=60")).is_some());
    let others = [
        (got(200, &[("A", "1"), ("B", "2")], "x"), true),
        (got(200, &[("B", "2"), ("A", "1")], "x"), false),
        (got(200, &[("A", "1"), ("b", "2")], "x"), false),
        (got(200, &[("A", "1")], "x"), false),
        (got(201, &[("A", "1"), ("B", "2")], "x"), false),
        (got(200, &[("A", "1"), ("B", "2")], "y"), false),
    ];
    for (other, alike) in others {
        assert_eq!(expect::unlike_answers(&other, &one).is_none(), alike, "{other:?}");
    }
}

#[test]
fn an_entry_covers_what_is_wanted_of_it() {
    let entry = serde_json::json!({ "a": 1, "b": { "c": "x", "d": null }, "e": [{ "f": 1, "g": 2 }] });
    let cases = [
        (serde_json::json!({}), true),
        (serde_json::json!({ "a": 1, "b": { "c": "x" } }), true),
        (serde_json::json!({ "a": 2 }), false),
        (serde_json::json!({ "b": { "d": null, "z": null } }), true),
        (serde_json::json!({ "a": "*" }), true),
        (serde_json::json!({ "z": "*" }), false),
        (serde_json::json!({ "e": [{ "g": 2 }] }), true),
        (serde_json::json!({ "e": [{ "g": 2 }, {}] }), false),
    ];
    for (wanted, covered) in cases {
        assert_eq!(covers(&entry, &wanted), covered, "{wanted}");
    }
}
