//! Decisions on requests.

use super::*;
use crate::explain::explain;
use crate::fixture::{PUBLISHED_AT, Request as Client, policy, policy_of, with_behavior};
use crate::{Caching, NameKind, Scheme};

mod access;
mod tokens;

fn winner(policy: &Policy, client: &Client) -> Effective {
    policy.evaluate(&client.facts())
}

#[test]
fn the_failover_url_is_built_from_the_clients() {
    let http = "http://www.example.com/a/b/c.jpg?x=1";
    let https = "https://www.example.com/a/b/c.jpg?x=1";
    let port = "https://www.example.com:8443/a.css";
    let host = "failover.example.com";
    // client's URL, alternateHostname, alternatePath, preserveQueryString, result
    let table = [
        (http, host, "-", true, "http://failover.example.com/a/b/c.jpg?x=1"),
        (http, host, "-", false, "http://failover.example.com/a/b/c.jpg"),
        (https, host, "/dir1/filename.ext", true, "https://failover.example.com/dir1/filename.ext?x=1"),
        (https, host, "/dir1/dir2/", true, "https://failover.example.com/dir1/dir2/c.jpg?x=1"),
        (https, host, "/dir1/dir2/", false, "https://failover.example.com/dir1/dir2/c.jpg"),
        ("https://www.example.com/a/b/", host, "/dir1/dir2/", true, "https://failover.example.com/dir1/dir2/"),
        (https, "-", "/sorry.html", false, "https://www.example.com/sorry.html"),
        (https, "-", "/sorry.html?reason=origin", false, "https://www.example.com/sorry.html?reason=origin"),
        (https, host, "/newdir1/newdir2", true, "https://failover.example.com/newdir1/newdir2?x=1"),
        (https, host, "/mirror/?src=p", false, "https://failover.example.com/mirror/c.jpg?src=p"),
        (port, host, "-", true, "https://failover.example.com/a.css"),
        (port, "-", "/static/", true, "https://www.example.com:8443/static/a.css"),
    ];
    for (url, host, path, keep, expected) in table {
        for (kind, wanted) in [
            ("serve-301", FailoverKind::Redirect(301)),
            ("serve-302", FailoverKind::Redirect(302)),
            ("serve-alternate", FailoverKind::Alternate),
        ] {
            let policy = policy_of(&with_behavior(&format!(
                "{{name: site-failover, type: {kind}, params: {{httpResponseStatus: '500 503:504', alternateHostname: '{host}', alternatePath: '{path}', preserveQueryString: {keep}}}}}"
            )));
            let client = Client::get(url);
            let effective = winner(&policy, &client);
            assert!(has_failover(&policy, &effective));
            for (status, expected) in
                [(503, Some(expected)), (500, Some(expected)), (501, None), (502, None), (200, None), (404, None)]
            {
                let got = failover(&policy, &effective, &client.facts(), status);
                assert_eq!(
                    got.as_ref().map(|failover| (failover.kind, failover.url.to_string())),
                    expected.map(|url| (wanted, url.to_owned())),
                    "{url} {host} {path} {keep} {status}"
                );
            }
        }
    }
}

#[test]
fn the_alternate_url_comes_in_parts() {
    let policy = policy_of(&with_behavior(
        "{name: site-failover, type: serve-302, params: {httpResponseStatus: '500', alternateHostname: '-', alternatePath: /s/, preserveQueryString: true}}",
    ));
    let client = Client::get("https://www.example.com:8443/a.css?");
    let url = failover(&policy, &winner(&policy, &client), &client.facts(), 500).unwrap().url;
    let expected = AlternateUrl {
        scheme: Scheme::Https,
        authority: "www.example.com:8443".to_owned(),
        host: "www.example.com".to_owned(),
        path_and_query: "/s/a.css?".to_owned(),
    };
    assert_eq!(url, expected);
}

