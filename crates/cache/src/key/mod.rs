//! Cache keys: the parts that make two requests ask for the same object.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::OnceLock;

use pingora_cache::CacheKey;
use pingora_cache::key::HashBinary;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

#[cfg(test)]
mod tests;

/// The parts of a key, already decided by the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What the client used: `http` or `https`.
    pub scheme: &'a str,
    /// Which site or origin the path belongs to.
    pub host_component: &'a str,
    /// The normalised path.
    pub path: &'a str,
    /// The part of the query that counts, as sent; empty when none does.
    pub query: &'a [u8],
}

/// Builds the key of an object. Every part is framed by its length, so no two different [`Parts`] give the same bytes.
///
/// The 128-bit hash is computed here, once, with a secret key: clients cannot aim for collisions,
/// and [`crate::Store`] compares the whole key on a hit anyway.
#[must_use]
pub fn build(parts: &Parts<'_>) -> CacheKey {
    let fields = [parts.scheme.as_bytes(), parts.host_component.as_bytes(), parts.path.as_bytes(), parts.query];
    let size = fields.iter().map(|field| field.len() + LENGTH_BYTES).sum();
    let mut primary = Vec::with_capacity(size);
    for field in fields {
        frame(field, &mut primary);
    }
    let hash = keyed_hash(&primary);
    let mut key = CacheKey::new(primary, String::new());
    key.set_primary_bin_override(hash);
    key
}

const LENGTH_BYTES: usize = size_of::<u64>();

/// Appends a field with its length in front.
pub(crate) fn frame(field: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(field.len() as u64).to_be_bytes());
    out.extend_from_slice(field);
}

/// The two halves of the key of all hashes.
static SEED: OnceLock<(u64, u64)> = OnceLock::new();

/// Fixes the key of all hashes, before the first one: objects on disk are found by the hash of their key after a restart too.
/// Too late, it changes nothing; without it a key is drawn.
pub fn seed(seed: [u8; 16]) {
    let seed = u128::from_le_bytes(seed);
    let _ = SEED.set(((seed >> 64) as u64, seed as u64));
}

/// A 128-bit hash that only this process, and those that use the same directory, can predict.
pub(crate) fn keyed_hash(bytes: &[u8]) -> HashBinary {
    let (first, second) = *SEED.get_or_init(|| {
        let draw = || RandomState::new().build_hasher().finish();
        (draw(), draw())
    });
    let mut hasher = SipHasher13::new_with_keys(first, second);
    hasher.write(bytes);
    hasher.finish128().as_bytes()
}
