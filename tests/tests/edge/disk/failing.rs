//! Disks that are full, cannot be written or are gone: what the origin can serve is served, and the tier comes back by itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use leeward_tests::bulk::{Plan, Source};
use leeward_tests::edge::Edge;
use leeward_tests::{turn, wait};

use super::{cache_of, client, files, on_disk, setup, setup_in};

const SIZE: u64 = 60_000;
/// How long after a disk works again objects are stored on it at the latest.
const RECOVERY: Duration = Duration::from_secs(10);

/// A small file system in memory, for as long as this lives; none where mounting is not allowed.
struct Mount(tempfile::TempDir);

impl Mount {
    fn small(size: &str) -> Option<Self> {
        let directory = tempfile::Builder::new().prefix("leeward-mount-").tempdir().unwrap();
        let options = format!("size={size},mode=0700");
        if !run("mount", &["-t", "tmpfs", "-o", &options, "leeward-test", &text(directory.path())]) {
            eprintln!("skipped: no file system can be mounted here");
            return None;
        }
        Some(Self(directory))
    }
    fn again(&self, options: &str) {
        let how = format!("remount,{options}");
        assert!(run("mount", &["-o", &how, &text(self.0.path())]), "remounting with {options}");
    }
    fn path(&self) -> String {
        text(&self.0.path().join("cache"))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: the edge of a failing test may still have it open.
        run("umount", &["-l", &text(self.0.path())]);
    }
}

/// A directory of which nothing can be written any more, for as long as this lives: it is mounted over itself. A file system
/// cannot be made read-only while files are open, as the edge's lock is.
struct ReadOnly(String);

