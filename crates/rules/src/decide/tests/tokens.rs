//! Which tokens a request must have.

use super::*;

fn rules(behaviors: &[&str]) -> Policy {
    let rule = |behavior: &&str| format!("{{matches: [{{name: url-wildcard, value: '/*'}}], behaviors: [{behavior}]}}");
    let rules: Vec<String> = behaviors.iter().map(rule).collect();
    policy(&format!("rules: [{}]", rules.join(", ")))
}

#[test]
fn a_later_rule_lifts_or_replaces_what_an_earlier_one_asks_for() {
    let auth = |name: &str| {
        format!(
            "{{name: token-auth, params: {{tokenName: {name}, hmacAlgorithm: SHA256, escapeTokenInputs: true, ignoreQueryString: true, key: abcdef0123456789}}}}"
        )
    };
    let (first, second) = (auth("one"), auth("two"));
    let no_rule = rules(&["{name: caching, type: honor}"]);
    let lifted = rules(&["{name: ectoken}", "{name: ectoken, value: no}"]);
    let asked = rules(&[
        "{name: ectoken, value: no}, {name: ectoken-parameter, value: t}, {name: ectoken-denial, type: 404}",
        "{name: ectoken}, {name: ectoken-ignore-case}, {name: ectoken-parameter, value: '-'}",
    ]);
    let both = rules(&[&first, &second]);
    for (policy, ectoken, parameter, ignore_case, status, name) in [
        (&no_rule, None, None, None, None, None),
        (&lifted, Some(false), None, None, None, None),
        (&asked, Some(true), Some(None), Some(true), Some(404), None),
        (&both, None, None, None, None, Some("two")),
    ] {
        let found = tokens(policy, &winner(policy, &Client::get("/")));
        assert_eq!((found.ectoken, found.parameter, found.ignore_case), (ectoken, parameter, ignore_case), "{found:?}");
        let got = (found.denial.map(crate::token::Denial::status), found.token_auth.map(crate::token::TokenAuth::name));
        assert_eq!(got, (status, name), "{found:?}");
    }
    assert_eq!(asked.ectokens().count(), 1);
    assert_eq!(lifted.ectokens().count(), 1);
    assert_eq!(no_rule.ectokens().count(), 0);
}

#[test]
fn an_explanation_shows_what_is_asked_for_and_no_key() {
    let policy = policy_of(&with_behavior(
        "{name: ectoken-denial, type: 302, params: {location: /login}}, {name: token-auth, params: {tokenName: hdnts, hmacAlgorithm: SHA1, escapeTokenInputs: true, ignoreQueryString: true, key: abcdef0123456789, transitionKey: 9876543210fedcba, salt: pepper}}",
    ));
    let client = Client::get("/a?hdnts=secret&b=1");
    let rest = Client::get("/a?b=1");
    let found = crate::explain::explain_without_token(&policy, &client.facts(), &rest.facts(), AccessMode::Exempt);
    assert_eq!(found.decisions["tokens"]["token_auth"]["name"], "hdnts");
    assert_eq!(found.decisions["tokens"]["denial"]["location"], "/login");
    let shown = format!("{found:?} {policy:?} {}", serde_json::to_string(&found).unwrap());
    for secret in ["abcdef0123456789", "9876543210fedcba", "pepper", "secret&"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