#[test]
fn the_path_for_the_origin_is_edited() {
    let table = [
        ("remove", "/dir1/dir2/", "/dir1/dir2/a.jpg", "/a.jpg"),
        ("remove", "/dir1/", "/x/dir1/y/dir1/a.jpg", "/x/y/dir1/a.jpg"),
        ("remove", "/zz/", "/a/b.jpg", "/a/b.jpg"),
        ("replace-all", "/n1/n2/", "/a/b/c.jpg", "/n1/n2/c.jpg"),
        ("replace-all", "/n1/", "/a/b/", "/n1/"),
        ("replace-all", "/", "/a/b/c.jpg", "/c.jpg"),
        ("replace", "/dir1/dir2/###/dir3/dir4/", "/dir1/dir2/q/dir1/dir2/a.jpg", "/dir3/dir4/q/dir1/dir2/a.jpg"),
        ("replace", "/zz/###/y/", "/a/b.jpg", "/a/b.jpg"),
        ("replace", "/old%20dir/###/new/", "/old%20dir/a", "/new/a"),
    ];
    for (kind, value, path, expected) in table {
        let policy = policy_of(&with_behavior(&format!(
            "{{name: modify-outgoing-request-path, type: {kind}, value: '{value}'}}"
        )));
        let client = Client::get(path);
        let got = fetch(&policy, &winner(&policy, &client), &client.facts(), path).path;
        assert_eq!(got.as_deref().unwrap_or(path), expected, "{kind} {value} {path}");
        assert_eq!(got.is_none(), path == expected, "{kind} {value} {path}");
    }
}

