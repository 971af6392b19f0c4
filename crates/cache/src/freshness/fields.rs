//! Which fields of an answer are kept, and how a 304 updates them.

use http::HeaderName;
use http::header::{self, HeaderMap};
use pingora::http::ResponseHeader;

/// Fields that concern one connection only (RFC 9110 section 7.6.1), and those of RFC 9111 section 3.1 about a proxy.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields of the stored representation that a 304 must not change (RFC 9111 section 3.2).
const OF_THE_BODY: [HeaderName; 4] =
    [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_RANGE];

/// Removes the fields that concern one connection only, and those that `Connection` names.
pub fn strip_hop_by_hop(response: &mut ResponseHeader) {
    let nominated = nominated(&response.headers);
    for name in nominated {
        response.remove_header(&name);
    }
    for name in HOP_BY_HOP {
        response.remove_header(name);
    }
}

/// Fields that `Connection` names. An origin cannot take away what frames or describes the message itself.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::CACHE_CONTROL)
        .collect()
}

/// The stored header updated by a 304 (RFC 9111 section 3.2): every field of the 304 replaces the stored one, except those
/// that describe the stored body and those that concern one connection.
#[must_use]
pub fn merge_304(stored: &ResponseHeader, not_modified: &ResponseHeader) -> ResponseHeader {
    let mut merged = stored.clone();
    // The stored age and time are those of the old answer; a 304 that does not say its own was sent when it arrived.
    merged.remove_header(&header::AGE);
    merged.remove_header(&header::DATE);
    let skip = nominated(&not_modified.headers);
    for name in not_modified.headers.keys() {
        if OF_THE_BODY.contains(name) || HOP_BY_HOP.contains(&name.as_str()) || skip.contains(name) {
            continue;
        }
        merged.remove_header(name);
        for value in not_modified.headers.get_all(name) {
            // Both come from a header map, so they are valid.
            let _ = merged.append_header(name.clone(), value.clone());
        }
    }
    merged
}
