//! The normal form of a request path: one spelling for rules, cache keys and the origin, so that an access rule cannot be
//! dodged by writing a path differently.

use std::fmt;

use memchr::{memchr, memrchr};

/// Bytes of the longest path accepted. The server's own limit on request targets is lower.
pub const MAX_PATH: usize = 64 * 1024;

/// A path in normal form (RFC 3986 6.2.2): dot segments removed, escapes of unreserved characters decoded, other escapes in
/// upper case, `%2F` kept. Characters that may not stand in a URI are escaped. Empty segments are kept.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    text: Box<str>,
    /// End of the first component; it starts at 1.
    first_end: u32,
    /// Start of the filename.
    filename: u32,
    /// Start of what follows the filename's last dot; 0 when it has none.
    tail: u32,
}

/// Why a path has no normal form. The answer is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The text does not begin with `/`.
    #[error("the path does not begin with '/'")]
    NotAbsolute,
    /// More than [`MAX_PATH`] bytes.
    #[error("the path is longer than {MAX_PATH} bytes")]
    TooLong,
    /// A `%` without two hexadecimal digits.
    #[error("a '%' in the path is not followed by two hexadecimal digits")]
    BadEscape,
    /// A control byte, plain or escaped.
    #[error("the path contains a control byte")]
    Control,
    /// `?` or `#`: more than a path was given.
    #[error("a path holds neither '?' nor '#'")]
    NotAPath,
    /// A dot segment between encoded slashes (`..%2F`), which an origin that decodes slashes would follow.
    #[error("the path hides a dot segment behind an encoded slash")]
    HiddenDotSegment,
}

impl Path {
    /// Brings the path of a request target (no query) into its normal form.
    ///
    /// # Errors
    /// See [`PathError`]; each deserves a 400.
    pub fn normalise(raw: &str) -> Result<Self, PathError> {
        if !raw.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        if raw.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        if is_normal(raw) {
            return Ok(Self::from_normal(raw.to_owned()));
        }
        let escaped = normalise_escapes(raw)?;
        let text = remove_dot_segments(&escaped)?;
        if text.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        Ok(Self::from_normal(text))
    }

