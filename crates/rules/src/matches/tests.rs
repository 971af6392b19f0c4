//! The truth tables of every match, and what its value may be.

use crate::fixture::Request;
use crate::matches::Test;
use crate::reading::report::Report;

fn test(name: &str, value: &str, negated: bool) -> Test {
    let mut report = Report::default();
    let test = Test::parse(name, value, negated, &mut report);
    test.unwrap_or_else(|| panic!("{name} {value:?}: {:?}", report.finish()))
}

fn holds(name: &str, value: &str, request: &Request) -> bool {
    let plain = test(name, value, false).holds(&request.facts());
    let negated = test(name, value, true).holds(&request.facts());
    assert_ne!(plain, negated, "negated must be the opposite: {name} {value:?} {request:?}");
    plain
}

#[test]
fn url_matches_compare_the_normal_path() {
    let table: &[(&str, &str, &str, bool)] = &[
        ("url-path", "static", "/static/a", true),
        ("url-path", "static", "/static", true),
        ("url-path", "static static2", "/static2/x", true),
        ("url-path", "static", "/x/static/a", false),
        ("url-path", "static", "/Static/a", false),
        ("url-path", "static", "/statics/a", false),
        ("url-path", "static", "/", false),
        ("url-path", "static", "//static/a", false),
        ("url-path", "static", "/x/../static/a", true),
        ("url-path", "static", "/%73tatic/a", true),
        ("url-path", "caf%C3%A9", "/caf%c3%a9/a", true),
        ("url-path", "café", "/caf%c3%a9/a", true),
        ("url-path", "~u", "/%7Eu/", true),
        ("url-wildcard", "/styles/*", "/styles/", true),
        ("url-wildcard", "/styles/*", "/styles/a/b.css?x", true),
        ("url-wildcard", "/styles/*", "/styles", false),
        ("url-wildcard", "/styles/*", "/Styles/a.css", false),
        ("url-wildcard", "/*.jpg", "/a/b/c.jpg", true),
        ("url-wildcard", "*.jpg", "/a/b/c.jpg", true),
        ("url-wildcard", "/images/logo.png", "/images/logo.png?v=2", true),
        ("url-wildcard", "/images/logo.png", "/images/logo.png/", false),
        ("url-wildcard", "/a /b/*", "/b/c", true),
        ("url-wildcard", "/my%20docs/*", "/my%20docs/a", true),
        ("url-filename", "logo.jpg", "/logo.jpg", true),
        ("url-filename", "logo.jpg", "/a/b/logo.jpg", true),
        ("url-filename", "logo.jpg", "/logo.jpg/", false),
        ("url-filename", "logo.jpg icon.png", "/x/icon.png", true),
        ("url-extension", "jpg", "/a.jpg", true),
        ("url-extension", "jpg", "/a.JPG", false),
        ("url-extension", "jpg", "/a", false),
        ("url-extension", "jpg", "/a.jpg/", false),
        ("url-extension", "gz", "/a.tar.gz", true),
        ("url-extension", "profile", "/.profile", false),
        ("url-path-regex", "^/v[0-9]+/", "/v12/a", true),
        ("url-path-regex", "^/v[0-9]+/", "/a/v1/", false),
        ("url-path-regex", "b", "/abc", true),
    ];
    for (name, value, url, expected) in table {
        assert_eq!(holds(name, value, &Request::get(url)), *expected, "{name} {value:?} {url}");
    }
}

#[test]
fn request_matches() {
    let get = || Request::get("https://www.example.com/a?k=v");
    let table: Vec<(&str, &str, Request, bool)> = vec![
        ("http-method", "GET", get(), true),
        ("http-method", "GET", get().method("HEAD"), false),
        ("http-method", "GET HEAD", get().method("HEAD"), true),
        ("http-method", "GET", get().method("get"), false),
        ("url-scheme", "HTTPS", get(), true),
        ("url-scheme", "http", get(), false),
        ("url-scheme", "Http", Request::get("http://www.example.com/"), true),
        ("host-name", "WWW.example.com. other.example.com", get(), true),
        ("host-name", "example.com", get(), false),
        ("host-name", "[2001:DB8::1]", Request { host: "2001:db8::1".to_owned(), ..get() }, true),
        ("host-name-regex", r"^www\.", get(), true),
        ("client-ip", "10.0.0.0/8 203.0.113.7", get(), true),
        ("client-ip", "10.0.0.0/8", get(), false),
        ("client-ip", "2001:db8::/32", get().ip("2001:db8::5"), true),
        ("client-ip", "10.0.0.0/8", get().ip("::ffff:10.1.2.3"), true),
    ];
    for (name, value, request, expected) in table {
        assert_eq!(holds(name, value, &request), expected, "{name} {value:?} {request:?}");
    }
}

