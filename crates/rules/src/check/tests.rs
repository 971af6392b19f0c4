//! Documents: what is accepted, what is refused and where, and the warnings.

use serde_json::{Value, json};

use crate::fixture::{in_context, lines, policy, read_in, yaml};
use crate::{Form, Policy, Severity, read};

fn both(document: &Value, form: Form) -> (bool, Vec<String>) {
    let (policy, problems) = read_in(document, form);
    assert_eq!(policy.is_none(), problems.iter().any(|problem| problem.severity == Severity::Error), "{problems:?}");
    (policy.is_some(), lines(&problems))
}

/// The two policies of the site-failover page, character for character.
const FAILOVER: &str = r#"       { 
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
       }"#;
const DOWNSTREAM: &str = r#"       {
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
       }"#;

#[test]
fn the_documented_policies_load_unchanged_from_json_and_from_yaml() {
    for text in [FAILOVER, DOWNSTREAM] {
        let json: Value = serde_json::from_str(text).unwrap();
        let yaml: Value = serde_yaml::from_str(text).unwrap();
        for (document, form) in [(&json, Form::Json), (&json, Form::Yaml), (&yaml, Form::Json), (&yaml, Form::Yaml)] {
            let (written, problems) = read_in(document, form);
            let written = written.unwrap_or_else(|| panic!("{problems:?}"));
            assert_eq!(serde_json::to_value(&written).unwrap(), json, "printed back as it was");
        }
    }
}

