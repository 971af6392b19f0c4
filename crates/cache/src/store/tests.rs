use std::time::Duration;

use bytes::Bytes;
use pingora::http::ResponseHeader;
use pingora_cache::storage::streaming_write::U64WriteId;
use pingora_cache::trace::Span;
use proptest::prelude::*;
use tokio::time::timeout;

use super::*;
use crate::key;

mod framework;

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
    Store::leak(Options { bytes, max_object: bytes })
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

#[tokio::test]
async fn what_was_written_is_read_in_chunks_however_it_came() {
    let store = store(16 << 20);
    for (size, piece) in
        [(0, 1), (1, 1), (1000, 7), (200_000, 1000), (300_000, 300_000), (262_144, 131_072), (262_145, 65_536)]
    {
        let (path, body) = (format!("/{size}-{piece}"), body(size));
        let mut writer = begin(store, &path, &[]).await;
        for data in body.chunks(piece) {
            write(&mut writer, data).await.unwrap();
        }
        writer.finish().await.unwrap();
        let (meta, mut hit) = look(store, &path).await.unwrap();
        let mut got = Vec::new();
        while let Some(bytes) = hit.read_body().await.unwrap() {
            got.push(bytes);
        }
        let (last, full) = got.split_last().map_or((0, &[][..]), |(last, full)| (last.len(), full));
        assert!(full.iter().all(|bytes| bytes.len() >= 64 * 1024), "{path}: small chunks before one of {last}");
        assert_eq!(got.concat(), body, "{path}");
        assert_eq!(meta.headers()["content-length"], size.to_string(), "{path}");
    }
    assert_eq!(
        store.stats(),
        Stats { objects: 7, bytes: store.stats().bytes, evictions: 0, fills_ok: 7, fills_failed: 0 }
    );
}

#[tokio::test]
async fn hits_share_the_stored_bytes() {
    let store = store(1 << 20);
    put(store, "/a", &body(1000)).await;
    let (_, mut one) = look(store, "/a").await.unwrap();
    let (_, mut two) = look(store, "/a").await.unwrap();
    let (one, two) = (one.read_body().await.unwrap().unwrap(), two.read_body().await.unwrap().unwrap());
    assert_eq!((one.as_ptr(), one.len()), (two.as_ptr(), two.len()));
}

