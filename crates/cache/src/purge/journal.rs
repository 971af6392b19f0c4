//! The journal: every purge in force, on disk.
//!
//! Records of one size, each with a checksum, appended and synced before a purge is acknowledged. A record that does not check
//! with none behind it that does was being written when the process ended: nobody was told that it is there. One with good
//! records behind it was damaged later. The file is written anew beside itself and renamed when it holds much that is of no use.

use std::fs::{self, File, OpenOptions};
use std::hash::Hasher as _;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use siphasher::sip::SipHasher13;

use super::ledger::Shared;
use super::rules::{Marks, Rules};
use super::{Kind, Sequence};

const NAME: &str = "journal";
const NEW: &str = "journal.new";
/// Bytes of a record.
pub(super) const RECORD: usize = 40;
const CHECKED: usize = RECORD - size_of::<u64>();
const KEYS: (u64, u64) = (0x6a6f_7572_6e61_6c20, 0x6f66_2070_7572_6765);
/// The first record: which format follows.
const FORMAT: u8 = 0xf1;
const MAGIC: u128 = u128::from_le_bytes(*b"leeward purges 1");
/// No sequence above this one was given out: see [`AHEAD`].
const CLOCK: u8 = 0xc1;
const SOFT: u8 = 1;
/// How far the journal is ahead of the sequences that are given out, in microseconds: it is written once in half of this while
/// objects are stored, and sequences are as far ahead of the clock after a crash.
const AHEAD: Sequence = 10 * 60 * 1_000_000;
/// Records of no use that are not worth a new file.
const SLACK: u64 = 4096;

/// One mark of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: u128,
    pub(super) marks: Marks,
}

/// What the file said.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) rules: Rules,
    /// No sequence above it was given out.
    pub(super) highest: Sequence,
    /// What is wrong with the file.
    pub(super) broken: Option<&'static str>,
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    /// Absent when it has to be written anew: after a failed write nobody knows what is in it.
    file: Option<File>,
    records: u64,
    /// The last purge that is in it.
    written: u64,
    /// Sequences up to here are never given out again.
    ahead: Sequence,
}

impl Journal {
    /// Reads what is there. The file has to be written anew before anything is appended.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Found)> {
        fs::create_dir_all(directory)?;
        if let Some(parent) = directory.parent() {
            // else a power failure could take the directory with everything in it
            File::open(parent)?.sync_all()?;
        }
        let found = match File::open(directory.join(NAME)) {
            Ok(file) => read(BufReader::new(file))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::default(),
            Err(error) => return Err(error),
        };
        let journal = Self { directory: directory.to_owned(), file: None, records: 0, written: 0, ahead: 0 };
        Ok((journal, found))
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether the sequences given out come near to what the journal says of them.
    pub(super) fn behind(&self, highest: Sequence) -> bool {
        self.file.is_none() || self.ahead < highest.saturating_add(AHEAD / 2)
    }

