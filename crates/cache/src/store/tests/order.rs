//! What comes late does not undo what is newer.

use tempfile::TempDir;

use super::tiers::{MIB, open, purge_tag, put_tagged, settled, stamped};
use super::*;
use crate::purge::LONGEST_FILL;

#[tokio::test]
async fn a_fill_that_began_earlier_does_not_replace_a_newer_object_that_is_on_disk_only() {
    let directory = TempDir::new().unwrap();
    let bench = open(directory.path(), 64 * MIB, 100 * MIB);
    let mut early = begin(bench.store, "/a", &[]).await;
    write(&mut early, b"old").await.unwrap();
    let newer = body(9 * MIB as usize);
    put(bench.store, "/a", &newer).await;
    settled(&bench.disk, 1).await;
    early.finish().await.unwrap();
    let found = get(bench.store, "/a").await.unwrap();
    assert!(found == newer, "{} bytes are served", found.len());
}

#[tokio::test]
async fn a_fill_that_began_earlier_does_not_call_off_a_newer_one_that_arrives() {
    let directory = TempDir::new().unwrap();
    let bench = open(directory.path(), 64 * MIB, 100 * MIB);
    let mut early = begin(bench.store, "/a", &[]).await;
    write(&mut early, b"old").await.unwrap();
    let newer = body(9 * MIB as usize);
    let mut late = begin(bench.store, "/a", &[]).await;
    write(&mut late, &newer).await.unwrap();
    early.finish().await.unwrap();
    late.finish().await.unwrap();
    let found = get(bench.store, "/a").await.unwrap();
    assert!(found == newer, "{} bytes are served", found.len());
}

#[tokio::test]
async fn a_head_that_changes_while_its_object_waits_to_be_written_reaches_the_disk() {
    let directory = TempDir::new().unwrap();
    let bench = open(directory.path(), 64 * MIB, 100 * MIB);
    for round in 0..20 {
        let path = format!("/{round}");
        put(bench.store, &path, &body(200_000)).await;
        let (mut meta, _) = look(bench.store, &path).await.unwrap();
        meta.response_header_mut().insert_header("X-Confirmed", "yes").unwrap();
        assert!(bench.store.update_meta(&key_of(&path), &meta, &span()).await.unwrap(), "{path}");
    }
    settled(&bench.disk, 20).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    bench.store.set_limit(0);
    bench.store.set_limit(64 * MIB);
    for round in 0..20 {
        let (meta, _) = look(bench.store, &format!("/{round}")).await.unwrap();
        assert_eq!(meta.headers().get("x-confirmed").map(|value| value.as_bytes()), Some(&b"yes"[..]), "{round}");
    }
}

#[tokio::test]
async fn what_was_purged_for_good_is_not_confirmed_by_who_found_it_before() {
    let directory = TempDir::new().unwrap();
    let bench = open(directory.path(), 64 * MIB, 400 * MIB);
    for (path, size) in [("/small", 5000), ("/large", 9 * MIB as usize)] {
        put_tagged(&bench, path, "red", size).await;
        settled(&bench.disk, 1 + u64::from(path == "/large")).await;
    }
    for path in ["/small", "/large"] {
        let (old, _reader) = look(bench.store, path).await.unwrap();
        purge_tag(&bench, "red", false).await;
        let confirmed = stamped(&bench.ledger, "red");
        let mut again = CacheMeta::new(confirmed.fresh_until(), old.created(), 0, 0, old.response_header_copy());
        *again.extensions_mut() = old.extensions().clone();
        again.extensions_mut().extend(confirmed.extensions().clone());
        let updated = bench.store.update_meta(&key_of(path), &again, &span()).await.unwrap();
        assert!(look(bench.store, path).await.is_none(), "{path} is served again, updated: {updated}");
        if path == "/small" {
            put_tagged(&bench, "/large", "red", 9 * MIB as usize).await;
        }
    }
}

#[tokio::test]
async fn a_fill_that_outlives_the_memory_of_purges_is_not_kept() {
    let directory = TempDir::new().unwrap();
    let bench = open(directory.path(), 64 * MIB, 400 * MIB);
    let mut fills = Vec::new();
    for (path, size) in [("/small", 100), ("/large", 9 * MIB as usize)] {
        let meta = stamped(&bench.ledger, "red");
        let mut writer = bench.store.get_miss_handler(&key_of(path), &meta, &span()).await.unwrap();
        write(&mut writer, &body(size)).await.unwrap();
        fills.push((path, writer));
    }
    purge_tag(&bench, "red", false).await;
    bench.ledger.pass(LONGEST_FILL + Duration::from_secs(1));
    let sweep = bench.ledger.begin_sweep();
    assert!(bench.store.sweep().await);
    bench.ledger.end_sweep(sweep).await.unwrap();
    for (path, mut writer) in fills {
        assert!(look(bench.store, path).await.is_none(), "{path} is joined");
        write(&mut writer, b"end").await.unwrap();
        writer.finish().await.unwrap();
        assert!(look(bench.store, path).await.is_none(), "{path} is stored");
    }
}

#[tokio::test]
async fn a_reader_far_behind_an_object_that_grows_beyond_what_is_kept_gets_all_of_it() {
    let directory = TempDir::new().unwrap();
    let bench = open(directory.path(), 32 * MIB, 400 * MIB);
    bench.store.set_max_object(20 * MIB);
    let whole = body(40 * MIB as usize);
    let mut writer = begin(bench.store, "/grows", &[]).await;
    let mut reader = leader(bench.store, "/grows", &writer).await;
    let mut got = Vec::new();
    for part in whole.chunks(CHUNK) {
        write(&mut writer, part).await.unwrap();
        if got.len() as u64 + 19 * MIB < part.as_ptr() as u64 - whole.as_ptr() as u64 {
            got.extend_from_slice(&reader.read_body().await.expect("the reader is given up").unwrap());
        }
    }
    writer.finish().await.unwrap();
    got.extend(read_all(&mut reader).await.expect("the reader is given up"));
    assert!(got == whole, "{} bytes arrived", got.len());
    assert!(look(bench.store, "/grows").await.is_none(), "it is larger than what is kept");
    settled(&bench.disk, 0).await;
}