#[tokio::test]
async fn another_key_of_equal_hash_is_a_miss() {
    let store = store(1 << 20);
    put(store, "/a", b"a").await;
    let mut forged = CacheKey::new("something else", String::new());
    forged.set_primary_bin_override(pingora_cache::key::CacheHashKey::primary_bin(&key_of("/a")));
    assert!(store.lookup(&forged, &span()).await.unwrap().is_none());
    let mut variant = key_of("/a");
    variant.set_variance_key([1; 16]);
    assert!(store.lookup(&variant, &span()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_reader_sees_bytes_before_the_fill_ends() {
    let store = store(1 << 20);
    let mut writer = begin(store, "/a", &[]).await;
    let mut own = leader(store, "/a", &writer).await;
    let (_, mut other) = look(store, "/a").await.unwrap();
    assert!(timeout(Duration::from_millis(20), other.read_body()).await.is_err(), "nothing has come yet");
    for piece in ["one", "two"] {
        write(&mut writer, piece.as_bytes()).await.unwrap();
        for (name, reader) in [("leader", &mut own), ("follower", &mut other)] {
            let got = timeout(LONG, reader.read_body()).await.unwrap().unwrap().unwrap();
            assert_eq!(got, piece, "{name}");
        }
    }
    let (_, mut late) = look(store, "/a").await.unwrap();
    writer.finish().await.unwrap();
    for (name, reader, rest) in [("leader", &mut own, ""), ("follower", &mut other, ""), ("late", &mut late, "onetwo")]
    {
        assert_eq!(read_all(reader).await.unwrap(), rest.as_bytes(), "{name}");
    }
}

#[tokio::test]
async fn a_fill_that_ends_early_is_an_error_to_its_readers_and_is_not_stored() {
    for (name, declared, written, finish) in [
        ("dropped", None, 5, false),
        ("dropped with all its bytes", Some("5"), 5, false),
        ("too short", Some("6"), 5, true),
        ("too long", Some("4"), 5, true),
    ] {
        let store = store(1 << 20);
        let lines: Vec<(&str, &str)> = declared.iter().map(|length| ("content-length", *length)).collect();
        let mut writer = begin(store, "/a", &lines).await;
        let (_, mut reader) = look(store, "/a").await.unwrap();
        let wrote = write(&mut writer, &body(written)).await;
        let finished = match finish {
            true => writer.finish().await.map(|_| ()),
            false => {
                drop(writer);
                Ok(())
            }
        };
        assert_eq!(wrote.is_err() || finished.is_err(), finish, "{name}: the writer hears of it");
        assert!(timeout(LONG, read_all(&mut reader)).await.unwrap().is_err(), "{name}: the reader hears of it");
        assert!(look(store, "/a").await.is_none(), "{name}: not stored");
        let stats = store.stats();
        assert_eq!((stats.bytes, stats.objects, stats.fills_failed), (0, 0, 1), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_concurrent_readers_get_all_bytes() {
    let store = store(64 << 20);
    let whole = Arc::new(body(3_000_000));
    let mut writer = begin(store, "/a", &[("content-length", "3000000")]).await;
    let readers: Vec<_> = (0..100)
        .map(|_| {
            let whole = Arc::clone(&whole);
            tokio::spawn(async move {
                let (_, mut hit) = look(store, "/a").await.unwrap();
                read_all(&mut hit).await.unwrap() == *whole
            })
        })
        .collect();
    for piece in whole.chunks(10_007) {
        write(&mut writer, piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    writer.finish().await.unwrap();
    for reader in readers {
        assert!(timeout(LONG, reader).await.unwrap().unwrap());
    }
    assert_eq!(get(store, "/a").await.as_ref(), Some(&*whole));
}

#[tokio::test]
async fn ranges_are_read_from_objects_and_from_fills() {
    let store = store(64 << 20);
    let whole = body(400_000);
    let mut writer = begin(store, "/a", &[("content-length", "400000")]).await;
    let (_, mut early) = look(store, "/a").await.unwrap();
    assert!(early.can_seek());
    early.seek(399_990, None).unwrap();
    write(&mut writer, &whole).await.unwrap();
    let (_, mut mid) = look(store, "/a").await.unwrap();
    mid.seek(131_000, Some(132_000)).unwrap();
    assert_eq!(read_all(&mut mid).await.unwrap(), whole[131_000..132_000]);
    writer.finish().await.unwrap();
    assert_eq!(read_all(&mut early).await.unwrap(), whole[399_990..]);
    let (_, mut hit) = look(store, "/a").await.unwrap();
    for (start, end) in
        [(0, Some(1)), (131_071, Some(131_073)), (5, Some(400_005)), (399_999, None), (100, Some(300_000))]
    {
        hit.seek(start, end).unwrap();
        let expected = &whole[start..end.unwrap_or(400_000).min(400_000)];
        assert!(read_all(&mut hit).await.unwrap() == expected, "{start} to {end:?}");
    }
    assert!(hit.seek(400_000, None).is_err());
    let unknown = begin(store, "/b", &[]).await;
    assert!(!look(store, "/b").await.unwrap().1.can_seek());
    drop(unknown);
}

#[tokio::test]
async fn the_streaming_tag_finds_its_own_fill_and_lookup_the_newest() {
    let store = store(1 << 20);
    let mut old = begin(store, "/a", &[]).await;
    let mut new = begin(store, "/a", &[]).await;
    write(&mut old, b"old").await.unwrap();
    write(&mut new, b"new").await.unwrap();
    let (mut of_old, mut of_new) = (leader(store, "/a", &old).await, leader(store, "/a", &new).await);
    let (_, mut joined) = look(store, "/a").await.unwrap();
    assert_eq!(joined.entry_id(), new.entry_id());
    new.finish().await.unwrap();
    // The older one ends later and must not replace the newer object.
    old.finish().await.unwrap();
    assert_eq!(read_all(&mut of_old).await.unwrap(), b"old");
    assert_eq!(read_all(&mut of_new).await.unwrap(), b"new");
    assert_eq!(read_all(&mut joined).await.unwrap(), b"new");
    assert_eq!(get(store, "/a").await.unwrap(), b"new");
    let unknown = U64WriteId::from(99);
    assert!(store.lookup_streaming_write(&key_of("/a"), Some(unknown.as_bytes()), &span()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_object_is_there_until_its_replacement_is_complete() {
    let store = store(1 << 20);
    put(store, "/a", b"old").await;
    let (_, mut reading) = look(store, "/a").await.unwrap();
    let mut failing = begin(store, "/a", &[]).await;
    write(&mut failing, b"ne").await.unwrap();
    drop(failing);
    assert_eq!(get(store, "/a").await.unwrap(), b"old");
    put(store, "/a", b"new").await;
    assert_eq!(get(store, "/a").await.unwrap(), b"new");
    assert_eq!(read_all(&mut reading).await.unwrap(), b"old");
    assert_eq!(store.stats().objects, 1);
}

#[tokio::test]
async fn a_purge_takes_the_object_and_keeps_a_fill_from_being_stored() {
    let store = store(1 << 20);
    put(store, "/a", b"old").await;
    let mut writer = begin(store, "/a", &[]).await;
    let mut own = leader(store, "/a", &writer).await;
    write(&mut writer, b"n").await.unwrap();
    let compact = key_of("/a").to_compact();
    assert!(matches!(purge(store, PurgeTarget::Active(&compact)).await, PurgeOutcome::Purged(Some(_))));
    assert!(look(store, "/a").await.is_none());
    write(&mut writer, b"ew").await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(read_all(&mut own).await.unwrap(), b"new");
    assert!(look(store, "/a").await.is_none());
    assert_eq!(purge(store, PurgeTarget::Active(&compact)).await, PurgeOutcome::NotFound);
    assert_eq!((store.stats().bytes, store.stats().objects), (0, 0));
}

#[tokio::test]
async fn an_exact_purge_takes_only_its_generation() {
    let store = store(1 << 20);
    put(store, "/a", b"old").await;
    let old = look(store, "/a").await.unwrap().1.entry_id().unwrap();
    put(store, "/a", b"new").await;
    let new = look(store, "/a").await.unwrap().1.entry_id().unwrap();
    let compact = key_of("/a").to_compact();
    let of_old = CacheEntryKey::identified(compact.clone(), old);
    assert_eq!(purge(store, PurgeTarget::Exact(&of_old)).await, PurgeOutcome::NotFound);
    assert_eq!(get(store, "/a").await.unwrap(), b"new");
    let unnamed = CacheEntryKey::key_only(compact.clone());
    assert_eq!(purge(store, PurgeTarget::Exact(&unnamed)).await, PurgeOutcome::NotFound);
    let of_new = CacheEntryKey::identified(compact, new);
    assert_eq!(purge(store, PurgeTarget::Exact(&of_new)).await, PurgeOutcome::Purged(Some(new)));
    assert!(look(store, "/a").await.is_none());
}

#[tokio::test]
async fn an_expired_object_is_stale_and_still_there() {
    let store = store(1 << 20);
    put(store, "/a", b"a").await;
    let compact = key_of("/a").to_compact();
    assert_eq!(store.expire(PurgeTarget::Active(&compact), &span()).await.unwrap(), PurgeOutcome::Expired);
    let (meta, mut hit) = look(store, "/a").await.unwrap();
    let later = SystemTime::now() + Duration::from_secs(1);
    assert!(!meta.is_fresh(later) && meta.serve_stale_if_error(later));
    assert_eq!(read_all(&mut hit).await.unwrap(), b"a");
    let missing = key_of("/b").to_compact();
    assert_eq!(store.expire(PurgeTarget::Active(&missing), &span()).await.unwrap(), PurgeOutcome::NotFound);
}

#[tokio::test]
async fn a_revalidation_changes_the_header_of_the_object_it_looked_up_only() {
    let store = store(1 << 20);
    put(store, "/a", b"a").await;
    let (seen, _) = look(store, "/a").await.unwrap();
    // As the framework does it: the new meta keeps the creation time of what was looked up.
    let until = SystemTime::now() + Duration::from_secs(500);
    let mut header = seen.response_header_copy();
    header.insert_header("x-revalidated", "1").unwrap();
    let update = CacheMeta::new(until, seen.created(), 0, 0, header);
    assert!(store.update_meta(&key_of("/a"), &update, &span()).await.unwrap());
    let (meta, mut hit) = look(store, "/a").await.unwrap();
    assert_eq!((meta.fresh_until(), meta.headers()["x-revalidated"].as_bytes()), (until, &b"1"[..]));
    assert_eq!(read_all(&mut hit).await.unwrap(), b"a");

    tokio::time::sleep(Duration::from_millis(2)).await;
    put(store, "/a", b"new").await;
    assert!(!store.update_meta(&key_of("/a"), &update, &span()).await.unwrap(), "of an object that is replaced");
    assert!(!look(store, "/a").await.unwrap().0.headers().contains_key("x-revalidated"));
    assert!(!store.update_meta(&key_of("/b"), &update, &span()).await.unwrap(), "of an object that is not there");
}

#[test]
fn a_head_gives_back_the_meta_it_was_made_of() {
    let minute = Duration::from_secs(60);
    let created = SystemTime::now() - minute;
    for (name, variance, revalidated) in [
        ("plain", None, false),
        ("variant", Some([3; 16]), false),
        ("revalidated variant", Some([3; 16]), true),
        ("revalidated", None, true),
    ] {
        let mut header = ResponseHeader::build(404, None).unwrap();
        for (field, value) in [("X-A", "1"), ("set-cookie", "a"), ("set-cookie", "b"), ("x-empty", "")] {
            header.append_header(field, value).unwrap();
        }
        let mut meta = CacheMeta::new(created + minute, created, 7, 8, header);
        meta.set_epoch_override(created - minute);
        variance.into_iter().for_each(|variance| meta.set_variance(variance));
        if revalidated {
            meta.update_freshness(created + minute * 2, 7, 8);
        }
        let head = Head::of(&meta).unwrap();
        let again = head.meta().unwrap();
        let fields = |meta: &CacheMeta| -> Vec<(String, Vec<u8>)> {
            meta.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
        };
        assert_eq!(fields(&again), fields(&meta), "{name}");
        let times = |meta: &CacheMeta| {
            let windows = (meta.stale_while_revalidate_sec(), meta.stale_if_error_sec());
            (meta.updated(), meta.epoch(), meta.fresh_until(), windows, meta.variance(), meta.response_header().status)
        };
        assert_eq!(times(&again), times(&meta), "{name}");
        if variance.is_some() {
            assert_eq!((again.created(), again.provenance()), (meta.created(), meta.provenance()), "{name}");
        }
        let past = created - minute;
        assert_eq!(head.expired_at(past).meta().unwrap().fresh_until(), past, "{name}, expired");
    }
}

#[tokio::test]
async fn an_object_too_large_to_keep_is_passed_on_whole() {
    for (name, declared, limit) in
        [("declared", true, 1 << 20), ("found out", false, 1 << 20), ("no store at all", false, 0)]
    {
        let store = store(limit);
        if limit > 0 {
            put(store, "/small", b"small").await;
        }
        let whole = body(3 << 20);
        let length = whole.len().to_string();
        let lines: &[(&'static str, &str)] = if declared { &[("content-length", &length)] } else { &[] };
        let mut writer = begin(store, "/a", lines).await;
        let mut own = leader(store, "/a", &writer).await;
        let mut got = Vec::new();
        for piece in whole.chunks(50_000) {
            write(&mut writer, piece).await.unwrap();
            // As far as it has come: then the reader waits.
            while let Ok(bytes) = timeout(Duration::from_millis(1), own.read_body()).await {
                got.extend_from_slice(&bytes.unwrap().unwrap());
            }
            assert!(store.stats().bytes <= limit.max(2 * fill::CHUNK as u64), "{name}: {:?}", store.stats());
        }
        writer.finish().await.unwrap();
        got.extend(read_all(&mut own).await.unwrap());
        assert!(got == whole, "{name}: {} of {} bytes", got.len(), whole.len());
        assert!(look(store, "/a").await.is_none(), "{name}: not kept");
        assert_eq!(get(store, "/small").await, (limit > 0).then(|| b"small".to_vec()), "{name}: others stay");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_an_object_that_is_not_kept_slows_the_origin_and_is_not_cut_off() {
    let store = store(1 << 20);
    let mut writer = begin(store, "/a", &[]).await;
    let mut own = leader(store, "/a", &writer).await;
    let piece = body(1 << 16);
    let (mut written, mut got) = (0_u64, 0_u64);
    let started = tokio::time::Instant::now();
    for _ in 0..2000 {
        write(&mut writer, &piece).await.unwrap();
        written += piece.len() as u64;
        // The client takes 400 KB a second.
        while got + 65_536 < (started.elapsed().as_millis() as u64 * 400).min(written) {
            got += own.read_body().await.unwrap().unwrap().len() as u64;
        }
        assert!(store.stats().bytes <= 9 << 20, "{} bytes held", store.stats().bytes);
    }
    writer.finish().await.unwrap();
    got += read_all(&mut own).await.unwrap().len() as u64;
    assert_eq!(got, written);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_neither_kept_nor_read_is_not_fetched_to_its_end() {
    let store = store(1 << 20);
    let mut writer = begin(store, "/a", &[]).await;
    let own = leader(store, "/a", &writer).await;
    let piece = body(1 << 16);
    let mut written = 0;
    while write(&mut writer, &piece).await.is_ok() {
        written += piece.len();
        assert!(written < 200 << 20, "the fetch goes on for a reader that stands still");
    }
    drop(own);
}

#[tokio::test]
async fn a_scan_does_not_push_out_what_is_asked_for() {
    let store = store(1 << 20);
    let kilobyte = body(1000);
    for n in 0..100 {
        put(store, &format!("/hot/{n}"), &kilobyte).await;
    }
    for _ in 0..2 {
        for n in 0..100 {
            get(store, &format!("/hot/{n}")).await.unwrap();
        }
    }
    for n in 0..5000 {
        put(store, &format!("/scan/{n}"), &kilobyte).await;
        if n % 50 == 0 {
            get(store, &format!("/hot/{}", n / 50)).await;
        }
    }
    let mut left = 0;
    for n in 0..100 {
        left += usize::from(look(store, &format!("/hot/{n}")).await.is_some());
    }
    assert!(left >= 95, "{left} of 100 are left after a scan of 5000");
    assert!(store.stats().evictions > 4000, "{:?}", store.stats());
}

#[tokio::test]
async fn a_lower_limit_evicts_at_once_and_fills_do_not_push_everything_out() {
    let store = store(4 << 20);
    for n in 0..100 {
        put(store, &format!("/{n}"), &body(20_000)).await;
    }
    let mut writers = Vec::new();
    for n in 0..20 {
        let mut writer = begin(store, &format!("/fill/{n}"), &[]).await;
        let reader = leader(store, &format!("/fill/{n}"), &writer).await;
        write(&mut writer, &body(400_000)).await.unwrap();
        writers.push((writer, reader));
    }
    assert!(store.stats().objects > 50, "{:?}", store.stats());
    drop(writers);
    store.set_limit(100_000);
    assert!(store.stats().bytes <= 100_000 && store.stats().objects > 0, "{:?}", store.stats());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is done, the budget holds, what is read is what was written last, and nothing is left when all is purged.
    #[test]
    fn any_workload_stays_within_the_budget_and_reads_back_what_was_written(
        steps in prop::collection::vec((0u8..6, 0usize..40, 0usize..60_000), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (store, limit) = (store(500_000), 500_000);
        let mut last = std::collections::HashMap::new();
        runtime.block_on(async {
            for (n, (what, name, size)) in steps.into_iter().enumerate() {
                let path = format!("/{name}");
                match what {
                    0..=2 => {
                        let body = vec![n as u8; size];
                        put(store, &path, &body).await;
                        last.insert(path, body);
                    }
                    3 => {
                        let got = get(store, &path).await;
                        assert!(got.is_none() || got.as_ref() == last.get(&path), "{path} at step {n}");
                    }
                    4 => {
                        purge(store, PurgeTarget::Active(&key_of(&path).to_compact())).await;
                        assert!(look(store, &path).await.is_none(), "{path} after its purge at step {n}");
                    }
                    _ => {
                        let mut writer = begin(store, &path, &[]).await;
                        write(&mut writer, &vec![0; size]).await.unwrap();
                    }
                }
                let bytes = store.stats().bytes;
                assert!(bytes <= limit, "{bytes} bytes after step {n}");
            }
            for name in 0..40 {
                purge(store, PurgeTarget::Active(&key_of(&format!("/{name}")).to_compact())).await;
            }
            let stats = store.stats();
            assert_eq!((stats.bytes, stats.objects), (0, 0));
        });
    }
}
