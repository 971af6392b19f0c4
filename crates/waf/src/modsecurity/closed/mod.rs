//! The end of a body that is judged in part. The library shows rules an argument once it has seen its end, and nothing of a body that
//! it cannot parse: what was cut off is ended so that it is one of its type, if it was one so far.

mod json;
mod xml;

/// Nested arrays, objects and elements that are closed; the library refuses deeper ones.
const MAX_DEPTH: usize = 256;
/// Bytes of a boundary (RFC 2046 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// What is shown of a body that was cut off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// So many of its bytes: a few at the end may say nothing without those that follow.
    pub(super) keep: usize,
    /// And this behind them.
    pub(super) end: Vec<u8>,
}

impl Closed {
    fn new(keep: usize, end: impl Into<Vec<u8>>) -> Self {
        Self { keep, end: end.into() }
    }

    /// Nothing is known about its type, or it is none of it.
    fn as_it_is(body: &[u8]) -> Self {
        Self::new(body.len(), [])
    }
}

/// Ends a body as its type wants.
pub(super) fn close(content_type: &[u8], body: &[u8]) -> Closed {
    let lower = content_type.to_ascii_lowercase();
    let media = lower.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is = |sub: &[u8]| {
        let (Some(of), Some(kind)) =
            (media.split(|byte| *byte == b'/').next(), media.split(|byte| *byte == b'/').nth(1))
        else {
            return false;
        };
        let plain = kind.strip_prefix(b"x-").unwrap_or(kind).starts_with(sub);
        let suffix = kind.iter().position(|byte| *byte == b'+').and_then(|at| kind.get(at + 1..));
        (of == b"application" || of == b"text") && (plain || suffix.is_some_and(|suffix| suffix.starts_with(sub)))
    };
    if media.starts_with(b"multipart/form-data") {
        boundary(content_type).map_or_else(|| Closed::as_it_is(body), |boundary| multipart(boundary, body))
    } else if is(b"json") {
        json::close(body)
    } else if is(b"xml") {
        xml::close(body)
    } else {
        form(body)
    }
}

/// A form, or what is taken for one: half an escape is none.
fn form(body: &[u8]) -> Closed {
    let half = body.iter().rev().take(2).position(|byte| *byte == b'%').map_or(0, |behind| behind + 1);
    Closed::new(body.len() - half, [])
}

/// The `boundary` parameter, without its quotes.
pub(super) fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"boundary=";
    let at = content_type.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME))?;
    let value = content_type.get(at + NAME.len()..)?;
    let value = match value.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|byte| *byte == b'"').next()?,
        None => value.split(|byte| *byte == b';').next()?.trim_ascii(),
    };
    (!value.is_empty() && value.len() <= MAX_BOUNDARY).then_some(value)
}

/// Ends the part that is open. One whose head is not complete is left out.
fn multipart(boundary: &[u8], body: &[u8]) -> Closed {
    let delimiter = [b"--", boundary].concat();
    let last = [b"--", boundary, b"--\r\n"].concat();
    let starts_line = |at: &usize| *at == 0 || body.get(at - 1) == Some(&b'\n');
    let mut found = body.windows(delimiter.len()).enumerate().filter(|(_, window)| *window == delimiter);
    let from = found.by_ref().map(|(at, _)| at).filter(starts_line).last();
    let Some(from) = from else { return Closed::as_it_is(body) };
    let part = body.get(from..).unwrap_or_default();
    let has_head = part.windows(2).any(|window| window == b"\n\n") || part.windows(3).any(|window| window == b"\n\r\n");
    if !has_head {
        // a body that begins with half a head is no form so far
        return if from == 0 { Closed::as_it_is(body) } else { Closed::new(from, last) };
    }
    let closing = [b"\r\n".as_slice(), &last].concat();
    let line = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    // the beginning of the next delimiter is no content, and the empty line behind a head is of the head
    let is_delimiter = delimiter.starts_with(body.get(line..).unwrap_or_default());
    let keep = match is_delimiter {
        true if ends_head(body, from, line) => return Closed::new(line, closing),
        true => line - 1,
        false => body.len(),
    };
    let keep = if body.get(..keep).is_some_and(|kept| kept.ends_with(b"\r")) { keep - 1 } else { keep };
    Closed::new(keep, closing)
}

