//! Where a request ends in the bytes that were read, so that the framework is given no byte of the next one.

use crate::phase::request::strict::Framing;

/// Hexadecimal digits of a chunk's size.
const SIZE_DIGITS: usize = 15;

/// Where a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestEnd {
    /// After so many bytes, some of which may not have come yet.
    At(usize),
    /// Only who takes the body apart can tell.
    Unknown,
}

/// Looks for the end of the request at the start of `bytes`, whose head ends at `head`.
///
/// A chunked body is followed only in the plainest form, which no two readers take for different ones: without extensions and
/// trailers.
pub(super) fn find(bytes: &[u8], head: usize, framing: Framing) -> RequestEnd {
    match framing {
        Framing::Length(length) => RequestEnd::At(head.saturating_add(usize::try_from(length).unwrap_or(usize::MAX))),
        Framing::Chunked => chunks(bytes, head),
        Framing::Open => RequestEnd::Unknown,
    }
}

fn chunks(bytes: &[u8], mut at: usize) -> RequestEnd {
    while let Some(rest) = bytes.get(at..)
        && let Some(line) = memchr::memchr(b'\n', rest.get(..SIZE_DIGITS + 2).unwrap_or(rest))
    {
        let digits = rest.get(..line).and_then(|line| line.strip_suffix(b"\r")).filter(|digits| is_size(digits));
        let size = digits.and_then(|digits| usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        let Some(end) = size.and_then(|size| (at + line + 1).checked_add(size)) else { return RequestEnd::Unknown };
        if bytes.get(end..).and_then(|behind| behind.get(..2)) != Some(b"\r\n") {
            return RequestEnd::Unknown;
        }
        at = end + 2;
        if size == Some(0) {
            return RequestEnd::At(at);
        }
    }
    RequestEnd::Unknown
}

fn is_size(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_every_reader_would_end_it() {
        let head = "HEAD";
        let cases = [
            (Framing::Length(0), "", Some(0)),
            (Framing::Length(0), "GET", Some(0)),
            (Framing::Length(3), "abcGET", Some(3)),
            (Framing::Length(30), "abc", Some(30)),
            (Framing::Length(u64::MAX), "abc", Some(usize::MAX - head.len())),
            (Framing::Open, "abc", None),
            (Framing::Chunked, "0\r\n\r\nGET", Some(5)),
            (Framing::Chunked, "3\r\nabc\r\n0\r\n\r\nGET", Some(13)),
            (Framing::Chunked, "00a\r\n0\r\n\r\n56789\r\n000\r\n\r\n", Some(24)),
            // not all there
            (Framing::Chunked, "", None),
            (Framing::Chunked, "3\r", None),
            (Framing::Chunked, "3\r\nab", None),
            (Framing::Chunked, "3\r\nabc\r\n", None),
            (Framing::Chunked, "3\r\nabc\r\n0\r\n\r", None),
            // in more than one form
            (Framing::Chunked, "3;x=y\r\nabc\r\n0\r\n\r\n", None),
            (Framing::Chunked, "3 \r\nabc\r\n0\r\n\r\n", None),
            (Framing::Chunked, "3\nabc\r\n0\r\n\r\n", None),
            (Framing::Chunked, "+3\r\nabc\r\n0\r\n\r\n", None),
            (Framing::Chunked, "\r\n0\r\n\r\n", None),
            (Framing::Chunked, "3\r\nabcd\r\n0\r\n\r\n", None),
            (Framing::Chunked, "0\r\nX: y\r\n\r\n", None),
            (Framing::Chunked, "0000000000000000\r\n\r\n", None),
            (Framing::Chunked, "fffffffffffffff\r\nabc", None),
        ];
        for (framing, body, want) in cases {
            let bytes = [head, body].concat();
            let want = want.map_or(RequestEnd::Unknown, |want| RequestEnd::At(head.len() + want));
            let got = find(bytes.as_bytes(), head.len(), framing);
            assert_eq!(got, want, "{framing:?} {body:?}");
        }
    }
}
