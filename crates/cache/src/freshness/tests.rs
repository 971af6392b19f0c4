use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use super::*;

/// The time of every answer below; its `Date` is `Sun, 06 Nov 1994 08:49:37 GMT`.
fn now() -> SystemTime {
    httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap()
}

/// `name: value` lines.
fn lines(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| line.trim().split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.lines().filter_map(pair).collect()
}

pub(super) fn response(status: u16, text: &str) -> ResponseHeader {
    let mut header = ResponseHeader::build(status, None).unwrap();
    for (name, value) in lines(text) {
        header.append_header(name, value).unwrap();
    }
    header
}

fn request(text: &str) -> HeaderMap {
    let parse = |(name, value): (String, String)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(&value).unwrap())
    };
    lines(text).into_iter().map(parse).collect()
}

/// `word word` over the contract's defaults: a caching type with its value, `default N`, `cookie strip|store`.
fn policy(words: &str) -> Policy {
    let mut policy = Policy {
        caching: None,
        default_max_age: Duration::from_secs(604_800),
        set_cookie: SetCookie::Refuse,
        heuristic: false,
        max_stale: Duration::from_secs(120),
        max_object: 1000,
    };
    let words: Vec<&str> = words.split_whitespace().collect();
    for pair in words.chunks(2) {
        let seconds = || pair[1].parse().unwrap();
        match pair[0] {
            "no-store" => policy.caching = Some(Caching::NoStore),
            "bypass" => policy.caching = Some(Caching::Bypass),
            "fixed" => policy.caching = Some(Caching::Fixed(seconds())),
            "honor" => policy.caching = Some(Caching::Honor(seconds())),
            "honor-cc" => policy.caching = Some(Caching::HonorCc(seconds())),
            "honor-expires" => policy.caching = Some(Caching::HonorExpires(seconds())),
            "heuristic" => policy.heuristic = seconds() == 1,
            "default" => policy.default_max_age = Duration::from_secs(seconds().into()),
            "cookie" => policy.set_cookie = if pair[1] == "strip" { SetCookie::Strip } else { SetCookie::Store },
            other => panic!("unknown word {other}"),
        }
    }
    policy
}

/// `seconds fresh`, followed by ` swr sie` where those are not 0 and 120; or the refusal.
fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Refuse(refusal) => refusal.as_str().to_owned(),
        Verdict::Store(Stored { meta, .. }) if meta.fresh_until() == SystemTime::UNIX_EPOCH => {
            assert_eq!((meta.stale_while_revalidate_sec(), meta.stale_if_error_sec()), (0, 0), "validated always");
            "validated".to_owned()
        }
        Verdict::Store(Stored { meta, .. }) => {
            let fresh = match meta.fresh_until().duration_since(now()) {
                Ok(left) => left.as_secs() as i64,
                Err(since) => -(since.duration().as_secs() as i64),
            };
            match (meta.stale_while_revalidate_sec(), meta.stale_if_error_sec()) {
                (0, 120) => fresh.to_string(),
                (swr, sie) => format!("{fresh} {swr} {sie}"),
            }
        }
    }
}

fn decide(words: &str, request_text: &str, status: u16, response_text: &str) -> String {
    let method = if request_text.starts_with("POST") { Method::POST } else { Method::GET };
    let (headers, answer) = (request(request_text), response(status, response_text));
    let exchange = Exchange {
        request_method: &method,
        request_headers: &headers,
        response: &answer,
        request_time: now(),
        response_time: now(),
        now: now(),
    };
    told(&judge(&exchange, &policy(words)))
}

const AUTH: &str = "authorization: Basic eA==";
const LATER: &str = "expires: Sun, 06 Nov 1994 08:50:37 GMT";
const PAST: &str = "expires: Sun, 06 Nov 1994 08:48:37 GMT";
const DATE: &str = "date: Sun, 06 Nov 1994 08:49:37 GMT";