    /// Writes and syncs what is not in the file yet. Blocks.
    pub(super) fn write(&mut self, shared: &Shared) -> io::Result<()> {
        let useless = self.records.saturating_sub(2 * shared.rules.load().len() as u64);
        let Some(file) = self.file.as_mut().filter(|_| useless <= SLACK) else { return self.rewrite(shared) };
        let (records, number) = shared.unwritten();
        let mut bytes = Vec::with_capacity((records.len() + 1) * RECORD);
        for record in &records {
            record.encode(&mut bytes);
        }
        let highest = shared.highest();
        let ahead = (self.ahead < highest.saturating_add(AHEAD / 2)).then(|| highest.saturating_add(AHEAD));
        if let Some(ahead) = ahead {
            encode(CLOCK, 0, 0, ahead, 0, &mut bytes);
        }
        if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            // part of it may be there, and what comes next has to be readable: from memory, anew
            self.file = None;
            return Err(error);
        }
        self.records += (bytes.len() / RECORD) as u64;
        self.written = number;
        self.ahead = ahead.unwrap_or(self.ahead);
        Ok(())
    }

    /// What is in the file is not known any more.
    #[cfg(test)]
    pub(super) fn give_up(&mut self) {
        self.file = None;
    }

    /// Writes everything in force into a new file that takes the old one's place. Blocks.
    pub(super) fn rewrite(&mut self, shared: &Shared) -> io::Result<()> {
        self.file = None;
        let (rules, number) = shared.all();
        let ahead = shared.highest().saturating_add(AHEAD);
        let path = self.directory.join(NEW);
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
        let mut out = BufWriter::new(file);
        let mut bytes = Vec::new();
        encode(FORMAT, 0, 0, 0, MAGIC, &mut bytes);
        encode(CLOCK, 0, 0, ahead, 0, &mut bytes);
        rules.for_each(|name, marks| Record { name, marks: *marks }.encode(&mut bytes));
        out.write_all(&bytes)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&path, self.directory.join(NAME))?;
        File::open(&self.directory)?.sync_all()?;
        self.records = (bytes.len() / RECORD) as u64;
        (self.file, self.written, self.ahead) = (Some(file), number, ahead);
        Ok(())
    }
}

impl Record {
    /// One record for each mark.
    fn encode(&self, out: &mut Vec<u8>) {
        let Marks { hard, soft, kind, length } = self.marks;
        for (sequence, flags) in [(hard, 0), (soft, SOFT)] {
            if sequence > 0 {
                encode(kind.code(), flags, length, sequence, self.name, out);
            }
        }
    }
}

fn encode(code: u8, flags: u8, length: u32, sequence: Sequence, name: u128, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[code, flags, 0, 0]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&name.to_le_bytes());
    let sum = checksum(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&sum.to_le_bytes());
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
    hasher.write(bytes);
    hasher.finish()
}

/// What a record says.
enum Said {
    Format(u128),
    Clock(Sequence),
    Rule(Record),
}

/// `None` when it does not check, or says what this version does not know.
fn decode(bytes: &[u8; RECORD]) -> Option<Said> {
    let (checked, sum) = bytes.split_first_chunk::<CHECKED>()?;
    if checksum(checked) != u64::from_le_bytes(sum.try_into().ok()?) {
        return None;
    }
    let (&[code, flags, ..], rest) = checked.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (sequence, name) = rest.split_first_chunk()?;
    let (length, sequence) = (u32::from_le_bytes(*length), u64::from_le_bytes(*sequence));
    let name = u128::from_le_bytes(name.try_into().ok()?);
    Some(match code {
        FORMAT => Said::Format(name),
        CLOCK => Said::Clock(sequence),
        _ => {
            let (hard, soft) = if flags == SOFT { (0, sequence) } else { (sequence, 0) };
            Said::Rule(Record { name, marks: Marks { hard, soft, kind: Kind::of_code(code)?, length } })
        }
    })
}

fn read(mut file: impl Read) -> io::Result<Found> {
    let mut found = Found::default();
    let mut bytes = [0; RECORD];
    let (mut first, mut bad) = (true, false);
    while fill(&mut file, &mut bytes)? {
        let said = decode(&bytes);
        if first && !matches!(said, Some(Said::Format(name)) if name == MAGIC) {
            found.broken = Some("its first record is none of this version");
        }
        first = false;
        let Some(said) = said else {
            bad = true;
            continue;
        };
        if bad {
            found.broken = found.broken.or(Some("a record with others behind it does not check"));
        }
        match said {
            Said::Format(_) => {}
            Said::Clock(sequence) => found.highest = found.highest.max(sequence),
            Said::Rule(Record { name, marks }) => {
                found.highest = found.highest.max(marks.latest());
                found.rules.put(name, marks);
            }
        }
    }
    if first {
        // it is renamed into place with records in it, so it was cut
        found.broken = Some("it is empty");
    }
    Ok(found)
}

/// The next record; false at the end, where a part of one may be.
fn fill(file: &mut impl Read, bytes: &mut [u8; RECORD]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
