//! The bytes of an HTTP/1 head, before a parser has seen them.

use super::{HEADERS_TOO_LARGE, Refusal, URI_TOO_LONG, absolute, has_control, is_authority, malformed};

/// The parser takes no longer target (`http::Uri`), whatever the limit.
const MAX_TARGET: usize = 65_000;
/// The parser takes no more fields, whatever the limit.
const MAX_FIELDS: usize = 250;
/// No number of more digits fits what lengths are counted in.
const MAX_DIGITS: usize = 18;
/// What is wrong with a `Transfer-Encoding`.
const OTHER_CODING: &str = "Transfer-Encoding other than chunked";

/// What says where the body of a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    Chunked,
    /// What follows may be another protocol.
    Open,
}

/// Checks the bytes of an HTTP/1 head for what the parser repairs before anyone can see it: a request line of more than
/// three words, both lengths (it drops one), folded lines, and lines that end without a carriage return; and for what it refuses
/// by itself, without a word: what is wrong with Host and framing among it, which [`super::check`] sees over HTTP/2.
///
/// # Errors
/// The first rule broken.
pub(crate) fn check_raw(head: &[u8]) -> Result<Framing, Refusal> {
    let head = head.strip_suffix(b"\r\n\r\n").ok_or(malformed("head does not end in an empty line"))?;
    let mut lines = lines(head);
    let first = lines.next().unwrap_or(Ok(b""))?;
    request_line(first)?;
    let mut seen = Seen::default();
    for line in lines {
        let line = line?;
        if line.first().is_some_and(|&byte| byte == b' ' || byte == b'\t') {
            return Err(malformed("folded line"));
        }
        let colon = memchr::memchr(b':', line).ok_or(malformed("field without a colon"))?;
        let name = line.get(..colon).unwrap_or_default();
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(malformed("field name is no token"));
        }
        if has_control(line) {
            return Err(malformed("control byte in a field value"));
        }
        seen.note(name, line.get(colon + 1..).unwrap_or_default())?;
    }
    seen.judge(first)?;
    Ok(seen.framing())
}

/// What decides whose request it is and where it ends.
#[derive(Default)]
struct Seen<'h> {
    fields: usize,
    host: Option<&'h [u8]>,
    length: Option<&'h [u8]>,
    coding: Option<&'h [u8]>,
    upgrade: bool,
}

impl<'h> Seen<'h> {
    fn note(&mut self, name: &[u8], value: &'h [u8]) -> Result<(), Refusal> {
        self.fields += 1;
        let (slot, twice) = match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = true;
                return Ok(());
            }
            4 if name.eq_ignore_ascii_case(b"host") => (&mut self.host, "more than one Host"),
            14 if name.eq_ignore_ascii_case(b"content-length") => (&mut self.length, "more than one Content-Length"),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => (&mut self.coding, OTHER_CODING),
            _ => return Ok(()),
        };
        let value = value.trim_ascii_start().trim_ascii_end();
        if slot.replace(value).is_some() { Err(malformed(twice)) } else { Ok(()) }
    }

    fn framing(&self) -> Framing {
        if self.upgrade {
            return Framing::Open;
        }
        if self.coding.is_some() {
            return Framing::Chunked;
        }
        let length = self.length.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        Framing::Length(length.unwrap_or(0))
    }

    fn judge(&self, request_line: &[u8]) -> Result<(), Refusal> {
        if self.fields > MAX_FIELDS {
            return Err(HEADERS_TOO_LARGE);
        }
        if let Some(coding) = self.coding {
            if self.length.is_some() {
                return Err(malformed("Content-Length with Transfer-Encoding"));
            }
            if !coding.eq_ignore_ascii_case(b"chunked") {
                return Err(malformed(OTHER_CODING));
            }
            if request_line.ends_with(b"1.0") {
                return Err(malformed("Transfer-Encoding outside HTTP/1.1"));
            }
        }
        if let Some(length) = self.length {
            if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
                return Err(malformed("Content-Length is no number"));
            }
            if length.len() > MAX_DIGITS {
                return Err(malformed("Content-Length beyond 2^53"));
            }
        }
        let target = request_line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        if !target.starts_with(b"/") && target != b"*" && !request_line.starts_with(b"CONNECT ") {
            let named = absolute(target).ok_or(malformed("target is no path"))?;
            if self.host.is_some_and(|host| !host.eq_ignore_ascii_case(named.as_bytes())) {
                return Err(malformed("Host differs from the target"));
            }
        }
        let is_host = |host: &[u8]| std::str::from_utf8(host).is_ok_and(is_authority);
        if self.host.is_some_and(|host| !is_host(host)) {
            return Err(malformed("Host is no host with an optional port"));
        }
        Ok(())
    }
}

fn request_line(line: &[u8]) -> Result<(), Refusal> {
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed("request line is not three words"));
    };
    if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
        return Err(malformed("method is no token"));
    }
    if target.is_empty() || target.iter().any(|&byte| byte <= b' ' || byte >= 0x7f) {
        return Err(malformed("forbidden byte in the target"));
    }
    if target.contains(&b'#') {
        return Err(malformed("fragment in the target"));
    }
    if !matches!(version, b"HTTP/1.1" | b"HTTP/1.0") {
        return Err(malformed("version is neither 1.1 nor 1.0"));
    }
    if target.len() > MAX_TARGET { Err(URI_TOO_LONG) } else { Ok(()) }
}

/// RFC 9110 5.6.2
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// What stands between line ends, each of which must be CR LF. Every byte of every request passes here.
fn lines(head: &[u8]) -> impl Iterator<Item = Result<&[u8], Refusal>> {
    let mut rest = Some(head);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((line, behind)) = memchr::memchr(b'\n', text).and_then(|end| text.split_at_checked(end)) else {
            return rest.take().map(Ok);
        };
        rest = behind.get(1..);
        Some(line.strip_suffix(b"\r").ok_or(malformed("line without a carriage return")))
    })
}
