//! Who is refused.

use super::*;

#[test]
fn access_lists_decide_together() {
    let ip = |value: &str| format!("{{name: ip-whitelist, value: '{value}'}}");
    let us = "{name: geo-blacklist, type: country, value: US}";
    let only_us = "{name: geo-whitelist, type: country, value: US}";
    let deny = |reason| Verdict::Deny { reason };
    let (exempt, strict) = (AccessMode::Exempt, AccessMode::Strict);
    let office = || Client::get("/").ip("10.0.0.1");
    let american = || office().place("NA US");
    let table: Vec<(String, Client, AccessMode, Verdict)> = vec![
        (ip("10.0.0.1"), office(), exempt, Verdict::Allow),
        (ip("10.0.0.2"), office(), exempt, deny(DenyReason::IpWhitelist)),
        ("{name: ip-blacklist, value: 10.0.0.0/8}".to_owned(), office(), exempt, deny(DenyReason::IpBlacklist)),
        ("{name: ip-blacklist, value: 10.1.0.0/16}".to_owned(), office(), exempt, Verdict::Allow),
        (format!("{}, {{name: ip-blacklist, value: 10.0.0.1}}", ip("10.0.0.1")), office(), exempt, deny(DenyReason::IpBlacklist)),
        (us.to_owned(), american(), exempt, deny(DenyReason::GeoBlacklist)),
        (us.to_owned(), office(), exempt, Verdict::Allow),
        (only_us.to_owned(), office(), exempt, deny(DenyReason::GeoWhitelist)),
        (only_us.to_owned(), american(), exempt, Verdict::Allow),
        // A listed address is exempt from the country list; strictly it is not.
        (format!("{us}, {}", ip("10.0.0.1")), american(), exempt, Verdict::Allow),
        (format!("{us}, {}", ip("10.0.0.1")), american(), strict, deny(DenyReason::GeoBlacklist)),
        // Whoever is not listed is left to the country list; strictly it is refused.
        (format!("{us}, {}", ip("10.0.0.2")), american(), exempt, deny(DenyReason::GeoBlacklist)),
        (format!("{only_us}, {}", ip("10.0.0.2")), american(), exempt, Verdict::Allow),
        (format!("{only_us}, {}", ip("10.0.0.2")), american(), strict, deny(DenyReason::IpWhitelist)),
        (format!("{only_us}, {}", ip("10.0.0.1")), american(), strict, Verdict::Allow),
        ("{name: geo-blacklist, type: region, value: 'US:WA'}".to_owned(), office().place("NA US WA"), exempt, deny(DenyReason::GeoBlacklist)),
        ("{name: geo-blacklist, type: region, value: 'US:WA'}".to_owned(), office().place("OC AU WA"), exempt, Verdict::Allow),
        ("{name: geo-blacklist, type: continent, value: NA}".to_owned(), american(), exempt, deny(DenyReason::GeoBlacklist)),
        // Referers.
        ("{name: referer-blacklist, value: '*.leech.example*'}".to_owned(), office().header("referer", "https://A.Leech.example/x"), exempt, deny(DenyReason::RefererBlacklist)),
        ("{name: referer-blacklist, value: '*.leech.example*'}".to_owned(), office(), exempt, Verdict::Allow),
        ("{name: referer-whitelist, value: '*www.mysite.example*'}".to_owned(), office().header("referer", "https://WWW.mysite.example/"), exempt, Verdict::Allow),
        ("{name: referer-whitelist, value: '*www.mysite.example*'}".to_owned(), office(), exempt, deny(DenyReason::RefererWhitelist)),
        (
            "{name: referer-blacklist, value: '*bad*'}".to_owned(),
            office().header("referer", "http://good/").header("referer", "http://bad/"),
            exempt,
            deny(DenyReason::RefererBlacklist),
        ),
        (
            "{name: referer-whitelist, value: '*good*'}".to_owned(),
            office().header("referer", "http://good/").header("referer", "http://bad/"),
            exempt,
            deny(DenyReason::RefererWhitelist),
        ),
        // A listed address with a bad Referer is refused.
        (format!("{}, {{name: referer-blacklist, value: '*bad*'}}", ip("10.0.0.1")), office().header("referer", "http://bad/"), exempt, deny(DenyReason::RefererBlacklist)),
        // Deny, and lifting it.
        ("{name: deny-access}".to_owned(), office(), exempt, deny(DenyReason::DenyAccess)),
        ("{name: deny-access, value: no}".to_owned(), office(), exempt, Verdict::Allow),
        ("{name: access-control, type: deny}".to_owned(), office(), exempt, deny(DenyReason::DenyAccess)),
        // What cannot be verified yet stays closed.
        ("{name: token-auth, params: {tokenName: t, hmacAlgorithm: MD5, escapeTokenInputs: true, ignoreQueryString: false, key: abcd}}".to_owned(), office(), exempt, Verdict::Allow), // asked before
    ];
    for (behaviors, client, mode, expected) in table {
        let policy = policy_of(&with_behavior(&behaviors));
        let got = security(&policy, &winner(&policy, &client), &client.facts(), mode);
        assert_eq!(got, expected, "{behaviors} {mode:?} {client:?}");
    }
}

#[test]
fn a_later_no_lifts_an_earlier_denial() {
    let policy = policy(
        "rules:
          - {matches: [{name: url-wildcard, value: '/private/*'}], behaviors: [{name: deny-access}]}
          - {matches: [{name: url-wildcard, value: '/private/open/*'}], behaviors: [{name: deny-access, value: no}]}",
    );
    for (url, denied) in [
        ("/private/a", true),
        ("/private/open/a", false),
        ("/x/../private/a", true),
        ("/%70rivate/a", true),
        ("/open", false),
    ] {
        let client = Client::get(url);
        let got = security(&policy, &winner(&policy, &client), &client.facts(), AccessMode::Exempt);
        assert_eq!(got != Verdict::Allow, denied, "{url}");
    }
}
