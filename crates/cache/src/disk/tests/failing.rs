//! Disks that fail, in processes of their own: limits and mounts are the whole process's business.

use std::fs;
use std::process::{Command, Output};

use super::*;

/// Runs one of the tests below, which are ignored otherwise, behind a command that makes its surroundings.
fn run(through: &[&str], test: &str, folder: &Path) -> Output {
    let (program, arguments) = through.split_first().expect("a command");
    let mut command = Command::new(program);
    command.args(arguments).arg(std::env::current_exe().expect("this program"));
    command.args(["--ignored", "--exact", "--nocapture", &format!("disk::tests::failing::{test}")]);
    command.env("FOLDER", folder).output().expect("runs")
}

fn check(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// Where the tests in processes of their own do their work.
fn surroundings() -> PathBuf {
    std::env::var_os("FOLDER").expect("run by another test").into()
}

/// Puts an object until it is taken and there.
fn stored_within(disk: &Disk, place: u128, most: Duration) -> bool {
    let began = Instant::now();
    let bytes = content(place, 20_000);
    for generation in 1.. {
        disk.put(place, generation, head(place, 1), chunks(&bytes));
        disk.settle();
        if disk.contains(place) {
            return true;
        }
        if began.elapsed() > most {
            break;
        }
        thread::park_timeout(Duration::from_millis(50));
    }
    false
}

async fn is_served(disk: &Disk, place: u128) -> bool {
    disk.whole(place).await.is_some_and(|(_, _, found)| found == content(place, 20_000))
}

#[test]
fn files_that_may_not_grow_cost_no_object_that_is_there() {
    let folder = folder();
    check(&run(&["sh", "-c", r#"ulimit -S -f 64; exec "$@""#, "sh"], "limited_files", folder.path()));
}

#[tokio::test]
#[ignore = "needs a limit for the size of files"]
async fn limited_files() {
    // Without this the system ends the process at the first write beyond the limit.
    let _held = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(25)).expect("a signal");
    let root = surroundings();
    let disk = open(&root);
    assert!(stored_within(&disk, 1, Duration::ZERO), "a small object");
    let large = content(2, 1 << 20);
    assert!(disk.put(2, 1, head(2, 1), chunks(&large)));
    disk.settle();
    assert!(!disk.contains(2));
    let stats = disk.stats();
    assert_eq!((stats.writing_given_up, stats.write_errors, stats.objects), (true, 1, 1));
    assert!(!disk.put(3, 1, head(3, 1), Vec::new()), "taken while writing is given up");
    assert!(disk.spool(3, 1).is_none());
    assert!(!disk.update_head(1, 1, b"new".to_vec()).await);
    assert!(is_served(&disk, 1).await);
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0, "something unfinished stays");
    // The limit is too low for the probe too, until it is lifted.
    thread::park_timeout(Duration::from_secs(4));
    assert!(disk.stats().writing_given_up);
    let limit = rustix::process::Rlimit { current: None, maximum: None };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).expect("the limit is lifted");
    assert!(stored_within(&disk, 3, Duration::from_secs(10)), "not back within 10 s");
    assert!(!disk.stats().writing_given_up);
    assert!(is_served(&disk, 1).await && is_served(&disk, 3).await);
}

/// A file system of 8 MiB at the folder, in a name space of its own; `None` where the system does not allow that.
fn small_file_system(test: &str, folder: &Path) -> Option<Output> {
    let script = r#"mount -t tmpfs -o size=8m none "$FOLDER" || exit 77; exec "$@""#;
    let attempts = [vec!["unshare", "-m"], vec!["unshare", "-Urm"]];
    attempts.iter().find_map(|unshare| {
        let through = [unshare.as_slice(), &["sh", "-c", script, "sh"]].concat();
        let output = run(&through, test, folder);
        let unshared = !String::from_utf8_lossy(&output.stderr).starts_with("unshare:");
        (unshared && output.status.code() != Some(77)).then_some(output)
    })
}

#[test]
fn a_full_disk_makes_room_and_when_that_does_not_help_waits() {
    let folder = folder();
    match small_file_system("full_file_system", folder.path()) {
        Some(output) => check(&output),
        None => println!("not checked: no file system can be mounted here"),
    }
}

#[tokio::test]
#[ignore = "needs a small file system"]
async fn full_file_system() {
    let root = surroundings();
    let disk = open_with(&root, 32 * MIB);
    // Three times what there is room for: the oldest make room.
    for place in 0..1000 {
        assert!(stored_within(&disk, place, Duration::ZERO), "{place}: {:?}", disk.stats());
    }
    let stats = disk.stats();
    assert!(stats.evictions > 0 && stats.write_errors > 0 && !stats.writing_given_up, "{stats:?}");
    assert!(is_served(&disk, 999).await);
    // Somebody else takes all there is: what is there still makes room for what comes.
    let hog = root.join("hog");
    fs::write(&hog, b"").unwrap();
    let mut hogged = fs::OpenOptions::new().append(true).open(&hog).unwrap();
    let mut take_all = || while std::io::Write::write(&mut hogged, &[1; 4096]).is_ok_and(|written| written > 0) {};
    for place in 2000..2100 {
        take_all();
        assert!(stored_within(&disk, place, Duration::ZERO), "{place}: {:?}", disk.stats());
    }
    // Until nothing is left that could.
    for place in 0..2100 {
        disk.remove(place, None);
        disk.settle();
        take_all();
    }
    assert!(disk.put(2200, 1, head(2200, 1), chunks(&content(2200, 20_000))));
    disk.settle();
    let stats = disk.stats();
    assert!(stats.writing_given_up && stats.objects == 0, "{stats:?}");
    let mut spool = disk.spool(5000, 1);
    assert!(spool.is_none());
    fs::remove_file(&hog).unwrap();
    drop(hogged);
    assert!(stored_within(&disk, 3000, Duration::from_secs(10)), "not back within 10 s");
    // All of the disk is used again, not only what was left of it.
    wait("the budget counts again", || {
        (4000..4300).all(|place| {
            stored_within(&disk, place, Duration::ZERO);
            true
        }) && disk.stats().objects >= 280
    });
    spool = disk.spool(5000, 1);
    // One that is larger than the disk, but not than the budget.
    let mut spool = spool.expect("a spool");
    let mut ended = None;
    for _ in 0..100 {
        ended = spool.write(Bytes::from(vec![1; CHUNK])).await.err();
        if ended.is_some() {
            break;
        }
    }
    // Which of the two says so first is a matter of what was kept before.
    assert!(matches!(ended, Some(SpoolError::Disk | SpoolError::NoRoom)), "{ended:?}");
    drop(spool);
    assert!(stored_within(&disk, 3001, Duration::from_secs(10)), "not back within 10 s");
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0, "something unfinished stays");
}

