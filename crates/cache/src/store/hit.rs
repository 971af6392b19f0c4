//! What a lookup hands out: a reader of a complete object or of a fill.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::{Error, ErrorType, Result};
use pingora_cache::storage::{HandleHit, HitHandler};
use pingora_cache::trace::SpanHandle;
use pingora_cache::{CacheEntryId, CacheKey, Storage};

use super::entry::Entry;
use super::fill::slice;
use super::reader::Reader;
use crate::disk::CHUNK;

/// A reader of a complete object. Bytes are shared, not copied.
pub(super) struct Complete {
    entry: Arc<Entry>,
    position: u64,
    end: u64,
}

impl Complete {
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        let end = entry.body.length;
        Self { entry, position: 0, end }
    }
}

#[async_trait]
impl HandleHit for Complete {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        if self.position >= self.end {
            return Ok(None);
        }
        let place = usize::try_from(self.position / CHUNK as u64).unwrap_or(usize::MAX);
        let Some(chunk) = self.entry.body.chunks.get(place) else {
            return Error::e_explain(ErrorType::InternalError, "an object is shorter than its length");
        };
        let bytes = slice(chunk, self.position % CHUNK as u64, self.end - self.position);
        self.position += bytes.len() as u64;
        Ok(Some(bytes))
    }

    async fn finish(self: Box<Self>, _: &'static (dyn Storage + Sync), _: &CacheKey, _: &SpanHandle) -> Result<()> {
        Ok(())
    }

    fn can_seek(&self) -> bool {
        true
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let length = self.entry.body.length;
        if start as u64 >= length {
            return Error::e_explain(ErrorType::InternalError, "seek beyond the end of an object");
        }
        self.position = start as u64;
        self.end = end.map_or(length, |end| length.min(end as u64));
        Ok(())
    }

    fn get_eviction_weight(&self) -> usize {
        usize::try_from(self.entry.cost()).unwrap_or(usize::MAX)
    }

    fn entry_id(&self) -> Option<CacheEntryId> {
        Some(CacheEntryId::new(self.entry.generation))
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

/// A reader of an object that arrives.
pub(super) struct Follow(pub(super) Reader);

#[async_trait]
impl HandleHit for Follow {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        self.0.read().await
    }

    async fn finish(self: Box<Self>, _: &'static (dyn Storage + Sync), _: &CacheKey, _: &SpanHandle) -> Result<()> {
        Ok(())
    }

    fn can_seek(&self) -> bool {
        self.0.can_seek()
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        self.0.seek(start as u64, end.map(|end| end as u64))
    }

    fn should_count_access(&self) -> bool {
        false
    }

    fn entry_id(&self) -> Option<CacheEntryId> {
        Some(CacheEntryId::new(self.0.generation()))
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

/// Whether a reader of a miss reads an object that outgrew what is kept.
///
/// Such a body is held in a window only, so the client and the origin should go at one pace again: the server then calls
/// `Session::set_proxy_tasks_enabled(false)`, from `response_body_filter`, where nothing is pending.
#[must_use]
pub fn is_passing(reader: &HitHandler) -> bool {
    reader.as_any().downcast_ref::<Follow>().is_some_and(|follow| follow.0.passing())
}

/// Bytes that have arrived of an object on its way; `None` when it is whole.
#[must_use]
pub fn arrived(reader: &HitHandler) -> Option<u64> {
    reader.as_any().downcast_ref::<Follow>().map(|follow| follow.0.arrived())
}

/// Whether anybody but the request that fills reads an object that arrives.
#[must_use]
pub fn is_followed(reader: &HitHandler) -> bool {
    reader.as_any().downcast_ref::<Follow>().is_some_and(|follow| follow.0.followed())
}
