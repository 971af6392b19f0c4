//! Complete objects: reading, replacing, purging, heads.

use super::*;

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
