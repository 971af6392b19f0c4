//! Memory over disk, and purges over both.

use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::disk::{self, CHUNK, Disk};
use crate::purge::{Labels, Ledger, Names, Purge, Rule, Stamp};

pub(super) struct Bench {
    pub(super) store: &'static Store,
    pub(super) disk: Arc<Disk>,
    pub(super) ledger: Arc<Ledger>,
}

/// A store over a directory. One that is opened a second time finds what the first one left.
pub(super) fn open(directory: &Path, memory: u64, size: u64) -> Bench {
    let disk = Disk::open(disk::Options { path: directory.to_owned(), bytes: size }).unwrap();
    let ledger = Ledger::open(Some(directory)).unwrap();
    let options = Options {
        bytes: memory,
        max_object: size,
        variants: 4,
        disk: Some(Arc::clone(&disk)),
        ledger: Arc::clone(&ledger),
    };
    Bench { store: Store::leak(options), disk, ledger }
}

pub(super) const MIB: u64 = 1 << 20;

pub(super) async fn settled(disk: &Disk, objects: u64) {
    for _ in 0..500 {
        if disk.stats().objects == objects {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{objects} objects are wanted on disk: {:?}", disk.stats());
}

#[tokio::test]
async fn what_memory_forgets_is_found_on_disk_and_comes_back_into_memory() {
    let directory = TempDir::new().unwrap();
    let Bench { store, disk, .. } = open(directory.path(), MIB, 100 * MIB);
    put(store, "/a", &body(5000)).await;
    settled(&disk, 1).await;
    for n in 0..200 {
        put(store, &format!("/{n}"), &body(10_000)).await;
    }
    assert!(store.stats().evictions > 0, "{:?}", store.stats());
    assert!(!store.has_answer(&key_of("/a")), "memory was to forget it");
    let found = get(store, "/a").await;
    assert!(found.as_deref() == Some(&body(5000)), "{:?} bytes, {:?}", found.map(|body| body.len()), disk.stats());
    assert!(store.has_answer(&key_of("/a")), "it is in memory again");
}

#[tokio::test]
async fn objects_and_their_heads_survive_a_restart() {
    let directory = TempDir::new().unwrap();
    {
        let Bench { store, disk, .. } = open(directory.path(), 64 * MIB, 100 * MIB);
        put(store, "/small", &body(5000)).await;
        put(store, "/empty", b"").await;
        put(store, "/large", &body(9 * MIB as usize)).await;
        settled(&disk, 3).await;
        disk.close(LONG);
    }
    let Bench { store, disk, .. } = reopened(directory.path()).await;
    for (path, want) in [("/small", body(5000)), ("/empty", Vec::new()), ("/large", body(9 * MIB as usize))] {
        let (meta, mut hit) = look(store, path).await.unwrap_or_else(|| panic!("{path} is not there"));
        assert_eq!(meta.headers()["content-length"], want.len().to_string().as_str(), "{path}");
        assert_eq!(meta.stale_if_error_sec(), 8, "{path}");
        assert!(read_all(&mut hit).await.unwrap() == want, "{path} has other bytes");
    }
    assert!(disk.highest_generation() > 0);
    put(store, "/small", b"newer").await;
    assert_eq!(get(store, "/small").await.unwrap(), b"newer");
}

/// The lock of the directory is let go when the last user of the old tier is gone.
async fn reopened(directory: &Path) -> Bench {
    open(directory, 64 * MIB, 100 * MIB)
}

#[tokio::test]
async fn a_newer_object_replaces_the_one_on_disk_at_once() {
    let directory = TempDir::new().unwrap();
    let Bench { store, disk, .. } = open(directory.path(), MIB, 100 * MIB);
    put(store, "/a", b"old").await;
    settled(&disk, 1).await;
    put(store, "/a", b"new").await;
    for n in 0..200 {
        put(store, &format!("/{n}"), &body(10_000)).await;
    }
    let found = get(store, "/a").await;
    assert!(found.as_deref().is_none_or(|found| found == b"new"), "{found:?}");
    settled(&disk, 201).await;
    assert_eq!(get(store, "/a").await.unwrap(), b"new");
}

#[tokio::test]
async fn a_purged_object_is_in_neither_tier() {
    let directory = TempDir::new().unwrap();
    let Bench { store, disk, .. } = open(directory.path(), 64 * MIB, 100 * MIB);
    put(store, "/a", b"x").await;
    put(store, "/large", &body(9 * MIB as usize)).await;
    settled(&disk, 2).await;
    for path in ["/a", "/large"] {
        let key = key_of(path).to_compact();
        let outcome = store.purge(PurgeTarget::Active(&key), PurgeType::Invalidation, &span()).await.unwrap();
        assert!(matches!(outcome, PurgeOutcome::Purged(_)), "{path}: {outcome:?}");
        assert_eq!(get(store, path).await, None, "{path}");
        let again = store.purge(PurgeTarget::Active(&key), PurgeType::Invalidation, &span()).await.unwrap();
        assert_eq!(again, PurgeOutcome::NotFound, "{path}");
    }
    settled(&disk, 0).await;
}

#[tokio::test]
async fn a_confirmed_object_has_its_new_head_in_both_tiers() {
    let directory = TempDir::new().unwrap();
    let Bench { store, disk, .. } = open(directory.path(), 64 * MIB, 100 * MIB);
    for (path, size) in [("/small", 5000), ("/large", 9 * MIB as usize)] {
        put(store, path, &body(size)).await;
    }
    settled(&disk, 2).await;
    for path in ["/small", "/large"] {
        let (mut meta, _) = look(store, path).await.unwrap();
        meta.response_header_mut().insert_header("X-Confirmed", "yes").unwrap();
        assert!(store.update_meta(&key_of(path), &meta, &span()).await.unwrap(), "{path}");
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    store.set_limit(0);
    for path in ["/small", "/large"] {
        let (meta, _) = look(store, path).await.unwrap_or_else(|| panic!("{path} is gone"));
        assert_eq!(meta.headers()["x-confirmed"], "yes", "{path}");
    }
}

pub(super) fn stamped(ledger: &Ledger, tag: &str) -> CacheMeta {
    let mut meta = meta(&[]);
    let names = Names { key_host: "www.example", key_path: "", client_host: "", client_path: "", query: b"" };
    let mut answer = http::HeaderMap::new();
    answer.insert("surrogate-key", tag.parse().unwrap());
    let labels = Arc::new(Labels::new(&names, &answer));
    meta.extensions_mut().insert(Stamp { sequence: ledger.sequence(), labels });
    meta
}

pub(super) async fn put_tagged(bench: &Bench, path: &str, tag: &str, size: usize) {
    let meta = stamped(&bench.ledger, tag);
    let mut writer = bench.store.get_miss_handler(&key_of(path), &meta, &span()).await.unwrap();
    write(&mut writer, &body(size)).await.unwrap();
    writer.finish().await.unwrap();
}

pub(super) async fn purge_tag(bench: &Bench, tag: &str, soft: bool) {
    bench.ledger.record(&Purge { rules: vec![Rule::Tag(tag.to_owned())], soft }).await.unwrap();
}

#[tokio::test]
async fn a_purge_by_tag_reaches_memory_disk_and_fills_under_way_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let bench = open(directory.path(), 64 * MIB, 400 * MIB);
    let Bench { store, disk, ledger } = &bench;
    put_tagged(&bench, "/small", "red", 5000).await;
    put_tagged(&bench, "/large", "red", 9 * MIB as usize).await;
    put_tagged(&bench, "/other", "blue", 5000).await;
    settled(disk, 3).await;
    let mut under_way = store.get_miss_handler(&key_of("/late"), &stamped(ledger, "red"), &span()).await.unwrap();
    write(&mut under_way, b"ol").await.unwrap();
    purge_tag(&bench, "red", false).await;
    for path in ["/small", "/large", "/late"] {
        assert!(look(store, path).await.is_none(), "{path}");
    }
    write(&mut under_way, b"d").await.unwrap();
    under_way.finish().await.unwrap();
    assert!(look(store, "/late").await.is_none(), "what was asked for before the purge is stored after it");
    assert!(look(store, "/other").await.is_some());
    put_tagged(&bench, "/small", "red", 6000).await;
    assert_eq!(get(store, "/small").await.unwrap().len(), 6000, "what was asked for after the purge stands");
    store.sweep().await;
    settled(disk, 2).await;
}

#[tokio::test]
async fn a_softly_purged_object_is_stale_until_it_is_confirmed() {
    let directory = TempDir::new().unwrap();
    let bench = open(directory.path(), 64 * MIB, 400 * MIB);
    let Bench { store, disk, ledger } = &bench;
    for (path, size) in [("/small", 5000), ("/large", 9 * MIB as usize)] {
        put_tagged(&bench, path, "red", size).await;
    }
    settled(disk, 2).await;
    purge_tag(&bench, "red", true).await;
    for (path, swept) in [("/small", false), ("/large", false), ("/small", true), ("/large", true)] {
        if swept {
            store.sweep().await;
        }
        let (meta, _) = look(store, path).await.unwrap_or_else(|| panic!("{path} is gone"));
        assert!(!meta.is_fresh(SystemTime::now()), "{path} is fresh, swept: {swept}");
    }
    for path in ["/small", "/large"] {
        let (old, _) = look(store, path).await.unwrap();
        let mut confirmed = stamped(ledger, "red");
        *confirmed.response_header_mut() = old.response_header_copy();
        if let Some(origin) = old.extensions().get::<disk_hit::FromDisk>() {
            confirmed.extensions_mut().insert(origin.clone());
        }
        // the framework keeps the time of creation: the same in both
        let mut again = CacheMeta::new(confirmed.fresh_until(), old.created(), 0, 0, old.response_header_copy());
        std::mem::swap(again.extensions_mut(), confirmed.extensions_mut());
        assert!(store.update_meta(&key_of(path), &again, &span()).await.unwrap(), "{path}");
        let (meta, _) = look(store, path).await.unwrap();
        assert!(meta.is_fresh(SystemTime::now()), "{path} is stale after it was confirmed");
    }
}

#[tokio::test]
async fn variants_of_one_url_are_bounded_and_the_oldest_leave() {
    let directory = TempDir::new().unwrap();
    let Bench { store, disk, .. } = open(directory.path(), 64 * MIB, 100 * MIB);
    let variant = |n: u8| {
        let mut key = key_of("/a");
        key.set_variance_key([n; 16]);
        key
    };
    for n in 0..20 {
        let mut meta = meta(&[("Vary", "User-Agent")]);
        meta.set_variance([n; 16]);
        let mut writer = store.get_miss_handler(&variant(n), &meta, &span()).await.unwrap();
        write(&mut writer, &[n; 100]).await.unwrap();
        writer.finish().await.unwrap();
    }
    assert_eq!(store.stats().objects, 4);
    for n in 0..20 {
        let found = store.lookup(&variant(n), &span()).await.unwrap().is_some();
        assert_eq!(found, n >= 16, "variant {n}");
    }
    settled(&disk, 4).await;
}

#[tokio::test]
async fn a_large_object_goes_through_a_file_with_little_memory_and_readers_everywhere() {
    let directory = TempDir::new().unwrap();
    let Bench { store, disk, .. } = open(directory.path(), 32 * MIB, 400 * MIB);
    let whole = body(40 * MIB as usize + 77);
    let length = whole.len().to_string();
    let mut writer = begin(store, "/large", &[("Content-Length", &length)]).await;
    let first = leader(store, "/large", &writer).await;
    let (_, slow) = look(store, "/large").await.unwrap();
    let (_, mut seeking) = look(store, "/large").await.unwrap();
    seeking.seek(30 * MIB as usize + 5, Some(30 * MIB as usize + 25)).unwrap();
    let sought = tokio::spawn(async move { read_all(&mut seeking).await });
    let mut most = 0;
    for part in whole.chunks(3 * CHUNK + 11) {
        write(&mut writer, part).await.unwrap();
        most = most.max(store.stats().bytes);
    }
    writer.finish().await.unwrap();
    assert!(most < 16 * MIB, "a fill of {length} bytes took {most}");
    assert_eq!(store.stats().bytes, 0, "all is on disk");
    assert!(sought.await.unwrap().unwrap() == whole[30 * MIB as usize + 5..30 * MIB as usize + 25]);
    for (name, mut reader) in [("the first reader", first), ("one that was slow", slow)] {
        assert!(read_all(&mut reader).await.unwrap() == whole, "{name} has other bytes");
    }
    settled(&disk, 1).await;
    assert!(get(store, "/large").await.unwrap() == whole);
}

#[tokio::test]
async fn a_body_of_unknown_length_moves_to_a_file_when_it_grows_large() {
    let directory = TempDir::new().unwrap();
    let Bench { store, disk, .. } = open(directory.path(), 32 * MIB, 400 * MIB);
    let whole = body(7 * MIB as usize);
    put(store, "/grows", &whole).await;
    settled(&disk, 1).await;
    assert_eq!(store.stats().objects, 0);
    let (meta, mut hit) = look(store, "/grows").await.unwrap();
    assert_eq!(meta.headers()["content-length"], whole.len().to_string().as_str());
    assert!(read_all(&mut hit).await.unwrap() == whole);
}

#[tokio::test]
async fn a_large_fill_that_breaks_off_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let Bench { store, disk, .. } = open(directory.path(), 32 * MIB, 400 * MIB);
    let mut writer = begin(store, "/large", &[("Content-Length", "20000000")]).await;
    let mut reader = leader(store, "/large", &writer).await;
    write(&mut writer, &body(10_000_000)).await.unwrap();
    drop(writer);
    assert!(read_all(&mut reader).await.is_err());
    assert!(get(store, "/large").await.is_none());
    settled(&disk, 0).await;
    assert_eq!(store.stats().bytes, 0);
}