/// Rules of the kinds that the specification shows, one a line.
const EXAMPLES: &[&str] = &[
    "{matches: [{name: url-wildcard, value: '/*'}], behaviors: [{name: origin, value: '-', params: {digitalProperty: www.example.com, originDomain: origin111.example.net, cacheKeyType: origin, cacheKeyValue: '-', hostHeaderType: digital_property, hostHeaderValue: '-'}}, {name: caching, type: honor, value: 1h}]}",
    "{matches: [{name: url-path, value: img media}], behaviors: [{name: origin, value: '-', params: {digitalProperty: '-', originDomain: 198.18.48.20, cacheKeyType: fixed, cacheKeyValue: assets, hostHeaderType: fixed, hostHeaderValue: img.example.net}}]}",
    "{matches: [{name: url-wildcard, value: '/static/*'}], behaviors: [{name: caching, type: fixed, value: 1h}]}",
    "{matches: [{name: url-wildcard, value: '/static/*'}, {name: url-extension, value: png gif jpg}], behaviors: [{name: caching, type: fixed, value: 1d}]}",
    "{matches: [{name: url-wildcard, value: '/cart/* /checkout.html'}], behaviors: [{name: caching, type: no-store, value: '-'}]}",
    "{matches: [{name: cookie, value: session preview=1}], behaviors: [{name: caching, type: bypass-cache, value: '-'}]}",
    "{matches: [{name: url-path, value: api}], behaviors: [{name: caching, type: honor-cc, value: '30'}]}",
    "{matches: [{name: url-path, value: legacy}], behaviors: [{name: caching, type: honor-expires, value: 30m}]}",
    "{matches: [{name: url-wildcard, value: '/product/*'}], behaviors: [{name: cachekey-query-args, type: ignore, value: sessionid utm_source debug=0&}]}",
    "{matches: [{name: url-filename, value: thumb.jpg poster.jpg}], behaviors: [{name: cachekey-query-args, type: include, value: w h}]}",
    "{matches: [{name: url-wildcard, value: '/download/*'}], behaviors: [{name: content-refresh, type: date-time, value: '2030-01-01T12:00:00Z', params: {mustRevalidate: true}}]}",
    "{matches: [{name: url-wildcard, value: '/news/*'}], behaviors: [{name: content-refresh, type: natural, value: now, params: {mustRevalidate: false}}]}",
    "{matches: [{name: url-wildcard, value: '/catalog/*'}], behaviors: [{name: content-refresh, type: epoch, value: '1893456000'}]}",
    "{matches: [{name: url-wildcard, value: '/terms/*'}], behaviors: [{name: content-refresh, type: date, value: '2030-01-01'}]}",
    "{matches: [{name: url-extension, value: pdf zip}, {name: http-method, value: GET HEAD}], behaviors: [{name: ip-whitelist, value: '198.18.48.211 198.18.49.0/24 2001:db8::/32'}, {name: referer-blacklist, value: '*.leech.example*'}]}",
    "{matches: [{name: url-wildcard, value: '/protected/*'}], behaviors: [{name: ip-blacklist, value: 198.18.48.213/32}]}",
    "{matches: [{name: url-path, value: premium}], behaviors: [{name: geo-blacklist, type: country, value: US CA}, {name: ip-whitelist, value: 198.18.48.211}]}",
    "{matches: [{name: url-path, value: local}], behaviors: [{name: geo-whitelist, type: region, value: 'US:WA GB:WA'}]}",
    "{matches: [{name: url-scheme, value: HTTPS, negated: true}], behaviors: [{name: referer-whitelist, value: '*www.mysite.example* *www.partner.example*'}]}",
    "{matches: [{name: url-wildcard, value: '/v1/assets/*'}], behaviors: [{name: modify-outgoing-request-path, type: remove, value: /v1/}]}",
    "{matches: [{name: url-wildcard, value: '/old/*'}], behaviors: [{name: modify-outgoing-request-path, type: replace, value: '/old/###/archive/2020/'}]}",
    "{matches: [{name: url-path, value: flat}], behaviors: [{name: modify-outgoing-request-path, type: replace-all, value: /all/}]}",
    "{matches: [{name: url-wildcard, value: '/video/*'}], behaviors: [{name: token-auth, params: {tokenName: hdnts, hmacAlgorithm: SHA256, escapeTokenInputs: false, ignoreQueryString: true, key: 0123456789abcdef0123456789abcdef, transitionKey: fedcba9876543210fedcba9876543210}}]}",
    "{matches: [{name: http-method, value: GET HEAD}], behaviors: [{name: site-failover, type: serve-alternate, params: {httpResponseStatus: '500 502:504', alternateHostname: failover.example.com, alternatePath: '-', preserveQueryString: true}}]}",
    "{matches: [{name: url-path, value: files}], behaviors: [{name: site-failover, type: serve-302, params: {httpResponseStatus: '404 500:504', alternateHostname: mirror.example.net, alternatePath: /pub/files/, preserveQueryString: false}}]}",
    "{matches: [{name: url-extension, value: html}], behaviors: [{name: site-failover, type: serve-302, params: {httpResponseStatus: '500:599', alternateHostname: '-', alternatePath: '/sorry.html?reason=origin', preserveQueryString: false}}]}",
    "{matches: [{name: url-path, value: api static, negated: true}, {name: header, value: 'X-Beta: on*'}, {name: host-name, value: www.example.com beta.example.com}, {name: url-querystring, value: preview=1}, {name: client-ip, value: 10.0.0.0/8}, {name: geography, value: 'country:JP continent:EU'}], behaviors: [{name: caching, type: bypass-cache, value: '-'}]}",
    "{matches: [{name: url-wildcard, value: '/assets/*'}], behaviors: [{name: origin-failover, params: {backupDomain: backup.example.net, excludeStatus: 403 40x 41*, connectTimeout: 3s, firstByteTimeout: 15s}}]}",
    "{matches: [{name: url-wildcard, value: '/*'}], behaviors: [{name: origin, value: '-', params: {digitalProperty: failover.example.com, originDomain: origin222.example.net, cacheKeyType: digital_property, cacheKeyValue: '-', hostHeaderType: origin, hostHeaderValue: '-'}}, {name: caching, type: fixed, value: 5m}, {name: downstream-caching, value: no-store}]}",
];

#[test]
fn the_rules_that_the_specification_shows_load() {
    for rule in EXAMPLES {
        let document = yaml(&format!("rules: [{rule}]"));
        for form in [Form::Json, Form::Yaml] {
            let (good, problems) = both(&document, form);
            assert!(good, "{rule}\n{problems:#?}");
        }
    }
    let all = policy(&format!("rules: [{}]", EXAMPLES.join(", ")));
    assert_eq!(all.len(), EXAMPLES.len());
}

