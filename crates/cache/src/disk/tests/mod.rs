use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;

use super::*;

mod damage;
mod failing;
mod formats;
mod objects;
mod policy;
mod restart;
mod spools;

const MIB: u64 = 1024 * 1024;

fn open(root: &Path) -> Arc<Disk> {
    open_with(root, 256 * MIB)
}

fn open_with(root: &Path, bytes: u64) -> Arc<Disk> {
    Disk::open(Options { path: root.to_owned(), bytes }).expect("opens")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Bytes that differ from object to object and from chunk to chunk.
fn content(place: u128, length: usize) -> Vec<u8> {
    let mut state = (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut content = Vec::with_capacity(length + 8);
    while content.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(length);
    content
}

fn chunks(content: &[u8]) -> Vec<Bytes> {
    content.chunks(CHUNK).map(Bytes::copy_from_slice).collect()
}

fn head(place: u128, generation: u64) -> Vec<u8> {
    format!("head of {place}, generation {generation}").into_bytes()
}

/// Waits for a condition that threads bring about.
fn wait(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Waits until the names of all files have been looked at.
fn all_in(disk: &Disk) {
    wait("the names are looked at", || disk.tier.all_in.borrow().is_some());
}

impl Disk {
    fn settle(&self) {
        assert!(self.tier.pool.settle(Duration::from_secs(60)), "writes do not end");
    }

    fn store(&self, place: u128, generation: u64, content: &[u8]) {
        assert!(self.put(place, generation, head(place, generation), chunks(content)), "{place} is not taken");
        self.settle();
    }

    /// The whole object.
    async fn whole(&self, place: u128) -> Option<(u64, Vec<u8>, Vec<u8>)> {
        let Loaded { generation, head, length, body } = self.load(place).await?;
        let mut content = Vec::new();
        match body {
            LoadedBody::Whole(chunks) => chunks.iter().for_each(|chunk| content.extend_from_slice(chunk)),
            LoadedBody::Large(mut reader) => {
                for index in 0..length.div_ceil(CHUNK as u64) {
                    content.extend_from_slice(&reader.chunk(index).await.ok()?);
                }
            }
        }
        assert_eq!(content.len() as u64, length, "the length that is said of {place}");
        Some((generation, head, content))
    }
}

/// Every object's file.
fn files(root: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.is_dir() && path.file_name().unwrap() != "tmp");
    let mut files = folders
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect::<Vec<_>>();
    files.sort();
    files
}
