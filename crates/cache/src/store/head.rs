//! Header and freshness of an object, which complete objects and fills share.

use std::sync::OnceLock;
use std::time::SystemTime;

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_cache::CacheMeta;
use pingora_cache::key::HashBinary;

/// Bytes that one header field costs beside its text. With [`super::entry::FIXED_COST`] measured in the process: an object of 100 bytes
/// takes 2.6 KB with six fields and 5.5 KB with fourteen.
pub(super) const FIELD_COST: u64 = 320;

/// Header and freshness of an object, kept parsed.
#[derive(Debug)]
pub(super) struct Head {
    header: ResponseHeader,
    times: Times,
}

/// When an object was stored, how long it is fresh, and which variant it is.
#[derive(Debug, Clone)]
pub(super) struct Times {
    pub(super) fresh_until: SystemTime,
    /// What [`CacheMeta::created`] says of every meta made from this head.
    pub(super) created: SystemTime,
    /// Seconds.
    pub(super) while_revalidate: u32,
    /// Seconds.
    pub(super) if_error: u32,
    pub(super) epoch: Option<SystemTime>,
    pub(super) variance: Option<HashBinary>,
    /// The framework's own serial form, where its public constructors cannot express the times.
    pub(super) exact: Option<Vec<u8>>,
}

impl Head {
    pub(super) fn of(meta: &CacheMeta) -> Result<Self> {
        let plain = meta.updated() == meta.created() && meta.provenance() == meta.created();
        // Provenance and creation only order variants (framework: `cache_vary_lookup`). Without a variance the time of the last
        // validation stands for both, and the meta of a revalidated object stays cheap to make.
        let exact = if plain || meta.variance().is_none() { None } else { Some(meta.serialize()?.0) };
        let times = Times {
            fresh_until: meta.fresh_until(),
            created: if exact.is_some() { meta.created() } else { meta.updated() },
            while_revalidate: meta.stale_while_revalidate_sec(),
            if_error: meta.stale_if_error_sec(),
            epoch: meta.epoch_override(),
            variance: meta.variance(),
            exact,
        };
        Ok(Self { header: compact(meta.response_header()), times })
    }

    /// A head that was read back.
    pub(super) fn from_parts(header: &ResponseHeader, times: Times) -> Self {
        Self { header: compact(header), times }
    }

    /// The framework's form of this head. Costs one clone of the header.
    pub(super) fn meta(&self) -> Result<CacheMeta> {
        let Times { fresh_until, created, while_revalidate, if_error, epoch, variance, exact } = &self.times;
        let mut meta = match exact {
            None => CacheMeta::new(*fresh_until, *created, *while_revalidate, *if_error, self.header.clone()),
            Some(internal) => {
                let mut meta = CacheMeta::deserialize(internal, empty_header()?)?;
                *meta.response_header_mut() = self.header.clone();
                // The serial form does not know of a later `expire`.
                meta.expire_at(*fresh_until);
                meta
            }
        };
        if let Some(epoch) = epoch {
            meta.set_epoch_override(*epoch);
        }
        if let Some(variance) = variance {
            meta.set_variance(*variance);
        }
        Ok(meta)
    }

    pub(super) fn header(&self) -> &ResponseHeader {
        &self.header
    }

    pub(super) fn times(&self) -> &Times {
        &self.times
    }

    pub(super) fn declared_length(&self) -> Option<u64> {
        self.header.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// The head of the complete object: framing replaced by a length.
    pub(super) fn complete(&self, length: u64) -> Self {
        let mut header = self.header.clone();
        header.remove_header(&TRANSFER_ENCODING);
        let bodyless = matches!(header.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !bodyless && !header.headers.contains_key(CONTENT_LENGTH) {
            // A number is a valid field value.
            let _ = header.insert_header(CONTENT_LENGTH, HeaderValue::from(length));
        }
        Self { header, times: self.times.clone() }
    }

    /// The same head, stale from `instant` on.
    pub(super) fn expired_at(&self, instant: SystemTime) -> Self {
        let fresh_until = self.times.fresh_until.min(instant);
        Self { header: self.header.clone(), times: Times { fresh_until, ..self.times.clone() } }
    }

    /// Bytes this head takes of the store's limit.
    pub(super) fn cost(&self) -> u64 {
        let text: usize = self.header.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let exact = self.times.exact.as_ref().map_or(0, Vec::len);
        text as u64 + self.header.headers.len() as u64 * FIELD_COST + exact as u64
    }
}

/// The serial form of a header without fields, to go with [`Times::exact`].
fn empty_header() -> Result<&'static [u8]> {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(empty) = EMPTY.get() {
        return Ok(empty);
    }
    let epoch = SystemTime::UNIX_EPOCH;
    let (_, empty) = CacheMeta::new(epoch, epoch, 0, 0, ResponseHeader::build(200, None)?).serialize()?;
    Ok(EMPTY.get_or_init(|| empty))
}

/// A copy whose texts share one allocation of the right size: values and names from the wire are slices that would keep whole read
/// buffers alive. The case of the names stays: a client must not see another one on a hit than on a miss.
fn compact(header: &ResponseHeader) -> ResponseHeader {
    copied(header).unwrap_or_else(|_| header.clone())
}

fn copied(header: &ResponseHeader) -> Result<ResponseHeader> {
    let mut copy = ResponseHeader::build(header.status, Some(header.headers.len()))?;
    copy.set_version(header.version);
    copy.set_reason_phrase(header.get_reason_phrase())?;
    if header.has_case() {
        let fields = || header.case_header_iter().map(|(name, value)| (name.as_slice(), value.as_bytes()));
        let mut text = BytesMut::with_capacity(fields().map(|(name, value)| name.len() + value.len()).sum());
        fields().for_each(|(name, value)| {
            text.extend_from_slice(name);
            text.extend_from_slice(value);
        });
        let mut text = text.freeze();
        for (name, value) in fields() {
            let (name, value) = (text.split_to(name.len()), text.split_to(value.len()));
            copy.append_header(name, pingora::http::header_value_from_raw(value))?;
        }
        return Ok(copy);
    }
    let mut text = BytesMut::with_capacity(header.headers.values().map(HeaderValue::len).sum());
    for value in header.headers.values() {
        text.extend_from_slice(value.as_bytes());
    }
    let mut text = text.freeze();
    for (name, value) in &header.headers {
        let value = text.split_to(value.len());
        copy.append_header(name.clone(), pingora::http::header_value_from_raw(value))?;
    }
    Ok(copy)
}
