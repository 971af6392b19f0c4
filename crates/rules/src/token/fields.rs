//! The text of a signed token: its fields, and the escapes in them.

use std::borrow::Cow;
use std::net::IpAddr;

use smallvec::SmallVec;

/// Fields of a token.
const MAX_FIELDS: usize = 32;

/// A token's fields, as they stand in it.
#[derive(Default)]
pub(super) struct Fields<'t> {
    pub(super) ip: Option<&'t [u8]>,
    pub(super) start: Option<&'t [u8]>,
    pub(super) expires: Option<&'t [u8]>,
    pub(super) acl: Option<&'t [u8]>,
}

pub(super) fn split<'t>(text: &'t [u8], delimiter: &[u8]) -> impl Iterator<Item = &'t [u8]> {
    let mut rest = Some(text);
    let finder = memchr::memmem::Finder::new(delimiter).into_owned();
    std::iter::from_fn(move || {
        let text = rest?;
        match finder.find(text) {
            Some(at) => {
                rest = text.get(at + finder.needle().len()..);
                text.get(..at)
            }
            None => rest.take(),
        }
    })
}

/// Nothing for a token that says a thing twice, or carries what only the MAC is over: whoever put it there means to move the
/// border between the two.
pub(super) fn fields<'t>(text: &'t [u8], delimiter: &[u8]) -> Option<Fields<'t>> {
    let mut found = Fields::default();
    for (number, field) in split(text, delimiter).enumerate() {
        let at = memchr::memchr(b'=', field)?;
        let (name, value) = (field.get(..at)?, field.get(at + 1..)?);
        let slot = match name {
            b"ip" => &mut found.ip,
            b"st" => &mut found.start,
            b"exp" => &mut found.expires,
            b"acl" => &mut found.acl,
            b"url" | b"salt" | b"hmac" => return None,
            _ => continue,
        };
        if slot.replace(value).is_some() || number >= MAX_FIELDS {
            return None;
        }
    }
    Some(found)
}

pub(super) fn seconds(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// An address, escaped or not.
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    let plain: Cow<'_, [u8]> = percent_encoding::percent_decode(text).into();
    let ip: IpAddr = std::str::from_utf8(&plain).ok()?.parse().ok()?;
    Some(ip.to_canonical())
}

/// Form encoding as the reference generator does it: hexadecimal digits in lower case.
pub(super) fn escape(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b' ' => out.push('+'),
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => {
                out.push(char::from(*byte));
            }
            byte => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out
}

pub(super) fn hex(digits: &str) -> Option<SmallVec<[u8; 32]>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    digits.as_bytes().chunks(2).map(pair).collect()
}
