//! The end of an XML document that was cut off.

use super::{Closed, MAX_DEPTH, whole_letters};

/// Closes the attribute, the tag and every element that is open. Half a name, comment or reference is left out.
pub(super) fn close(body: &[u8]) -> Closed {
    let mut open: Vec<&[u8]> = Vec::new();
    let mut at = 0;
    let find = |from: usize, what: &[u8]| {
        let rest = body.get(from..).unwrap_or_default();
        rest.windows(what.len()).position(|window| window == what).map(|found| from + found + what.len())
    };
    let (keep, mut end): (usize, Vec<u8>) = loop {
        let Some(start) = find(at, b"<").map(|behind| behind - 1) else {
            break (at + whole_references(body.get(at..).unwrap_or_default()), Vec::new());
        };
        let rest = body.get(start..).unwrap_or_default();
        let behind = if rest.starts_with(b"<!--") {
            find(start + 4, b"-->")
        } else if rest.starts_with(b"<![CDATA[") {
            let Some(behind) = find(start + 9, b"]]>") else { break (whole_letters(body), b"]]>".to_vec()) };
            Some(behind)
        } else if rest.starts_with(b"<?") {
            find(start + 2, b"?>")
        } else if rest.starts_with(b"<!") {
            find(start + 2, b">")
        } else if rest.starts_with(b"</") {
            let behind = find(start + 2, b">");
            if behind.is_some() {
                open.pop();
            }
            behind
        } else {
            match tag(rest) {
                Tag::Whole { length, name, empty } => {
                    if !empty {
                        open.push(name);
                    }
                    Some(start + length)
                }
                Tag::Half { keep, end } => break (start + keep, end),
            }
        };
        let Some(behind) = behind else { break (start, Vec::new()) };
        at = behind;
        if open.len() > MAX_DEPTH {
            return Closed::as_it_is(body);
        }
    };
    if keep == 0 {
        // not even a root: there is nothing that could be judged
        return Closed::as_it_is(body);
    }
    for name in open.iter().rev() {
        end.extend([b"</".as_slice(), name, b">"].concat());
    }
    Closed::new(keep, end)
}

/// A start tag.
enum Tag<'t> {
    /// It ends `length` bytes behind its beginning.
    Whole { length: usize, name: &'t [u8], empty: bool },
    /// So much of it is whole, and this ends it as an empty element.
    Half { keep: usize, end: Vec<u8> },
}

fn tag(text: &[u8]) -> Tag<'_> {
    let of_name = |byte: &u8| !byte.is_ascii_whitespace() && !b"/>".contains(byte);
    let name = text.iter().skip(1).take_while(|byte| of_name(byte)).count() + 1;
    let mut whole = name;
    let mut quote: Option<(u8, usize)> = None;
    for (at, byte) in text.iter().enumerate().skip(name) {
        match quote {
            Some((with, _)) if with == *byte => {
                quote = None;
                whole = at + 1;
            }
            Some(_) => {}
            None if b"\"'".contains(byte) => quote = Some((*byte, at + 1)),
            None if *byte == b'>' => {
                let empty = text.get(at - 1) == Some(&b'/');
                return Tag::Whole { length: at + 1, name: text.get(1..name).unwrap_or_default(), empty };
            }
            None => {}
        }
    }
    match quote {
        Some((with, from)) => {
            let keep = from + whole_references(text.get(from..).unwrap_or_default());
            Tag::Half { keep, end: vec![with, b'/', b'>'] }
        }
        None if name == text.len() => Tag::Half { keep: 0, end: Vec::new() },
        None => Tag::Half { keep: whole, end: b"/>".to_vec() },
    }
}

/// Length without the first bytes of a reference or of a letter at the end.
fn whole_references(text: &[u8]) -> usize {
    /// Longer ones are none: what stands behind a bare `&` is not left out with it.
    const MAX: usize = 12;
    let near = text.iter().rev().take(MAX).position(|byte| *byte == b'&').map(|behind| text.len() - behind - 1);
    let half = |from: &usize| {
        let name = text.get(from + 1..).unwrap_or_default();
        name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'#')
    };
    near.filter(half).unwrap_or_else(|| whole_letters(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_completed_wherever_it_was_cut() {
        for (body, want) in [
            ("<a><b>c</b><d>e", "<a><b>c</b><d>e</d></a>"),
            ("<a><b>c</b", "<a><b>c</b></a>"),
            ("<a><b", "<a></a>"),
            ("<a><b ", "<a><b/></a>"),
            ("<a><b c", "<a><b/></a>"),
            ("<a><b c=\"d>", "<a><b c=\"d>\"/></a>"),
            ("<a><b c='d' e", "<a><b c='d'/></a>"),
            ("<a><b c='d&am", "<a><b c='d'/></a>"),
            ("<a><b c='d'/", "<a><b c='d'/></a>"),
            ("<a><b/>c&#6", "<a><b/>c</a>"),
            ("<a>b & c d", "<a>b & c d</a>"),
            ("<a><!-- b", "<a></a>"),
            ("<a><![CDATA[<b>", "<a><![CDATA[<b>]]></a>"),
            ("<a><![CDAT", "<a></a>"),
            ("<?xml version='1.0'?><a/>\n", "<?xml version='1.0'?><a/>\n"),
            ("<a xmlns:x='y'><x:b>", "<a xmlns:x='y'><x:b></x:b></a>"),
            ("<!-- a", "<!-- a"),
            ("a", "a"),
        ] {
            let Closed { keep, end } = close(body.as_bytes());
            assert_eq!(format!("{}{}", &body[..keep], String::from_utf8_lossy(&end)), want, "{body}");
        }
        assert_eq!(close(&b"<a>".repeat(1000)), Closed::as_it_is(&b"<a>".repeat(1000)));
    }
}