#[test]
fn a_disk_that_becomes_read_only_is_read_and_written_again_when_it_can() {
    let folder = folder();
    match small_file_system("read_only_file_system", folder.path()) {
        Some(output) => check(&output),
        None => println!("not checked: no file system can be mounted here"),
    }
}

#[tokio::test]
#[ignore = "needs a small file system"]
async fn read_only_file_system() {
    let root = surroundings();
    let mount = |options: &str| {
        assert!(Command::new("mount").args(["-o", options]).arg(&root).status().unwrap().success(), "{options}");
    };
    let disk = open_with(&root, 6 * MIB);
    (0..20).for_each(|place| assert!(stored_within(&disk, place, Duration::ZERO)));
    mount("remount,ro");
    assert!(disk.put(100, 1, head(100, 1), Vec::new()), "the first one is tried");
    disk.settle();
    assert!(disk.stats().writing_given_up && !disk.contains(100));
    for place in 0..20 {
        assert!(is_served(&disk, place).await, "{place} is not served");
    }
    assert!(disk.remove(3, None));
    assert!(!is_served(&disk, 3).await);
    disk.settle();
    assert!(Disk::open(Options { path: root.join("other"), bytes: MIB }).is_err());
    // A start on a disk that can only be read serves what is there.
    mount("remount,rw");
    let removed_late = disk.stats().remove_errors;
    disk.close(Duration::from_secs(5));
    drop(disk);
    fs::write(root.join("tmp/left"), b"").unwrap();
    mount("remount,ro");
    let disk = open_with(&root, 6 * MIB);
    assert!(disk.stats().writing_given_up && !disk.put(100, 1, head(100, 1), Vec::new()));
    for place in (0..20).filter(|place| *place != 3) {
        assert!(is_served(&disk, place).await, "{place} is not served after a start");
    }
    let generation = disk.highest_generation();
    mount("remount,rw");
    assert!(stored_within(&disk, 100, Duration::from_secs(10)), "not back within 10 s");
    assert!(disk.update_head(5, 1, b"new".to_vec()).await);
    assert_eq!(removed_late, 1);
    disk.tier.tidy();
    assert_eq!(files(&root).len() as u64, disk.stats().objects);
    drop(disk);
    assert!(open_with(&root, 6 * MIB).highest_generation() > generation, "generations come twice");
}