#[test]
fn a_document_that_is_refused_says_where() {
    let rule = |matches: Value, behaviors: Value| json!({ "rules": [{ "matches": matches, "behaviors": behaviors }] });
    let any = || json!([{ "name": "url-wildcard", "value": "/*" }]);
    let store = || json!([{ "name": "caching", "type": "no-store" }]);
    let one = |value: Value| rule(json!([value]), store());
    let table: Vec<(Value, &str)> = vec![
        (json!(null), "error : a policy is a mapping, not nothing"),
        (json!([]), "error : a policy is a mapping, not a list"),
        (json!({}), "error : a policy needs rules"),
        (json!({ "rules": {} }), "error rules: rules is a list, not a mapping"),
        (json!({ "rules": [], "ruels": [] }), "error ruels: unknown key \"ruels\""),
        (json!({ "rules": [3] }), "error rules[0]: a rule is a mapping, not a number"),
        (json!({ "rules": [{ "behaviors": store() }] }), "error rules[0]: a rule needs matches"),
        (json!({ "rules": [{ "matches": any() }] }), "error rules[0]: a rule needs behaviors"),
        (rule(json!([]), store()), "error rules[0].matches: matches is empty"),
        (rule(any(), json!([])), "error rules[0].behaviors: behaviors is empty"),
        (rule(json!("x"), store()), "error rules[0].matches: matches is a list, not a string"),
        (rule(json!([null]), store()), "error rules[0].matches[0]: a match is a mapping, not nothing"),
        (one(json!({ "value": "/*" })), "error rules[0].matches[0]: a match needs a name"),
        (one(json!({ "name": "url-path" })), "error rules[0].matches[0]: a match needs a value"),
        (
            one(json!({ "name": "url-path", "value": "" })),
            "error rules[0].matches[0].value: the value of a match is empty",
        ),
        (
            one(json!({ "name": "url-path", "value": "  " })),
            "error rules[0].matches[0].value: the value of a match is empty",
        ),
        (
            one(json!({ "name": "url-path", "value": 7 })),
            "error rules[0].matches[0].value: a string is needed here, not a number",
        ),
        (
            one(json!({ "name": "url-path", "value": null })),
            "error rules[0].matches[0].value: a string is needed here, not nothing",
        ),
        (
            one(json!({ "name": "url-path", "value": true })),
            "error rules[0].matches[0].value: a string is needed here, not a boolean",
        ),
        (
            one(json!({ "name": "url-path", "value": ["a"] })),
            "error rules[0].matches[0].value: a string is needed here, not a list",
        ),
        (
            one(json!({ "name": "url-path", "value": "a", "negated": "true" })),
            "error rules[0].matches[0].negated: negated is a boolean, not a string",
        ),
        (
            one(json!({ "name": "url-path", "value": "a", "negate": true })),
            "error rules[0].matches[0].negate: unknown key \"negate\"",
        ),
        (
            one(json!({ "name": "url_path", "value": "a" })),
            "error rules[0].matches[0].name: unknown match \"url_path\"",
        ),
        (
            one(json!({ "name": "url-path", "value": "a".repeat(9_000) })),
            "error rules[0].matches[0].value: the value is longer than 8192 bytes",
        ),
        (
            one(json!({ "name": "client-ip", "value": "a".repeat(1_048_577) })),
            "error rules[0].matches[0].value: the value is longer than 1048576 bytes",
        ),
        (
            rule(any(), json!([{ "name": "caching", "type": 5 }])),
            "error rules[0].behaviors[0].type: a string is needed here, not a number",
        ),
        (
            rule(any(), json!([{ "name": "deny-access", "params": [] }])),
            "error rules[0].behaviors[0].params: params is a mapping, not a list",
        ),
        (
            rule(any(), json!([{ "name": "caching", "type": "no-store", "parms": {} }])),
            "error rules[0].behaviors[0].parms: unknown key \"parms\"",
        ),
        (
            json!({ "rules": [{ "matches": any(), "behaviors": store(), "name": "x" }] }),
            "error rules[0].name: unknown key \"name\"",
        ),
        (
            json!({ "rules": [{ "matches": any(), "behaviors": store(), "comment": 1 }] }),
            "error rules[0].comment: a comment is a string, not a number",
        ),
        (
            rule(Value::Array(vec![any()[0].clone(); 65]), store()),
            "error rules[0].matches: 65 matches are more than 64",
        ),
        (
            rule(any(), Value::Array(vec![store()[0].clone(); 65])),
            "error rules[0].behaviors: 65 behaviors are more than 64",
        ),
        (json!({ "rules": vec![0; 10_001] }), "error rules: 10001 rules are more than 10000"),
    ];
    for (document, expected) in table {
        let (_, problems) = both(&document, Form::Json);
        assert!(problems.len() == 1 && problems[0].starts_with(expected), "expected: {expected}\ngot: {problems:?}");
    }
}

