//! Which bytes of an answer are sent (RFC 9110 section 14).

mod sliced;
mod version;

use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, IF_RANGE, LAST_MODIFIED,
    RANGE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_proxy::{MultiRangeInfo, RangeType};

pub use sliced::{Known, Sliced};
use version::STRONG_AFTER;
pub use version::{Piece, Version, content_range, pieces, slice_key};

#[cfg(test)]
mod slice_tests;
#[cfg(test)]
mod tests;

/// Ranges of one request that are answered; more are answered with the whole body.
pub const MOST_RANGES: usize = 5;

/// In which order the parts of a body can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they come by: the body passes once.
    Ascending,
    /// As they were asked for: the body is stored, or arrives where it is stored.
    Any,
}

/// Applies a request's `Range` to a 200: rewrites the header to 206 or 416 and answers which bytes to send.
///
/// Stands in for the framework's filter: a `Range` in anything but a GET does not count, a suffix of zero bytes and any offset in
/// an empty body are unsatisfiable, `If-Range` compares strongly, and a set that is malformed, overlaps, is larger than
/// [`MOST_RANGES`] or in another order than the body can be had gives the whole body. Parts come in the order asked for (RFC 9110
/// section 15.3.7.2); none is sent twice, so an answer is never longer than the body and the heads of its parts.
#[must_use]
pub fn filter(request: &RequestHeader, response: &mut ResponseHeader, order: Order) -> RangeType {
    if response.status != StatusCode::OK {
        return RangeType::None;
    }
    let Some(length) =
        response.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
    else {
        return RangeType::None;
    };
    let chosen = wanted(request, response).map_or(Chosen::Whole, |set| choose(set, length, order));
    // The header fields written below are made of numbers and constants, so setting them cannot fail.
    match chosen {
        Chosen::Whole => {
            // most origins say it themselves
            if response.headers.get(ACCEPT_RANGES).is_none_or(|units| units != "bytes") {
                let _ = response.insert_header(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            }
            RangeType::None
        }
        Chosen::Nothing => {
            refuse(response, length);
            RangeType::Invalid
        }
        Chosen::Some(mut ranges) => match (ranges.pop(), ranges.is_empty()) {
            (Some(range), true) => {
                single(response, &range, length);
                RangeType::Single(range)
            }
            (Some(range), false) => {
                ranges.push(range);
                RangeType::Multi(multiple(response, ranges, length))
            }
            (None, _) => RangeType::None,
        },
    }
}

/// The range set of the request, when the request is of a kind that may have one and its condition holds.
fn wanted<'a>(request: &'a RequestHeader, response: &ResponseHeader) -> Option<&'a str> {
    if request.method != Method::GET {
        return None;
    }
    let mut ranges = request.headers.get_all(RANGE).iter();
    let range = ranges.next()?;
    if ranges.next().is_some() {
        return None;
    }
    let mut conditions = request.headers.get_all(IF_RANGE).iter();
    if let Some(condition) = conditions.next()
        && (conditions.next().is_some() || !holds(condition, &response.headers))
    {
        return None;
    }
    let (unit, set) = range.to_str().ok()?.split_once('=')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some(set)
}

/// Strong comparison of an `If-Range` with the answer's validators (RFC 9110 section 13.1.5).
fn holds(condition: &HeaderValue, headers: &HeaderMap) -> bool {
    let condition = condition.as_bytes().trim_ascii();
    if condition.starts_with(b"\"") {
        return headers.get(ETAG).is_some_and(|etag| etag.as_bytes().trim_ascii() == condition);
    }
    let date = |name| headers.get(name).and_then(http_date);
    let (Some(modified), Some(sent)) = (date(LAST_MODIFIED), date(DATE)) else {
        return false;
    };
    let wanted = str::from_utf8(condition).ok().and_then(|text| httpdate::parse_http_date(text).ok());
    wanted == Some(modified) && modified.checked_add(STRONG_AFTER).is_some_and(|strong| strong <= sent)
}

fn http_date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

enum Chosen {
    /// The set does not count.
    Whole,
    /// The set counts and no byte is in it.
    Nothing,
    /// These, apart from each other.
    Some(Vec<Range<usize>>),
}

