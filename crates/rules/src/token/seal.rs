//! Version 3 of ectoken: base64url without padding of nonce, ciphertext and tag; AES-256-GCM under the SHA-256 of the key's text.
//! Source: delivery-and-security 4.4.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use super::base64;
use crate::grammar::Invalid;

/// Characters of the longest token.
pub const MAX_TOKEN: usize = 512;
/// Bytes of a nonce. Two tokens of one key must not share one: who has both can forge more.
pub const NONCE: usize = 12;
/// Bytes of a tag.
const TAG: usize = 16;
/// Bytes of the longest token, decoded.
const MAX_BYTES: usize = MAX_TOKEN / 4 * 3;
/// Characters of the longest key.
const MAX_KEY: usize = 250;

/// A key, ready to use: the passphrase is hashed and the cipher's schedule made once.
#[derive(Clone)]
pub struct Key(Aes256Gcm);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// The plaintext of a token.
pub type Sealed = SmallVec<[u8; MAX_BYTES]>;

/// Checks the text of a key: letters and digits, at most 250. The message never repeats it.
///
/// # Errors
/// What is wrong, for the end of a sentence.
pub fn key_text(bytes: &[u8]) -> Result<(), Invalid> {
    if bytes.is_empty() {
        return Err(Invalid::new("the key is empty"));
    }
    if bytes.len() > MAX_KEY {
        return Err(Invalid::new(format!("the key is longer than {MAX_KEY} characters")));
    }
    if !bytes.iter().all(u8::is_ascii_alphanumeric) {
        return Err(Invalid::new("the key has other characters than letters and digits"));
    }
    Ok(())
}

impl Key {
    /// The key of a passphrase. Any bytes are taken: [`key_text`] says what a configuration may have.
    #[must_use]
    pub fn new(passphrase: &[u8]) -> Self {
        Self(Aes256Gcm::new(&Sha256::digest(passphrase)))
    }

    /// Makes a token. The nonce must be random and never used again with this key.
    ///
    /// # Errors
    /// When the plaintext is empty, or so long that the token would be refused.
    pub fn encrypt(&self, plaintext: &str, nonce: [u8; NONCE]) -> Result<String, Invalid> {
        const ROOM: usize = MAX_BYTES - NONCE - TAG;
        if plaintext.is_empty() {
            return Err(Invalid::new("the text is empty"));
        }
        if plaintext.len() > ROOM {
            return Err(Invalid::new(format!(
                "the text has {} bytes: tokens longer than {MAX_TOKEN} characters are refused, so it may have {ROOM}",
                plaintext.len()
            )));
        }
        let mut bytes = Sealed::from_slice(&nonce);
        bytes.extend_from_slice(plaintext.as_bytes());
        let (_, body) = bytes.split_at_mut(NONCE);
        let tag = self
            .0
            .encrypt_inout_detached(&Nonce::from(nonce), &[], body.into())
            .map_err(|_| Invalid::new("the text is too long"))?;
        bytes.extend_from_slice(&tag);
        Ok(base64::encode(&bytes))
    }

    /// The plaintext of a token that this key made; nothing for any other text.
    #[must_use]
    pub fn decrypt(&self, token: &str) -> Option<Sealed> {
        let mut bytes = [0; MAX_BYTES];
        if token.len() > MAX_TOKEN {
            return None;
        }
        let length = base64::decode(token, &mut bytes)?;
        let (nonce, rest) = bytes.get_mut(..length)?.split_at_mut_checked(NONCE)?;
        let (body, tag) = rest.split_at_mut_checked(rest.len().checked_sub(TAG)?)?;
        if body.is_empty() {
            return None;
        }
        let nonce: [u8; NONCE] = (&*nonce).try_into().ok()?;
        let tag: [u8; TAG] = (&*tag).try_into().ok()?;
        // compares tags in constant time, and leaves no plaintext when they differ
        self.0.decrypt_inout_detached(&Nonce::from(nonce), &[], (&mut *body).into(), &Tag::from(tag)).ok()?;
        Some(Sealed::from_slice(body))
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
