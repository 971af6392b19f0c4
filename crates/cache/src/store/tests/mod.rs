use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_cache::CacheEntryKey;
use pingora_cache::storage::{HitHandler, MissHandler, PurgeOutcome, PurgeTarget, PurgeType, Storage as _};
use pingora_cache::trace::{Span, SpanHandle};
use tokio::time::timeout;

use super::head::Head;
use super::*;
use crate::disk::CHUNK;
use crate::key;

mod bounds;
mod fills;
mod framework;
mod objects;
mod order;
mod proxy;
mod records;
mod tiers;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(20);

fn span() -> SpanHandle {
    Span::inactive().handle()
}

fn key_of(path: &str) -> CacheKey {
    key::build(&key::Parts { scheme: "http", host_component: "www.example", path, query: b"" })
}

fn meta(lines: &[(&'static str, &str)]) -> CacheMeta {
    let mut header = ResponseHeader::build(200, None).unwrap();
    for (name, value) in lines {
        header.append_header(*name, *value).unwrap();
    }
    let now = SystemTime::now();
    CacheMeta::new(now + Duration::from_secs(60), now, 7, 8, header)
}

fn store(bytes: u64) -> &'static Store {
    Store::leak(Options::memory(bytes, bytes))
}

async fn begin(store: &'static Store, path: &str, lines: &[(&'static str, &str)]) -> MissHandler {
    store.get_miss_handler(&key_of(path), &meta(lines), &span()).await.unwrap()
}

/// The reader of the request that fills.
async fn leader(store: &'static Store, path: &str, writer: &MissHandler) -> HitHandler {
    let found = store.lookup_streaming_write(&key_of(path), writer.streaming_write_tag(), &span()).await.unwrap();
    found.expect("the fill that was just begun").1
}

async fn write(writer: &mut MissHandler, data: &[u8]) -> Result<()> {
    writer.write_body(Bytes::copy_from_slice(data), false).await
}

async fn put(store: &'static Store, path: &str, body: &[u8]) {
    let mut writer = begin(store, path, &[]).await;
    write(&mut writer, body).await.unwrap();
    writer.finish().await.unwrap();
}

async fn look(store: &'static Store, path: &str) -> Option<(CacheMeta, HitHandler)> {
    store.lookup(&key_of(path), &span()).await.unwrap()
}

async fn read_all(hit: &mut HitHandler) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(bytes) = hit.read_body().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

async fn get(store: &'static Store, path: &str) -> Option<Vec<u8>> {
    let (_, mut hit) = look(store, path).await?;
    Some(read_all(&mut hit).await.unwrap())
}

fn body(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

async fn purge(store: &'static Store, target: PurgeTarget<'_>) -> PurgeOutcome {
    store.purge(target, PurgeType::Invalidation, &span()).await.unwrap()
}