#[test]
fn header_and_cookie_matches() {
    let get = || Request::get("/");
    let table: Vec<(&str, &str, Request, bool)> = vec![
        ("header", "X-Beta", get(), false),
        ("header", "X-Beta", get().header("x-beta", ""), true),
        ("header", "X-Beta: *", get().header("x-beta", ""), true),
        ("header", "X-Beta: on*", get().header("X-BETA", "only"), true),
        ("header", "X-Beta: on*", get().header("x-beta", "On"), false),
        ("header", "X-Beta:on yes", get().header("x-beta", "yes"), true),
        ("header", "X-Beta: on", get().header("x-beta", "off").header("x-beta", "on"), true),
        ("header", "User-Agent: curl/8%20*", get().header("user-agent", "curl/8 x"), true),
        (
            "header-regex",
            "User-Agent: (?i)mozilla/5.0 \\(x11",
            get().header("user-agent", "Mozilla/5.0 (X11; y)"),
            true,
        ),
        ("header-regex", "User-Agent: curl", get(), false),
        ("cookie", "session", get().header("cookie", "a=b; session=1"), true),
        ("cookie", "session", get().header("cookie", "a=session"), false),
        ("cookie", "session", get().header("cookie", "a=b").header("cookie", "session=1"), true),
        ("cookie", "Session", get().header("cookie", "session=1"), false),
        ("cookie", "x preview=1*", get().header("cookie", "preview=15"), true),
        ("cookie", "preview=1", get().header("cookie", "preview=2; preview=1"), true),
        ("cookie", "preview=1", get().header("cookie", "preview=2"), false),
        ("cookie", "flag", get().header("cookie", "flag"), true),
        ("cookie-regex", "id=^[0-9]+$", get().header("cookie", "id=42"), true),
        ("cookie-regex", "id=^[0-9]+$", get().header("cookie", "id=x; di=42"), false),
    ];
    for (name, value, request, expected) in table {
        assert_eq!(holds(name, value, &request), expected, "{name} {value:?} {request:?}");
    }
}

#[test]
fn query_matches_compare_decoded_parameters() {
    let table = [
        ("preview", "/?preview", true),
        ("preview", "/?preview=1", true),
        ("preview", "/?Preview=1", false),
        ("preview", "/", false),
        ("preview=1", "/?preview=1", true),
        ("preview=1", "/?preview=10", false),
        ("preview=1*", "/?preview=10", true),
        ("preview=1", "/?preview=2&preview=1", true),
        ("preview=1", "/?%70review=%31", true),
        ("q=a+b", "/?q=a%20b", true),
        ("q=a%20b", "/?q=a+b", true),
        ("a b=2", "/?b=2", true),
        ("a=", "/?a=", true),
        ("a=", "/?a", true),
        // Shift_JIS
        ("q=%83%65*", "/?q=%83%65%83%58", true),
        ("q=%83%65*", "/?q=%83%66", false),
    ];
    for (value, url, expected) in table {
        assert_eq!(holds("url-querystring", value, &Request::get(url)), expected, "{value:?} {url}");
    }
    assert!(holds("url-querystring-regex", "(^|&)id=[0-9]+(&|$)", &Request::get("/?a=b&id=7")));
    assert!(!holds("url-querystring-regex", ".*", &Request::get("/")));
}

#[test]
fn places_compare_codes_and_the_unknown_is_nowhere() {
    let here = Request::get("/").place("NA US WA 819");
    let table = [
        ("US", &here, true),
        ("country:US", &here, true),
        ("CA continent:NA", &here, true),
        ("region:US:WA", &here, true),
        ("region:AU:WA", &here, false),
        ("dma:819", &here, true),
        ("dma:501", &here, false),
        ("CA", &here, false),
    ];
    for (value, request, expected) in table {
        assert_eq!(holds("geography", value, request), expected, "{value}");
    }
    assert!(!holds("geography", "US continent:NA", &Request::get("/")));
    assert!(!holds("geography", "region:US:WA", &Request::get("/").place("NA US")));
}

#[test]
fn values_that_no_match_takes() {
    let table = [
        ("http-method", "get"),
        ("http-method", "GET PATCH"),
        ("url-scheme", "FTP"),
        ("url-path", "/static"),
        ("url-path", "sta*"),
        ("url-path", "a/b"),
        ("url-path", "a%zz"),
        ("url-wildcard", "styles/*"),
        ("url-wildcard", "/a?b=*"),
        ("url-filename", "a/b"),
        ("url-filename", "*.jpg"),
        ("url-extension", ".jpg"),
        ("url-extension", "tar.gz"),
        ("url-extension", "jp*"),
        ("host-name", "*.example.com"),
        ("host-name", "www.example.com:80"),
        ("header", "Bad Name"),
        ("header", ": x"),
        ("header-regex", "User-Agent"),
        ("header-regex", "User-Agent: ("),
        ("cookie", "=x"),
        ("cookie", "sess*"),
        ("cookie-regex", "^x"),
        ("client-ip", "10.0.0.1/8"),
        ("client-ip", "example.com"),
        ("geography", "us"),
        ("geography", "planet:EARTH"),
        ("geography", "region:US"),
        ("geography", "US:WA"),
        ("geography", "dma:x"),
        ("url-querystring", "=1"),
        ("url-querystring", "a*=1"),
        ("url-path-regex", "("),
        ("url-path-regex", "(?=x)"),
        (
            "url-path-regex",
            "(((((((((((((((((((((x{9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}",
        ),
        ("weather", "rain"),
    ];
    for (name, value) in table {
        let mut report = Report::default();
        let test = Test::parse(name, value, false, &mut report);
        assert!(test.is_none() && report.has_errors(), "{name} {value:?} was accepted: {test:?}");
    }
}

#[test]
fn one_value_reports_every_bad_token() {
    let mut report = Report::default();
    assert!(Test::parse("url-path", "/a ok b* /c", false, &mut report).is_none());
    assert_eq!(report.finish().len(), 3);
}
