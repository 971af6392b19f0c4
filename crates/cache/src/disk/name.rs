//! What an object's file is called: everything the index needs stands in the name, so that a scan opens nothing.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

/// Bytes that a file system gives out at once; a file costs whole ones.
const BLOCK: u64 = 4096;

/// Digits of a place and of a generation.
const PLACE_DIGITS: usize = 32;
const GENERATION_DIGITS: usize = 16;

/// Digits of a length at most.
const LENGTH_DIGITS: usize = 12;

/// Lengths that a name can say: 48 bits.
const MOST_LENGTH: u64 = (1 << (4 * LENGTH_DIGITS as u64)) - 1;

/// One version of the object in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Version {
    pub(super) place: u128,
    pub(super) generation: u64,
}

/// A version and the length of its file in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) version: Version,
    pub(super) length: u64,
}

impl Name {
    /// `None` for a length that no name can say.
    pub(super) fn new(version: Version, length: u64) -> Option<Self> {
        (length <= MOST_LENGTH).then_some(Self { version, length })
    }

    /// Reads a file's name; only the one form that [`fmt::Display`] writes is a name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (place, rest) = text.split_at_checked(PLACE_DIGITS)?;
        let (generation, length) = rest.strip_prefix('-')?.split_at_checked(GENERATION_DIGITS)?;
        let length = length.strip_prefix('-').filter(|length| length.len() <= LENGTH_DIGITS)?;
        let version = Version {
            place: u128::from_str_radix(place, 16).ok()?,
            generation: u64::from_str_radix(generation, 16).ok()?,
        };
        let name = Self::new(version, u64::from_str_radix(length, 16).ok()?)?;
        (name.to_string() == text).then_some(name)
    }

    /// The folder of the file: the first byte of the place.
    pub(super) fn folder(&self) -> u8 {
        (self.version.place >> 120) as u8
    }

    /// Where the file stands under the tier's directory.
    pub(super) fn path(&self, root: &Path) -> PathBuf {
        let mut path = String::with_capacity(3 + PLACE_DIGITS + GENERATION_DIGITS + LENGTH_DIGITS + 2);
        // Writing to a string cannot fail.
        let _ = write!(path, "{:02x}/{self}", self.folder());
        root.join(path)
    }

    /// Bytes that the file takes of the budget.
    pub(super) fn cost(&self) -> u64 {
        cost(self.length)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}-{:016x}-{:x}", self.version.place, self.version.generation, self.length)
    }
}

/// Bytes that a file of this length takes of the budget.
pub(super) fn cost(length: u64) -> u64 {
    length.div_ceil(BLOCK).max(1).saturating_mul(BLOCK)
}