impl ReadOnly {
    fn over(directory: &Path) -> Option<Self> {
        let path = text(directory);
        if !run("mount", &["--bind", &path, &path]) {
            eprintln!("skipped: nothing can be mounted here");
            return None;
        }
        let mounted = Self(path);
        assert!(run("mount", &["-o", "remount,bind,ro", &mounted.0]), "remounting {} read-only", mounted.0);
        std::fs::write(directory.join("probe"), "x").expect_err("the directory to be read-only");
        Some(mounted)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        run("umount", &["-l", &self.0]);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

fn errors(edge: &Edge) -> f64 {
    edge.metrics().sum("leeward_cache_disk_errors_total", &[])
}

/// Asks for objects that are not there yet, and for some that are, and counts what is not a right 200.
fn ask(edge: &Edge, group: &str, count: u64) {
    let tally = client(edge, 4).get(0..count, |number| format!("/{group}/{}", number / 2));
    tally.all_right(group);
}

/// New objects come to lie on disk again, soon.
fn recovers(edge: &Edge, what: &str) {
    let begun = Instant::now();
    let before = on_disk(edge);
    let mut number = 0;
    wait::until(&format!("objects to be stored on disk again after {what}"), RECOVERY + wait::PATIENCE, || {
        number += 1;
        let path = |n: u64| format!("/again-{}/{number}-{n}", what.len());
        client(edge, 1).get(0..4, path).all_right(what);
        wait::pause(Duration::from_millis(200));
        (on_disk(edge) > before).then_some(())
    });
    let took = begun.elapsed();
    eprintln!("stored on disk again {took:?} after {what}, {} errors counted", errors(edge));
    assert!(took < RECOVERY, "stored on disk again only {took:?} after {what}");
}

fn source() -> Source {
    Source::start(|asked| Plan::stored(if asked.path.starts_with("/large") { 3_000_000 } else { SIZE }))
}

#[test]
fn a_full_disk_fails_no_request_and_is_used_again_when_it_has_room() {
    let _beside = turn::beside();
    let Some(mount) = Mount::small("12m") else { return };
    let source = source();
    let edge = Edge::start(&setup_in(&mount.path(), &source, "16MiB", "1GiB"));
    // Somebody else takes what is left.
    let other = mount.0.path().join("of-somebody-else");
    ask(&edge, "before", 100);
    std::fs::write(&other, vec![1; 16 * 1024 * 1024]).expect_err("the disk to be full");
    ask(&edge, "full", 600);
    ask(&edge, "large", 20);
    assert!(errors(&edge) > 0.0, "a full disk is not counted");
    std::fs::remove_file(&other).unwrap();
    mount.again("size=200m");
    recovers(&edge, "a full disk");
    ask(&edge, "before", 100);
    edge.stop();
}

#[test]
fn a_disk_that_becomes_read_only_fails_no_request_and_is_used_again() {
    let _beside = turn::beside();
    let source = source();
    let edge = Edge::start(&setup(&source, "16MiB", "1GiB"));
    // More than memory holds.
    ask(&edge, "before", 800);
    super::wait_for_objects(&edge, 400);
    let Some(read_only) = ReadOnly::over(&cache_of(&edge)) else { return };
    let tally = client(&edge, 4).get(0..400, |number| format!("/before/{number}"));
    tally.all_right("what is there");
    assert_eq!(tally.hits, 400, "what is on a disk that can be read only is served from it");
    ask(&edge, "read-only", 200);
    ask(&edge, "large", 20);
    assert!(errors(&edge) > 0.0, "a disk that cannot be written is not counted");
    drop(read_only);
    recovers(&edge, "a read-only disk");
    edge.stop();
}

#[test]
fn a_limit_on_the_size_of_files_fails_no_request() {
    let _beside = turn::beside();
    let source = source();
    // Blocks of 1024 bytes in bash, of 512 in other shells: 256 or 512 KiB.
    let limited = ["bash", "-c", "trap '' XFSZ; ulimit -f 512; exec \"$@\"", "limited"];
    let edge = Edge::start(&setup(&source, "16MiB", "1GiB").under(&limited));
    ask(&edge, "before", 100);
    ask(&edge, "large", 20);
    ask(&edge, "after", 100);
    assert!(errors(&edge) > 0.0, "objects that cannot be written are not counted");
    let large = files(&cache_of(&edge))
        .into_iter()
        .filter(|file| std::fs::metadata(file).is_ok_and(|data| data.len() > 512 * 1024));
    assert_eq!(large.collect::<Vec<PathBuf>>(), Vec::<PathBuf>::new(), "files larger than the limit");
    recovers(&edge, "a limit on the size of files");
    edge.stop();
}

#[test]
fn a_directory_that_is_removed_fails_no_request_and_is_made_again() {
    let _beside = turn::beside();
    let source = source();
    let edge = Edge::start(&setup(&source, "16MiB", "1GiB"));
    ask(&edge, "before", 100);
    super::wait_for_objects(&edge, 50);
    std::fs::remove_dir_all(cache_of(&edge)).unwrap();
    ask(&edge, "before", 100);
    ask(&edge, "removed", 200);
    ask(&edge, "large", 20);
    recovers(&edge, "a removed directory");
    edge.stop();
}

#[test]
fn a_directory_that_is_no_directory_any_more_fails_no_request_and_is_used_again() {
    let _beside = turn::beside();
    let source = source();
    let edge = Edge::start(&setup(&source, "16MiB", "1GiB"));
    ask(&edge, "before", 100);
    super::wait_for_objects(&edge, 50);
    let (cache, away) = (cache_of(&edge), edge.directory().join("away"));
    std::fs::rename(&cache, &away).unwrap();
    std::fs::write(&cache, "in the way").unwrap();
    ask(&edge, "before", 100);
    ask(&edge, "in-the-way", 200);
    ask(&edge, "large", 20);
    assert!(errors(&edge) > 0.0, "a directory that is gone is not counted");
    std::fs::remove_file(&cache).unwrap();
    std::fs::rename(&away, &cache).unwrap();
    recovers(&edge, "a directory in the way");
    edge.stop();
}