#[test]
fn the_key_holds_the_wanted_part_of_the_query() {
    let table = [
        ("type: include-all", "b=2&a=1&b=3", "b=2&a=1&b=3"),
        ("type: include-all", "", ""),
        ("type: ignore-all", "b=2&a=1", ""),
        ("type: include, value: a b", "b=2&c=9&a=1&b=3", "b=2&a=1&b=3"),
        ("type: include, value: w", "%77=10&ww=2", "%77=10"),
        ("type: include, value: a", "b=1", ""),
        ("type: include, value: a", "a", "a"),
        (
            "type: ignore, value: sessionid utm_source",
            "sessionid=1&x=%20&utm_source=y&sessionidx=2",
            "x=%20&sessionidx=2",
        ),
        ("type: ignore, value: debug=0&", "debug=0&debug=01&debug=1", "debug=01&debug=1"),
        ("type: ignore, value: debug=0%26", "debug=0&debug=01&debug=1", "debug=01&debug=1"),
        ("type: ignore, value: debug=0", "debug=0&debug=01&debug=1", "debug=01&debug=1"),
        ("type: ignore, value: debug=0, params: {prefix: true}", "debug=0&debug=01&debug=1", "debug=1"),
        ("type: ignore, value: debug=0&, params: {prefix: true}", "debug=0&debug=01&debug=1", "debug=01&debug=1"),
        ("type: ignore, value: utm_, params: {prefix: true}", "utm_source=a&utm_medium=b&u=c", "u=c"),
        ("type: ignore, value: a", "a=1&&b=2&", "b=2"),
        ("type: ignore, value: q=a+b", "q=a%20b&q=a+b&q=ab", "q=ab"),
    ];
    for (choice, query, expected) in table {
        let policy = policy_of(&with_behavior(&format!("{{name: cachekey-query-args, {choice}}}")));
        let effective = winner(&policy, &Client::get("/"));
        let mut out = Vec::new();
        lookup(&policy, &effective).key_query.unwrap().write(Some(query), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{choice} {query}");
    }
}

#[test]
fn caching_types_and_their_times() {
    let table = [
        ("type: no-store", Caching::NoStore),
        ("type: bypass-cache, value: '-'", Caching::Bypass),
        ("type: fixed, value: 1d", Caching::Fixed(86_400)),
        ("type: honor", Caching::Honor(0)),
        ("type: honor, value: '-'", Caching::Honor(0)),
        ("type: honor-cc, value: '30'", Caching::HonorCc(30)),
        ("type: honor-expires, value: 30m", Caching::HonorExpires(1_800)),
    ];
    for (written, expected) in table {
        let policy = policy_of(&with_behavior(&format!("{{name: caching, {written}}}")));
        let effective = winner(&policy, &Client::get("/"));
        assert_eq!(store(&policy, &effective), Some(expected), "{written}");
        assert_eq!(lookup(&policy, &effective).caching, Some(expected), "{written}");
    }
}

#[test]
fn the_last_rule_says_whether_the_cache_is_used_and_from_which_request_on_it_stores() {
    let policy = policy(
        "rules:
          - matches: [{name: url-wildcard, value: '/a*'}]
            behaviors: [{name: bypass-cache}, {name: store-on-hit, value: 3}]
          - matches: [{name: url-wildcard, value: '/a/b*'}]
            behaviors: [{name: bypass-cache, value: no}, {name: store-on-hit, value: 1}]",
    );
    for (path, expected) in [("/", (None, None)), ("/a", (Some(true), Some(3))), ("/a/b", (Some(false), Some(1)))] {
        let effective = winner(&policy, &Client::get(path));
        assert_eq!((lookup(&policy, &effective).bypass, store_on_hit(&policy, &effective)), expected, "{path}");
    }
}

#[test]
fn refresh_instants() {
    let table = [
        ("type: epoch, value: '1893456000'", 1_893_456_000, false),
        ("type: date, value: '2030-01-01', params: {mustRevalidate: true}", 1_893_456_000, true),
        ("type: date-time, value: '2030-01-01T00:00:01Z'", 1_893_456_001, false),
        ("type: natural, value: now", PUBLISHED_AT, false),
    ];
    for (written, since, must_revalidate) in table {
        let policy = policy_of(&with_behavior(&format!("{{name: content-refresh, {written}}}")));
        let refresh = lookup(&policy, &winner(&policy, &Client::get("/"))).refresh;
        assert_eq!(refresh, Some(Refresh { since, must_revalidate }), "{written}");
    }
    let refresh = Refresh { since: 100, must_revalidate: false };
    for (stored, now, expected) in
        [(50, 99, false), (50, 100, true), (99, 200, true), (100, 200, false), (150, 200, false)]
    {
        assert_eq!(refresh.applies(stored, now), expected, "{stored} {now}");
    }
}

#[test]
fn origin_choices() {
    let policy = policy(
        "rules:
          - matches: [{name: url-wildcard, value: '/*'}]
            behaviors: [{name: origin, params: {originDomain: O.Example.net}}]
          - matches: [{name: url-path, value: img}]
            behaviors: [{name: origin, params: {originDomain: 10.0.0.2, hostHeaderType: fixed, hostHeaderValue: 'img.example.net:81', cacheKeyType: fixed, cacheKeyValue: Assets, originPort: 8080, originScheme: https, connectTimeout: 2s, readTimeout: 1m}}]
          - matches: [{name: url-path, value: own}]
            behaviors: [{name: origin, params: {originDomain: p.example.net, hostHeaderType: origin, cacheKeyType: origin}}]",
    );
    let at = |url: &str| {
        let effective = winner(&policy, &Client::get(url));
        (origin(&policy, &effective).unwrap(), lookup(&policy, &effective).key_host)
    };
    let seconds = std::time::Duration::from_secs;
    let plain = OriginChoice {
        domain: "o.example.net",
        host_header: HostHeader::Property,
        scheme: OriginScheme::Match,
        port: None,
        connect_timeout: None,
        read_timeout: None,
    };
    assert_eq!(at("/"), (plain, KeyHost::Property));
    let img = OriginChoice {
        domain: "10.0.0.2",
        host_header: HostHeader::Fixed("img.example.net:81"),
        scheme: OriginScheme::Https,
        port: Some(8080),
        connect_timeout: Some(seconds(2)),
        read_timeout: Some(seconds(60)),
    };
    assert_eq!(at("/img/a"), (img, KeyHost::Fixed("assets")));
    assert_eq!(
        at("/own/a"),
        (OriginChoice { domain: "p.example.net", host_header: HostHeader::Origin, ..plain }, KeyHost::Origin)
    );
    let domains: Vec<&str> = policy.origins().map(|(origin, _)| origin.domain).collect();
    assert_eq!(domains, ["o.example.net", "10.0.0.2", "p.example.net"]);
    assert_eq!(origin(&Policy::empty(), &Effective::default()), None);
    assert_eq!(lookup(&Policy::empty(), &Effective::default()), Lookup::default());
}

#[test]
fn the_last_applicable_rule_wins_each_behavior() {
    let policy = policy(
        "rules:
          - matches: [{name: url-wildcard, value: '/*'}]
            behaviors: [{name: origin, params: {originDomain: o.example.net}}, {name: caching, type: honor, value: 1h}]
          - matches: [{name: url-wildcard, value: '/static/*'}]
            behaviors: [{name: caching, type: fixed, value: 1h}]
          - matches: [{name: url-wildcard, value: '/static/*'}, {name: url-extension, value: png}]
            behaviors: [{name: caching, type: fixed, value: 1d}]
          - matches: [{name: url-path, value: none}]
            behaviors: [{name: caching, type: no-store}]",
    );
    for (url, expected) in [
        ("/", Caching::Honor(3_600)),
        ("/static/a.css", Caching::Fixed(3_600)),
        ("/static/a.png", Caching::Fixed(86_400)),
        ("/none/a.png", Caching::NoStore),
    ] {
        let effective = winner(&policy, &Client::get(url));
        assert_eq!(store(&policy, &effective), Some(expected), "{url}");
        assert_eq!(
            origin(&policy, &effective).map(|origin| origin.domain),
            Some("o.example.net"),
            "an earlier rule's other behaviour survives: {url}"
        );
    }
}

#[test]
fn redirects() {
    let table = [
        (
            "type: '301', params: {hostname: new.example.com}",
            "http://www.example.com/a/b.html?x=1",
            Some((301, "http://new.example.com/a/b.html?x=1")),
        ),
        (
            "type: '302', params: {path: /moved/, preserveQueryString: false}",
            "http://www.example.com:8080/a/b.html?x=1",
            Some((302, "http://www.example.com:8080/moved/b.html")),
        ),
        (
            "type: '307', params: {protocol: https}",
            "http://www.example.com/a?x",
            Some((307, "https://www.example.com/a?x")),
        ),
        // Already there: a redirect would never end.
        ("type: '307', params: {protocol: https}", "https://www.example.com/a?x", None),
        ("type: '308', params: {path: /a}", "https://www.example.com/a?x", None),
        (
            "type: '308', params: {path: /a, preserveQueryString: false}",
            "https://www.example.com/a?x",
            Some((308, "https://www.example.com/a")),
        ),
        (
            "type: '301', params: {source: '^/old/(.*)$', destination: 'https://b.example.com/new/$1'}",
            "/old/x/y?q=1",
            Some((301, "https://b.example.com/new/x/y?q=1")),
        ),
        (
            "type: '301', params: {source: '^/old/(.*)$', destination: '/n?from=$1'}",
            "/old/x?q=1",
            Some((301, "http://www.example.com/n?from=x")),
        ),
        ("type: '301', params: {source: '^/old/(.*)$', destination: '/$1'}", "/new/x", None),
        (
            "type: '301', params: {source: '^/old/?(x)?', destination: '/$1'}",
            "/old/",
            Some((301, "http://www.example.com/")),
        ),
        // The host stays the site's whatever the path says.
        (
            "type: '301', params: {source: '^/old(/.*)$', destination: '/$1'}",
            "/old//evil.example/",
            Some((301, "http://www.example.com///evil.example/")),
        ),
    ];
    for (written, url, expected) in table {
        let policy = policy_of(&with_behavior(&format!("{{name: url-redirect, {written}}}")));
        let client = Client::get(url);
        let got = request(&policy, &winner(&policy, &client), &client.facts());
        assert_eq!(
            got.redirect.map(|redirect| (redirect.status, redirect.location)),
            expected.map(|(status, url)| (status, url.to_owned())),
            "{written} {url}"
        );
        assert_eq!(got.rewrite, None);
    }
}

#[test]
fn rewrites() {
    let table = [
        ("'^/v1/(.*)$'", "/api/$1", "/v1/a/b", Some("/api/a/b")),
        ("'^/v1/(.*)$'", "/api/$1", "/v2/a/b", None),
        ("'^/(a)/(b)$'", "/$2/$1/$0/$$", "/a/b", Some("/b/a//a/b/$")),
        ("'^/x/(.*)$'", "/y/../$1", "/x/a", Some("/a")),
    ];
    for (source, destination, url, expected) in table {
        let policy = policy_of(&with_behavior(&format!(
            "{{name: rewrite, params: {{source: {source}, destination: '{destination}'}}}}"
        )));
        let client = Client::get(url);
        let got = request(&policy, &winner(&policy, &client), &client.facts()).rewrite;
        assert_eq!(got.as_ref().map(crate::Path::as_str), expected, "{source} {destination} {url}");
    }
}

#[test]
fn header_edits_win_by_header_name() {
    let policy = policy(
        "rules:
          - matches: [{name: url-wildcard, value: '/*'}]
            behaviors:
              - {name: modify-outgoing-response-header, type: add, params: {name: X-A, value: '1'}}
              - {name: modify-outgoing-response-header, type: add, params: {name: X-B, value: '1'}}
              - {name: modify-outgoing-request-header, type: modify, params: {name: X-A, value: up}}
              - {name: downstream-caching, value: no-cache}
          - matches: [{name: url-path, value: a}]
            behaviors:
              - {name: modify-outgoing-response-header, type: remove, params: {name: x-a}}
              - {name: modify-outgoing-response-header, type: add, params: {name: X-C, value: '2'}}",
    );
    let text = |edits: &[HeaderEdit<'_>]| {
        edits
            .iter()
            .map(|edit| {
                format!("{:?} {}={}", edit.op, edit.name, edit.value.map_or("", |value| value.to_str().unwrap()))
            })
            .collect::<Vec<_>>()
    };
    for (url, expected) in
        [("/b", vec!["Add x-a=1", "Add x-b=1"]), ("/a/b", vec!["Add x-b=1", "Remove x-a=", "Add x-c=2"])]
    {
        let client = Client::get(url);
        let effective = winner(&policy, &client);
        let deliver = deliver(&policy, &effective);
        assert_eq!(text(&deliver.headers), expected, "{url}");
        assert_eq!(deliver.downstream, Some(Downstream::NoCache));
        assert_eq!(text(&fetch(&policy, &effective, &client.facts(), url).headers), ["Modify x-a=up"], "{url}");
    }
}

#[test]
fn a_backup_origin_is_compiled() {
    let policy = policy_of(&with_behavior(
        "{name: origin-failover, params: {backupDomain: backup.example.net, excludeStatus: 403 41*, connectTimeout: 3s, firstByteTimeout: 15s, maxRetries: 2}}",
    ));
    let effective = winner(&policy, &Client::get("/"));
    let backup = backup(&policy, &effective).unwrap();
    assert_eq!((backup.domain, backup.max_retries), ("backup.example.net", 2));
    assert_eq!(backup.exclude.iter().collect::<Vec<_>>(), [vec![403], (410..=419).collect()].concat());
}

#[test]
fn names_in_use_have_their_places() {
    let policy = policy(
        "rules: [{matches: [{name: url-path, value: a}, {name: geography, value: US}], behaviors: [{name: deny-access}, {name: content-compression, value: on}]}]",
    );
    let names: Vec<(NameKind, &str, String)> = policy
        .names_used()
        .map(|(kind, name, path)| {
            (
                kind,
                name,
                crate::Problem { severity: crate::Severity::Error, path, message: String::new(), hint: None }.place(),
            )
        })
        .collect();
    let expected = [
        (NameKind::Match, "url-path", "rules[0].matches[0].name"),
        (NameKind::Match, "geography", "rules[0].matches[1].name"),
        (NameKind::Behavior, "deny-access", "rules[0].behaviors[0].name"),
        (NameKind::Behavior, "content-compression", "rules[0].behaviors[1].name"),
    ];
    assert_eq!(names, expected.map(|(kind, name, place)| (kind, name, place.to_owned())));
}

#[test]
fn an_explanation_names_rules_matches_and_decisions() {
    let policy = policy(
        "rules:
          - {matches: [{name: url-wildcard, value: '/*'}], behaviors: [{name: origin, params: {originDomain: o.example.net}}, {name: caching, type: honor, value: 1h}]}
          - {matches: [{name: url-path, value: a}, {name: http-method, value: POST}], behaviors: [{name: caching, type: no-store}]}
          - {matches: [{name: http-method, value: GET}], behaviors: [{name: site-failover, type: serve-302, params: {httpResponseStatus: '404 500:504', alternateHostname: m.example.net, alternatePath: '-', preserveQueryString: true}}]}",
    );
    let client = Client::get("https://www.example.com/a/b?x=1");
    let explanation = explain(&policy, &client.facts(), AccessMode::Exempt);
    let value = serde_json::to_value(&explanation).unwrap();
    let applies: Vec<bool> = explanation.rules.iter().map(|rule| rule.applies).collect();
    assert_eq!(applies, [true, false, true]);
    let holds: Vec<bool> = explanation.rules[1].matches.iter().map(|one| one.holds).collect();
    assert_eq!(holds, [true, false]);
    let winners: Vec<(&str, usize, usize)> =
        explanation.winners.iter().map(|winner| (winner.behavior, winner.rule, winner.index)).collect();
    assert_eq!(winners, [("origin", 0, 0), ("caching", 0, 1), ("site-failover", 2, 0)]);
    assert_eq!(value["decisions"]["failover"]["url"], "https://m.example.net/a/b?x=1");
    assert_eq!(value["decisions"]["failover"]["statuses"], "404 500:504");
    assert_eq!(value["decisions"]["store"]["seconds"], 3_600);
    assert_eq!(value["decisions"]["fetch"]["origin"]["scheme"], "https");
    assert_eq!(value["decisions"]["security"], "allow");
}
