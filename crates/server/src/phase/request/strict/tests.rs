use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::*;

fn limits() -> Limits {
    let second = Duration::from_secs(1);
    Limits {
        header_timeout: second,
        keepalive_timeout: second,
        body_timeout: second,
        write_timeout: second,
        uri: 64,
        headers: 256,
        header_count: 8,
        body: 1000,
        connections: 1,
        connections_per_ip: 1,
    }
}

/// `GET /path HTTP/1.1|Name: value|...`
fn status(head: &str) -> u16 {
    let mut lines = head.split('|');
    let mut first = lines.next().unwrap().split(' ');
    let method = Method::from_bytes(first.next().unwrap().as_bytes()).unwrap();
    let target = first.next().unwrap();
    let version = match first.next().unwrap() {
        "HTTP/1.0" => Version::HTTP_10,
        "HTTP/2" => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.strip_prefix(' ').unwrap_or(value).replace("\\t", "\t");
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(&value).unwrap());
    }
    let authority = absolute(target.as_bytes());
    let head =
        Head { method: &method, target: target.as_bytes(), authority, version, headers: &headers, checked: false };
    check(&head, &limits()).map_or_else(|refusal| refusal.status, |()| 200)
}

#[test]
fn what_two_parsers_could_read_differently_is_refused() {
    let cases = [
        ("GET / HTTP/1.1|Host: a", 200),
        ("GET / HTTP/1.0", 200),
        ("GET / HTTP/1.1", 400),
        ("GET / HTTP/1.1|Host: a|Host: a", 400),
        ("GET / HTTP/1.1|Host: a|Host: b", 400),
        ("GET / HTTP/1.1|Host:", 400),
        ("GET / HTTP/1.1|Host: a b", 400),
        ("GET / HTTP/1.1|Host: a,b", 400),
        ("GET / HTTP/1.1|Host: a/b", 400),
        ("GET / HTTP/1.1|Host: u@a", 400),
        ("GET / HTTP/1.1|Host: a%0d%0a", 400),
        ("GET / HTTP/1.1|Host: a:80", 200),
        ("GET / HTTP/1.1|Host: a:65535", 200),
        ("GET / HTTP/1.1|Host: a:65536", 400),
        ("GET / HTTP/1.1|Host: a:x", 400),
        ("GET / HTTP/1.1|Host: a:", 400),
        ("GET / HTTP/1.1|Host: a..b", 400),
        ("GET / HTTP/1.1|Host: .a", 400),
        ("GET / HTTP/1.1|Host: a.", 200),
        ("GET / HTTP/1.1|Host: [::1]", 200),
        ("GET / HTTP/1.1|Host: [::1]:8080", 200),
        ("GET / HTTP/1.1|Host: [::1", 400),
        ("GET / HTTP/1.1|Host: [::1]x", 400),
        ("GET / HTTP/1.1|Host: [1.2.3.4]", 400),
        ("GET http://a/x HTTP/1.1|Host: a", 200),
        ("GET http://a/x HTTP/1.1|Host: A", 200),
        ("GET http://a/x HTTP/1.1|Host: b", 400),
        ("GET HTTP://a?x HTTP/1.1|Host: a", 200),
        ("GET http://u@a/x HTTP/1.1|Host: a", 400),
        ("GET http://a/x HTTP/1.1", 400),
        ("GET ftp://a/x HTTP/1.1|Host: a", 400),
        ("GET http:/a HTTP/1.1|Host: a", 400),
        ("GET x HTTP/1.1|Host: a", 400),
        ("GET /a#b HTTP/1.1|Host: a", 400),
        ("GET /\u{7f} HTTP/1.1|Host: a", 400),
        ("GET /ä HTTP/1.1|Host: a", 400),
        ("OPTIONS * HTTP/1.1|Host: a", 200),
        ("GET * HTTP/1.1|Host: a", 400),
        ("TRACE / HTTP/1.1|Host: a", 405),
        ("POST / HTTP/1.1|Host: a|Content-Length: 5", 200),
        ("POST / HTTP/1.1|Host: a|Content-Length: 5|Content-Length: 5", 400),
        ("POST / HTTP/1.1|Host: a|Content-Length: 5, 5", 400),
        ("POST / HTTP/1.1|Host: a|Content-Length: +5", 400),
        ("POST / HTTP/1.1|Host: a|Content-Length: -5", 400),
        ("POST / HTTP/1.1|Host: a|Content-Length: 0x5", 400),
        ("POST / HTTP/1.1|Host: a|Content-Length:", 400),
        ("POST / HTTP/1.1|Host: a|Content-Length: 9223372036854775808", 400),
        ("POST / HTTP/1.1|Host: a|Content-Length: 99999999999999999999999", 400),
        ("POST / HTTP/1.1|Host: a|Content-Length: 1001", 413),
        ("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked", 200),
        ("POST / HTTP/1.1|Host: a|Transfer-Encoding: Chunked", 200),
        ("POST / HTTP/1.1|Host: a|Transfer-Encoding: gzip, chunked", 400),
        ("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked,", 400),
        ("POST / HTTP/1.1|Host: a|Transfer-Encoding: identity", 400),
        ("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|Transfer-Encoding: chunked", 400),
        ("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|Content-Length: 5", 400),
        ("POST / HTTP/1.0|Transfer-Encoding: chunked", 400),
        ("POST / HTTP/1.1|Host: a|Content_Length: 5", 400),
        ("POST / HTTP/1.1|Host: a|Transfer_Encoding: chunked", 400),
        ("GET / HTTP/1.1|Host: a|X_Anything: b", 200),
        ("ABCDEFGHABCDEFGHABCDEFGHABCDEFGH / HTTP/1.1|Host: a", 200),
        ("ABCDEFGHABCDEFGHABCDEFGHABCDEFGHA / HTTP/1.1|Host: a", 501),
        ("CONNECT a:443 HTTP/1.1|Host: a:443", 405),
        ("GET / HTTP/1.1|Host: a|X: a\\tb", 200),
    ];
    for (head, want) in cases {
        assert_eq!(status(head), want, "{head}");
    }
}

