//! The index file: the order of use, for the next start.
//!
//! ```text
//! magic (8) | seed (16) | blocks: count (4) | records of 32 bytes | checksum (4) ... | a block of no records
//! ```
//!
//! What it says is a hint: every object checks itself when it is read, and a look at the names puts right what is missing or too much.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::directory::Directory;
use super::index::Index;
use super::layout::Fields;
use super::name::{Name, Version};
use super::order::Standing;

/// The file's name.
pub(super) const FILE: &str = "index";

/// Begins the file; its last digit is the version of this format.
const MAGIC: [u8; 8] = *b"lw-use-1";

/// Records under one checksum at most.
const BLOCK: usize = 1024;

/// Bytes of one record.
const RECORD: usize = 32;

/// The parts of a record's last number: uses, which queue; the length above.
const USES: u64 = 0b11;
const IN_MAIN: u64 = 1 << 2;
const LENGTH_SHIFT: u32 = 16;

fn put(standing: &Standing, to: &mut Vec<u8>) {
    let Standing { name, in_main, uses } = *standing;
    let main = if in_main { IN_MAIN } else { 0 };
    to.extend(name.version.place.to_le_bytes());
    to.extend(name.version.generation.to_le_bytes());
    to.extend((name.length << LENGTH_SHIFT | main | u64::from(uses) & USES).to_le_bytes());
}

fn take(fields: &mut Fields<'_>) -> Option<Standing> {
    let place = u128::from_le_bytes(fields.take()?);
    let generation = u64::from_le_bytes(fields.take()?);
    let packed = u64::from_le_bytes(fields.take()?);
    let name = Name::new(Version { place, generation }, packed >> LENGTH_SHIFT)?;
    Some(Standing { name, in_main: packed & IN_MAIN != 0, uses: (packed & USES) as u8 })
}

/// Writes the index file anew.
pub(super) fn save(directory: &Directory, index: &Index) -> io::Result<()> {
    directory.replace(FILE, |file| {
        let mut to = BufWriter::new(file);
        write(&directory.seed(), index, &mut to)?;
        to.flush()
    })
}

fn write(seed: &[u8; 16], index: &Index, to: &mut impl Write) -> io::Result<()> {
    to.write_all(&MAGIC)?;
    to.write_all(seed)?;
    let mut block = Vec::with_capacity(8 + BLOCK * RECORD);
    for standings in (0..).map_while(|shard| index.standings(shard)) {
        for standings in standings.chunks(BLOCK) {
            write_block(standings, &mut block, to)?;
        }
    }
    write_block(&[], &mut block, to)
}

fn write_block(standings: &[Standing], block: &mut Vec<u8>, to: &mut impl Write) -> io::Result<()> {
    block.clear();
    block.extend(u32::try_from(standings.len()).unwrap_or(0).to_le_bytes());
    standings.iter().for_each(|standing| put(standing, block));
    block.extend(crc32c::crc32c(block).to_le_bytes());
    to.write_all(block)
}

/// What became of reading the index file.
#[derive(Debug)]
pub(super) enum Restored {
    /// All of it was taken in.
    Whole,
    /// There is none.
    Missing,
    /// It is damaged, or of another directory; what its whole blocks say was taken in.
    Broken(io::Error),
}

/// Takes in what the index file says of files of at most so many bytes.
pub(super) fn restore(directory: &Directory, index: &Index, most: u64) -> Restored {
    // What is too long for a smaller budget is found, and removed, by its name.
    let take_in = |standing: Standing| {
        if standing.name.length <= most {
            index.restore(standing);
        }
    };
    match read(&directory.root().join(FILE), &directory.seed(), take_in) {
        Ok(()) => Restored::Whole,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Restored::Missing,
        Err(error) => Restored::Broken(error),
    }
}

fn read(path: &Path, seed: &[u8; 16], mut take_in: impl FnMut(Standing)) -> io::Result<()> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut from = BufReader::new(File::open(path)?);
    let mut start = [0; 24];
    from.read_exact(&mut start)?;
    if start.strip_prefix(&MAGIC) != Some(seed) {
        return Err(broken("not of this directory"));
    }
    let mut block = Vec::with_capacity(8 + BLOCK * RECORD);
    loop {
        let mut count = [0; 4];
        from.read_exact(&mut count)?;
        let records = u32::from_le_bytes(count) as usize;
        if records > BLOCK {
            return Err(broken("a block is too long"));
        }
        block.clear();
        block.extend(count);
        from.by_ref().take((records * RECORD) as u64).read_to_end(&mut block)?;
        let mut seal = [0; 4];
        from.read_exact(&mut seal)?;
        if crc32c::crc32c(&block) != u32::from_le_bytes(seal) {
            return Err(broken("a block is damaged"));
        }
        if records == 0 {
            return Ok(());
        }
        let mut fields = Fields(block.get(4..).unwrap_or_default());
        while let Some(standing) = take(&mut fields) {
            take_in(standing);
        }
    }
}