fn choose(set: &str, length: usize, order: Order) -> Chosen {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut specs = 0;
    for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])) {
        // Lists may have empty elements (RFC 9110 section 5.6.1).
        if spec.is_empty() {
            continue;
        }
        specs += 1;
        if specs > MOST_RANGES {
            return Chosen::Whole;
        }
        match one(spec, length) {
            Spec::Malformed | Spec::WholeOfNothing => return Chosen::Whole,
            Spec::Unsatisfiable => {}
            Spec::Bytes(range) => {
                let behind = |before: &Range<usize>| before.end <= range.start;
                let apart = |other: &Range<usize>| behind(other) || range.end <= other.start;
                let fits = match order {
                    Order::Ascending => ranges.last().is_none_or(behind),
                    Order::Any => ranges.iter().all(apart),
                };
                if !fits {
                    return Chosen::Whole;
                }
                ranges.push(range);
            }
        }
    }
    match (specs, ranges.is_empty()) {
        (0, _) => Chosen::Whole,
        (_, true) => Chosen::Nothing,
        (_, false) => Chosen::Some(ranges),
    }
}

enum Spec {
    Malformed,
    Unsatisfiable,
    /// The last bytes of an empty body: all of it, which no `Content-Range` can express.
    WholeOfNothing,
    Bytes(Range<usize>),
}

fn one(spec: &str, length: usize) -> Spec {
    let Some((first, last)) = spec.split_once('-') else {
        return Spec::Malformed;
    };
    match (position(first), position(last)) {
        (Position::Malformed, _) | (_, Position::Malformed) | (Position::Absent, Position::Absent) => Spec::Malformed,
        (Position::Absent, Position::At(0)) => Spec::Unsatisfiable,
        (Position::Absent, Position::At(_)) if length == 0 => Spec::WholeOfNothing,
        (Position::Absent, Position::At(suffix)) => Spec::Bytes(length.saturating_sub(suffix)..length),
        (Position::At(first), Position::At(last)) if last < first => Spec::Malformed,
        (Position::At(first), _) if first >= length => Spec::Unsatisfiable,
        (Position::At(first), Position::Absent) => Spec::Bytes(first..length),
        (Position::At(first), Position::At(last)) => Spec::Bytes(first..last.saturating_add(1).min(length)),
    }
}

enum Position {
    Malformed,
    Absent,
    At(usize),
}

fn position(digits: &str) -> Position {
    if digits.is_empty() {
        return Position::Absent;
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Position::Malformed;
    }
    // More digits than fit are beyond every body.
    Position::At(digits.parse().unwrap_or(usize::MAX))
}

fn single(response: &mut ResponseHeader, range: &Range<usize>, length: usize) {
    let last = range.end.saturating_sub(1);
    let _ = response.set_status(StatusCode::PARTIAL_CONTENT);
    response.remove_header(&ACCEPT_RANGES);
    let _ = response.insert_header(CONTENT_LENGTH, range.len());
    let _ = response.insert_header(CONTENT_RANGE, format!("bytes {}-{last}/{length}", range.start));
}

fn multiple(response: &mut ResponseHeader, ranges: Vec<Range<usize>>, length: usize) -> MultiRangeInfo {
    let mut parts = MultiRangeInfo::new(ranges);
    parts.set_total_length(length);
    if let Some(content_type) = response.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        parts.set_content_type(content_type.to_owned());
    }
    let _ = response.set_status(StatusCode::PARTIAL_CONTENT);
    response.remove_header(&ACCEPT_RANGES);
    let _ = response.insert_header(CONTENT_LENGTH, parts.calculate_multipart_length());
    let _ = response.insert_header(CONTENT_TYPE, format!("multipart/byteranges; boundary={}", parts.boundary));
    parts
}

/// What stands before a part of a multipart answer (RFC 9110 section 14.6).
#[must_use]
pub fn part_head(parts: &MultiRangeInfo, range: &Range<usize>, total: u64) -> Bytes {
    let kind = parts.content_type.as_ref().map_or_else(String::new, |kind| format!("Content-Type: {kind}\r\n"));
    let last = range.end.saturating_sub(1);
    let place = format!("Content-Range: bytes {}-{last}/{total}", range.start);
    Bytes::from(format!("\r\n--{}\r\n{kind}{place}\r\n\r\n", parts.boundary))
}

/// What stands behind the last part of a multipart answer.
#[must_use]
pub fn parts_end(parts: &MultiRangeInfo) -> Bytes {
    Bytes::from(format!("\r\n--{}--\r\n", parts.boundary))
}

fn refuse(response: &mut ResponseHeader, length: usize) {
    let _ = response.set_status(StatusCode::RANGE_NOT_SATISFIABLE);
    for name in [ACCEPT_RANGES, CONTENT_TYPE, CONTENT_ENCODING, TRANSFER_ENCODING] {
        response.remove_header(&name);
    }
    let _ = response.insert_header(CONTENT_LENGTH, HeaderValue::from_static("0"));
    let _ = response.insert_header(CONTENT_RANGE, format!("bytes */{length}"));
}
