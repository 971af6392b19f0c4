//! The store under the framework's own state machine: phases, variants, revalidation, locks.

use pingora_cache::key::HashBinary;
use pingora_cache::lock::CacheLock;
use pingora_cache::{HitStatus, HttpCache, NoCacheReason};

use super::*;

fn session(store: &'static Store, path: &str) -> HttpCache {
    let mut cache = HttpCache::new();
    cache.enable(store, None, None, None, None);
    cache.set_cache_key(key_of(path));
    cache
}

/// Looks a variant up as the proxy does; true for a hit. Afterwards the session is in the phase that belongs to the answer.
async fn find(cache: &mut HttpCache, variance: HashBinary) -> bool {
    while let Some((meta, hit)) = cache.cache_lookup().await.unwrap() {
        let primary = cache.cache_key().get_variance_key().is_none();
        if primary && meta.variance().is_some() && !cache.cache_vary_lookup(variance, &meta) {
            continue;
        }
        let status = if meta.is_fresh(SystemTime::now()) { HitStatus::Fresh } else { HitStatus::Expired };
        cache.cache_found(meta, hit, status);
        return true;
    }
    cache.cache_miss();
    false
}

async fn fill(cache: &mut HttpCache, variance: Option<HashBinary>, lifetime: Duration, body: &'static str) {
    let now = SystemTime::now();
    let header = ResponseHeader::build(200, None).unwrap();
    cache.set_cache_meta(CacheMeta::new(now + lifetime, now, 0, 60, header));
    cache.update_variance(variance);
    cache.set_miss_handler().await.unwrap();
    cache.miss_handler().unwrap().write_body(Bytes::from(body), true).await.unwrap();
    cache.finish_miss_handler().await.unwrap();
    let read = cache.miss_body_reader().unwrap().read_body().await.unwrap().unwrap();
    assert_eq!(read, body, "the client of the fill");
    cache.finish_hit_handler().await.unwrap();
}

async fn body_of(cache: &mut HttpCache) -> Vec<u8> {
    let body = read_all(cache.hit_handler()).await.unwrap();
    cache.finish_hit_handler().await.unwrap();
    body
}

const LIFE: Duration = Duration::from_secs(60);
const GZIP: HashBinary = [1; 16];
const BROTLI: HashBinary = [2; 16];

#[tokio::test]
async fn variants_live_beside_each_other_and_die_with_the_first() {
    let store = store(1 << 20);
    for (variance, body) in [(GZIP, "gzip"), (BROTLI, "brotli")] {
        let mut cache = session(store, "/a");
        assert!(!find(&mut cache, variance).await, "{body}: not there yet");
        fill(&mut cache, Some(variance), LIFE, body).await;
    }
    for (variance, body) in [(GZIP, "gzip"), (BROTLI, "brotli")] {
        let mut cache = session(store, "/a");
        assert!(find(&mut cache, variance).await, "{body}");
        assert_eq!(body_of(&mut cache).await, body.as_bytes());
    }
    purge(store, PurgeTarget::Active(&key_of("/a").to_compact())).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let mut cache = session(store, "/a");
    assert!(!find(&mut cache, GZIP).await);
    fill(&mut cache, Some(GZIP), LIFE, "new gzip").await;
    let mut cache = session(store, "/a");
    assert!(!find(&mut cache, BROTLI).await, "a variant older than the purge");
}

#[tokio::test]
async fn a_variant_survives_the_refill_of_the_first() {
    let store = store(1 << 20);
    for (variance, life, body) in [(GZIP, Duration::ZERO, "gzip"), (BROTLI, LIFE, "brotli")] {
        let mut cache = session(store, "/a");
        find(&mut cache, variance).await;
        fill(&mut cache, Some(variance), life, body).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut cache = session(store, "/a");
    assert!(find(&mut cache, GZIP).await && !cache.cache_meta().is_fresh(SystemTime::now()));
    fill(&mut cache, Some(GZIP), LIFE, "gzip again").await;
    for (variance, body) in [(GZIP, "gzip again"), (BROTLI, "brotli")] {
        let mut cache = session(store, "/a");
        assert!(find(&mut cache, variance).await, "{body}");
        assert_eq!(body_of(&mut cache).await, body.as_bytes());
    }
}

#[tokio::test]
async fn a_revalidated_object_is_fresh_and_counts_as_validated_now() {
    for variance in [None, Some(GZIP)] {
        let store = store(1 << 20);
        let mut cache = session(store, "/a");
        find(&mut cache, GZIP).await;
        fill(&mut cache, variance, Duration::ZERO, "body").await;
        tokio::time::sleep(Duration::from_millis(5)).await;

        let mut cache = session(store, "/a");
        assert!(find(&mut cache, GZIP).await, "{variance:?}");
        let now = SystemTime::now();
        let mut update = CacheMeta::new(now + LIFE, now, 0, 0, cache.cache_meta().response_header_copy());
        variance.into_iter().for_each(|variance| update.set_variance(variance));
        assert!(cache.revalidate_cache_meta(update).await.unwrap(), "{variance:?}");
        assert_eq!(body_of(&mut cache).await, b"body");

        let mut cache = session(store, "/a");
        assert!(find(&mut cache, GZIP).await, "{variance:?}");
        let meta = cache.cache_meta();
        assert_eq!((meta.fresh_until(), meta.updated()), (now + LIFE, now), "{variance:?}");
        assert_eq!(body_of(&mut cache).await, b"body");
    }
}

#[tokio::test]
async fn waiting_readers_are_let_in_when_the_head_has_come() {
    let store = store(1 << 20);
    let lock: &'static _ = Box::leak(CacheLock::new_boxed(LONG));
    let session = || {
        let mut cache = HttpCache::new();
        cache.enable(store, None, None, Some(lock), None);
        cache.set_cache_key(key_of("/a"));
        cache
    };
    let mut first = session();
    assert!(!find(&mut first, GZIP).await && first.is_cache_lock_writer());
    let mut second = session();
    assert!(!find(&mut second, GZIP).await && second.is_cache_locked());
    let now = SystemTime::now();
    first.set_cache_meta(CacheMeta::new(now + LIFE, now, 0, 0, ResponseHeader::build(200, None).unwrap()));
    first.set_miss_handler().await.unwrap();
    timeout(LONG, second.cache_lock_wait()).await.unwrap();
    let mut third = session();
    assert!(find(&mut third, GZIP).await, "the fill that goes on");
    first.miss_handler().unwrap().write_body(Bytes::from("some"), false).await.unwrap();
    assert_eq!(third.hit_handler().read_body().await.unwrap().unwrap(), "some");
    first.disable(NoCacheReason::UpstreamError);
    assert!(timeout(LONG, third.hit_handler().read_body()).await.unwrap().is_err(), "the fill was given up");
    let mut fourth = session();
    assert!(!find(&mut fourth, GZIP).await && fourth.is_cache_lock_writer());
    fourth.disable(NoCacheReason::UpstreamError);
}
