//! What stands in an object's file.
//!
//! ```text
//! body | head slot 0 | head slot 1 | checksum of each chunk of the body | trailer
//! ```
//!
//! A slot is `sequence (8) | length (4) | checksum (4) | head | spare`; the valid one of the higher sequence counts, and a new head
//! goes into the other. Numbers are little-endian, checksums CRC-32C. Every checksum begins with the place, the generation, the
//! part and its number, so that bytes from another file, or from elsewhere in the same one, do not pass.

use super::CHUNK;
use super::name::{Name, Version};

/// Bytes of the trailer.
pub(super) const TRAILER: usize = 64;

/// Begins every trailer; its last digit is the version of this format.
const MAGIC: [u8; 8] = *b"leeward1";

/// Bytes of a slot before the head.
const SLOT_FRAME: usize = 16;

/// Bytes of a head at most.
pub(super) const MOST_HEAD: usize = 256 * 1024;

/// Bytes of a slot at most: the largest head and its spare room.
const MOST_SLOT: usize = 512 * 1024;

/// Spare room of a slot, at least and as a part of the head: a revalidation adds or lengthens a few fields.
const SPARE: usize = 256;
const SPARE_SHARE: usize = 4;

/// Slots are whole multiples of this.
const SLOT_STEP: usize = 64;

/// Bytes of one checksum.
const SUM: usize = 4;

/// Which part of a file a checksum is of.
#[derive(Debug, Clone, Copy)]
enum Part {
    Chunk = 1,
    Slot = 2,
    Table = 3,
    Trailer = 4,
}

fn sum(version: Version, part: Part, number: u64, data: &[u8]) -> u32 {
    let mut seed = [0; 33];
    let (place, rest) = seed.split_at_mut(16);
    let (generation, rest) = rest.split_at_mut(8);
    let (kind, index) = rest.split_at_mut(1);
    place.copy_from_slice(&version.place.to_le_bytes());
    generation.copy_from_slice(&version.generation.to_le_bytes());
    kind.fill(part as u8);
    index.copy_from_slice(&number.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&seed), data)
}

/// The checksum of one chunk of the body.
pub(super) fn chunk_sum(version: Version, index: u64, data: &[u8]) -> u32 {
    sum(version, Part::Chunk, index, data)
}

/// Where everything stands in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes of the body.
    pub(super) body: u64,
    slot: u32,
    table_sum: u32,
}

impl Layout {
    /// Reads a trailer. `None` unless it is that of a file of exactly this name, in this version of the format.
    pub(super) fn parse(trailer: &[u8], name: &Name) -> Option<Self> {
        let (sealed, seal) = trailer.split_last_chunk::<SUM>()?;
        if trailer.len() != TRAILER || u32::from_le_bytes(*seal) != sum(name.version, Part::Trailer, 0, sealed) {
            return None;
        }
        let mut fields = Fields(sealed);
        let magic = fields.take::<8>()?;
        let place = u128::from_le_bytes(fields.take()?);
        let generation = u64::from_le_bytes(fields.take()?);
        let body = u64::from_le_bytes(fields.take()?);
        let slot = u32::from_le_bytes(fields.take()?);
        let chunk = u32::from_le_bytes(fields.take()?);
        let spare = u64::from_le_bytes(fields.take()?);
        let table_sum = u32::from_le_bytes(fields.take()?);
        let known = magic == MAGIC && chunk as usize == CHUNK && spare == 0;
        let layout = Self { body, slot, table_sum };
        let fits = (SLOT_FRAME..=MOST_SLOT).contains(&(slot as usize)) && layout.file_length() == Some(name.length);
        (known && fits && Version { place, generation } == name.version).then_some(layout)
    }

    /// Bytes of the file; `None` when they are too many to count.
    fn file_length(&self) -> Option<u64> {
        let table = self.chunks().checked_mul(SUM as u64)?;
        self.body.checked_add(2 * u64::from(self.slot))?.checked_add(table)?.checked_add(TRAILER as u64)
    }

    /// Chunks of the body.
    pub(super) fn chunks(&self) -> u64 {
        self.body.div_ceil(CHUNK as u64)
    }

    /// Where a chunk begins and how long it is; `None` beyond the body.
    pub(super) fn chunk(&self, index: u64) -> Option<(u64, usize)> {
        let start = index.checked_mul(CHUNK as u64).filter(|start| *start < self.body)?;
        Some((start, usize::try_from(self.body - start).map_or(CHUNK, |left| left.min(CHUNK))))
    }

    /// Bytes of everything after the body.
    pub(super) fn tail_length(&self) -> u64 {
        2 * u64::from(self.slot) + self.chunks() * SUM as u64 + TRAILER as u64
    }