    fn from_normal(text: String) -> Self {
        let bytes = text.as_bytes();
        let first_end = memchr(b'/', bytes.get(1..).unwrap_or_default()).map_or(text.len(), |at| at + 1);
        let filename = memrchr(b'/', bytes).map_or(0, |at| at + 1);
        let name = bytes.get(filename..).unwrap_or_default();
        let tail = memrchr(b'.', name).map_or(0, |dot| filename + dot + 1);
        // MAX_PATH keeps every offset far below u32::MAX.
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            first_end: offset(first_end),
            filename: offset(filename),
            tail: offset(tail),
            text: text.into_boxed_str(),
        }
    }

    /// The whole path, beginning with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands between the first and the second slash (or the end); nothing for `/`.
    #[must_use]
    pub fn first_component(&self) -> Option<&str> {
        self.text.get(1..self.first_end as usize).filter(|text| !text.is_empty())
    }

    /// What follows the last slash; empty for a path that ends with one.
    #[must_use]
    pub fn filename(&self) -> &str {
        self.text.get(self.filename as usize..).unwrap_or("")
    }

    /// Everything up to and including the last slash.
    #[must_use]
    pub fn directory(&self) -> &str {
        self.text.get(..self.filename as usize).unwrap_or("")
    }

    /// What follows the filename's last dot, unless that dot is its first character or its last.
    #[must_use]
    pub fn extension(&self) -> Option<&str> {
        (self.tail > self.filename + 1).then(|| self.tail()).flatten().filter(|text| !text.is_empty())
    }

    /// What follows the filename's last dot, wherever that dot is: a superset of [`Path::extension`] for the index.
    pub(crate) fn tail(&self) -> Option<&str> {
        if self.tail == 0 { None } else { self.text.get(self.tail as usize..) }
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn push_escape(out: &mut String, byte: u8) {
    out.push('%');
    for digit in [byte >> 4, byte & 15] {
        out.push(char::from(HEX.get(usize::from(digit)).copied().unwrap_or(b'0')));
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Printable ASCII that may not stand in a URI's path unescaped; a client may send it either way.
fn must_be_escaped(byte: u8) -> bool {
    !byte.is_ascii() || matches!(byte, b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

/// Whether a path has no escape, nothing that needs one, and nothing that begins with a dot: then it is normal as it is, and most
/// are.
fn is_normal(raw: &str) -> bool {
    let mut before = 0;
    // without an early end: almost every path is
    raw.bytes().fold(true, |normal, byte| {
        let hidden = before == b'/' && byte == b'.';
        before = byte;
        let plain = byte > b' ' && byte < 0x7f && !matches!(byte, b'%' | b'?' | b'#') && !must_be_escaped(byte);
        normal & plain & !hidden
    })
}

/// One spelling for every escape. Rule values pass through here too, so that both sides of a comparison agree.
pub(crate) fn normalise_escapes(raw: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { return Err(PathError::BadEscape) };
                let decoded = u8::try_from(high * 16 + low).unwrap_or(0);
                if decoded.is_ascii_control() {
                    return Err(PathError::Control);
                }
                if is_unreserved(decoded) {
                    out.push(char::from(decoded));
                } else {
                    push_escape(&mut out, decoded);
                }
            }
            b'?' | b'#' => return Err(PathError::NotAPath),
            byte if byte.is_ascii_control() => return Err(PathError::Control),
            byte if must_be_escaped(byte) => push_escape(&mut out, byte),
            byte => out.push(char::from(byte)),
        }
    }
    Ok(out)
}

/// RFC 3986 5.2.4, on a path whose escapes are already normal. Linear: each segment is pushed and popped at most once.
fn remove_dot_segments(path: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    out.truncate(out.rfind('/').unwrap_or(0));
                }
                if last {
                    out.push('/');
                }
            }
            _ => {
                if hides_dot_segment(segment) {
                    return Err(PathError::HiddenDotSegment);
                }
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    Ok(out)
}

fn hides_dot_segment(segment: &str) -> bool {
    if !segment.contains("%2F") && !segment.contains("%5C") {
        return false;
    }
    segment.split("%2F").flat_map(|part| part.split("%5C")).any(|part| part == "." || part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_normal_form() {
        let table: &[(&str, Result<&str, PathError>)] = &[
            ("/", Ok("/")),
            ("/a/b", Ok("/a/b")),
            ("/a/./b", Ok("/a/b")),
            ("/a/../b", Ok("/b")),
            ("/a/..", Ok("/")),
            ("/a/b/..", Ok("/a/")),
            ("/a/b/.", Ok("/a/b/")),
            ("/..", Ok("/")),
            ("/../../a", Ok("/a")),
            ("/.", Ok("/")),
            ("//", Ok("//")),
            ("/a//b", Ok("/a//b")),
            ("/a//../b", Ok("/a/b")),
            ("/%7Euser/%41", Ok("/~user/A")),
            ("/%2e%2E/b", Ok("/b")),
            ("/static/%2e%2e/private", Ok("/private")),
            ("/a%2fb", Ok("/a%2Fb")),
            ("/a%c3%a9", Ok("/a%C3%A9")),
            ("/aé", Ok("/a%C3%A9")),
            ("/a b", Ok("/a%20b")),
            ("/{x}", Ok("/%7Bx%7D")),
            ("/a\\b", Ok("/a%5Cb")),
            ("/a...b", Ok("/a...b")),
            ("/...", Ok("/...")),
            ("/%00", Err(PathError::Control)),
            ("/%7f", Err(PathError::Control)),
            ("/\u{1}", Err(PathError::Control)),
            ("/%", Err(PathError::BadEscape)),
            ("/%4", Err(PathError::BadEscape)),
            ("/%zz", Err(PathError::BadEscape)),
            ("/%é", Err(PathError::BadEscape)),
            ("", Err(PathError::NotAbsolute)),
            ("*", Err(PathError::NotAbsolute)),
            ("a/b", Err(PathError::NotAbsolute)),
            ("/a?b", Err(PathError::NotAPath)),
            ("/a#b", Err(PathError::NotAPath)),
            ("/static/..%2Fprivate", Err(PathError::HiddenDotSegment)),
            ("/static/%2e%2e%5cprivate", Err(PathError::HiddenDotSegment)),
            ("/static/..\\private", Err(PathError::HiddenDotSegment)),
        ];
        for (raw, expected) in table {
            let got = Path::normalise(raw);
            assert_eq!(got.as_ref().map(Path::as_str), expected.as_ref().copied(), "{raw}");
        }
    }

    #[test]
    fn a_normal_form_is_its_own_normal_form() {
        for raw in ["/a/%7e/..%2e/x", "/é b/%2f/{}", "/a//..//b/./c.", "/%25%32%65"] {
            let once = Path::normalise(raw).unwrap();
            assert_eq!(Path::normalise(once.as_str()).unwrap(), once, "{raw}");
        }
    }

    #[test]
    fn what_is_taken_as_it_is_would_come_out_the_same() {
        let bytes = (0..=u8::MAX).map(char::from);
        let texts =
            bytes.flat_map(|byte| ["/", "/a", "/a/b.", "/%41", "//"].map(|text| format!("{text}{byte}{byte}/c")));
        let mut taken = 0;
        for raw in texts.filter(|raw| is_normal(raw)) {
            let normal = normalise_escapes(&raw).and_then(|escaped| remove_dot_segments(&escaped));
            assert_eq!(normal.as_deref(), Ok(raw.as_str()));
            taken += 1;
        }
        assert!(taken > 100, "{taken}");
    }

    #[test]
    fn parts_of_a_path() {
        // path; first component, directory, filename, extension
        type Parts = (&'static str, Option<&'static str>, &'static str, &'static str, Option<&'static str>);
        let table: &[Parts] = &[
            ("/", None, "/", "", None),
            ("/static", Some("static"), "/", "static", None),
            ("/static/", Some("static"), "/static/", "", None),
            ("/static/a.jpg", Some("static"), "/static/", "a.jpg", Some("jpg")),
            ("/a.tar.gz", Some("a.tar.gz"), "/", "a.tar.gz", Some("gz")),
            ("/.profile", Some(".profile"), "/", ".profile", None),
            ("/.a.b", Some(".a.b"), "/", ".a.b", Some("b")),
            ("/a.", Some("a."), "/", "a.", None),
            ("/a.jpg/", Some("a.jpg"), "/a.jpg/", "", None),
            ("/a.d/b", Some("a.d"), "/a.d/", "b", None),
            ("//x", None, "//", "x", None),
        ];
        for (raw, first, directory, filename, extension) in table {
            let path = Path::normalise(raw).unwrap();
            let got = (path.first_component(), path.directory(), path.filename(), path.extension());
            assert_eq!(got, (*first, *directory, *filename, *extension), "{raw}");
        }
    }
}
