//! The 128-bit names of rules: what a rule and a stored object have to share.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::{Kind, Side};

/// The same in every process and version: names are on disk. Somebody who finds two texts with one name gains that both are
/// purged when one is.
const KEYS: (u64, u64) = (0x6c65_6577_6172_6421, 0x7075_7267_6573_2031);

fn begin(kind: Kind) -> SipHasher13 {
    let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
    hasher.write(&[kind.code()]);
    hasher
}

fn finish(hasher: &SipHasher13) -> u128 {
    hasher.finish128().as_u128()
}

/// Framed by its length, so that what follows cannot be taken for a part of it.
fn field(hasher: &mut SipHasher13, bytes: &[u8]) {
    hasher.write(&(bytes.len() as u64).to_be_bytes());
    hasher.write(bytes);
}

fn at(kind: Kind, side: Side, host: &[u8]) -> SipHasher13 {
    let mut hasher = begin(kind);
    hasher.write(&[side.code()]);
    field(&mut hasher, host);
    hasher
}

pub(super) fn url(side: Side, host: &[u8], path: &[u8], query: Option<&[u8]>) -> u128 {
    let mut hasher = at(if query.is_some() { Kind::Query } else { Kind::Url }, side, host);
    field(&mut hasher, path);
    field(&mut hasher, query.unwrap_or_default());
    finish(&hasher)
}

pub(super) fn host(side: Side, host: &[u8]) -> u128 {
    finish(&at(Kind::Host, side, host))
}

pub(super) fn tag(tag: &[u8]) -> u128 {
    let mut hasher = begin(Kind::Tag);
    field(&mut hasher, tag);
    finish(&hasher)
}

/// The names of the prefixes of one path, in growing order, each byte hashed once.
pub(super) struct Prefixes<'p> {
    hasher: SipHasher13,
    path: &'p [u8],
    hashed: usize,
}

impl<'p> Prefixes<'p> {
    pub(super) fn new(side: Side, host: &[u8], path: &'p [u8]) -> Self {
        Self { hasher: at(Kind::Prefix, side, host), path, hashed: 0 }
    }

    /// The name of the prefix with this many bytes; `None` when the path is shorter. Lengths may not shrink.
    pub(super) fn upto(&mut self, length: usize) -> Option<u128> {
        self.hasher.write(self.path.get(self.hashed..length)?);
        self.hashed = length;
        Some(finish(&self.hasher))
    }
}
