//! The first check of a request head. A CDN stands between parsers it does not own: what two of them could read
//! differently is refused here, before any rule, cache key or origin sees it.

mod raw;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Version};
use leeward_config::ready::Limits;
use leeward_telemetry::Reason;
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType};
pub(crate) use raw::{Framing, check_raw, is_token};

/// A length no origin could count otherwise: larger ones lose precision where numbers are doubles.
const MAX_CONTENT_LENGTH: u64 = 1 << 53;
/// RFC 1035 2.3.4 allows 253 bytes of name; a port and brackets fit besides.
const MAX_HOST: usize = 262;
/// Longer than any registered method (RFC 9110 16.1) by far; it counts for nothing else in the limits, and is logged.
const MAX_METHOD: usize = 32;

/// The parts of a request head that are checked.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    /// The request target as sent.
    pub(crate) target: &'a [u8],
    /// The authority of an absolute-form target or of HTTP/2.
    pub(crate) authority: Option<&'a str>,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    /// Its bytes were found good before they were parsed: no value and no `Host` is looked at again byte by byte.
    pub(crate) checked: bool,
}

/// Why a request goes no further, with its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: Reason,
    /// For the log: which rule was broken.
    pub(crate) detail: &'static str,
}

/// For a target that is too long to be parsed.
pub(crate) const URI_TOO_LONG: Refusal =
    Refusal { status: 414, reason: Reason::UriTooLong, detail: "request target too long" };
/// For a header section that is too large to be parsed.
pub(crate) const HEADERS_TOO_LARGE: Refusal =
    Refusal { status: 431, reason: Reason::HeadersTooLarge, detail: "header section too large" };

pub(crate) const fn malformed(detail: &'static str) -> Refusal {
    Refusal { status: 400, reason: Reason::Malformed, detail }
}

/// Checks a head against the rules of RFC 9112 (3.2, 5, 6) and the limits.
///
/// # Errors
/// The first rule broken; the connection must be closed then, since its framing cannot be trusted.
pub(crate) fn check(head: &Head<'_>, limits: &Limits) -> Result<(), Refusal> {
    sizes(head, limits)?;
    method(head.method)?;
    target(head)?;
    host(head)?;
    framing(head, limits)?;
    for (name, value) in head.headers {
        if !head.checked && has_control(value.as_bytes()) {
            return Err(malformed("control byte in a field value"));
        }
        // servers that hand fields on as variables read `_` as `-`: to them this is framing
        if matches!(name.as_str(), "content_length" | "transfer_encoding") {
            return Err(malformed("framing with an underscore"));
        }
    }
    Ok(())
}

