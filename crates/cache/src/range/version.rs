//! A large object as a row of slices: what tells one version of it from another, the key of a slice, the bytes of each.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, LAST_MODIFIED, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};
use pingora::http::ResponseHeader;
use pingora_cache::CacheKey;

use crate::key::{frame, keyed_hash};

/// Age of a modification, at the time of the answer, from which `Last-Modified` is a strong validator (RFC 9110 section 8.8.2.2).
pub(super) const STRONG_AFTER: Duration = Duration::from_secs(1);

/// What every part of one version of an object has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Bytes of the whole.
    pub total: u64,
    /// The strong `ETag`, else `Last-Modified`, with a letter in front that says which.
    validator: Box<[u8]>,
}

impl Version {
    /// The version of a 200 that can be had in parts as well, by what its head says.
    #[must_use]
    pub fn of_whole(response: &ResponseHeader) -> Option<Self> {
        let refused = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"none");
        if response.status != StatusCode::OK
            || response.headers.contains_key(TRANSFER_ENCODING)
            || response.headers.get_all(ACCEPT_RANGES).iter().any(refused)
        {
            return None;
        }
        let total = response.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
        Some(Self { total, validator: validator(&response.headers)? })
    }

    /// The version that a part belongs to, and which bytes the part has, by its `Content-Range` (RFC 9110 section 14.4).
    #[must_use]
    pub fn of_part(headers: &HeaderMap) -> Option<(Range<u64>, Self)> {
        let (bytes, total) = content_range(headers)?;
        Some((bytes, Self { total, validator: validator(headers)? }))
    }
}

/// The bytes that a part has, and the length of the whole.
#[must_use]
pub fn content_range(headers: &HeaderMap) -> Option<(Range<u64>, u64)> {
    let mut values = headers.get_all(CONTENT_RANGE).iter();
    let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
    let (unit, rest) = value.trim().split_once(' ')?;
    let (span, total) = rest.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last, total) = (number(first)?, number(last)?, number(total)?);
    (unit.eq_ignore_ascii_case("bytes") && first <= last && last < total).then_some((first..last + 1, total))
}

fn number(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all)
}

fn validator(headers: &HeaderMap) -> Option<Box<[u8]>> {
    let marked = |mark: u8, value: &[u8]| [&[mark], value].concat().into_boxed_slice();
    let etag = headers.get(ETAG).map(|etag| etag.as_bytes().trim_ascii());
    if let Some(etag) = etag.filter(|etag| etag.starts_with(b"\"")) {
        return Some(marked(b'e', etag));
    }
    let modified = headers.get(LAST_MODIFIED)?;
    let (at, sent) = (date(modified)?, headers.get(DATE).and_then(date));
    let strong = sent.is_none_or(|sent| at.checked_add(STRONG_AFTER).is_some_and(|strong| strong <= sent));
    strong.then(|| marked(b'm', modified.as_bytes().trim_ascii()))
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// The key of a slice. The version is part of it: slices of two versions of an object never meet.
#[must_use]
pub fn slice_key(object: &CacheKey, version: &Version, size: u64, index: u64) -> CacheKey {
    let mut primary = Vec::new();
    for field in [
        object.primary_key(),
        b"slice",
        &version.total.to_be_bytes(),
        &version.validator,
        &size.to_be_bytes(),
        &index.to_be_bytes(),
    ] {
        frame(field, &mut primary);
    }
    let hash = keyed_hash(&primary);
    let mut key = CacheKey::new(primary, String::new());
    key.set_primary_bin_override(hash);
    key
}

/// Bytes of an object within one slice of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Number of the slice.
    pub index: u64,
    /// All bytes of the slice, as offsets in the object.
    pub slice: Range<u64>,
    /// Those wanted.
    pub wanted: Range<u64>,
}

/// The pieces of a range, one for each slice that it touches, in order.
pub fn pieces(range: Range<u64>, total: u64, size: u64) -> impl Iterator<Item = Piece> + Send + use<> {
    let size = size.max(1);
    let end = range.end.min(total);
    let numbers = if range.start < end { range.start / size..(end - 1) / size + 1 } else { 0..0 };
    numbers.map(move |index| {
        let start = index * size;
        let slice = start..start.saturating_add(size).min(total);
        Piece { index, wanted: slice.start.max(range.start)..slice.end.min(end), slice }
    })
}