#[test]
fn an_unknown_name_gets_the_legal_names_and_the_nearest() {
    let document = json!({ "rules": [{ "matches": [{ "name": "url-wildcrad", "value": "/*" }], "behaviors": [{ "name": "cacheing", "type": "no-store" }] }] });
    let (_, problems) = read_in(&document, Form::Json);
    let hints: Vec<&str> = problems.iter().filter_map(|problem| problem.hint.as_deref()).collect();
    assert!(
        hints[0].contains("did you mean \"url-wildcard\"?") && hints[0].contains("http-method, url-scheme"),
        "{hints:?}"
    );
    assert!(hints[1].contains("did you mean \"caching\"?") && hints[1].contains("site-failover"), "{hints:?}");
}

#[test]
fn all_problems_are_reported_at_once() {
    let document = json!({ "rules": [
        { "matches": [{ "name": "url-path", "value": "/a *" }, { "name": "nope", "value": "x" }], "behaviors": [{ "name": "caching", "type": "fixed", "value": "1 day" }] },
        7,
        { "matches": [{ "name": "http-method", "value": "get" }], "behaviors": [{ "name": "origin", "params": { "originPort": -1, "originScheme": "x" } }] },
    ] });
    let (_, problems) = both(&document, Form::Json);
    let places: Vec<&str> = problems.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "error rules[0].matches[0].value",
            "error rules[0].matches[0].value",
            "error rules[0].matches[1].name",
            "error rules[0].behaviors[0].value",
            "error rules[1]",
            "error rules[2].matches[0].value",
            "error rules[2].behaviors[0].params.originPort",
            "error rules[2].behaviors[0].params.originScheme",
            "error rules[2].behaviors[0].params",
        ]
    );
}

#[test]
fn yaml_may_write_lists_and_bare_numbers() {
    let document = yaml(
        "rules: [{description: d, matches: [{name: url-path, value: [img, 2024]}, {name: header, value: ['X-Beta: on', yes]}], behaviors: [{name: caching, type: fixed, value: 60}, {name: url-redirect, type: 301, params: {path: /x}}]}]",
    );
    let (written, problems) = read_in(&document, Form::Yaml);
    let written = written.unwrap_or_else(|| panic!("{problems:?}"));
    assert_eq!(written.rules[0].matches[0].value, "img 2024");
    assert_eq!(written.rules[0].matches[1].value, "X-Beta: on yes");
    assert_eq!(written.rules[0].behaviors[0].value.as_deref(), Some("60"));
    assert!(read_in(&document, Form::Json).0.is_none());
    for value in ["[my docs]", "[]", "[[a]]", "[null]", "1.5", "['']"] {
        let document = yaml(&format!(
            "rules: [{{matches: [{{name: url-path, value: {value}}}], behaviors: [{{name: deny-access}}]}}]"
        ));
        assert!(read_in(&document, Form::Yaml).0.is_none(), "{value}");
    }
}

