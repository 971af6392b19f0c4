use super::*;

/// Lengths around every boundary.
const LENGTHS: [usize; 10] = [
    0,
    1,
    1024,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    2 * CHUNK + 5,
    WHOLE as usize,
    WHOLE as usize + 1,
    3 * WHOLE as usize + 77,
];

#[tokio::test]
async fn an_object_is_loaded_as_it_was_put_also_after_a_restart() {
    let folder = folder();
    let disk = open(folder.path());
    let seed = disk.seed();
    for (place, length) in (1_u128..).zip(LENGTHS) {
        disk.store(place, 7, &content(place, length));
    }
    for restart in [false, true] {
        let disk = if restart {
            disk.close(Duration::from_secs(5));
            open(folder.path())
        } else {
            Arc::clone(&disk)
        };
        assert_eq!(disk.seed(), seed);
        for (place, length) in (1_u128..).zip(LENGTHS) {
            let (generation, found_head, found) =
                disk.whole(place).await.unwrap_or_else(|| panic!("{place} is not there"));
            assert_eq!((generation, found_head), (7, head(place, 7)), "{length} bytes, restart: {restart}");
            assert!(found == content(place, length), "{length} bytes, restart: {restart}");
        }
    }
}

#[tokio::test]
async fn the_higher_generation_stands_and_only_its_file_stays() {
    let folder = folder();
    let disk = open(folder.path());
    disk.store(1, 5, b"five");
    assert!(!disk.put(1, 4, head(1, 4), chunks(b"four")), "an older one is taken");
    disk.store(1, 6, b"six");
    assert_eq!(disk.whole(1).await, Some((6, head(1, 6), b"six".to_vec())));
    assert_eq!((files(folder.path()).len(), disk.stats().objects), (1, 1));
}

#[tokio::test]
async fn a_removed_object_is_gone_at_once_and_its_file_soon() {
    let folder = folder();
    let disk = open(folder.path());
    disk.store(1, 5, b"one");
    assert!(!disk.remove(1, Some(4)), "another generation is removed");
    assert!(disk.contains(1));
    assert!(disk.remove(1, Some(5)));
    assert!(!disk.contains(1));
    assert_eq!(disk.whole(1).await, None);
    wait("the file goes", || files(folder.path()).is_empty());
    assert_eq!((disk.stats().objects, disk.stats().bytes), (0, 0));
    assert!(!disk.remove(1, None), "nothing is removed");
}

#[tokio::test]
async fn what_is_removed_while_its_write_waits_is_not_stored() {
    let folder = folder();
    let disk = open(folder.path());
    let (hold, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    // Every thread is busy until `hold` is dropped.
    for _ in 0..16 {
        let held = Arc::clone(&held);
        disk.tier.pool.write(0, move |_| _ = held.lock().unwrap().recv());
    }
    assert!(disk.put(1, 5, head(1, 5), chunks(b"one")));
    assert!(disk.put(2, 5, head(2, 5), chunks(b"two")));
    assert!(disk.remove(1, None), "a write that waits is not called off");
    drop(hold);
    disk.settle();
    assert_eq!((disk.contains(1), disk.contains(2)), (false, true));
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn a_second_process_is_refused() {
    let folder = folder();
    let disk = open(folder.path());
    let second = Disk::open(Options { path: folder.path().to_owned(), bytes: MIB });
    assert!(matches!(second, Err(OpenError::InUse(_))), "{second:?}");
    drop(disk);
    open(folder.path());
}

#[tokio::test]
async fn a_tier_that_was_closed_takes_nothing_and_leaves_the_directory_alone() {
    let folder = folder();
    let disk = open(folder.path());
    disk.store(1, 5, b"one");
    disk.close(Duration::from_secs(5));
    let next = open(folder.path());
    next.store(2, 6, b"two");
    assert!(!disk.put(3, 7, head(3, 7), Vec::new()), "taken after the end");
    assert!(disk.load(1).await.is_none());
    disk.close(Duration::from_secs(5));
    drop(disk);
    next.close(Duration::from_secs(5));
    let last = open(folder.path());
    assert_eq!(last.stats().objects, 2);
    assert!(last.contains(1) && last.contains(2) && !last.contains(3));
}

#[test]
fn a_directory_that_cannot_be_used_is_said_with_its_path() {
    let folder = folder();
    let path = folder.path().join("a file");
    std::fs::write(&path, b"").unwrap();
    let error = Disk::open(Options { path: path.clone(), bytes: MIB }).expect_err("a file is no directory").to_string();
    assert!(error.starts_with(path.to_str().unwrap()), "{error}");
}
