//! Which fields of an answer are kept, and how a 304 updates them.

use http::header::{self, HeaderMap};
use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;

/// Whether a field concerns one connection only (RFC 9110 section 7.6.1), or as RFC 9111 section 3.1 says a proxy.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Fields that say how the stored bytes are to be read. A 304 does not change the bytes, so it does not change these either
/// (RFC 9111 section 3.2): with other ones, clients would take them for something else.
const OF_THE_BYTES: [HeaderName; 8] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
    header::TRANSFER_ENCODING,
];

/// Fields that `Connection` cannot take away: they frame or describe the message itself, or say who may have it.
const END_TO_END: [HeaderName; 6] = [
    header::CACHE_CONTROL,
    super::CDN_CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::VARY,
];

/// Removes the fields that concern one connection only, and those that `Connection` names.
pub fn strip_hop_by_hop(response: &mut ResponseHeader) {
    let nominated = nominated(&response.headers);
    for name in nominated {
        response.remove_header(&name);
    }
    // one look at each field that is there, which is cheaper than a search for each that may be there
    let present: Vec<HeaderName> = response.headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    for name in &present {
        response.remove_header(name);
    }
}

/// Fields that `Connection` names, but for [`END_TO_END`].
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values
        // hardly anything else is said, and these go by themselves
        .filter(|value| !value.eq_ignore_ascii_case("keep-alive") && !value.eq_ignore_ascii_case("close"))
        .flat_map(|value| value.split(',').map(str::trim))
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| !END_TO_END.contains(name))
        .collect()
}

/// Takes the fields of these names out of a header.
pub(super) fn withhold(header: &mut ResponseHeader, names: &[HeaderName]) -> Vec<(HeaderName, HeaderValue)> {
    let mut taken = Vec::new();
    for name in names {
        taken.extend(header.headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
        header.remove_header(name);
    }
    taken
}

/// The stored header updated by a 304 (RFC 9111 section 3.2): every field of the 304 replaces the stored one, except those
/// that describe the stored bytes and those that concern one connection.
///
/// A stored `ETag` stays: the 304 confirms the bytes that were stored under it, and under another one clients would be told
/// that they have bytes which they do not have.
#[must_use]
pub fn merge_304(stored: &ResponseHeader, not_modified: &ResponseHeader) -> ResponseHeader {
    let mut merged = stored.clone();
    // The stored age and time are those of the old answer; a 304 that does not say its own was sent when it arrived.
    merged.remove_header(&header::AGE);
    merged.remove_header(&header::DATE);
    let skip = nominated(&not_modified.headers);
    let has_tag = stored.headers.contains_key(header::ETAG);
    for name in not_modified.headers.keys() {
        let of_the_bytes = OF_THE_BYTES.contains(name) || has_tag && *name == header::ETAG;
        if of_the_bytes || is_hop_by_hop(name) || skip.contains(name) {
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

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::freshness::tests::{decide_on, response};
    use crate::freshness::{Stored, Verdict};

    #[test]
    fn a_304_updates_every_field_but_those_of_the_bytes_and_the_connection() {
        let stored = response(
            200,
            "etag: \"a\"\nx-kept: 1\nx-new: old\nage: 50\ndate: Sun, 06 Nov 1994 08:00:00 GMT\ncontent-length: 4\ncontent-type: text/plain\ncontent-encoding: br",
        );
        let update = response(
            304,
            "etag: \"b\"\nx-new: 1\nx-new: 2\ncontent-length: 0\ncontent-type: x/y\ncontent-encoding: gzip\ncontent-range: bytes 0-1/2\n\
         connection: x-hop\nx-hop: 1\nkeep-alive: 3\ncache-control: max-age=9",
        );
        let merged = merge_304(&stored, &update);
        let mut got: Vec<String> =
            merged.headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        got.sort_unstable();
        let expected = [
            "cache-control: max-age=9",
            "content-encoding: br",
            "content-length: 4",
            "content-type: x/y",
            "etag: \"a\"",
            "x-kept: 1",
            "x-new: 1",
            "x-new: 2",
        ];
        assert_eq!((merged.status.as_u16(), got.as_slice()), (200, expected.map(str::to_owned).as_slice()));
    }

    #[test]
    fn a_304_gives_a_tag_to_what_was_stored_without_one() {
        let merged = merge_304(&response(200, "x: 1"), &response(304, "etag: \"b\""));
        assert_eq!(merged.headers.get("etag").unwrap(), "\"b\"");
    }

    #[test]
    fn fields_that_a_directive_names_are_for_the_request_that_was_answered() {
        let answer = response(
            200,
            "cache-control: max-age=60, private=\"Set-Cookie, x-one\", no-cache=x-two\nset-cookie: a=1\nset-cookie: b=2\nx-one: 1\nx-two: 2\nx-three: 3",
        );
        let Verdict::Store(Stored { meta, withheld }) = decide_on(&answer) else { panic!("refused") };
        let mut names: Vec<&str> = meta.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache-control", "x-three"]);
        let withheld: Vec<String> = withheld.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        assert_eq!(withheld, ["set-cookie: a=1", "set-cookie: b=2", "x-one: 1", "x-two: 2"]);
    }
}
