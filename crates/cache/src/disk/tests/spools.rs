use tokio::task::JoinSet;

use super::*;

async fn fill(spool: &mut Spool, content: &[u8]) {
    for chunk in chunks(content) {
        spool.write(chunk).await.expect("the spool takes it");
    }
}

fn unfinished(root: &Path) -> usize {
    std::fs::read_dir(root.join("tmp")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spooled_object_is_read_while_it_arrives_and_loaded_when_it_is_finished() {
    let folder = folder();
    let disk = open(folder.path());
    let content = Arc::new(content(9, 5 * WHOLE as usize + 333));
    let chunks = chunks(&content);
    let mut spool = disk.spool(9, 4).expect("a spool");
    assert!(disk.spool(9, 4).is_none(), "one version arrives twice");
    let mut readers = JoinSet::new();
    for number in 0..4_u64 {
        let (reader, content) = (spool.reader(), Arc::clone(&content));
        let count = chunks.len() as u64;
        readers.spawn(async move {
            for step in 0..count {
                let index = (step + number) % count;
                while reader.written() <= index {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let chunk = reader.chunk(index).await.expect("a chunk that is on disk");
                let from = index as usize * CHUNK;
                assert!(chunk == content[from..(from + CHUNK).min(content.len())], "chunk {index}, reader {number}");
            }
        });
    }
    assert_eq!(spool.reader().chunk(chunks.len() as u64).await, Err(ReadError::NotThere));
    fill(&mut spool, &content).await;
    assert!(!disk.contains(9), "an object that arrives is there");
    let late = spool.reader();
    assert!(spool.finish(head(9, 4)).await);
    readers.join_all().await;
    assert!(late.chunk(3).await.is_ok(), "a reader cannot read on after the end");
    let (generation, found_head, found) = disk.whole(9).await.expect("is there");
    assert_eq!((generation, found_head), (4, head(9, 4)));
    assert!(found == *content);
    let expected = files(folder.path()).iter().map(|file| file.metadata().unwrap().len().div_ceil(4096) * 4096).sum();
    assert_eq!((unfinished(folder.path()), disk.stats().bytes), (0, expected));
}

#[tokio::test]
async fn a_spool_that_is_dropped_leaves_nothing_but_its_readers() {
    let folder = folder();
    let disk = open(folder.path());
    let mut spool = disk.spool(9, 4).expect("a spool");
    let content = content(9, 6 * CHUNK);
    fill(&mut spool, &content).await;
    let reader = spool.reader();
    wait("the chunks are on disk", || reader.written() == 6);
    assert!(disk.stats().bytes >= content.len() as u64);
    drop(spool);
    wait("the file goes", || unfinished(folder.path()) == 0);
    assert_eq!((disk.stats().bytes, disk.contains(9)), (0, false));
    assert!(reader.chunk(5).await.is_ok_and(|chunk| chunk == content[5 * CHUNK..]));
    assert!(disk.spool(9, 4).is_some(), "the object cannot come again");
}

#[tokio::test]
async fn a_spool_that_was_removed_or_overtaken_is_not_kept() {
    let folder = folder();
    let disk = open(folder.path());
    for (case, overtaken) in [("removed", false), ("overtaken", true)] {
        let mut spool = disk.spool(9, 4).expect("a spool");
        fill(&mut spool, &content(9, 2 * CHUNK)).await;
        if overtaken {
            disk.store(9, 5, b"newer");
        } else {
            assert!(disk.remove(9, None), "{case}");
        }
        assert!(!spool.finish(head(9, 4)).await, "{case}");
        let expected = overtaken.then(|| (5, head(9, 5), b"newer".to_vec()));
        assert_eq!(disk.whole(9).await, expected, "{case}");
        assert_eq!((unfinished(folder.path()), files(folder.path()).len()), (0, usize::from(overtaken)), "{case}");
        assert_eq!(disk.stats().bytes, 4096 * u64::from(overtaken), "{case}");
    }
}

#[tokio::test]
async fn a_head_that_comes_while_an_object_arrives_is_the_one_that_is_stored() {
    let folder = folder();
    let disk = open(folder.path());
    let mut spool = disk.spool(9, 4).expect("a spool");
    fill(&mut spool, b"body").await;
    assert!(disk.update_head(9, 4, b"newer head".to_vec()).await);
    assert!(spool.finish(head(9, 4)).await);
    assert_eq!(disk.whole(9).await, Some((4, b"newer head".to_vec(), b"body".to_vec())));
}

#[tokio::test]
async fn what_does_not_fit_ends_the_spool_with_an_error() {
    let folder = folder();
    let disk = open_with(folder.path(), 2 * MIB);
    let mut spool = disk.spool(9, 4).expect("a spool");
    let mut end = Ok(());
    let mut taken = 0;
    while end.is_ok() && taken < 64 {
        end = spool.write(Bytes::from(vec![1; CHUNK])).await;
        taken += 1;
    }
    assert_eq!(end, Err(SpoolError::NoRoom));
    assert_eq!(spool.write(Bytes::from_static(b"more")).await, Err(SpoolError::NoRoom));
    assert!(!spool.finish(head(9, 4)).await);
    wait("the file goes", || unfinished(folder.path()) == 0);
    assert_eq!(disk.stats().bytes, 0);
    let mut spool = disk.spool(9, 4).expect("a spool");
    fill(&mut spool, b"short").await;
    assert_eq!(spool.write(Bytes::from_static(b"and more")).await, Err(SpoolError::Irregular));
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_a_spool_holds_4_mib_and_its_writer_waits_5_s_for_room() {
    let folder = folder();
    let disk = open(folder.path());
    let (hold, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    for _ in 0..16 {
        let held = Arc::clone(&held);
        disk.tier.pool.write(0, move |_| _ = held.lock().unwrap().recv());
    }
    let mut spool = disk.spool(9, 4).expect("a spool");
    for _ in 0..32 {
        spool.write(Bytes::from(vec![1; CHUNK])).await.expect("room in the queue");
    }
    let began = tokio::time::Instant::now();
    assert_eq!(spool.write(Bytes::from(vec![1; CHUNK])).await, Err(SpoolError::TooSlow));
    assert_eq!(began.elapsed().as_secs(), 5);
    drop(hold);
    drop(spool);
    disk.settle();
    assert_eq!((unfinished(folder.path()), disk.stats().bytes), (0, 0));
}