#[test]
fn sizes_beyond_the_limits_get_their_own_status() {
    let long = "a".repeat(64);
    let many = "|X: y".repeat(8);
    let cases = [
        (format!("GET /{} HTTP/1.1|Host: a", &long[1..]), 200),
        (format!("GET /{long} HTTP/1.1|Host: a"), 414),
        (format!("GET / HTTP/1.1|Host: a|X: {long}|Y: {long}|Z: {long}"), 200),
        (format!("GET / HTTP/1.1|Host: a|X: {long}|Y: {long}|Z: {long}|W: {long}"), 431),
        (format!("GET / HTTP/1.1|Host: a{many}"), 431),
    ];
    for (head, want) in cases {
        assert_eq!(status(&head), want, "{head}");
    }
}

#[test]
fn a_control_byte_in_a_value_is_refused() {
    for byte in (0u8..32).chain([127]).filter(|&byte| byte != b'\t') {
        assert!(is_control(byte), "{byte}");
    }
    assert!(!is_control(b'\t') && !is_control(b' ') && !is_control(0x80));
}

#[test]
fn what_the_parser_would_repair_is_seen_in_the_bytes() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\n\r\n", true),
        ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", false),
        ("GET http://a/ HTTP/1.0\r\n\r\n", true),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", true),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", false),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", false),
        ("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", false),
        ("POST / HTTP/1.1\r\nContent-Length: 1234567890123456789\r\n\r\n", false),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: \tChunked \r\n\r\n", true),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: cow\r\n\r\n", false),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nX y: b\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", false),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", false),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", false),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", false),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", false),
        ("GET / HTTP/1.1\nHost: a\n\n", false),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", false),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", false),
        ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", false),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\ntransfer-encoding: chunked\r\n\r\n", false),
        ("\r\nGET / HTTP/1.1\r\n\r\n", false),
        ("", false),
    ];
    for (head, want) in cases {
        assert_eq!(check_raw(head.as_bytes()).is_ok(), want, "{head:?}");
    }
}