#[test]
fn lists_of_ten_thousand_entries_load() {
    let network = |n: usize| format!("2001:db8:{:x}:{:x}::/64", n / 256, n % 256);
    let referer = |n: usize| format!("*//leech{n}.example/*");
    let list = |entry: &dyn Fn(usize) -> String| (0..10_000).map(entry).collect::<Vec<_>>();
    let everything = json!({ "name": "url-wildcard", "value": "/*" });
    let deny = json!({ "name": "deny-access" });
    let rule = |test: &Value, does: &Value| json!({ "rules": [{ "matches": [test], "behaviors": [does] }] });
    for (name, entries) in [("ip-blacklist", list(&network)), ("referer-blacklist", list(&referer))] {
        let joined = rule(&everything, &json!({ "name": name, "value": entries.join(" ") }));
        assert_eq!(both(&joined, Form::Json), (true, vec![]), "{name}");
        let listed = rule(&everything, &json!({ "name": name, "value": entries }));
        assert_eq!(both(&listed, Form::Yaml), (true, vec![]), "{name}");
    }
    let matched = rule(&json!({ "name": "client-ip", "value": list(&network).join(" ") }), &deny);
    assert_eq!(both(&matched, Form::Json), (true, vec![]));
}

#[test]
fn an_origin_is_needed_unless_there_is_a_default_or_no_rule() {
    let store = json!({ "matches": [{ "name": "url-wildcard", "value": "/*" }], "behaviors": [{ "name": "caching", "type": "no-store" }] });
    let origin = json!({ "matches": [{ "name": "url-path", "value": "a" }], "behaviors": [{ "name": "origin", "params": { "originDomain": "o.example.net" } }] });
    for (rules, default, expected) in [
        (json!([]), false, true),
        (json!([store]), true, true),
        (json!([store]), false, false),
        (json!([store, origin]), false, true),
    ] {
        in_context(|context| {
            let context = crate::Context { has_default_origin: default, ..*context };
            let (policy, problems) = read(&json!({ "rules": rules }), Form::Json, &context);
            assert_eq!(policy.is_some(), expected, "{rules} {default}: {problems:?}");
        });
    }
}

#[test]
fn the_eleventh_geography_match_is_one_too_many() {
    let with = |count: usize| {
        let rule =
            json!({ "matches": [{ "name": "geography", "value": "US" }], "behaviors": [{ "name": "deny-access" }] });
        json!({ "rules": vec![rule; count] })
    };
    assert!(both(&with(10), Form::Json).0);
    let (good, problems) = both(&with(11), Form::Json);
    assert!(
        !good && problems[0].starts_with("error rules[10].matches[0]: a policy has at most 10 geography matches"),
        "{problems:?}"
    );
}

#[test]
fn a_policy_that_would_not_pass_refuses_every_request() {
    let bad = crate::written::Policy {
        rules: vec![crate::written::Rule {
            matches: vec![crate::written::Match {
                name: "url-path".to_owned(),
                value: "/bad".to_owned(),
                negated: false,
            }],
            behaviors: vec![crate::written::Behavior { name: "deny-access".to_owned(), ..Default::default() }],
            ..Default::default()
        }],
    };
    let policy = in_context(|context| Policy::compile(&bad, context));
    let request = crate::fixture::Request::get("/anything");
    let effective = policy.evaluate(&request.facts());
    let verdict = crate::decide::security(&policy, &effective, &request.facts(), crate::decide::AccessMode::Exempt);
    assert_ne!(verdict, crate::decide::Verdict::Allow);
}

