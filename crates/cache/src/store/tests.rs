use std::time::Duration;

use bytes::Bytes;
use pingora::http::ResponseHeader;
use pingora_cache::trace::Span;

use super::*;
use crate::key;

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
    CacheMeta::new(now + Duration::from_secs(60), now, 0, 0, header)
}

fn store(bytes: u64) -> &'static Store {
    Store::leak(Options { bytes, max_object: bytes })
}

async fn put(store: &'static Store, path: &str, body: &[u8]) {
    let mut writer = store.get_miss_handler(&key_of(path), &meta(&[]), &span()).await.unwrap();
    writer.write_body(Bytes::copy_from_slice(body), false).await.unwrap();
    writer.finish().await.unwrap();
}

async fn read_all(hit: &mut HitHandler) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(bytes) = hit.read_body().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

async fn get(store: &'static Store, path: &str) -> Option<Vec<u8>> {
    let (_, mut hit) = store.lookup(&key_of(path), &span()).await.unwrap()?;
    Some(read_all(&mut hit).await.unwrap())
}

#[tokio::test]
async fn what_was_written_is_read() {
    let store = store(1 << 20);
    for size in [0, 1, 1000, 200_000] {
        let body: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        put(store, &format!("/{size}"), &body).await;
        assert_eq!(get(store, &format!("/{size}")).await, Some(body), "{size} bytes");
    }
    assert_eq!(store.stats().objects, 4);
}
