//! A hit on an object that is too large for memory: chunks come from its file.

use std::any::Any;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::{Error, ErrorType, Result};
use pingora_cache::storage::HandleHit;
use pingora_cache::trace::SpanHandle;
use pingora_cache::{CacheEntryId, CacheKey, Storage};

use super::fill::slice;
use crate::disk::{CHUNK, Reader};
use crate::purge::Stamp;

/// In a meta's extensions: the object lives on disk only, and which one it is.
#[derive(Debug, Clone)]
pub(super) struct FromDisk {
    pub(super) generation: u64,
    /// The stamp that it was found with.
    pub(super) stamp: Stamp,
}

/// A reader of a large object.
pub(super) struct OnDisk {
    reader: Reader,
    generation: u64,
    length: u64,
    position: u64,
    end: u64,
}

impl OnDisk {
    pub(super) fn new(reader: Reader, generation: u64, length: u64) -> Self {
        Self { reader, generation, length, position: 0, end: length }
    }
}

#[async_trait]
impl HandleHit for OnDisk {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        if self.position >= self.end {
            return Ok(None);
        }
        let chunk = match self.reader.chunk(self.position / CHUNK as u64).await {
            Ok(chunk) => chunk,
            // the head is out: the connection breaks off, and the object is forgotten
            Err(error) => return Error::e_because(ErrorType::FileReadError, "the cache's disk", error),
        };
        let bytes = slice(&chunk, self.position % CHUNK as u64, self.end - self.position);
        if bytes.is_empty() {
            return Error::e_explain(ErrorType::FileReadError, "an object on disk is shorter than its length");
        }
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
        if start as u64 >= self.length {
            return Error::e_explain(ErrorType::InternalError, "seek beyond the end of an object");
        }
        self.position = start as u64;
        self.end = end.map_or(self.length, |end| self.length.min(end as u64));
        Ok(())
    }

    fn get_eviction_weight(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    fn entry_id(&self) -> Option<CacheEntryId> {
        Some(CacheEntryId::new(self.generation))
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}