#[test]
fn suspicious_policies_are_warned_about() {
    let store = "behaviors: [{name: caching, type: no-store}]";
    let table: Vec<(String, &str)> = vec![
        (format!("[{{matches: [{{name: url-wildcard, value: '/static/*'}}, {{name: url-extension, value: png gif jpg}}], {store}}}, {{matches: [{{name: url-wildcard, value: '/static/*'}}], {store}}}]"), "rules[0].behaviors[0]: caching never has effect: rule 1"),
        (format!("[{{matches: [{{name: url-path, value: a}}], {store}}}, {{matches: [{{name: url-wildcard, value: '/*'}}], {store}}}]"), "rules[0].behaviors[0]: caching never has effect: rule 1"),
        (format!("[{{matches: [{{name: url-wildcard, value: '/a/b/*.png'}}], {store}}}, {{matches: [{{name: url-wildcard, value: '/x /a/*'}}], {store}}}]"), "rules[0].behaviors[0]: caching never has effect: rule 1"),
        (format!("[{{matches: [{{name: url-path, value: a b, negated: true}}], {store}}}, {{matches: [{{name: url-path, value: a, negated: true}}], {store}}}]"), "rules[0].behaviors[0]: caching never has effect: rule 1"),
        (format!("[{{matches: [{{name: cookie, value: a}}], {store}}}, {{matches: [{{name: cookie, value: a}}], {store}}}]"), "rules[0].behaviors[0]: caching never has effect: rule 1"),
        (format!("[{{matches: [{{name: url-scheme, value: HTTP https}}], {store}}}]"), "rules[0].matches[0].value: both schemes together are always true"),
        (format!("[{{matches: [{{name: http-method, value: GET}}, {{name: http-method, value: HEAD POST}}], {store}}}]"), "rules[0].matches[1]: this rule can never apply"),
        (format!("[{{matches: [{{name: url-path, value: a}}, {{name: url-path, value: a b, negated: true}}], {store}}}]"), "rules[0].matches[1]: this rule can never apply"),
        (format!("[{{matches: [{{name: host-name, value: a.example.com}}, {{name: host-name, value: b.example.com}}], {store}}}]"), "rules[0].matches[1]: this rule can never apply"),
        (format!("[{{matches: [{{name: url-wildcard, value: '/*', negated: true}}], {store}}}]"), "rules[0].matches[0]: this match can never hold"),
        ("[{matches: [{name: url-path, value: a}], behaviors: [{name: caching, type: no-store}, {name: caching, type: honor}]}]".to_owned(), "rules[0].behaviors[1]: caching is set twice"),
        ("[{matches: [{name: url-path, value: a}], behaviors: [{name: modify-outgoing-response-header, type: add, params: {name: X-A, value: b}}, {name: modify-outgoing-response-header, type: remove, params: {name: x-a}}]}]".to_owned(), "rules[0].behaviors[1]: modify-outgoing-response-header of x-a is set twice"),
        ("[{matches: [{name: url-path, value: a}], behaviors: [{name: ip-whitelist, value: 10.0.0.1}, {name: ip-blacklist, value: 10.0.0.2}]}]".to_owned(), "rules[0].behaviors: ip-whitelist and ip-blacklist in one rule"),
        ("[{matches: [{name: url-path, value: a}], behaviors: [{name: ip-whitelist, value: 10.0.0.1}, {name: geo-blacklist, type: country, value: US}]}]".to_owned(), "rules[0].behaviors: an ip-whitelist beside a country list"),
        ("[{matches: [{name: url-path, value: a}], behaviors: [{name: geo-blacklist, type: country, value: US CA US}]}]".to_owned(), "rules[0].behaviors[0].value: US is listed twice"),
        ("[{matches: [{name: geography, value: 'US country:US'}], behaviors: [{name: deny-access}]}]".to_owned(), "rules[0].matches[0].value: country:US is listed twice"),
        ("[{matches: [{name: http-method, value: GET}], behaviors: [{name: site-failover, type: serve-301, params: {httpResponseStatus: '500', alternateHostname: m.example.net, alternatePath: '-', preserveQueryString: true}}]}]".to_owned(), "rules[0].behaviors[0].type: browsers keep a 301"),
        ("[{matches: [{name: url-path, value: a}], behaviors: [{name: site-failover, type: serve-302, params: {httpResponseStatus: '500', alternateHostname: m.example.net, alternatePath: '-', preserveQueryString: true}}]}]".to_owned(), "rules[0].behaviors[0]: this redirect answers every method"),
        ("[{matches: [{name: url-path, value: a}], behaviors: [{name: site-failover, type: serve-alternate, params: {httpResponseStatus: '500', alternateHostname: m.example.net, alternatePath: '-', preserveQueryString: true}}]}]".to_owned(), "rules[0].behaviors[0].params.alternateHostname: m.example.net is no site here"),
        ("[{matches: [{name: url-path, value: a}], behaviors: [{name: origin-failover, params: {backupDomain: b.example.net}}]}]".to_owned(), "rules[0].behaviors[0]: client errors are not excluded: the backup is also asked after 400:401 403:405"),
        ("[{matches: [{name: url-path, value: a}], behaviors: [{name: origin-failover, params: {backupDomain: b.example.net, excludeStatus: 403:405 41*}}]}]".to_owned(), "rules[0].behaviors[0]: client errors are not excluded: the backup is also asked after 400:401"),
        ("[{matches: [{name: url-path, value: a}], behaviors: [{name: origin-characteristics}]}]".to_owned(), "rules[0].behaviors[0]: origin-characteristics has no effect"),
    ];
    for (rules, expected) in table {
        let (good, problems) = both(&yaml(&format!("rules: {rules}")), Form::Yaml);
        let wanted = format!("warning {expected}");
        assert!(
            good && problems.len() == 1 && problems[0].starts_with(&wanted),
            "{rules}\nexpected: {wanted}\ngot: {problems:#?}"
        );
    }
}

