//! What each behaviour accepts.

use crate::Form;
use crate::fixture::{lines, read_in, with_behavior};

/// Error lines of a rule with this behaviour.
fn errors(behavior: &str) -> Vec<String> {
    let (policy, problems) = read_in(&with_behavior(behavior), Form::Yaml);
    let errors: Vec<String> = lines(&problems).into_iter().filter(|line| line.starts_with("error")).collect();
    assert_eq!(policy.is_some(), errors.is_empty(), "{behavior}: {problems:?}");
    errors
}

#[test]
fn behaviors_that_are_accepted() {
    for behavior in [
        "{name: origin, params: {originDomain: origin.example.net}}",
        "{name: origin, value: '-', params: {digitalProperty: '-', originDomain: 10.0.0.1, originPort: 8080, originScheme: https, connectTimeout: 2s, readTimeout: 1m}}",
        "{name: origin, params: {originDomain: o.example.net, hostHeaderType: fixed, hostHeaderValue: 'img.example.net:8080', cacheKeyType: fixed, cacheKeyValue: assets}}",
        "{name: caching, type: no-store}",
        "{name: caching, type: no-store, value: 0s}",
        "{name: caching, type: bypass-cache, value: '-'}",
        "{name: caching, type: fixed, value: 1h}",
        "{name: caching, type: fixed, value: 60}",
        "{name: caching, type: honor}",
        "{name: caching, type: honor, value: '-'}",
        "{name: cachekey-query-args, type: include-all}",
        "{name: cachekey-query-args, type: include, value: [w, h], params: {prefix: true}}",
        "{name: content-refresh, type: datetime, value: '2030-01-01T12:00:00Z'}",
        "{name: content-refresh, type: natural, value: now}",
        "{name: geo-blacklist, type: region, value: 'US:WA AU:WA'}",
        "{name: referer-whitelist, value: '*www.example.com*'}",
        "{name: modify-outgoing-request-path, type: replace, value: '/a/###/'}",
        "{name: access-control, type: deny}",
        "{name: deny-access}",
        "{name: deny-access, value: no}",
        "{name: bypass-cache}",
        "{name: bypass-cache, value: no}",
        "{name: store-on-hit, value: 1}",
        "{name: store-on-hit, value: '15'}",
        "{name: url-redirect, type: 301, params: {protocol: https}}",
        "{name: url-redirect, type: 302, params: {path: '/p?x=1'}}",
        "{name: origin, params: {originDomain: '[2001:db8::1]'}}",
        "{name: url-redirect, type: '308', params: {hostname: new.example.com, path: '-', preserveQueryString: true}}",
        "{name: url-redirect, type: '302', params: {source: '^/a/(.*)$', destination: 'https://b.example.com/$1?from=a'}}",
        "{name: rewrite, params: {source: '^/a/(.*)$', destination: '/b/$1/$$'}}",
        "{name: modify-outgoing-request-header, type: add, params: {name: X-A, value: 'b c'}}",
        "{name: modify-outgoing-response-header, type: remove, params: {name: Server}}",
        "{name: content-compression, value: on}",
        "{name: origin-failover, params: {backupDomain: b.example.net, excludeStatus: '403, 40x 500:502', maxRetries: 1}}",
        "{name: origin-failover, params: {backupDomain: b.example.net, excludeStatus: 403}}",
        "{name: origin-characteristics, type: x, value: y, params: {z: 1}}",
        "{name: content-characteristics-large-files}",
        "{name: token-auth, params: {tokenName: t, hmacAlgorithm: MD5, escapeTokenInputs: true, ignoreQueryString: false, key: abcd, tokenDelimiter: '!'}}",
        "{name: token-auth, params: {tokenName: t-1_x, hmacAlgorithm: SHA256, escapeTokenInputs: true, ignoreQueryString: false, key: abcd, transitionKey: ef01, aclDelimiter: ',', salt: pepper}}",
        "{name: ectoken}",
        "{name: ectoken, value: yes}",
        "{name: ectoken, value: no}",
        "{name: ectoken-denial, type: 302, params: {location: 'https://www.example.com/login'}}",
        "{name: ectoken-denial, type: 307}",
        "{name: ectoken-denial, type: '401'}",
        "{name: ectoken-denial, type: 401, params: {authenticate: 'Basic realm=\"x\"'}}",
        "{name: ectoken-denial, type: 410}",
        "{name: ectoken-parameter, value: token}",
        "{name: ectoken-parameter, value: '-'}",
        "{name: ectoken-ignore-case}",
        "{name: ectoken-ignore-case, value: no}",
        "{name: site-failover, value: '-', type: serve-302, params: {httpResponseStatus: 503, alternateHostname: m.example.net, alternatePath: '-', preserveQueryString: false}}",
    ] {
        assert_eq!(errors(behavior), Vec::<String>::new(), "{behavior}");
    }
}