/// Refuses an answer whose body would be kept encoded: with a coding that exists, or several, what comes up to the end of the connection is
/// not the body (RFC 9112 6.1). A single word that is no coding says nothing, and goes no further.
///
/// # Errors
/// The origin's fault.
pub(crate) fn answer(response: &ResponseHeader) -> pingora::Result<()> {
    const CODINGS: [&str; 6] = ["gzip", "x-gzip", "deflate", "compress", "x-compress", "identity"];
    let mut fields = response.headers.get_all(TRANSFER_ENCODING).iter();
    let (first, second) = (fields.next(), fields.next());
    let word = |value: &http::HeaderValue| {
        let text = value.to_str().unwrap_or(",").trim();
        let exists = CODINGS.iter().any(|coding| text.eq_ignore_ascii_case(coding));
        !exists && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if second.is_some() || first.is_some_and(|value| !word(value)) {
        let what = "the answer has another transfer coding than chunked";
        return Err(Error::explain(ErrorType::InvalidHTTPHeader, what).into_up());
    }
    Ok(())
}

fn sizes(head: &Head<'_>, limits: &Limits) -> Result<(), Refusal> {
    let too_large = |detail| Refusal { status: 431, reason: Reason::HeadersTooLarge, detail };
    if head.target.len() as u64 > limits.uri {
        return Err(Refusal { status: 414, reason: Reason::UriTooLong, detail: "request target too long" });
    }
    if head.headers.len() > limits.header_count {
        return Err(too_large("too many fields"));
    }
    // as on the wire: name, colon, space, value, line end
    let bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes as u64 > limits.headers {
        return Err(too_large("header section too large"));
    }
    Ok(())
}

fn method(method: &Method) -> Result<(), Refusal> {
    // TRACE echoes what the edge added; CONNECT is a tunnel
    if *method == Method::TRACE || *method == Method::CONNECT {
        return Err(Refusal { status: 405, reason: Reason::Method, detail: "method not served" });
    }
    if method.as_str().len() > MAX_METHOD {
        // RFC 9112 3
        return Err(Refusal { status: 501, reason: Reason::Method, detail: "method too long" });
    }
    Ok(())
}

fn target(head: &Head<'_>) -> Result<(), Refusal> {
    if head.target == b"*" && *head.method == Method::OPTIONS {
        return Ok(());
    }
    // over HTTP/2 the authority is no part of the target
    let absolute = absolute(head.target).is_some_and(|named| head.authority == Some(named));
    if !absolute && !head.target.starts_with(b"/") {
        return Err(malformed("target is no path"));
    }
    if head.target.iter().any(|&byte| byte <= b' ' || byte >= 0x7f || byte == b'#') {
        return Err(malformed("forbidden byte in the target"));
    }
    Ok(())
}

/// The authority of an absolute-form target (RFC 9112 3.2.2).
pub(crate) fn absolute(target: &[u8]) -> Option<&str> {
    if target.first() == Some(&b'/') {
        return None;
    }
    let target = std::str::from_utf8(target).ok()?;
    let (scheme, rest) = target.split_once("://")?;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    known.then(|| rest.split(['/', '?', '#']).next().unwrap_or(rest))
}

fn host(head: &Head<'_>) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(malformed("more than one Host"));
    }
    let Some(host) = first else {
        return match head.version {
            Version::HTTP_10 | Version::HTTP_09 => Ok(()),
            _ => Err(malformed("no Host")),
        };
    };
    let Ok(host) = host.to_str() else {
        return Err(malformed("Host is not text"));
    };
    if !head.checked && !is_authority(host) {
        return Err(malformed("Host is no host with an optional port"));
    }
    if head.authority.is_some_and(|authority| !authority.eq_ignore_ascii_case(host)) {
        return Err(malformed("Host differs from the target"));
    }
    Ok(())
}

/// RFC 9110 7.2 less user information: a name or a literal address, and a port.
pub(crate) fn is_authority(text: &str) -> bool {
    if text.is_empty() || text.len() > MAX_HOST {
        return false;
    }
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let port_ok = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return port_ok && address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    // one look at each byte: every request passes here
    let mut before = b'.';
    let end = text.bytes().position(|byte| {
        let dots = byte == b'.' && before == b'.';
        before = byte;
        dots || !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
    });
    match end.map(|end| text.split_at(end)) {
        None => true,
        Some((name, port)) => !name.is_empty() && port.strip_prefix(':').is_some_and(is_port),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn framing(head: &Head<'_>, limits: &Limits) -> Result<(), Refusal> {
    let mut lengths = head.headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(malformed("more than one Content-Length"));
    }
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(malformed("Transfer-Encoding other than chunked"));
        }
        if length.is_some() {
            return Err(malformed("Content-Length with Transfer-Encoding"));
        }
        if head.version != Version::HTTP_11 {
            return Err(malformed("Transfer-Encoding outside HTTP/1.1"));
        }
    }
    let Some(length) = length else { return Ok(()) };
    let digits = length.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(malformed("Content-Length is no number"));
    }
    let length = length.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    match length {
        Some(length) if length > MAX_CONTENT_LENGTH => Err(malformed("Content-Length beyond 2^53")),
        Some(length) if length > limits.body => {
            Err(Refusal { status: 413, reason: Reason::BodyTooLarge, detail: "body larger than the limit" })
        }
        Some(_) => Ok(()),
        None => Err(malformed("Content-Length beyond 2^53")),
    }
}

/// Without an early end, so that many bytes are looked at in one step.
fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &byte| found | is_control(byte))
}

const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

#[cfg(test)]
mod tests;