/// Whether the line that ends before `line` is the empty one behind a head that begins at `from`.
fn ends_head(body: &[u8], from: usize, line: usize) -> bool {
    let part = body.get(from..line).unwrap_or_default();
    let head = part.windows(3).position(|window| window == b"\n\r\n").map(|at| at + 3);
    let bare = part.windows(2).position(|window| window == b"\n\n").map(|at| at + 2);
    head.into_iter().chain(bare).min() == Some(part.len())
}

/// Length without the first bytes of a letter of UTF-8 at the end.
fn whole_letters(text: &[u8]) -> usize {
    for (behind, byte) in (1..).zip(text.iter().rev().take(3)) {
        let length = match byte {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            0x80..=0xbf => continue,
            _ => 1,
        };
        return if length > behind { text.len() - behind } else { text.len() };
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_was_cut_off_is_closed_as_its_type_wants() {
        let multipart = "multipart/form-data; boundary=x";
        for (content_type, body, want) in [
            ("application/json", r#"{"a":[1,{"b":"x"#, r#"{"a":[1,{"b":"x"}]}"#),
            ("application/problem+json; charset=utf-8", "[tr", "[true]"),
            ("text/json", "[", "[]"),
            ("APPLICATION/XML", "<a><b", "<a></a>"),
            ("application/soap+xml", "<a>b", "<a>b</a>"),
            ("application/x-www-form-urlencoded", "a=%4", "a="),
            ("application/x-www-form-urlencoded", "a=%41%", "a=%41"),
            ("application/x-www-form-urlencoded", "a=%41", "a=%41"),
            ("", "{", "{"),
            (
                "Multipart/Form-Data; charset=a; Boundary=\"a b\"",
                "--a b\r\nA: b\r\n\r\nc",
                "--a b\r\nA: b\r\n\r\nc\r\n--a b--\r\n",
            ),
            ("multipart/form-data", "--x", "--x"),
            (multipart, "--x\r\nA: b\r\n\r\n", "--x\r\nA: b\r\n\r\n\r\n--x--\r\n"),
            (multipart, "--x\r\nA: b\r\n\r\n-", "--x\r\nA: b\r\n\r\n\r\n--x--\r\n"),
            (multipart, "--x\r\nA: b\r\n\r\nc\r\n--", "--x\r\nA: b\r\n\r\nc\r\n--x--\r\n"),
            (multipart, "--x\r\nA: b\r\n\r\nc\r", "--x\r\nA: b\r\n\r\nc\r\n--x--\r\n"),
            (multipart, "--x\r\nA: b\r\n\r\nc\r\n--x\r\nA", "--x\r\nA: b\r\n\r\nc\r\n--x--\r\n"),
            (multipart, "--x\r\nA: b\r\n\r\nc\r\n--x--", "--x\r\nA: b\r\n\r\nc\r\n--x--\r\n"),
            // what is no form so far is shown as it is
            (multipart, "--x\r\nA: b", "--x\r\nA: b"),
            (multipart, "--y\r\nA: b\r\n\r\nc", "--y\r\nA: b\r\n\r\nc"),
            (multipart, "--x\nA: b\n\nc", "--x\nA: b\n\nc\r\n--x--\r\n"),
        ] {
            let Closed { keep, end } = close(content_type.as_bytes(), body.as_bytes());
            let got = format!("{}{}", &body[..keep], String::from_utf8_lossy(&end));
            assert_eq!(got, want, "{content_type} {body}");
        }
    }

    #[test]
    fn half_a_letter_is_left_out() {
        for (text, want) in [
            (&b"ab"[..], 2),
            (b"", 0),
            (b"a\xc3", 1),
            (b"a\xc3\xa4", 3),
            (b"a\xe2\x82", 1),
            (b"\xf0\x9f\x98", 0),
            (b"\xf0\x9f\x98\x80", 4),
        ] {
            assert_eq!(whole_letters(text), want, "{text:x?}");
        }
    }
}
