use std::fs;

use super::*;

async fn places(disk: &Disk, all: impl Iterator<Item = u128>) -> Vec<u128> {
    let mut found = Vec::new();
    for place in all {
        if let Some((_, _, bytes)) = disk.whole(place).await {
            assert!(bytes == content(place, 2000), "other bytes for {place}");
            found.push(place);
        }
    }
    found
}

fn store(disk: &Disk, places: impl Iterator<Item = u128>) {
    for place in places {
        assert!(disk.put(place, place as u64 + 1, head(place, 1), chunks(&content(place, 2000))));
    }
    disk.settle();
}

#[tokio::test]
async fn everything_is_there_at_once_after_a_restart_whatever_became_of_the_index_file() {
    let folder = folder();
    let index = folder.path().join("index");
    let disk = open(folder.path());
    store(&disk, 0..300);
    disk.close(Duration::from_secs(10));
    drop(disk);
    let whole = fs::read(&index).expect("an index file");
    let mut cases = vec![("whole", Some(whole.clone())), ("missing", None), ("empty", Some(Vec::new()))];
    cases.push(("of another directory", Some([&whole[..8], &[7; 16], &whole[24..]].concat())));
    cases.push(("cut", Some(whole[..whole.len() / 2].to_vec())));
    cases.push(("without its end", Some(whole[..whole.len() - 8].to_vec())));
    cases.push(("with a block that is said to be endless", Some([&whole[..24], &[0xff; 400]].concat())));
    for at in [0, 30, whole.len() / 2, whole.len() - 3] {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        cases.push(("flipped", Some(flipped)));
    }
    for (case, bytes) in cases {
        let _ = fs::remove_file(&index);
        if let Some(bytes) = bytes {
            fs::write(&index, bytes).unwrap();
        }
        let disk = open(folder.path());
        assert_eq!(places(&disk, 0..310).await, (0..300).collect::<Vec<_>>(), "index file {case}");
        all_in(&disk);
        assert_eq!((disk.stats().objects, disk.stats().bytes), (300, 300 * 4096), "index file {case}");
        assert_eq!(disk.stats().index_errors, u64::from(!["whole", "missing"].contains(&case)), "index file {case}");
    }
}

#[tokio::test]
async fn an_index_file_from_before_a_crash_is_put_right_by_the_names() {
    let folder = folder();
    let disk = open(folder.path());
    store(&disk, 0..100);
    disk.tier.save();
    // After the index file: 20 removed, 20 replaced, 50 new.
    for place in 0..20 {
        disk.remove(place, None);
    }
    for place in 20..40 {
        assert!(disk.put(place, 1000, head(place, 2), chunks(&content(place, 2000))));
    }
    store(&disk, 100..150);
    drop(disk);
    let disk = open(folder.path());
    all_in(&disk);
    assert_eq!((disk.stats().objects, files(folder.path()).len()), (130, 130));
    assert_eq!(places(&disk, 0..200).await, (20..150).collect::<Vec<_>>());
    assert_eq!(disk.whole(30).await.map(|(generation, ..)| generation), Some(1000));
    assert_eq!(disk.stats().corrupt, 0);
}

#[tokio::test]
async fn generations_of_a_new_run_are_above_those_of_a_run_that_crashed() {
    let folder = folder();
    let mut before = 0;
    for run in 0..3 {
        let disk = open(folder.path());
        let first = disk.highest_generation();
        assert!(first > before, "run {run}: {first} after {before}");
        for place in 0..20 {
            assert!(disk.put(place, first + 1 + place as u64, Vec::new(), Vec::new()), "run {run}");
        }
        disk.settle();
        before = disk.highest_generation();
        assert_eq!(before, first + 20, "run {run}");
    }
}

#[tokio::test]
async fn the_order_of_use_outlives_a_restart() {
    for with_index in [true, false] {
        let folder = folder();
        let disk = open_with(folder.path(), 200 * 4096);
        store(&disk, 0..200);
        for _ in 0..3 {
            (0..100).for_each(|place| disk.touch(place));
        }
        if with_index {
            disk.close(Duration::from_secs(10));
        }
        drop(disk);
        let disk = open_with(folder.path(), 200 * 4096);
        all_in(&disk);
        store(&disk, 1000..1150);
        let left = places(&disk, 0..100).await;
        // Without the file the oldest generation goes first, and that is an object in use.
        let gone = if with_index { 0 } else { 100 - left.len() as u128 };
        assert_eq!(left, (gone..100).collect::<Vec<_>>(), "index file: {with_index}");
        assert_eq!(gone > 0, !with_index);
    }
}