/// The content of a generation, so that a mixture of two shows.
fn content_of(place: u128, generation: u64) -> Vec<u8> {
    let lengths = [0, 900, 5000, CHUNK + 7, WHOLE as usize + 3 * CHUNK];
    let length = lengths[(place as usize + generation as usize) % lengths.len()];
    content(place << 32 | u128::from(generation), length)
}

#[tokio::test]
async fn a_process_that_is_killed_at_any_time_leaves_a_directory_that_opens_and_no_wrong_byte() {
    let folder = folder();
    let mut served = 0;
    for round in 0..12_u32 {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--ignored", "--exact", "disk::tests::failing::writes_without_end"]);
        command.env("FOLDER", folder.path()).stdout(std::process::Stdio::null());
        let mut child = command.spawn().expect("runs");
        let started = folder.path().join("started");
        wait("the child writes", || started.exists());
        thread::park_timeout(Duration::from_millis(u64::from(round * 37 % 150)));
        child.kill().expect("is killed");
        child.wait().expect("ends");
        fs::remove_file(&started).unwrap();
        let disk = open(folder.path());
        if round % 2 == 0 {
            all_in(&disk);
        }
        let before = disk.highest_generation();
        for place in 0..60 {
            let Some((generation, found_head, found)) = disk.whole(place).await else { continue };
            let heads = [head(place, generation), [head(place, generation), b", again".to_vec()].concat()];
            assert!(generation <= before && heads.contains(&found_head), "round {round}, {place}: {generation}");
            assert!(found == content_of(place, generation), "round {round}: other bytes for {place}, {generation}");
            served += 1;
        }
        all_in(&disk);
        assert_eq!(files(folder.path()).len() as u64, disk.stats().objects, "round {round}");
        assert_eq!((disk.stats().corrupt, disk.stats().read_errors), (0, 0), "round {round}");
    }
    assert!(served > 100, "{served}");
}

#[tokio::test]
#[ignore = "runs until it is killed"]
async fn writes_without_end() {
    let root = surroundings();
    let disk = open_with(&root, 40 * MIB);
    let mut generation = disk.highest_generation();
    for place in (0..60).cycle() {
        generation += 1;
        let content = content_of(place, generation);
        if content.len() as u64 > WHOLE
            && let Some(mut spool) = disk.spool(place, generation)
        {
            for chunk in chunks(&content) {
                spool.write(chunk).await.expect("the spool takes it");
            }
            spool.finish(head(place, generation)).await;
        } else {
            disk.put(place, generation, head(place, generation), chunks(&content));
        }
        if place % 3 == 0 {
            disk.update_head(place, generation, [head(place, generation), b", again".to_vec()].concat()).await;
        }
        match place {
            17 => _ = disk.remove(16, None),
            30 => disk.tier.save(),
            _ => {}
        }
        if place == 59 {
            disk.settle();
            fs::write(root.join("started"), b"").unwrap();
        }
    }
}

