//! What a path holds.

use std::sync::LazyLock;

/// Bytes after which a body repeats: a prime, so that no two places a whole number of blocks apart look the same.
const PERIOD: usize = 1_048_573;
/// Longest piece handed out.
const PIECE: usize = 256 * 1024;
/// How far apart two versions of one path begin.
const STEP: u64 = 7919;

/// One period and a piece more, so that every piece is one slice.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(PERIOD + PIECE);
    while bytes.len() < PERIOD {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(PERIOD);
    bytes.extend_from_within(..PIECE);
    bytes
});

/// The body of a path at a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    start: usize,
}

impl Content {
    /// What an origin gives for a path (with its query) at a version.
    #[must_use]
    pub fn of(path: &str, version: u64) -> Self {
        // FNV-1a
        let hash = path
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let period = PERIOD as u64;
        let start = (hash % period + version.wrapping_mul(STEP) % period) % period;
        Self { start: usize::try_from(start).unwrap() }
    }

    /// Bytes from an offset on: at least one, at most `most`.
    #[must_use]
    pub fn piece(self, offset: u64, most: u64) -> &'static [u8] {
        let start = (self.start + usize::try_from(offset % PERIOD as u64).unwrap()) % PERIOD;
        let length = usize::try_from(most).unwrap_or(PIECE).min(PIECE);
        &BYTES[start..start + length]
    }

    /// Where bytes that should begin at an offset are wrong for the first time; none when they are right.
    #[must_use]
    pub fn differs(self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let mut at = 0;
        while at < bytes.len() {
            let wanted = self.piece(offset + at as u64, (bytes.len() - at) as u64);
            let got = &bytes[at..at + wanted.len()];
            if got != wanted {
                let first = got.iter().zip(wanted).position(|(got, wanted)| got != wanted).unwrap_or(0);
                return Some(offset + (at + first) as u64);
            }
            at += wanted.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Content;

    fn body(content: Content, length: u64) -> Vec<u8> {
        let mut body = Vec::new();
        while (body.len() as u64) < length {
            body.extend_from_slice(content.piece(body.len() as u64, length - body.len() as u64));
        }
        body
    }

    #[test]
    fn bytes_of_another_path_version_or_place_are_seen_to_differ() {
        let content = Content::of("/a", 1);
        let right = body(content, 3_000_000);
        assert_eq!(content.differs(0, &right), None);
        assert_eq!(content.differs(777_777, &right[777_777..]), None, "from within");
        let other = |content: Content| content.differs(0, &right).is_some();
        assert!(other(Content::of("/b", 1)), "another path");
        assert!(other(Content::of("/a", 2)), "another version");
        const CHUNK: usize = 128 * 1024;
        for blocks in 1..16 {
            assert_eq!(content.differs(0, &right[blocks * CHUNK..]), Some(0), "{blocks} chunks lost");
        }
        let mut flipped = right.clone();
        flipped[1_234_567] ^= 1;
        assert_eq!(content.differs(0, &flipped), Some(1_234_567), "one bit");
    }
}
