//! Files that are not what was written: they are found out, counted, removed, and fetched again.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use leeward_tests::bulk::{Plan, Source};
use leeward_tests::edge::Edge;
use leeward_tests::turn;

use super::{Chance, cache_of, client, files, setup};

const SMALL: u64 = 260;
const MIDDLE: u64 = 30;
/// More than the edge reads whole before it answers.
const LARGE: u64 = 10;
const DAMAGED: usize = 200;

fn path(number: u64) -> String {
    match number {
        _ if number < SMALL => format!("/small/{number}"),
        _ if number < SMALL + MIDDLE => format!("/middle/{number}"),
        _ => format!("/large/{number}"),
    }
}

fn size_of(path: &str) -> u64 {
    let number: u64 = path.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    match path.split('/').nth(1) {
        Some("small") => 1 + number * 77,
        Some("middle") => 300_000 + number,
        _ => 3_000_000 + number,
    }
}

/// What happens to a file. Answers what was done, for the message of a failure.
fn damage(file: &Path, other: &Path, kind: u64, chance: &mut Chance) -> String {
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let length = std::fs::metadata(file).unwrap().len();
    match kind {
        0 => {
            let (handle, at, mut byte) = (open(), chance.below(length), [0]);
            handle.read_exact_at(&mut byte, at).unwrap();
            handle.write_all_at(&[byte[0] ^ (1 << chance.below(8))], at).unwrap();
            format!("one bit flipped at {at} of {length}")
        }
        1 => {
            let to = chance.below(length);
            open().set_len(to).unwrap();
            format!("cut from {length} to {to}")
        }
        2 => {
            let (from, bytes) = (chance.below(length), 1 + chance.below(5000));
            let zeros = vec![0; usize::try_from(bytes.min(length - from)).unwrap()];
            open().write_all_at(&zeros, from).unwrap();
            format!("{} zeros at {from} of {length}", zeros.len())
        }
        3 => {
            let between = file.with_extension("between");
            std::fs::rename(file, &between).unwrap();
            std::fs::rename(other, file).unwrap();
            std::fs::rename(&between, other).unwrap();
            "swapped with another".into()
        }
        4 => {
            std::fs::rename(file, other).unwrap();
            "renamed over another".into()
        }
        5 => {
            std::fs::write(file, vec![0xa5; usize::try_from(length).unwrap()]).unwrap();
            format!("{length} bytes overwritten")
        }
        6 => {
            open().write_all_at(b"more", length).unwrap();
            "four bytes longer".into()
        }
        _ => {
            std::fs::remove_file(file).unwrap();
            "removed".into()
        }
    }
}

fn damage_many(cache: &Path) -> Vec<(PathBuf, String)> {
    let mut chance = Chance::new(42);
    let mut left = files(cache);
    left.sort();
    let mut done = Vec::new();
    while done.len() < DAMAGED {
        let pick = |left: &mut Vec<PathBuf>, chance: &mut Chance| {
            let at = chance.below(left.len() as u64);
            left.swap_remove(usize::try_from(at).unwrap())
        };
        let file = pick(&mut left, &mut chance);
        let kind = done.len() as u64 % 8;
        let other = if matches!(kind, 3 | 4) { pick(&mut left, &mut chance) } else { PathBuf::new() };
        let what = damage(&file, &other, kind, &mut chance);
        done.push((file, what));
    }
    done
}

fn corrupt(edge: &Edge) -> f64 {
    edge.metrics().sum("leeward_cache_disk_corrupt_total", &[])
}

#[test]
fn damaged_files_are_found_out_counted_and_fetched_again() {
    let _beside = turn::beside();
    let all = SMALL + MIDDLE + LARGE;
    let source = Source::start(|asked| Plan::stored(size_of(asked.path)));
    let mut edge = Edge::start(&setup(&source, "16MiB", "1GiB"));
    client(&edge, 4).get(0..all, path).all_right("filling");
    super::wait_for_objects(&edge, all);
    edge.halt();
    let done = damage_many(&cache_of(&edge));
    edge.start_again();
    // A large object is on its way to the client before its last bytes are read: there a damage can only break the answer off.
    let tally = client(&edge, 4).ask(0..all, |number| (path(number), String::new()), &|_| None);
    let list = || done.iter().map(|(file, what)| format!("{}: {what}", file.display())).collect::<Vec<_>>().join("\n");
    assert_eq!(tally.wrong, 0, "{:?}\n{}", tally.told, list());
    assert!(tally.lost <= LARGE, "{} answers were lost: {:?}\n{}", tally.lost, tally.told, list());
    assert_eq!(tally.statuses.keys().copied().collect::<Vec<_>>(), [200], "{:?}", tally.told);
    let counted = corrupt(&edge);
    eprintln!("{} files damaged, {counted} counted, {} hits, {} answers lost", done.len(), tally.hits, tally.lost);
    assert!(counted >= 100.0, "{counted} damaged files are counted of {}", done.len());
    // A quarter of the damages concerns two files; a flipped bit may be in a place that does not count.
    let spared = all - DAMAGED as u64 * 5 / 4;
    assert!((spared..=2 * spared + 50).contains(&tally.hits), "{} hits, {spared} files were spared", tally.hits);
    // By now everything was fetched again.
    let again = client(&edge, 4).get(0..all, path);
    again.all_right("the second time");
    client(&edge, 4).get(0..all, path).all_right("the third time");
    edge.halt();
    edge.start_again();
    let last = client(&edge, 4).get(0..all, path);
    last.all_right("after another start");
    assert_eq!(last.hits, all, "hits after another start");
    edge.stop();
}

/// Damaged while it runs: memory may hide it, disk must not.
#[test]
fn files_damaged_while_the_edge_runs_harm_nobody() {
    let _beside = turn::beside();
    let all = SMALL + MIDDLE + LARGE;
    let source = Source::start(|asked| Plan::stored(size_of(asked.path)));
    let edge = Edge::start(&setup(&source, "16MiB", "1GiB"));
    client(&edge, 4).get(0..all, path).all_right("filling");
    super::wait_for_objects(&edge, all);
    let _ = damage_many(&cache_of(&edge));
    let tally = client(&edge, 4).get(0..all, path);
    assert!(tally.wrong == 0 && tally.lost <= LARGE, "{} wrong, {} lost: {:?}", tally.wrong, tally.lost, tally.told);
    assert_eq!(tally.statuses.keys().copied().collect::<Vec<_>>(), [200], "{:?}", tally.told);
    client(&edge, 4).get(0..all, path).all_right("the second time");
}