/// A behaviour, and what its one error line contains.
const REFUSED: &[(&str, &str)] = &[
    ("{name: origin}", "behaviors[0]: origin needs params.originDomain"),
    (
        "{name: origin, params: {originDomain: '-'}}",
        "behaviors[0].params.originDomain: params.originDomain of origin is empty",
    ),
    ("{name: origin, params: {originDomain: 'http://x'}}", "params.originDomain: \"http://x\" is not a host name"),
    (
        "{name: origin, params: {originDomain: WWW.example.com}}",
        "params.originDomain: www.example.com is this site itself",
    ),
    (
        "{name: origin, params: {originDomain: o.example.net, digitalProperty: other.example.com}}",
        "params.digitalProperty: ",
    ),
    ("{name: origin, params: {originDomain: o.example.net, hostHeaderType: client}}", "params.hostHeaderType: "),
    (
        "{name: origin, params: {originDomain: o.example.net, hostHeaderType: fixed}}",
        "params: origin needs params.hostHeaderValue",
    ),
    (
        "{name: origin, params: {originDomain: o.example.net, cacheKeyType: fixed, cacheKeyValue: '-'}}",
        "params.cacheKeyValue: ",
    ),
    ("{name: origin, params: {originDomain: o.example.net, originPort: 0}}", "params.originPort: "),
    ("{name: origin, params: {originDomain: o.example.net, originPort: '80'}}", "params.originPort: "),
    ("{name: origin, params: {originDomain: o.example.net, originScheme: ftp}}", "params.originScheme: "),
    ("{name: origin, params: {originDomain: o.example.net, connectTimeout: 0s}}", "params.connectTimeout: "),
    (
        "{name: origin, params: {originDomian: o.example.net, originDomain: o.example.net}}",
        "params.originDomian: unknown param",
    ),
    ("{name: origin, type: fast, params: {originDomain: o.example.net}}", "behaviors[0].type: origin has no types"),
    ("{name: caching, value: 1h}", "behaviors[0]: caching needs a type"),
    ("{name: caching, type: fixed}", "behaviors[0]: caching needs a value"),
    ("{name: caching, type: fixed, value: '-'}", "behaviors[0].value: caching needs a value"),
    ("{name: caching, type: fixed, value: 1 day}", "behaviors[0].value: \"1 day\" is not a duration"),
    ("{name: caching, type: fixed, value: 1d12h}", "behaviors[0].value: "),
    ("{name: caching, type: fixed, value: '-1'}", "behaviors[0].value: "),
    ("{name: caching, type: honour, value: 1h}", "behaviors[0].type: unknown type \"honour\" of caching"),
    ("{name: cachekey-query-args, type: include}", "behaviors[0]: cachekey-query-args needs a value"),
    ("{name: cachekey-query-args, type: ignore, value: '=x'}", "behaviors[0].value: "),
    (
        "{name: content-refresh, type: epoch, value: '1699999999'}",
        "behaviors[0].value: 1699999999 is not in the future",
    ),
    ("{name: content-refresh, type: epoch, value: soon}", "behaviors[0].value: "),
    ("{name: content-refresh, type: natural, value: later}", "behaviors[0].value: "),
    ("{name: content-refresh, type: date-time, value: '2030-01-01T12:00:00+09:00'}", "behaviors[0].value: "),
    ("{name: content-refresh, type: date, value: '2020-01-01'}", "behaviors[0].value: 2020-01-01 is not in the future"),
    ("{name: content-refresh, type: natural, value: now, params: {mustRevalidate: 'true'}}", "params.mustRevalidate: "),
    ("{name: ip-blacklist}", "behaviors[0]: ip-blacklist needs a value"),
    ("{name: ip-whitelist, value: '10.0.0.1/8'}", "behaviors[0].value: 10.0.0.1/8 has host bits set"),
    ("{name: geo-blacklist, value: US}", "behaviors[0]: geo-blacklist needs a type"),
    ("{name: geo-blacklist, type: country, value: 'US:WA'}", "behaviors[0].value: "),
    ("{name: geo-whitelist, type: region, value: US}", "behaviors[0].value: "),
    ("{name: geo-whitelist, type: country, value: usa}", "behaviors[0].value: "),
    ("{name: modify-outgoing-request-path, type: replace, value: /a/b/}", "behaviors[0].value: "),
    ("{name: modify-outgoing-request-path, type: replace, value: '/a/###/b/###/c/'}", "behaviors[0].value: "),
    ("{name: modify-outgoing-request-path, type: replace, value: '###/b/'}", "behaviors[0].value: "),
    ("{name: modify-outgoing-request-path, type: remove, value: a/}", "behaviors[0].value: "),
    ("{name: modify-outgoing-request-path, type: remove, value: '/a?/'}", "behaviors[0].value: "),
    ("{name: modify-outgoing-request-path, type: remove}", "behaviors[0]: "),
    (
        "{name: token-auth, params: {tokenName: 1t, hmacAlgorithm: SHA256, escapeTokenInputs: true, ignoreQueryString: false, key: abcd}}",
        "params.tokenName: ",
    ),
    (
        "{name: token-auth, params: {tokenName: t, hmacAlgorithm: SHA512, escapeTokenInputs: true, ignoreQueryString: false, key: abcd}}",
        "params.hmacAlgorithm: ",
    ),
    (
        "{name: token-auth, params: {tokenName: t, hmacAlgorithm: SHA256, escapeTokenInputs: true, ignoreQueryString: false, key: abc}}",
        "params.key: ",
    ),
    (
        "{name: token-auth, params: {tokenName: t, hmacAlgorithm: SHA256, ignoreQueryString: false, key: abcd}}",
        "params: token-auth needs params.escapeTokenInputs",
    ),
    (
        "{name: token-auth, params: {tokenName: t, hmacAlgorithm: SHA256, escapeTokenInputs: true, ignoreQueryString: false, key: abcd, aclDelimiter: '&'}}",
        "params.aclDelimiter: ",
    ),
    (
        "{name: token-auth, params: {tokenName: t, hmacAlgorithm: SHA256, escapeTokenInputs: true, ignoreQueryString: false, key: abcd, transitionKey: xy}}",
        "params.transitionKey: a key is an even number of hexadecimal digits",
    ),
    ("{name: ectoken, value: maybe}", "behaviors[0].value: "),
    ("{name: ectoken-denial}", "behaviors[0]: ectoken-denial needs a type"),
    ("{name: ectoken-denial, type: 200}", "behaviors[0].type: unknown type \"200\" of ectoken-denial"),
    ("{name: ectoken-denial, type: 403, params: {location: /login}}", "params.location: a 403 has no location"),
    ("{name: ectoken-denial, type: 302, params: {location: login}}", "params.location: \"login\" is not a location"),
    (
        "{name: ectoken-denial, type: 302, params: {location: /a, authenticate: x}}",
        "params.authenticate: a 302 has no challenge",
    ),
    (
        "{name: ectoken-parameter, value: ec_token}",
        "behaviors[0].value: a parameter for tokens may not be named ec_token",
    ),
    ("{name: ectoken-parameter, value: 'a b'}", "behaviors[0].value: "),
    ("{name: ectoken-ignore-case, value: maybe}", "behaviors[0].value: "),
    ("{name: downstream-caching}", "behaviors[0]: downstream-caching needs a value"),
    ("{name: downstream-caching, value: max-age=60}", "behaviors[0].value: "),
    ("{name: access-control, type: allow}", "behaviors[0].type: "),
    ("{name: deny-access, value: maybe}", "behaviors[0].value: "),
    ("{name: bypass-cache, value: maybe}", "behaviors[0].value: "),
    ("{name: store-on-hit}", "behaviors[0]: store-on-hit needs a value"),
    ("{name: store-on-hit, value: 0}", "behaviors[0].value: \"0\" is not a number of requests from 1 to 15"),
    ("{name: store-on-hit, value: 16}", "behaviors[0].value: "),
    ("{name: store-on-hit, value: '+1'}", "behaviors[0].value: "),
    ("{name: content-compression, value: gzip}", "behaviors[0].value: "),
    ("{name: url-redirect, type: '301', params: {}}", "behaviors[0].params: url-redirect keeps both host and path"),
    ("{name: url-redirect, type: '303', params: {protocol: https}}", "behaviors[0].type: "),
    ("{name: url-redirect, type: '301', params: {path: '/a?b=c', preserveQueryString: true}}", "params.path: "),
    ("{name: url-redirect, type: '301', params: {source: '(', destination: '/a'}}", "params.source: "),
    (
        "{name: url-redirect, type: '301', params: {source: '^/a', destination: '/$1'}}",
        "params.destination: $1 names no group",
    ),
    (
        "{name: url-redirect, type: '301', params: {source: '^/(.*)', destination: 'https://$1/'}}",
        "params.destination: the host of the destination comes from the request",
    ),
    ("{name: url-redirect, type: '301', params: {source: '^/a', destination: 'ftp://x/'}}", "params.destination: "),
    ("{name: url-redirect, type: '301', params: {source: '^/a', destination: '/%{host}'}}", "params.destination: "),
    (
        "{name: url-redirect, type: '301', params: {source: '^/a', destination: '/b', hostname: x.example.com}}",
        "params.hostname: unknown param",
    ),
    ("{name: rewrite, params: {source: '^/a', destination: 'b'}}", "params.destination: "),
    ("{name: rewrite, params: {source: '^/a', destination: '/b?c=d'}}", "params.destination: "),
    ("{name: rewrite, params: {source: '^/a', destination: '/%{path}'}}", "params.destination: "),
    ("{name: rewrite, params: {source: '^/a', destination: '/$x'}}", "params.destination: "),
    (
        "{name: modify-outgoing-request-header, type: add, params: {name: Host, value: x}}",
        "params.name: host belongs to the connection",
    ),
    (
        "{name: modify-outgoing-request-header, type: add, params: {name: X-A}}",
        "params: modify-outgoing-request-header needs params.value",
    ),
    (
        "{name: modify-outgoing-request-header, type: modify, params: {name: X-A, value: \"a\\r\\nb: c\"}}",
        "params.value: ",
    ),
    (
        "{name: modify-outgoing-response-header, type: add, params: {name: X-A, value: '%{client_ip}'}}",
        "params.value: variables",
    ),
    ("{name: modify-outgoing-response-header, type: remove, params: {name: X-A, value: b}}", "params.value: "),
    ("{name: modify-outgoing-response-header, type: set, params: {name: X-A, value: b}}", "behaviors[0].type: "),
    ("{name: origin-failover, params: {backupDomain: b.example.net, excludeStatus: '20*'}}", "params.excludeStatus: "),
    ("{name: origin-failover, params: {backupDomain: www.example.com}}", "params.backupDomain: "),
    ("{name: origin-failover, params: {backupDomain: b.example.net, maxRetries: 99}}", "params.maxRetries: "),
    ("{name: chaching, type: fixed, value: 1h}", "behaviors[0].name: unknown behavior \"chaching\""),
];