fn check(table: &[(&str, &str, u16, &str, &str)]) {
    let mut wrong = Vec::new();
    for (policy, request, status, response, expected) in table {
        let got = decide(policy, request, *status, response);
        if got != *expected {
            wrong.push(format!("[{policy}] [{request}] {status} [{response}]: expected {expected}, got {got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn cache_control_is_read_to_the_letter() {
    check(&[
        ("", "", 200, "cache-control: max-age=60", "60"),
        ("", "", 200, "Cache-Control: MAX-AGE=60", "60"),
        ("", "", 200, "cache-control: max-age=\"60\"", "60"),
        ("", "", 200, "cache-control: max-age='60'", "stale"),
        ("", "", 200, "cache-control: max-age=60, max-age=10", "10"),
        ("", "", 200, "cache-control: max-age=10\ncache-control: max-age=60", "10"),
        ("", "", 200, "cache-control: max-age=60, s-maxage=10", "10 0 0"),
        ("", "", 200, "cache-control: s-maxage=60, max-age=0", "60 0 0"),
        ("", "", 200, "cache-control: max-age=abc", "stale"),
        ("", "", 200, "cache-control: max-age=6o", "stale"),
        ("", "", 200, "cache-control: max-age=-1", "stale"),
        ("", "", 200, "cache-control: max-age=1.5", "stale"),
        ("", "", 200, "cache-control: max-age=", "stale"),
        ("", "", 200, "cache-control: max-age", "stale"),
        ("", "", 200, "cache-control: max-age= 60", "stale"),
        ("default 0", "", 200, "cache-control: max-age =60", "no_freshness"),
        ("", "", 200, "cache-control: max-age=99999999999999999999", "2147483647"),
        ("", "", 200, "cache-control: a=\"b, max-age=7\", max-age=60", "60"),
        ("", "", 200, "cache-control: a=\"b\\\", max-age=7\", max-age=60", "60"),
        ("default 0", "", 200, "cache-control: x-max-age=60", "no_freshness"),
        ("", "", 200, "cache-control: ,, max-age=60 ,", "60"),
        ("", "", 200, "cache-control: no-store", "no_store"),
        ("", "", 200, "cache-control: No-Store, max-age=60", "no_store"),
        ("", "", 200, "cache-control: no-store=\"x\", max-age=60", "no_store"),
        ("", "", 200, "cache-control: x=\"no-store\", max-age=60", "60"),
        ("", "", 200, "cache-control: x=\"a, max-age=60, no-store", "no_store"),
        ("", "", 200, "cache-control: x=\"a\\\", private, max-age=60", "private"),
        ("", "", 200, "cache-control: no-cache, max-age=60", "no_cache"),
        ("", "", 200, "cache-control: no-cache\netag: \"a\"", "validated"),
        ("", "", 200, "cache-control: no-cache, max-age=60\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT", "validated"),
        (
            "",
            "",
            200,
            "cache-control: no-cache, stale-if-error=60, stale-while-revalidate=60\netag: \"a\"",
            "validated",
        ),
        ("", "", 503, "cache-control: no-cache\netag: \"a\"", "no_cache"),
        ("", "", 503, "cache-control: no-cache, max-age=60\netag: \"a\"", "validated"),
        ("", "", 200, "cache-control: no-cache=\"set-cookie\", max-age=60\nset-cookie: a=1", "60"),
        ("", "", 200, "cache-control: no-cache=x-one, max-age=60", "60"),
        ("", "", 200, "cache-control: no-cache=\"a, b\", max-age=60", "60"),
        ("", "", 200, "cache-control: no-cache=\"vary\", max-age=60", "no_cache"),
        ("", "", 200, "cache-control: no-cache=\"a b\", max-age=60", "no_cache"),
        ("", "", 200, "cache-control: no-cache=\"\", max-age=60", "no_cache"),
        ("", "", 200, "cache-control: no-cache=\"a\", no-cache, max-age=60", "no_cache"),
        ("", "", 200, "cache-control: private, max-age=60", "private"),
        ("", "", 200, "cache-control: private=\"x\", max-age=60", "60"),
        ("", "", 200, "cache-control: private=\"vary\", max-age=60", "private"),
        ("", "", 200, "cache-control: private, s-maxage=60", "private"),
        ("", "", 200, "pragma: no-cache", "no_cache"),
        ("", "", 200, "pragma: No-Cache\netag: \"a\"", "validated"),
        ("", "", 200, "pragma: no-cache\ncache-control: max-age=60", "60"),
        ("", "", 200, "cache-control: max-age=0", "stale"),
        ("", "", 200, "cache-control: max-age=0\netag: \"a\"", "0"),
        ("", "", 200, "cache-control: max-age=0\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT", "0"),
        ("", "", 200, "cache-control: no-store, must-understand, max-age=60", "60"),
        ("", "", 299, "cache-control: must-understand, max-age=60", "status"),
    ]);
}

#[test]
fn stale_windows_follow_the_answer_and_end_at_must_revalidate() {
    check(&[
        ("", "", 200, "cache-control: max-age=60, must-revalidate", "60 0 0"),
        ("", "", 200, "cache-control: max-age=60, proxy-revalidate", "60 0 0"),
        ("", "", 200, "cache-control: max-age=60, must-revalidate, stale-if-error=9", "60 0 0"),
        ("", "", 200, "cache-control: max-age=60, stale-while-revalidate=9", "60 9 120"),
        ("", "", 200, "cache-control: max-age=60, stale-if-error=9", "60 0 9"),
        ("", "", 200, "cache-control: max-age=60, stale-if-error=0", "60 0 0"),
        ("", "", 200, "cache-control: max-age=60, stale-while-revalidate=x", "60"),
        ("", "", 200, "cache-control: s-maxage=60, stale-while-revalidate=9, stale-if-error=9", "60 0 0"),
        ("fixed 30", "", 200, "cache-control: max-age=60, must-revalidate", "30 0 0"),
    ]);
}

#[test]
fn expires_is_measured_from_date_and_anything_odd_is_stale() {
    let far = "date: Sun, 06 Nov 1994 08:49:27 GMT";
    check(&[
        ("", "", 200, LATER, "60"),
        ("", "", 200, &format!("{LATER}\n{DATE}"), "60"),
        // 70 s of lifetime counted from a Date 10 s ago.
        ("", "", 200, &format!("{LATER}\n{far}"), "60"),
        ("", "", 200, PAST, "stale"),
        ("", "", 200, &format!("{PAST}\netag: \"a\""), "0"),
        ("", "", 200, "expires: 0", "stale"),
        ("", "", 200, "expires: -1", "stale"),
        ("", "", 200, "expires: tomorrow", "stale"),
        ("", "", 200, &format!("{LATER}\n{PAST}"), "stale"),
        ("", "", 200, &format!("{LATER}\n{LATER}"), "60"),
        ("", "", 200, &format!("{LATER}\ncache-control: max-age=5"), "5"),
        ("", "", 200, &format!("{PAST}\ncache-control: max-age=5"), "5"),
        ("", "", 200, &format!("{LATER}\ncache-control: public"), "60"),
        ("", "", 200, &format!("{LATER}\ncache-control: max-age=x"), "stale"),
        ("", "", 200, "expires: Sunday, 06-Nov-94 08:50:37 GMT", "60"),
    ]);
}

#[test]
fn the_default_lifetime_is_for_plain_answers_only() {
    check(&[
        ("", "", 200, "", "604800"),
        ("", "", 200, "cache-control: public", "604800"),
        ("", "", 200, "last-modified: Sun, 06 Nov 1994 08:49:37 GMT", "604800"),
        ("default 0", "", 200, "", "no_freshness"),
        ("", AUTH, 200, "", "authorization"),
        ("", AUTH, 200, "cache-control: public", "authorization"),
        ("", "", 200, "set-cookie: a=1", "set_cookie"),
        ("cookie store", "", 200, "set-cookie: a=1", "set_cookie"),
        ("", "", 404, "", "no_freshness"),
        ("", "", 301, "", "no_freshness"),
        ("", "", 500, "", "no_freshness"),
        ("", "POST", 200, "", "method"),
    ]);
}

#[test]
fn every_final_status_is_stored_with_explicit_freshness_and_parts_never() {
    check(&[
        ("", "", 201, "cache-control: max-age=60", "60"),
        ("", "", 302, "cache-control: max-age=60", "60"),
        ("", "", 307, LATER, "60"),
        ("", "", 404, "cache-control: max-age=60", "60"),
        ("", "", 503, "cache-control: max-age=60", "60"),
        ("", "", 599, "cache-control: max-age=60", "60"),
        ("", "", 206, "cache-control: max-age=60", "partial"),
        ("", "range: bytes=0-1", 200, "cache-control: max-age=60\ncontent-range: bytes 0-1/2", "partial"),
        ("", "", 200, "cache-control: max-age=60\ncontent-range: bytes 0-1/2", "60"),
        ("", "", 416, "cache-control: max-age=60", "status"),
        ("", "", 416, "cache-control: max-age=60\ncontent-range: bytes */2", "partial"),
        ("", "", 304, "cache-control: max-age=60", "status"),
        ("", "", 103, "cache-control: max-age=60", "status"),
        ("", "", 200, "cache-control: max-age=60\nvary: *", "vary"),
        ("", "", 200, "cache-control: max-age=60\nvary: accept, *", "vary"),
        ("fixed 9", "", 200, "vary: *", "vary"),
        ("", "", 200, "cache-control: max-age=60\ncontent-length: 1000", "60"),
        ("", "", 200, "cache-control: max-age=60\ncontent-length: 1001", "too_large"),
    ]);
}

#[test]
fn credentials_and_cookies_are_stored_only_when_the_origin_or_the_operator_says_so() {
    check(&[
        ("", AUTH, 200, "cache-control: max-age=60", "authorization"),
        ("", AUTH, 200, LATER, "authorization"),
        ("", AUTH, 200, "cache-control: max-age=60, public", "60"),
        ("", AUTH, 200, "cache-control: max-age=60, must-revalidate", "60 0 0"),
        ("", AUTH, 200, "cache-control: s-maxage=60", "60 0 0"),
        ("fixed 9", AUTH, 200, "cache-control: max-age=60", "authorization"),
        ("", "", 200, "cache-control: max-age=60\nset-cookie: a=1", "set_cookie"),
        ("cookie strip", "", 200, "cache-control: max-age=60\nset-cookie: a=1", "60"),
        ("cookie store", "", 200, "cache-control: max-age=60\nset-cookie: a=1", "60"),
        ("honor 30", "", 200, "set-cookie: a=1", "set_cookie"),
        ("cookie store honor 30", "", 200, "set-cookie: a=1", "set_cookie"),
        ("fixed 9", "", 200, "set-cookie: a=1", "9"),
    ]);
}

#[test]
fn the_caching_behaviour_decides_what_counts() {
    let both = format!("{LATER}\ncache-control: max-age=5");
    check(&[
        ("no-store 0", "", 200, "cache-control: max-age=60", "policy"),
        ("bypass 0", "", 200, "cache-control: max-age=60", "policy"),
        ("fixed 9", "", 200, "cache-control: max-age=60", "9"),
        ("fixed 9", "", 200, "cache-control: no-store", "9"),
        ("fixed 9", "", 200, "cache-control: private, no-cache", "9"),
        ("fixed 9", "", 200, "age: 100\ncache-control: max-age=1", "9"),
        ("fixed 9", "", 404, "", "9"),
        ("fixed 9", "", 503, "", "status"),
        ("fixed 9", "", 503, "cache-control: max-age=60", "status"),
        ("fixed 9", "", 403, "", "status"),
        ("fixed 9", "", 302, "", "status"),
        ("fixed 9", "", 302, "cache-control: max-age=60", "9"),
        ("fixed 0", "", 200, "", "stale"),
        ("fixed 0", "", 200, "etag: \"a\"", "0"),
        ("honor 30", "", 200, "", "30"),
        ("honor 30", "", 410, "", "30"),
        ("honor 30", "", 500, "", "no_freshness"),
        ("honor 30", "", 302, "", "no_freshness"),
        ("honor 30", "", 200, &both, "5"),
        ("honor 30", "", 200, LATER, "60"),
        ("honor 30", "", 200, "cache-control: no-cache", "no_cache"),
        ("honor 0", "", 200, "", "stale"),
        ("honor-cc 30", "", 200, LATER, "30"),
        ("honor-cc 30", "", 200, &both, "5"),
        ("honor-cc 30", "", 200, "cache-control: no-store", "no_store"),
        ("honor-expires 30", "", 200, &both, "60"),
        ("honor-expires 30", "", 200, "cache-control: max-age=5", "30"),
        ("honor-expires 30", "", 200, PAST, "stale"),
        ("honor-expires 30", "", 200, "expires: -1\netag: \"a\"", "stale"),
        ("honor-expires 30", "", 200, "cache-control: no-cache", "30"),
        ("honor-expires 30", "", 200, "cache-control: private", "private"),
    ]);
}

#[test]
fn cdn_cache_control_speaks_alone_when_it_is_well_formed() {
    check(&[
        ("", "", 200, "cdn-cache-control: max-age=60\ncache-control: no-store", "60"),
        ("", "", 200, "cdn-cache-control: no-store\ncache-control: max-age=60", "no_store"),
        ("", "", 200, "cdn-cache-control: private\ncache-control: max-age=60", "private"),
        ("", "", 200, "cdn-cache-control: max-age=60;x=1, foo=\"a, b\"\ncache-control: max-age=5", "60"),
        ("", "", 200, "cdn-cache-control: max-age=60, max-age=70", "70"),
        ("", "", 200, "cdn-cache-control: no-store=?0, max-age=60", "60"),
        ("", "", 200, &format!("cdn-cache-control: foo\n{LATER}"), "604800"),
        ("", "", 200, "cdn-cache-control: Max-Age=60\ncache-control: max-age=5", "5"),
        ("", "", 200, "cdn-cache-control: max-age=60,\ncache-control: max-age=5", "5"),
        ("", "", 200, "cdn-cache-control: max-age==60\ncache-control: max-age=5", "5"),
        ("", "", 200, "cdn-cache-control: &&\ncache-control: max-age=5", "5"),
        ("", "", 200, "cdn-cache-control: \ncache-control: max-age=5", "5"),
        ("", "", 200, "cdn-cache-control: max-age=60 \ncache-control: max-age=5", "60"),
        ("", "", 200, "cdn-cache-control: max-age=abc\ncache-control: max-age=5", "5"),
        ("", "", 200, "cdn-cache-control: max-age=\"60\"\ncache-control: no-store", "no_store"),
        ("", "", 200, "cdn-cache-control: max-age=60, &&&\ncache-control: no-store", "no_store"),
        ("", "", 200, "cdn-cache-control: max-age =60\ncache-control: max-age=5", "5"),
        (
            "",
            "",
            200,
            "cdn-cache-control: max-age=60\ncdn-cache-control: no-store\ncache-control: max-age=5",
            "no_store",
        ),
        ("", "", 200, "cdn-cache-control: max-age=2147483648", "2147483647"),
        ("", "", 200, "cdn-cache-control: max-age=60, no-cache=\"x\"", "60"),
        ("", "", 200, "cdn-cache-control: max-age=60, no-cache\netag: \"a\"", "validated"),
        ("", "", 200, "cdn-cache-control: no-store=1, max-age=60", "no_store"),
        ("", "", 200, "cdn-cache-control: max-age=-60\ncache-control: max-age=5", "stale"),
        ("", "", 200, "cdn-cache-control: max-age=60, must-revalidate", "60 0 0"),
    ]);
}

#[test]
fn age_on_arrival_shortens_what_is_left_and_shows() {
    // (headers, seconds the request took, seconds since the answer, seconds left of 100, age)
    let table: &[(&str, u64, u64, i64, u64)] = &[
        ("", 0, 0, 100, 0),
        ("age: 30", 0, 0, 70, 30),
        ("age: 30", 2, 0, 68, 32),
        ("age: 30", 2, 5, 63, 37),
        ("age: 30\nage: 10", 0, 0, 70, 30),
        ("age: 30, 10", 0, 0, 70, 30),
        ("age: x", 0, 0, 100, 0),
        ("age: -5", 0, 0, 100, 0),
        ("age: 3.5", 0, 0, 100, 0),
        ("age: 200", 0, 0, -100, 200),
        ("date: Sun, 06 Nov 1994 08:49:27 GMT", 0, 0, 90, 10),
        ("date: Sun, 06 Nov 1994 08:49:27 GMT\nage: 30", 0, 0, 70, 30),
        ("date: Sun, 06 Nov 1994 08:49:27 GMT\nage: 3", 0, 0, 90, 10),
        ("date: Sun, 06 Nov 1994 08:50:27 GMT", 0, 0, 100, 0),
        ("date: yesterday", 0, 0, 100, 0),
    ];
    for (text, took, since, left, age) in table {
        let answer = response(200, &format!("cache-control: max-age=100\n{text}"));
        let seconds = |n: &u64| Duration::from_secs(*n);
        let exchange = Exchange {
            request_method: &Method::GET,
            request_headers: &HeaderMap::new(),
            response: &answer,
            request_time: now() - seconds(took),
            response_time: now(),
            now: now() + seconds(since),
        };
        let Verdict::Store(Stored { meta, .. }) = judge(&exchange, &policy("")) else { panic!("{text}: refused") };
        let (until, now) = (meta.fresh_until(), exchange.now);
        let got_left =
            until.duration_since(now).map_or_else(|e| -(e.duration().as_secs() as i64), |d| d.as_secs() as i64);
        let got_age = now.duration_since(meta.epoch()).unwrap().as_secs();
        assert_eq!((got_left, got_age), (*left, *age), "{text}, took {took}, {since} ago");
    }
}

#[test]
fn what_is_stored_has_no_field_of_a_connection_and_no_stripped_cookie() {
    let answer = response(
        200,
        "cache-control: max-age=60\nconnection: x-one, X-Two, close, content-length\nx-one: 1\nx-two: 2\nx-three: 3\n\
         keep-alive: timeout=5\nproxy-authenticate: Basic\ntransfer-encoding: chunked\ntrailer: x\nte: trailers\nupgrade: h2c\n\
         content-length: 4\nset-cookie: a=1\nset-cookie: b=2",
    );
    let exchange = Exchange {
        request_method: &Method::GET,
        request_headers: &HeaderMap::new(),
        response: &answer,
        request_time: now(),
        response_time: now(),
        now: now(),
    };
    let Verdict::Store(Stored { meta, .. }) = judge(&exchange, &policy("cookie strip")) else { panic!("refused") };
    let mut names: Vec<&str> = meta.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["cache-control", "content-length", "x-three"]);
}

#[test]
fn a_lifetime_is_guessed_only_when_configured_and_only_where_nobody_says_one() {
    // 1,000 seconds and 100 days before
    let (changed, old) =
        ("last-modified: Sun, 06 Nov 1994 08:32:57 GMT", "last-modified: Fri, 29 Jul 1994 08:49:37 GMT");
    let future = "last-modified: Sun, 06 Nov 1994 08:59:37 GMT";
    check(&[
        ("default 0", "", 200, changed, "no_freshness"),
        ("heuristic 1 default 0", "", 200, changed, "100"),
        ("heuristic 1", "", 200, changed, "100"),
        ("heuristic 1 default 0", "", 200, old, "86400"),
        ("heuristic 1 default 0", "", 200, future, "no_freshness"),
        ("heuristic 1 default 0", "", 200, "last-modified: yesterday", "no_freshness"),
        ("heuristic 1 default 0", "", 200, "", "no_freshness"),
        ("heuristic 1", "", 200, "", "604800"),
        ("heuristic 1 default 0", "", 200, &format!("{changed}\nage: 30"), "70"),
        ("heuristic 1 default 0", "", 200, &format!("{changed}\ncache-control: max-age=5"), "5"),
        ("heuristic 1 default 0", "", 200, &format!("{changed}\n{PAST}"), "0"),
        ("heuristic 1 default 0", "", 200, &format!("{changed}\ncache-control: no-store"), "no_store"),
        ("heuristic 1 default 0", "", 200, &format!("{changed}\ncache-control: no-cache"), "validated"),
        ("heuristic 1 default 0", "", 200, &format!("{changed}\nset-cookie: a=1"), "set_cookie"),
        ("heuristic 1 default 0", AUTH, 200, changed, "authorization"),
        ("heuristic 1 default 0", AUTH, 200, &format!("{changed}\ncache-control: public"), "100"),
        ("heuristic 1 default 0", "", 203, changed, "100"),
        ("heuristic 1 default 0", "", 204, changed, "100"),
        ("heuristic 1 default 0", "", 300, changed, "100"),
        ("heuristic 1 default 0", "", 404, changed, "100"),
        ("heuristic 1 default 0", "", 405, changed, "100"),
        ("heuristic 1 default 0", "", 410, changed, "100"),
        ("heuristic 1 default 0", "", 414, changed, "100"),
        ("heuristic 1 default 0", "", 501, changed, "100"),
        ("heuristic 1 default 0", "", 201, changed, "no_freshness"),
        ("heuristic 1 default 0", "", 302, changed, "no_freshness"),
        ("heuristic 1 default 0", "", 403, changed, "no_freshness"),
        ("heuristic 1 default 0", "", 500, changed, "no_freshness"),
        ("heuristic 1 default 0", "", 503, changed, "no_freshness"),
        ("heuristic 1 default 0", "", 599, changed, "no_freshness"),
        ("heuristic 1 default 0", "", 599, &format!("{changed}\ncache-control: public"), "100"),
        ("heuristic 1 honor 30", "", 200, changed, "30"),
        ("heuristic 1 fixed 9", "", 200, changed, "9"),
    ]);
}

#[test]
fn what_was_out_of_date_on_arrival_is_validated_on_every_use() {
    for (text, always) in [
        ("cache-control: max-age=0\netag: \"a\"", true),
        ("cache-control: no-cache\netag: \"a\"", true),
        ("cache-control: max-age=10\nage: 20\netag: \"a\"", true),
        ("cache-control: max-age=0, stale-while-revalidate=9\netag: \"a\"", false),
        ("cache-control: max-age=1\netag: \"a\"", false),
    ] {
        let Verdict::Store(Stored { meta, .. }) = decide_on(&response(200, text)) else { panic!("{text}: refused") };
        // the framework stamps the time of storing by its own clock
        let meta = CacheMeta::new(meta.fresh_until(), now(), meta.stale_while_revalidate_sec(), 0, response(200, text));
        assert_eq!(validates_always(&meta), always, "{text}");
    }
}

#[test]
fn a_refresh_is_due_for_what_was_validated_before_the_time() {
    let at = |seconds: u64| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        CacheMeta::new(time, time, 0, 0, response(200, ""))
    };
    for (validated, since, due) in [(99, 100, true), (100, 100, false), (101, 100, false), (5, 0, false)] {
        assert_eq!(must_refresh(&at(validated), since), due, "validated at {validated}, refresh since {since}");
    }
}

proptest! {
    #[test]
    fn no_header_panics_and_nothing_private_is_stored(value in "[ -~]{0,40}", cdn in "[ -~]{0,40}") {
        let mut answer = response(200, "cache-control: private");
        answer.append_header("cache-control", value).unwrap();
        let private = decide_on(&answer);
        prop_assert!(matches!(private, Verdict::Refuse(_)));
        answer.append_header("cdn-cache-control", cdn).unwrap();
        let _ = decide_on(&answer);
    }
}

pub(super) fn decide_on(answer: &ResponseHeader) -> Verdict {
    let exchange = Exchange {
        request_method: &Method::GET,
        request_headers: &HeaderMap::new(),
        response: answer,
        request_time: now(),
        response_time: now(),
        now: now(),
    };
    judge(&exchange, &policy(""))
}
