//! What is read in spite of how it is written, and what one mistake makes of the rest.

use serde_json::{Value, json};

use crate::fixture::{in_context, read_in, yaml};
use crate::{Form, read};

#[test]
fn a_yaml_block_may_stand_for_a_value() {
    let document = yaml(
        "rules:\n- matches:\n  - name: client-ip\n    value: >\n      10.0.0.0/8\n      192.0.2.1\n  - name: url-path\n    value: |\n      img\n      media\n  - name: url-path-regex\n    value: |\n      ^/img/[0-9]+$\n  behaviors:\n  - name: site-failover\n    type: serve-302\n    params: { httpResponseStatus: \"500\\n503:504\\n\", alternateHostname: m.example.net, alternatePath: '-', preserveQueryString: true }\n",
    );
    let (written, problems) = read_in(&document, Form::Yaml);
    let written = written.unwrap_or_else(|| panic!("{problems:?}"));
    assert_eq!(written.rules[0].matches[0].value, "10.0.0.0/8 192.0.2.1");
    assert_eq!(written.rules[0].matches[2].value, "^/img/[0-9]+$");
}

#[test]
fn a_mistake_is_said_once_and_what_stands_below_it_is_still_checked() {
    let origin = json!({ "originDomain": "o.example.net" });
    let any = json!([{ "name": "url-wildcard", "value": "/*" }]);
    let in_rule = |behavior: Value| json!({ "rules": [{ "matches": any, "behaviors": [behavior] }] });
    let table: Vec<(Value, &[&str])> = vec![
        (json!({ "Rules": [{}] }), &["error Rules", "error Rules[0]", "error Rules[0]"]),
        (json!([]), &["error "]),
        (
            json!({ "rules": [{ "match": [{ "name": "url-path", "vlaue": "/a" }], "behaviours": [{ "nmae": "cachng" }] }] }),
            &[
                "error rules[0].match",
                "error rules[0].behaviours",
                "error rules[0].match[0].vlaue",
                "error rules[0].match[0].value",
                "error rules[0].behaviours[0].nmae",
                "error rules[0].behaviours[0].name",
            ],
        ),
        (in_rule(json!({ "name": "caching", "typ": "fixed", "value": "1h" })), &["error rules[0].behaviors[0].typ"]),
        (in_rule(json!({ "name": "orign", "params": origin })), &["error rules[0].behaviors[0].name"]),
        (
            in_rule(json!({ "name": "origin", "params": { "orginDomain": "o.example.net" } })),
            &["error rules[0].behaviors[0].params.orginDomain"],
        ),
        (
            in_rule(
                json!({ "name": "origin", "params": { "originDomain": "o.example.net", "hostHeaderType": "fix", "hostHeaderValue": "a.example" } }),
            ),
            &["error rules[0].behaviors[0].params.hostHeaderType"],
        ),
        (
            in_rule(
                json!({ "name": "url-redirect", "type": "302", "params": { "protocol": "htps", "hostname": "a.example", "path": "/x" } }),
            ),
            &["error rules[0].behaviors[0].params.protocol"],
        ),
        (
            in_rule(json!({ "name": "url-redirect", "type": "302", "params": { "protocol": "htps" } })),
            &["error rules[0].behaviors[0].params.protocol"],
        ),
        (json!({ "rules": [{ "matches": any }] }), &["error rules[0]"]),
    ];
    for (document, expected) in table {
        let (_, problems) = read_in(&document, Form::Json);
        let mut got: Vec<String> = problems
            .iter()
            .map(|problem| format!("{:?} {}", problem.severity, problem.place()).to_lowercase())
            .collect();
        let mut wanted: Vec<String> = expected.iter().map(|place| place.to_lowercase()).collect();
        got.sort();
        wanted.sort();
        assert_eq!(got, wanted, "{document}: {problems:?}");
    }
}

#[test]
fn a_rule_that_cannot_be_read_may_have_named_the_origin() {
    let any = json!([{ "name": "url-wildcard", "value": "/*" }]);
    for (behaviors, said) in [
        (json!([{ "name": "deny-access" }]), true),
        (json!([{ "name": "caching", "type": "fixed" }]), true),
        (json!([{ "name": "orign" }]), false),
        (json!([{ "name": "origin" }]), false),
        (json!([{ "name": 5 }]), false),
        (json!("origin"), false),
    ] {
        let document = json!({ "rules": [{ "matches": any, "behaviors": behaviors }] });
        let problems = in_context(|context| {
            read(&document, Form::Json, &crate::Context { has_default_origin: false, ..*context }).1
        });
        let got = problems.iter().any(|problem| problem.message.starts_with("no rule names an origin"));
        assert_eq!(got, said, "{document}: {problems:?}");
    }
}
