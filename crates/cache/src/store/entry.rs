//! A complete object, and the head that objects and fills share.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_cache::key::{CacheHashKey as _, CompactCacheKey, HashBinary};
use pingora_cache::{CacheKey, CacheMeta};

/// Bytes that one object costs beside its body, its key and the text of its header: index, queues, allocator.
const FIXED_COST: u64 = 512;

/// Bytes that one header field costs beside its text. With [`FIXED_COST`] measured in the process: an object of 100 bytes takes 2.6 KB
/// with six fields and 5.5 KB with fourteen.
const FIELD_COST: u64 = 320;

/// Where an object stands in the index: its primary hash, mixed with the variance of a secondary variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place(u128);

impl Place {
    pub(super) fn of(key: &CacheKey) -> Self {
        Self::mix(key.primary_bin(), key.variance_bin())
    }

    pub(super) fn of_compact(key: &CompactCacheKey) -> Self {
        Self::mix(key.primary, key.variance.as_deref().copied())
    }

    fn mix(primary: HashBinary, variance: Option<HashBinary>) -> Self {
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        let primary = u128::from_le_bytes(primary);
        match variance {
            None => Self(primary),
            Some(variance) => Self(primary.wrapping_mul(ODD) ^ u128::from_le_bytes(variance).rotate_left(64)),
        }
    }

    /// The part that chooses a shard.
    pub(super) fn top(self) -> usize {
        (self.0 >> 112) as usize
    }
}

/// The whole key: compared on every hit, because a hash is not an identity.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    primary: Box<[u8]>,
    variance: Option<HashBinary>,
}

impl Identity {
    pub(super) fn of(key: &CacheKey) -> Self {
        Self { primary: key.primary_key().into(), variance: key.variance_bin() }
    }

    pub(super) fn is(&self, key: &CacheKey) -> bool {
        *self.primary == *key.primary_key() && self.variance == key.variance_bin()
    }
}

/// Header and freshness of an object, kept parsed.
#[derive(Debug)]
pub(super) struct Head {
    header: ResponseHeader,
    fresh_until: SystemTime,
    /// What [`CacheMeta::created`] says of every meta made from this head.
    created: SystemTime,
    while_revalidate: u32,
    if_error: u32,
    epoch: Option<SystemTime>,
    variance: Option<HashBinary>,
    /// The framework's own serial form, where its public constructors cannot express the times.
    exact: Option<Vec<u8>>,
}

impl Head {
    pub(super) fn of(meta: &CacheMeta) -> Result<Self> {
        let plain = meta.updated() == meta.created() && meta.provenance() == meta.created();
        // Provenance and creation only order variants (framework: `cache_vary_lookup`). Without a variance the time of the last
        // validation stands for both, and the meta of a revalidated object stays cheap to make.
        let exact = if plain || meta.variance().is_none() { None } else { Some(meta.serialize()?.0) };
        Ok(Self {
            header: compact(meta.response_header()),
            fresh_until: meta.fresh_until(),
            created: if exact.is_some() { meta.created() } else { meta.updated() },
            while_revalidate: meta.stale_while_revalidate_sec(),
            if_error: meta.stale_if_error_sec(),
            epoch: meta.epoch_override(),
            variance: meta.variance(),
            exact,
        })
    }

    /// The framework's form of this head. Costs one clone of the header.
    pub(super) fn meta(&self) -> Result<CacheMeta> {
        let mut meta = match &self.exact {
            None => {
                let header = self.header.clone();
                CacheMeta::new(self.fresh_until, self.created, self.while_revalidate, self.if_error, header)
            }
            Some(internal) => {
                let mut meta = CacheMeta::deserialize(internal, empty_header()?)?;
                *meta.response_header_mut() = self.header.clone();
                // The serial form does not know of a later `expire`.
                meta.expire_at(self.fresh_until);
                meta
            }
        };
        if let Some(epoch) = self.epoch {
            meta.set_epoch_override(epoch);
        }
        if let Some(variance) = self.variance {
            meta.set_variance(variance);
        }
        Ok(meta)
    }

    pub(super) fn created(&self) -> SystemTime {
        self.created
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
        Self { header, ..self.times() }
    }

    /// The same object, stale from `instant` on.
    pub(super) fn expired_at(&self, instant: SystemTime) -> Self {
        let fresh_until = self.fresh_until.min(instant);
        Self { header: self.header.clone(), fresh_until, ..self.times() }
    }

    fn times(&self) -> Self {
        Self {
            header: ResponseHeader::from(http::Response::new(()).into_parts().0),
            fresh_until: self.fresh_until,
            created: self.created,
            while_revalidate: self.while_revalidate,
            if_error: self.if_error,
            epoch: self.epoch,
            variance: self.variance,
            exact: self.exact.clone(),
        }
    }

    fn cost(&self) -> u64 {
        let text: usize = self.header.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        text as u64 + self.header.headers.len() as u64 * FIELD_COST + self.exact.as_ref().map_or(0, Vec::len) as u64
    }
}

/// The serial form of a header without fields, to go with [`Head::exact`].
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

/// The bytes of a complete object, in chunks of [`super::fill::CHUNK`]; only the last one may be shorter.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) chunks: Vec<Bytes>,
    pub(super) length: u64,
}

/// A complete object.
#[derive(Debug)]
pub(super) struct Entry {
    /// Counts the fills of this process: the identity of these bytes.
    pub(super) generation: u64,
    pub(super) identity: Arc<Identity>,
    pub(super) head: Head,
    pub(super) body: Arc<Body>,
}

impl Entry {
    /// Bytes this object takes of the store's limit.
    pub(super) fn cost(&self) -> u64 {
        self.body.length + self.head.cost() + self.identity.primary.len() as u64 + FIXED_COST
    }

    /// The same bytes under another head.
    pub(super) fn with_head(&self, head: Head) -> Self {
        Self { generation: self.generation, identity: Arc::clone(&self.identity), head, body: Arc::clone(&self.body) }
    }
}