#[tokio::test]
async fn a_smaller_budget_evicts_what_was_used_least_at_the_start() {
    let folder = folder();
    let disk = open(folder.path());
    store(&disk, 0..200);
    (150..200).for_each(|place| disk.touch(place));
    disk.close(Duration::from_secs(10));
    drop(disk);
    let disk = open_with(folder.path(), 50 * 4096);
    all_in(&disk);
    wait("files go", || files(folder.path()).len() == 50);
    assert_eq!(places(&disk, 0..200).await, (150..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_unfinished_and_what_is_no_object_goes_at_the_start() {
    let folder = folder();
    let disk = open(folder.path());
    store(&disk, 0..3);
    disk.close(Duration::from_secs(10));
    drop(disk);
    let strangers = ["tmp/3", "00/readme", "00/00000000000000000000000000000000-1-2", "ab/"];
    for stranger in strangers.iter().filter(|stranger| !stranger.ends_with('/')) {
        fs::write(folder.path().join(stranger), b"x").unwrap();
    }
    // In the folder of another place.
    let misplaced = folder.path().join("ab").join(files(folder.path())[0].file_name().unwrap());
    fs::copy(&files(folder.path())[1], &misplaced).unwrap();
    // As long as its name says, without taking any room.
    let endless = folder.path().join(format!("00/{:032x}-{:016x}-{:x}", 7, 9, 1_u64 << 40));
    fs::File::create(&endless).unwrap().set_len(1 << 40).unwrap();
    let disk = open(folder.path());
    all_in(&disk);
    assert!(!endless.exists(), "{} is still there", endless.display());
    for stranger in strangers.iter().filter(|stranger| !stranger.ends_with('/')) {
        assert!(!folder.path().join(stranger).exists(), "{stranger} is still there");
    }
    assert!(!misplaced.exists());
    assert_eq!((disk.stats().objects, disk.stats().evictions, disk.stats().corrupt), (3, 0, 3));
}

#[tokio::test]
async fn objects_whose_keys_cannot_be_found_again_go_when_the_seed_is_lost() {
    let folder = folder();
    let disk = open(folder.path());
    let seed = disk.seed();
    store(&disk, 0..50);
    disk.close(Duration::from_secs(10));
    drop(disk);
    let state = folder.path().join("state");
    let mut bytes = fs::read(&state).unwrap();
    bytes[10] ^= 1;
    fs::write(&state, bytes).unwrap();
    let disk = open(folder.path());
    assert_ne!(disk.seed(), seed);
    store(&disk, 100..110);
    all_in(&disk);
    assert_eq!(places(&disk, 0..200).await, (100..110).collect::<Vec<_>>());
    assert_eq!(files(folder.path()).len(), 10);
}

#[tokio::test]
async fn a_sweep_removes_exactly_what_is_not_to_be_kept() {
    let folder = folder();
    let disk = open(folder.path());
    store(&disk, 0..200);
    // Still waiting to be written when the sweep begins.
    for place in 200..300 {
        assert!(disk.put(place, 1, head(place, 1), chunks(&content(place, 2000))));
    }
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    let keep = move |head: &[u8]| {
        counter.fetch_add(1, Ordering::Relaxed);
        !String::from_utf8_lossy(head).contains("7,")
    };
    assert!(disk.sweep(keep).await);
    let expected = (0..300).filter(|place| place % 10 != 7).collect::<Vec<_>>();
    assert_eq!(places(&disk, 0..300).await, expected);
    assert_eq!((asked.load(Ordering::Relaxed), files(folder.path()).len()), (300, 270));
}

#[test]
fn files_and_folders_are_for_the_edge_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let root = folder.path().join("made").join("by us");
    let disk = open(&root);
    store(&disk, 0..1);
    disk.close(Duration::from_secs(10));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    for path in [root.clone(), root.join("tmp"), root.join("00")] {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
    for path in [root.join("lock"), root.join("state"), root.join("index"), files(&root)[0].clone()] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

/// Measured with `cargo test --release -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "makes 100,000 files; prints how long a start takes"]
async fn a_start_with_100_000_objects_takes_well_under_a_second() {
    const OBJECTS: u128 = 100_000;
    let folder = folder();
    let spread = |number: u128| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let disk = open_with(folder.path(), 20 << 30);
    let began = Instant::now();
    let bytes = Bytes::from(content(1, 1024));
    for number in 0..OBJECTS {
        while !disk.put(spread(number), number as u64 + 1, head(1, 1), vec![bytes.clone()]) {
            thread::park_timeout(Duration::from_millis(1));
        }
    }
    disk.settle();
    println!("written in {:?}", began.elapsed());
    let began = Instant::now();
    disk.close(Duration::from_secs(60));
    drop(disk);
    println!("closed in {:?}", began.elapsed());
    for (case, index) in [("with the index file", true), ("without it", false)] {
        if !index {
            fs::remove_file(folder.path().join("index")).unwrap();
        }
        let began = Instant::now();
        let disk = open_with(folder.path(), 20 << 30);
        let opened = began.elapsed();
        assert_eq!(disk.stats().objects as u128, OBJECTS, "{case}");
        assert!(disk.whole(spread(OBJECTS / 2)).await.is_some(), "{case}");
        let first = began.elapsed();
        all_in(&disk);
        let stats = disk.stats();
        println!(
            "opened {case} in {opened:?}, first object {first:?}, all names looked at {:?}, {:.1} bytes an object",
            began.elapsed(),
            stats.index_bytes as f64 / stats.objects as f64
        );
        assert!(opened < Duration::from_secs(1), "{case}: {opened:?}");
        let began = Instant::now();
        for number in 0..20_000 {
            assert!(disk.whole(spread(number)).await.is_some(), "{number}: {:?}", disk.stats());
        }
        println!("one load of 1 KiB after the other: {:?} each", began.elapsed() / 20_000);
        let loads = (0..64_u128).map(|task| {
            let disk = Arc::clone(&disk);
            tokio::spawn(async move {
                for number in 0..1000 {
                    assert!(disk.whole(spread(task * 1000 + number)).await.is_some());
                }
            })
        });
        let loads = loads.collect::<Vec<_>>();
        let began = Instant::now();
        for load in loads {
            load.await.unwrap();
        }
        println!("64 at a time: {:?} each", began.elapsed() / 64_000);
    }
}
