//! Which requests the lane understands: a complete head of a plain GET, in one read, with no field that could change the answer.
//!
//! This is a list of what is known to be harmless. Whatever is not on it goes the full way, where it is understood or refused.

use memchr::memchr;

/// A longer head goes the full way.
const MAX_HEAD: usize = 8 * 1024;
/// One of more fields, too. The framework's parser takes 256.
const MAX_FIELDS: usize = 100;

/// A plain GET over HTTP/1.1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'b> {
    /// Bytes of the head, its empty line included.
    pub(super) length: usize,
    /// Fields in it.
    pub(super) fields: usize,
    /// The target as sent: an absolute path and perhaps a query.
    pub(super) target: &'b str,
    /// `Host` as sent.
    pub(super) host: &'b str,
    pub(super) user_agent: Option<&'b str>,
}

/// The head at the start of these bytes, if it is a plain one.
pub(super) fn plain(bytes: &[u8]) -> Option<Head<'_>> {
    if !bytes.starts_with(b"GET /") {
        return None;
    }
    let mut rest = bytes.get(..MAX_HEAD).unwrap_or(bytes);
    let window = rest.len();
    let target = line(&mut rest)?.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?;
    if any(target.as_bytes(), |byte| matches!(byte, b' ' | b'\t' | b'#')) {
        return None;
    }
    let (mut host, mut user_agent, mut fields) = (None, None, 0);
    loop {
        let line = line(&mut rest)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_at_checked(memchr(b':', line.as_bytes())?)?;
        let value = value.get(1..)?.trim_ascii();
        fields += 1;
        if fields > MAX_FIELDS {
            return None;
        }
        match Field::named(name)? {
            Field::Host if host.is_some() || value.is_empty() => return None,
            Field::Host => host = Some(value),
            Field::UserAgent => user_agent = user_agent.or(Some(value)),
            Field::Connection if !value.eq_ignore_ascii_case("keep-alive") => return None,
            Field::Connection | Field::Harmless => {}
        }
    }
    Some(Head { length: window - rest.len(), fields, target, host: host?, user_agent })
}

/// Takes the next line: one that ends with CR LF and holds nothing but visible ASCII, spaces and tabs.
fn line<'b>(rest: &mut &'b [u8]) -> Option<&'b str> {
    let (line, behind) = rest.split_at_checked(memchr(b'\n', rest)? + 1)?;
    *rest = behind;
    let line = line.strip_suffix(b"\r\n")?;
    if any(line, |byte| !matches!(byte, b'\t' | b' '..=b'~')) { None } else { std::str::from_utf8(line).ok() }
}

/// Whether any byte is so. Without an early end, so that many are looked at in one step.
fn any(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(false, |found, &byte| found | is(byte))
}

/// A field that a plain request may have.
enum Field {
    Host,
    UserAgent,
    Connection,
    /// The answer does not depend on it: neither key nor rules of a remembered request look at it, and its object has no `Vary`.
    Harmless,
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        const HARMLESS: [&str; 14] = [
            "accept",
            "accept-charset",
            "accept-encoding",
            "accept-language",
            "cookie",
            "dnt",
            "origin",
            "priority",
            "purpose",
            "referer",
            "save-data",
            "upgrade-insecure-requests",
            "x-requested-with",
            "x-request-id",
        ];
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is("host") => Some(Self::Host),
            10 if is("user-agent") => Some(Self::UserAgent),
            10 if is("connection") => Some(Self::Connection),
            // RFC 8942 client hints, fetch metadata, Global Privacy Control
            _ if name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("sec-")) => match name.get(4..7) {
                Some(kind) if ["ch-", "fet", "gpc"].iter().any(|known| kind.eq_ignore_ascii_case(known)) => {
                    is_token(name).then_some(Self::Harmless)
                }
                _ => None,
            },
            _ => HARMLESS.iter().any(|known| is(known)).then_some(Self::Harmless),
        }
    }
}

fn is_token(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_plain_request_is_taken_whatever_follows_it() {
        let head = "GET /a/b.jpg?x=1 HTTP/1.1\r\nHost: www.example.com\r\nuser-agent: \t Firefox\r\nConnection: Keep-Alive\r\n\
                    Accept: */*\r\nSec-Fetch-Mode: no-cors\r\nsec-ch-ua: \"a\"\r\nCookie: a=1; b=2\r\n\r\n";
        for rest in ["", "GET /next HTTP/1.1\r\n", "\r\n", "\u{0}"] {
            let bytes = [head, rest].concat();
            let got = plain(bytes.as_bytes()).unwrap();
            assert_eq!((got.length, got.fields), (head.len(), 7), "{rest:?}");
            assert_eq!((got.target, got.host), ("/a/b.jpg?x=1", "www.example.com"));
            assert_eq!(got.user_agent, Some("Firefox"));
        }
    }

    #[test]
    fn what_could_be_understood_in_two_ways_goes_the_full_way() {
        let around = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
        let with = |field: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
        let cases = [
            around("POST / HTTP/1.1"),
            around("HEAD / HTTP/1.1"),
            around("GET http://a/ HTTP/1.1"),
            around("GET * HTTP/1.1"),
            around("GET / HTTP/1.0"),
            around("GET / HTTP/2.0"),
            around("GET /"),
            around("GET  / HTTP/1.1"),
            around("GET /a b HTTP/1.1"),
            around("GET /a\tb HTTP/1.1"),
            around("GET /#f HTTP/1.1"),
            around("GET /  HTTP/1.1"),
            around("GET /\u{7f} HTTP/1.1"),
            around("GET /\u{e4} HTTP/1.1"),
            around("\r\nGET / HTTP/1.1"),
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\nHost: a\n\n".to_owned(),
            "GET / HTTP/1.1\r\nHost: a\n\r\n".to_owned(),
            "GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost: a\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost: a\r\n\r".to_owned(),
            "GET / HTTP/1.1\r\nHost:\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_owned(),
            with("Host: a"),
            with("Accept: a\r\n folded"),
            with("Accept"),
            with(": a"),
            with("Accept : a"),
            with("Accept: a\u{0}b"),
            with("Accept: \u{e4}"),
            with("Content-Length: 0"),
            with("Transfer-Encoding: chunked"),
            with("Connection: close"),
            with("Connection: keep-alive, x"),
            with("Upgrade: websocket"),
            with("Range: bytes=0-0"),
            with("If-None-Match: *"),
            with("If-Modified-Since: x"),
            with("Cache-Control: no-cache"),
            with("Pragma: no-cache"),
            with("Authorization: x"),
            with("Expect: 100-continue"),
            with("TE: trailers"),
            with("X-Forwarded-For: 192.0.2.1"),
            with("X-Leeward-Debug: s"),
            with("CDN-Loop: leeward"),
            with("Via: 1.1 x"),
            with("Sec-WebSocket-Key: x"),
            with("Sec-Ch-\u{1}: x"),
            with("Sec-ch-a b: x"),
            with("X-Anything: x"),
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000)),
            with(&["Accept: */*"; 100].join("\r\n")),
        ];
        for case in cases {
            assert_eq!(plain(case.as_bytes()), None, "{case:?}");
        }
    }
}