#[test]
fn policies_without_anything_suspicious_are_not_warned_about() {
    let store = "behaviors: [{name: caching, type: no-store}]";
    for rules in [
        // The intended order of the overlap: general first.
        format!("[{{matches: [{{name: url-wildcard, value: '/static/*'}}], {store}}}, {{matches: [{{name: url-wildcard, value: '/static/*'}}, {{name: url-extension, value: png}}], {store}}}]"),
        format!("[{{matches: [{{name: url-path, value: a b}}], {store}}}, {{matches: [{{name: url-path, value: b c}}], {store}}}]"),
        format!("[{{matches: [{{name: url-path, value: a}}], {store}}}, {{matches: [{{name: url-path, value: a, negated: true}}], {store}}}]"),
        // Both may hold: a request may have two cookies.
        format!("[{{matches: [{{name: cookie, value: a}}, {{name: cookie, value: b}}], {store}}}]"),
        format!("[{{matches: [{{name: url-wildcard, value: '/a/*'}}, {{name: url-wildcard, value: '*/b'}}], {store}}}]"),
        "[{matches: [{name: url-path, value: a}], behaviors: [{name: modify-outgoing-response-header, type: add, params: {name: X-A, value: b}}]}, {matches: [{name: url-wildcard, value: '/*'}], behaviors: [{name: modify-outgoing-response-header, type: add, params: {name: X-B, value: b}}]}]".to_owned(),
        "[{matches: [{name: url-path, value: a}], behaviors: [{name: origin-failover, params: {backupDomain: b.example.net, excludeStatus: 40x}}]}]".to_owned(),
        // What the first origin has lost, the backup may have.
        "[{matches: [{name: url-path, value: a}], behaviors: [{name: origin-failover, params: {backupDomain: b.example.net, excludeStatus: 400:403 405}}]}]".to_owned(),
        "[{matches: [{name: http-method, value: GET HEAD}], behaviors: [{name: site-failover, type: serve-alternate, params: {httpResponseStatus: '500', alternateHostname: failover.example.com, alternatePath: '-', preserveQueryString: true}}]}]".to_owned(),
    ] {
        let (_, problems) = both(&yaml(&format!("rules: {rules}")), Form::Yaml);
        assert!(problems.is_empty(), "{rules}\n{problems:#?}");
    }
}

#[test]
fn ten_thousand_rules_are_checked_in_bounded_time() {
    let rule = |number: usize| json!({ "matches": [{ "name": "url-wildcard", "value": format!("/d{number}/*") }], "behaviors": [{ "name": "caching", "type": "no-store" }] });
    let document = json!({ "rules": (0..10_000).map(rule).collect::<Vec<_>>() });
    let start = std::time::Instant::now();
    let (good, problems) = both(&document, Form::Json);
    assert!(good && problems.is_empty(), "{:?}", problems.first());
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn the_schema_names_every_match_and_behavior() {
    let schema = serde_json::to_value(schemars::schema_for!(crate::written::Policy)).unwrap();
    let text = schema.to_string();
    for name in crate::matches::NAMES.iter().copied().chain(crate::behaviors::names()) {
        assert!(text.contains(&format!("\"{name}\"")), "{name}");
    }
}

mod misspelt;
