use std::fs;
use std::os::unix::fs::FileExt as _;

use super::*;

/// Objects that are damaged.
const OBJECTS: u128 = 240;

fn length(place: u128) -> usize {
    match place % 6 {
        0 => 1024,
        1 => CHUNK,
        2 => 3 * CHUNK + 17,
        3 => WHOLE as usize + 3 * CHUNK,
        4 => 0,
        _ => 20_000,
    }
}

/// The file of a place.
fn file(root: &Path, place: u128) -> PathBuf {
    let start = format!("{place:032x}-");
    files(root)
        .into_iter()
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&start))
        .expect("a file")
}

/// One of many kinds of damage; `random` chooses where.
fn damage(root: &Path, place: u128, random: u64) {
    let path = file(root, place);
    let bytes = fs::read(&path).unwrap();
    let at = random as usize % bytes.len();
    let write = |bytes: &[u8]| fs::write(&path, bytes).unwrap();
    match place % 11 {
        0 => {
            let mut bytes = bytes;
            bytes[at] ^= 1 << (random >> 32 & 7);
            write(&bytes);
        }
        1 => write(&bytes[..at]),
        2 => write(&[]),
        3 => write(&vec![0; bytes.len()]),
        4 => {
            let mut bytes = bytes;
            let end = (at + 4096).min(bytes.len());
            bytes[at..end].fill(0);
            write(&bytes);
        }
        // Swapped with another.
        5 => {
            let other = file(root, place + 1);
            let between = root.join("between");
            fs::rename(&path, &between).unwrap();
            fs::rename(&other, &path).unwrap();
            fs::rename(&between, &other).unwrap();
        }
        // Already swapped, or not damaged at all.
        6 => {}
        // The first chunk in the place of the second.
        7 if bytes.len() > 2 * CHUNK => {
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all_at(&bytes[..CHUNK], CHUNK as u64).unwrap();
        }
        // Under the name of an object that does not exist.
        8 => {
            let renamed = path.to_str().unwrap().replace(&format!("{place:032x}"), &format!("{:032x}", place + 10_000));
            fs::rename(&path, renamed).unwrap();
        }
        // Says that it is very long.
        9 => {
            let name = path.file_name().unwrap().to_str().unwrap();
            let long = format!("{}-{:x}", name.rsplit_once('-').unwrap().0, 1_u64 << 40);
            fs::rename(&path, path.with_file_name(long)).unwrap();
        }
        _ => {
            let mut bytes = bytes;
            bytes.extend([7; 100]);
            write(&bytes);
        }
    }
}

/// Loads everything and compares; answers how much is left.
async fn compare(disk: &Disk) -> usize {
    let mut left = 0;
    for place in (0..OBJECTS).chain(10_000..10_000 + OBJECTS) {
        let Some((generation, found_head, found)) = disk.whole(place).await else { continue };
        assert_eq!((generation, found_head), (3, head(place, 3)));
        assert!(found == content(place, length(place)), "other bytes for {place}");
        left += 1;
    }
    left
}

async fn damaged(reopen: bool, with_index: bool) {
    let folder = folder();
    let disk = open(folder.path());
    for place in 0..OBJECTS {
        disk.store(place, 3, &content(place, length(place)));
    }
    let before = if reopen {
        disk.close(Duration::from_secs(10));
        None
    } else {
        Some(disk)
    };
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for place in 0..OBJECTS {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        damage(folder.path(), place, random >> 8);
    }
    if !with_index {
        fs::remove_file(folder.path().join("index")).unwrap();
    }
    let disk = before.unwrap_or_else(|| open(folder.path()));
    let left = compare(&disk).await;
    assert!((20..100).contains(&left), "{left} left of {OBJECTS}");
    let stats = disk.stats();
    assert!(stats.corrupt >= 80, "{stats:?}");
    assert_eq!(compare(&disk).await, left, "something came back");
    assert_eq!(disk.stats().corrupt, stats.corrupt, "something damaged was left");
    for place in 0..OBJECTS {
        disk.put(place, 4, head(place, 4), chunks(&content(place, 100)));
    }
    disk.settle();
    for place in 0..OBJECTS {
        assert_eq!(disk.whole(place).await, Some((4, head(place, 4), content(place, 100))));
    }
}