#[test]
fn behaviors_that_are_refused_and_where() {
    for (behavior, expected) in REFUSED {
        let errors = errors(behavior);
        assert!(errors.len() == 1 && errors[0].contains(expected), "{behavior}\nexpected: {expected}\ngot: {errors:?}");
        assert!(errors[0].starts_with("error rules[0].behaviors[0]"), "{behavior}: {errors:?}");
    }
}

#[test]
fn site_failover_is_refused_when_it_cannot_work() {
    let with = |status: &str, host: &str, path: &str, keep: &str| {
        format!(
            "{{name: site-failover, type: serve-302, params: {{httpResponseStatus: {status}, alternateHostname: {host}, alternatePath: {path}, preserveQueryString: {keep}}}}}"
        )
    };
    let good = ("'500 503:504'", "m.example.net", "/d/", "true");
    let table = [
        (with(good.0, "'-'", "'-'", "true"), "params: site-failover keeps both host and path"),
        (with(good.0, "www.example.com", "'-'", "true"), "params.alternateHostname: www.example.com is this site itself"),
        (with(good.0, good.1, "'/p?y=1'", "true"), "params.alternatePath: preserveQueryString is true"),
        (with("500-504", good.1, good.2, "true"), "params.httpResponseStatus: "),
        (with("'504:500'", good.1, good.2, "true"), "params.httpResponseStatus: "),
        (with("5xx", good.1, good.2, "true"), "params.httpResponseStatus: "),
        (with("'500,503'", good.1, good.2, "true"), "params.httpResponseStatus: "),
        (with("200", good.1, good.2, "true"), "params.httpResponseStatus: "),
        (with("''", good.1, good.2, "true"), "params.httpResponseStatus: "),
        (with(good.0, "https://m.example.net", good.2, "true"), "params.alternateHostname: "),
        (with(good.0, "m.example.net/x", good.2, "true"), "params.alternateHostname: "),
        (with(good.0, "'10.0.0.1:80'", good.2, "true"), "params.alternateHostname: "),
        (with(good.0, "m_.-x", good.2, "true"), "params.alternateHostname: "),
        (with(good.0, good.1, "d/", "true"), "params.alternatePath: "),
        (with(good.0, good.1, "'/d#x'", "true"), "params.alternatePath: "),
        (with(good.0, good.1, good.2, "'true'"), "params.preserveQueryString: "),
        ("{name: site-failover, type: serve-303, params: {httpResponseStatus: '500', alternateHostname: m.example.net, alternatePath: '-', preserveQueryString: true}}".to_owned(), "type: "),
        ("{name: site-failover, type: serve-302, params: {httpResponseStatus: '500', alternateHostname: m.example.net, alternatePath: '-'}}".to_owned(), "params: site-failover needs params.preserveQueryString"),
        ("{name: site-failover, type: serve-302, params: {httpResponseStatus: '500', alternateHostname: m.example.net, preserveQueryString: true}}".to_owned(), "params: site-failover needs params.alternatePath"),
    ];
    for (behavior, expected) in table {
        let errors = errors(&behavior);
        assert!(errors.len() == 1 && errors[0].contains(expected), "{behavior}\nexpected: {expected}\ngot: {errors:?}");
    }
    assert_eq!(errors("{name: site-failover}").len(), 5, "a type and four params are missing");
}

#[test]
fn a_list_of_places_has_thousands_of_entries() {
    let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).unwrap());
    let region = |n: usize| format!("{}{}:{}{}", letter(n / 26), letter(n), letter(n / 17_576), letter(n / 676));
    let list = (0..5_000).map(region).collect::<Vec<_>>().join(" ");
    for name in ["geo-blacklist", "geo-whitelist"] {
        let begun = std::time::Instant::now();
        assert_eq!(
            errors(&format!("{{name: {name}, type: region, value: \"{list}\"}}")),
            Vec::<String>::new(),
            "{name}"
        );
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{name} took {:?} to read", begun.elapsed());
    }
}