#[tokio::test]
async fn objects_that_cannot_be_read_are_missing_and_forgotten() {
    let folder = folder();
    let disk = open(folder.path());
    (0..3).for_each(|place| assert!(stored_within(&disk, place, Duration::ZERO)));
    let paths = files(folder.path());
    fs::remove_file(&paths[0]).unwrap();
    // Reading a folder fails as a broken sector would.
    fs::remove_file(&paths[1]).unwrap();
    fs::create_dir(&paths[1]).unwrap();
    assert_eq!((disk.whole(0).await, disk.whole(1).await), (None, None));
    assert!(is_served(&disk, 2).await);
    let stats = disk.stats();
    assert_eq!((disk.contains(0), disk.contains(1), stats.objects), (false, false, 1));
    assert_eq!((stats.read_errors, stats.corrupt), (1, 0));
}

#[tokio::test]
async fn folders_that_somebody_removed_are_made_again() {
    let folder = folder();
    let disk = open(folder.path());
    assert!(stored_within(&disk, 1, Duration::ZERO));
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        }
    }
    assert!(!is_served(&disk, 1).await);
    assert!(stored_within(&disk, 1, Duration::ZERO), "{:?}", disk.stats());
    assert!(is_served(&disk, 1).await);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_answer_costs_a_few_requests_2_s_and_the_next_nothing() {
    let folder = folder();
    let disk = open(folder.path());
    assert!(stored_within(&disk, 1, Duration::ZERO));
    let (hold, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    for _ in 0..16 {
        let held = Arc::clone(&held);
        disk.tier.pool.read(0, move |_| _ = held.lock().unwrap().recv());
    }
    for waited in [2, 2, 2, 0, 0] {
        let began = tokio::time::Instant::now();
        assert!(disk.load(1).await.is_none());
        assert_eq!(began.elapsed().as_secs(), waited);
    }
    assert_eq!(disk.stats().late_reads, 5);
    assert!(disk.contains(1), "a slow object is forgotten");
    drop(hold);
}

#[tokio::test]
async fn queues_that_are_full_take_nothing_more() {
    let folder = folder();
    let disk = open(folder.path());
    assert!(stored_within(&disk, 1, Duration::ZERO));
    let (hold, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let (begun, begins) = mpsc::channel();
    for _ in 0..disk.tier.pool.threads() {
        let (held, begun) = (Arc::clone(&held), begun.clone());
        disk.tier.pool.read(0, move |_| {
            begun.send(()).unwrap();
            let _ = held.lock().unwrap().recv();
        });
    }
    // a thread that comes late would take writes first
    for _ in 0..disk.tier.pool.threads() {
        begins.recv_timeout(Duration::from_secs(60)).expect("every thread is held");
    }
    let mut taken = 0_u128;
    while disk.put(10 + taken, 1, Vec::new(), vec![Bytes::from_static(&[7; CHUNK])]) {
        taken += 1;
        assert!(taken < 10_000, "no end");
    }
    assert_eq!(taken, 32 * MIB as u128 / CHUNK as u128);
    assert!(!disk.contains(10 + taken));
    assert!(disk.put(1000, 1, Vec::new(), Vec::new()), "number and bytes are one limit");
    let mut reads = 0;
    while disk.tier.pool.read(1024 * 1024, |_| {}) {
        reads += 1;
        assert!(reads < 10_000, "no end");
    }
    assert!((200..=256).contains(&reads), "{reads}");
    assert!(disk.whole(1).await.is_none());
    drop(hold);
    disk.settle();
    assert!(is_served(&disk, 1).await);
    assert_eq!(disk.stats().objects as u128, taken + 2);
}
