use std::time::SystemTime;

use bytes::Bytes;
use pingora::http::ResponseHeader;
use pingora_cache::CacheMeta;
use pingora_cache::storage::Storage as _;
use pingora_cache::trace::Span;

use super::*;
use crate::{Options, admission, key};

fn key_of(path: &str) -> CacheKey {
    key::build(&key::Parts { scheme: "http", host_component: "www.example", path, query: b"" })
}

/// A store with `/fresh`, `/expired`, `/error` and, as long as the writer lives, the fill `/arriving`.
async fn stored() -> (&'static Store, pingora_cache::MissHandler) {
    let store = Store::leak(Options::memory(1 << 20, 1 << 20));
    let (now, span) = (SystemTime::now(), Span::inactive().handle());
    let minute = Duration::from_secs(60);
    let mut arriving = None;
    for (path, status, until) in [
        ("/fresh", 200, now + minute),
        ("/expired", 200, now - minute),
        ("/error", 404, now + minute),
        ("/arriving", 200, now + minute),
    ] {
        let meta = CacheMeta::new(until, now - minute, 60, 60, ResponseHeader::build(status, None).unwrap());
        let mut writer = store.get_miss_handler(&key_of(path), &meta, &span).await.unwrap();
        writer.write_body(Bytes::from_static(b"x"), false).await.unwrap();
        if path == "/arriving" {
            arriving = Some(writer);
        } else {
            writer.finish().await.unwrap();
        }
    }
    (store, arriving.unwrap())
}

#[tokio::test]
async fn who_would_fetch_what_came_in_between_looks_again_instead() {
    let (store, _writer) = stored().await;
    let sketch = Sketch::leak(admission::Options { keys: 64, ..admission::Options::default() });
    let lock = FetchLock::new(store, sketch, Duration::from_secs(60));
    let table = [
        ("/absent", false, true),
        ("/fresh", false, false),
        ("/arriving", false, false),
        ("/expired", false, true),
        // asked for again because a rule wants something else than the stored error
        ("/error", false, true),
        ("/fresh", true, true),
    ];
    for (path, stale_writer, fetches) in table {
        let what = format!("{path}, stale: {stale_writer}");
        match lock.lock(&key_of(path), stale_writer) {
            Locked::Write(permit) => {
                assert!(fetches, "{what}: would fetch");
                assert!(
                    matches!(lock.lock(&key_of(path), false), Locked::Read(read) if read.locked()),
                    "{what}: others wait"
                );
                lock.release(&key_of(path), permit, LockStatus::Done);
            }
            Locked::Read(read) => {
                assert!(!fetches, "{what}: would look again");
                assert!(!read.locked(), "{what}: at once");
            }
        }
    }
}

#[tokio::test]
async fn whoever_waits_for_a_fetch_is_counted() {
    let (store, _arriving) = stored().await;
    let sketch = Sketch::leak(admission::Options { keys: 64, ..admission::Options::default() });
    let lock = FetchLock::new(store, sketch, Duration::from_secs(60));
    for (path, stale_writer, counted) in [("/cold", false, 2), ("/expired", true, 0)] {
        let key = key_of(path);
        let Locked::Write(permit) = lock.lock(&key, stale_writer) else { panic!("{path}: nobody else is there") };
        assert_eq!(sketch.count(&key), 0, "{path}: who fetches is counted elsewhere");
        for _ in 0..2 {
            assert!(!lock.lock(&key, stale_writer).is_write(), "{path}");
        }
        assert_eq!(sketch.count(&key), counted, "{path}");
        lock.release(&key, permit, LockStatus::Done);
    }
}
