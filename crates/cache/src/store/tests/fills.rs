//! Objects that arrive, and those that follow them.

use pingora_cache::storage::streaming_write::U64WriteId;

use super::*;
use crate::admission::Trial;

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
            assert!(store.stats().bytes <= limit.max(2 * CHUNK as u64), "{name}: {:?}", store.stats());
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
async fn an_object_on_trial_is_read_along_and_kept_only_if_somebody_says_so() {
    for wanted in [false, true] {
        let store = store(1 << 20);
        let mut meta = meta(&[]);
        meta.extensions_mut().insert(Trial::new(false));
        let mut writer = store.get_miss_handler(&key_of("/a"), &meta, &span()).await.unwrap();
        write(&mut writer, b"first ").await.unwrap();
        let (found, mut follower) = look(store, "/a").await.expect("the fill can be joined");
        let trial = found.extensions().get::<Trial>().expect("who joins is told");
        if wanted {
            trial.keep();
            let told = look(store, "/a").await.expect("still there").0.extensions().get::<Trial>().is_some();
            assert!(!told, "nobody else need say so");
        }
        write(&mut writer, b"last").await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(read_all(&mut follower).await.unwrap(), b"first last", "{wanted}");
        assert_eq!(get(store, "/a").await.as_deref(), wanted.then_some(&b"first last"[..]), "{wanted}");
        let bytes = store.stats().bytes;
        assert_eq!((store.stats().objects, bytes > 0), (u64::from(wanted), wanted), "{bytes} bytes are charged");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_on_trial_stays_a_moment_for_those_who_waited_for_it() {
    for joins in [false, true] {
        let store = store(1 << 20);
        let mut meta = meta(&[]);
        meta.extensions_mut().insert(Trial::new(true));
        let mut writer = store.get_miss_handler(&key_of("/a"), &meta, &span()).await.unwrap();
        write(&mut writer, b"whole").await.unwrap();
        writer.finish().await.unwrap();
        let (found, mut late) = look(store, "/a").await.expect("still there");
        if joins {
            found.extensions().get::<Trial>().expect("who joins is told").keep();
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(read_all(&mut late).await.unwrap(), b"whole", "{joins}");
        assert_eq!(get(store, "/a").await.is_some(), joins);
        assert_eq!((store.stats().objects, store.stats().bytes > 0), (u64::from(joins), joins));
    }
}
