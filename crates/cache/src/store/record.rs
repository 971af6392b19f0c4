//! The head of an object as the disk tier keeps it: key, times, header, and what purges can name it by.
//!
//! Lengths in front of everything, little endian, a version first. Reading is total: what is not a whole record of this version
//! is `None`, whatever the bytes are, and the object counts as not there.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderName;
use pingora::http::ResponseHeader;

use super::entry::Identity;
use super::head::{Head, Times};
use crate::purge::{Labels, Stamp};

/// Changes whenever the form does; records of another version are not read.
const VERSION: u8 = 1;

/// Fields of a header that are read back at most; more cannot have been stored.
const MOST_FIELDS: u32 = 4096;

/// Everything about an object but its body.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) identity: Identity,
    pub(super) head: Head,
    pub(super) stamp: Stamp,
}

/// The bytes of a record.
pub(super) fn encode(identity: &Identity, head: &Head, stamp: &Stamp) -> Vec<u8> {
    let mut out = Out(vec![VERSION]);
    out.bytes(identity.primary());
    out.optional(identity.variance().as_ref(), |out, variance| out.0.extend_from_slice(variance));
    let times = head.times();
    out.time(times.fresh_until);
    out.time(times.created);
    out.number(times.while_revalidate);
    out.number(times.if_error);
    out.optional(times.epoch.as_ref(), |out, epoch| out.time(*epoch));
    out.optional(times.variance.as_ref(), |out, variance| out.0.extend_from_slice(variance));
    out.optional(times.exact.as_ref(), |out, exact| out.bytes(exact));
    out.0.extend_from_slice(&stamp.sequence.to_le_bytes());
    out.bytes(stamp.labels.encode());
    out.header(head.header());
    out.0
}

/// The record in these bytes, when they are one.
pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    let mut input = In(bytes);
    if input.array::<1>()? != [VERSION] {
        return None;
    }
    let primary = input.bytes()?.to_vec();
    let variance = input.optional(In::array)?;
    let times = Times {
        fresh_until: input.time()?,
        created: input.time()?,
        while_revalidate: input.number()?,
        if_error: input.number()?,
        epoch: input.optional(In::time)?,
        variance: input.optional(In::array)?,
        exact: input.optional(|input| Some(input.bytes()?.to_vec()))?,
    };
    let sequence = u64::from_le_bytes(input.array()?);
    let labels = Labels::decode(input.bytes()?)?;
    let header = input.header()?;
    if !input.0.is_empty() {
        return None;
    }
    Some(Record {
        identity: Identity::from_parts(primary, variance),
        head: Head::from_parts(&header, times),
        stamp: Stamp { sequence, labels: Arc::new(labels) },
    })
}

/// Only the stamp.
pub(super) fn stamp_of(bytes: &[u8]) -> Option<Stamp> {
    decode(bytes).map(|record| record.stamp)
}

struct Out(Vec<u8>);

impl Out {
    fn number(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        // what is longer was refused at intake, by megabytes
        self.number(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
    }

    fn time(&mut self, time: SystemTime) {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.0.extend_from_slice(&since.as_secs().to_le_bytes());
        self.number(since.subsec_nanos());
    }

    fn optional<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn header(&mut self, header: &ResponseHeader) {
        self.0.extend_from_slice(&header.status.as_u16().to_le_bytes());
        self.0.push(u8::from(header.version == http::Version::HTTP_10));
        self.optional(header.get_reason_phrase().as_ref(), |out, reason| out.bytes(reason.as_bytes()));
        self.0.push(u8::from(header.has_case()));
        self.number(u32::try_from(header.headers.len()).unwrap_or(u32::MAX));
        if header.has_case() {
            for (name, value) in header.case_header_iter() {
                self.bytes(name.as_slice());
                self.bytes(value.as_bytes());
            }
        } else {
            for (name, value) in &header.headers {
                self.bytes(name.as_str().as_bytes());
                self.bytes(value.as_bytes());
            }
        }
    }
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.array()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn time(&mut self) -> Option<SystemTime> {
        let seconds = u64::from_le_bytes(self.array()?);
        let nanos = self.number().filter(|nanos| *nanos < 1_000_000_000)?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    fn header(&mut self) -> Option<ResponseHeader> {
        let status = u16::from_le_bytes(self.array()?);
        let old = self.flag()?;
        let reason = self.optional(|input| str::from_utf8(input.bytes()?).ok())?;
        let cased = self.flag()?;
        let fields = self.number().filter(|fields| *fields <= MOST_FIELDS)?;
        let size = usize::try_from(fields).ok()?;
        let mut header = if cased {
            ResponseHeader::build(status, Some(size)).ok()?
        } else {
            ResponseHeader::build_no_case(status, Some(size)).ok()?
        };
        header.set_version(if old { http::Version::HTTP_10 } else { http::Version::HTTP_11 });
        header.set_reason_phrase(reason).ok()?;
        for _ in 0..fields {
            let (name, value) = (self.bytes()?, self.bytes()?);
            let value = http::HeaderValue::from_bytes(value).ok()?;
            if cased {
                header.append_header(str::from_utf8(name).ok()?.to_owned(), value).ok()?;
            } else {
                header.append_header(HeaderName::from_bytes(name).ok()?, value).ok()?;
            }
        }
        Some(header)
    }
}