    /// Takes apart what stands after the body. `None` when the table of checksums is damaged.
    pub(super) fn tail<'a>(&self, version: Version, tail: &'a [u8]) -> Option<Tail<'a>> {
        let (slots, rest) = tail.split_at_checked(2 * self.slot as usize)?;
        let (table, _) = rest.split_at_checked(usize::try_from(self.chunks()).ok()?.checked_mul(SUM)?)?;
        (sum(version, Part::Table, 0, table) == self.table_sum).then_some(Tail { slots, table })
    }

    /// Bytes of both slots.
    pub(super) fn slots_length(&self) -> usize {
        2 * self.slot as usize
    }

    /// The head that counts in the two slots.
    pub(super) fn head<'a>(&self, version: Version, slots: &'a [u8]) -> Option<Head<'a>> {
        let (first, second) = slots.split_at_checked(self.slot as usize)?;
        let both = [(0, first), (1, second)].into_iter().filter_map(|(number, slot)| {
            let mut fields = Fields(slot);
            let sequence = u64::from_le_bytes(fields.take()?);
            let length = u32::from_le_bytes(fields.take()?);
            let seal = u32::from_le_bytes(fields.take()?);
            let bytes = fields.0.get(..length as usize)?;
            (seal == slot_sum(version, number, sequence, bytes)).then_some(Head { number, sequence, bytes })
        });
        both.max_by_key(|head| head.sequence)
    }

    /// The next head's slot: where it goes in the file, and its bytes. `None` when it does not fit.
    pub(super) fn next_slot(&self, version: Version, after: &Head<'_>, head: &[u8]) -> Option<(u64, Vec<u8>)> {
        if SLOT_FRAME + head.len() > self.slot as usize {
            return None;
        }
        let number = 1 - after.number.min(1);
        let mut slot = Vec::with_capacity(SLOT_FRAME + head.len());
        put_slot(&mut slot, version, number, after.sequence.checked_add(1)?, head);
        Some((self.body + number * u64::from(self.slot), slot))
    }
}

/// What stands after the body, without the trailer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail<'a> {
    pub(super) slots: &'a [u8],
    table: &'a [u8],
}

impl Tail<'_> {
    /// The checksums of the chunks, in their order.
    pub(super) fn sums(&self) -> impl Iterator<Item = u32> {
        self.table.as_chunks::<SUM>().0.iter().map(|sum| u32::from_le_bytes(*sum))
    }
}

/// One valid head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    number: u64,
    pub(super) sequence: u64,
    pub(super) bytes: &'a [u8],
}

/// Everything after the body of a new object. `None` when the head is longer than [`MOST_HEAD`].
pub(super) fn new_tail(version: Version, head: &[u8], body: u64, sums: &[u32]) -> Option<Vec<u8>> {
    if head.len() > MOST_HEAD {
        return None;
    }
    let room = SLOT_FRAME + head.len() + SPARE.max(head.len() / SPARE_SHARE);
    let slot = room.next_multiple_of(SLOT_STEP);
    let mut tail = Vec::with_capacity(2 * slot + sums.len() * SUM + TRAILER);
    put_slot(&mut tail, version, 0, 1, head);
    tail.resize(2 * slot, 0);
    let table = tail.len();
    tail.extend(sums.iter().flat_map(|sum| sum.to_le_bytes()));
    let table_sum = sum(version, Part::Table, 0, tail.get(table..)?);
    let trailer = tail.len();
    tail.extend(MAGIC);
    tail.extend(version.place.to_le_bytes());
    tail.extend(version.generation.to_le_bytes());
    tail.extend(body.to_le_bytes());
    tail.extend(u32::try_from(slot).ok()?.to_le_bytes());
    tail.extend(u32::try_from(CHUNK).ok()?.to_le_bytes());
    tail.extend(0_u64.to_le_bytes());
    tail.extend(table_sum.to_le_bytes());
    let seal = sum(version, Part::Trailer, 0, tail.get(trailer..)?);
    tail.extend(seal.to_le_bytes());
    Some(tail)
}

fn slot_sum(version: Version, number: u64, sequence: u64, head: &[u8]) -> u32 {
    crc32c::crc32c_append(sum(version, Part::Slot, number, &sequence.to_le_bytes()), head)
}

fn put_slot(to: &mut Vec<u8>, version: Version, number: u64, sequence: u64, head: &[u8]) {
    to.extend(sequence.to_le_bytes());
    to.extend(u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
    to.extend(slot_sum(version, number, sequence, head).to_le_bytes());
    to.extend(head);
}

/// Fixed-size fields, one after the other.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}