#[tokio::test]
async fn no_wrong_byte_is_served_of_files_damaged_while_they_are_in_use() {
    damaged(false, true).await;
}

#[tokio::test]
async fn no_wrong_byte_is_served_of_files_damaged_between_two_runs() {
    damaged(true, true).await;
}

#[tokio::test]
async fn no_wrong_byte_is_served_of_files_damaged_together_with_the_index() {
    damaged(true, false).await;
}

/// One object whose file is changed in every possible place.
async fn every_change(change: impl Fn(&mut Vec<u8>, usize)) {
    let folder = folder();
    let disk = open(folder.path());
    let content = content(1, 200);
    let length = {
        disk.store(1, 1, &content);
        fs::metadata(file(folder.path(), 1)).unwrap().len() as usize
    };
    let mut survived = 0;
    for at in 0..length {
        let generation = at as u64 + 2;
        disk.store(1, generation, &content);
        let path = file(folder.path(), 1);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes, at);
        fs::write(&path, bytes).unwrap();
        if let Some(found) = disk.whole(1).await {
            assert_eq!(found, (generation, head(1, generation), content.clone()), "changed at {at}");
            survived += 1;
        }
    }
    // The spare room of the slots is all that nobody reads.
    assert!(survived * 10 < length * 9, "{survived} of {length} changes were not noticed");
    assert_eq!(disk.stats().corrupt as usize, length - survived);
}

#[tokio::test]
async fn a_byte_that_differs_anywhere_changes_nothing_that_is_served() {
    every_change(|bytes, at| bytes[at] = bytes[at].wrapping_add(1)).await;
}

#[tokio::test]
async fn a_file_cut_anywhere_is_not_served() {
    every_change(|bytes, at| bytes.truncate(at)).await;
}

#[tokio::test]
async fn a_damaged_chunk_of_a_large_object_ends_the_reader_and_the_object() {
    let folder = folder();
    let disk = open(folder.path());
    let content = content(1, 12 * CHUNK);
    disk.store(1, 3, &content);
    let path = file(folder.path(), 1);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[content[9 * CHUNK] ^ 1], 9 * CHUNK as u64).unwrap();
    let Some(Loaded { body: LoadedBody::Large(mut reader), .. }) = disk.load(1).await else { panic!("not there") };
    let mut other = reader.clone();
    for index in 0..12_u64 {
        let expected = if index == 9 { Err(ReadError::Corrupt) } else { Ok(()) };
        let chunk = reader.chunk(index).await;
        if let Ok(chunk) = &chunk {
            assert!(chunk == &content[index as usize * CHUNK..(index as usize + 1) * CHUNK], "chunk {index}");
        }
        assert_eq!(chunk.map(drop), expected, "chunk {index}");
    }
    assert_eq!((disk.contains(1), disk.stats().corrupt, path.exists()), (false, 1, false));
    assert!(other.chunk(11).await.is_ok(), "who has it open cannot read on");
    assert_eq!(other.chunk(12).await, Err(ReadError::NotThere));
    assert_eq!(other.chunk(u64::MAX).await, Err(ReadError::NotThere));
}

#[tokio::test]
async fn a_new_head_is_loaded_with_the_old_body_and_one_that_does_not_fit_removes_the_object() {
    let folder = folder();
    let disk = open(folder.path());
    for (place, length) in [(1, 100), (2, 12 * CHUNK)] {
        disk.store(place, 3, &content(place, length));
        for number in 0..5_u8 {
            let new = vec![number; 200 + usize::from(number)];
            assert!(disk.update_head(place, 3, new.clone()).await);
            assert!(disk.whole(place).await == Some((3, new, content(place, length))), "head {number} of {place}");
        }
        assert!(!disk.update_head(place, 2, b"of another generation".to_vec()).await);
        // The slot that counts is torn: the one before counts.
        let path = file(folder.path(), place);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(100).position(|window| window == [4; 100]).expect("the last head");
        bytes[at + 20] = 0;
        fs::write(&path, bytes).unwrap();
        assert!(disk.whole(place).await == Some((3, vec![3; 203], content(place, length))));
        assert!(!disk.update_head(place, 3, vec![0; 5000]).await);
        assert_eq!((disk.whole(place).await, path.exists()), (None, false));
    }
    assert_eq!(disk.stats().bytes, 0);
}
