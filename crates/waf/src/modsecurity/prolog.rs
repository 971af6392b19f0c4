//! How an XML document begins. A document type may define entities, which say something else to the origin than to the rules, or
//! name files and addresses; an encoding that the rules' library reads and the look below does not could hide one.

/// What is said of the beginning of a body, taken as XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prolog {
    /// An element, after nothing that matters; or no XML at all, which the parser refuses.
    Plain,
    /// There is a document type.
    Doctype,
    /// It is not written in an extension of ASCII.
    Encoded,
}

/// Encodings whose bytes below 128 are ASCII.
const ENCODINGS: &[&str] = &["utf-8", "utf8", "us-ascii", "ascii", "iso-8859-", "windows-125", "latin1"];

/// Looks at the prolog: white space, the declaration, comments and processing instructions, in one pass.
pub(super) fn of(text: &[u8]) -> Prolog {
    let mut rest = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    loop {
        let end: &[u8] = if rest.starts_with(b"<?") {
            b"?>"
        } else if rest.starts_with(b"<!--") {
            b"-->"
        } else {
            break;
        };
        // a prolog that does not end has no document type either
        let Some(at) = rest.windows(end.len()).position(|window| window == end) else { return Prolog::Plain };
        let (found, behind) = rest.split_at(at + end.len());
        if found.starts_with(b"<?xml") && !is_ascii(found) {
            return Prolog::Encoded;
        }
        rest = behind.trim_ascii_start();
    }
    let doctype = rest.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"<!DOCTYPE"));
    match rest {
        _ if doctype => Prolog::Doctype,
        [] => Prolog::Plain,
        // an element's name, and no zero that stands for a wider letter
        [b'<', first, ..] if *first != 0 && !text.contains(&0) => Prolog::Plain,
        _ => Prolog::Encoded,
    }
}

/// Whether the encoding that a declaration names, if it does, is one of [`ENCODINGS`].
fn is_ascii(declaration: &[u8]) -> bool {
    let declaration = String::from_utf8_lossy(declaration).to_ascii_lowercase();
    let Some((_, named)) = declaration.split_once("encoding") else { return true };
    let named = named.trim_start_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '"' | '\''));
    ENCODINGS.iter().any(|known| named.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_type_is_seen_behind_whatever_may_stand_before_it() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        for (text, want) in [
            (&b"<a/>"[..], Prolog::Plain),
            (b"", Prolog::Plain),
            (b"<?xml version=\"1.0\"?><!-- <!DOCTYPE a> --><a><![CDATA[<!DOCTYPE html>]]></a>", Prolog::Plain),
            (b"<?xml version='1.0' encoding = 'UTF-8'?><a/>", Prolog::Plain),
            (b"<?xml version=\"1.0\" encoding=\"ISO-8859-15\"?>\n<a/>", Prolog::Plain),
            (b"<!DOCTYPE a><a/>", Prolog::Doctype),
            (b"\xef\xbb\xbf\n <!doctype a><a/>", Prolog::Doctype),
            (b"<?xml version=\"1.0\"?><?x y?><!-- - -- a --> <!DOCTYPE a><a/>", Prolog::Doctype),
            (b"<?x <!-- ?><!DOCTYPE a --><a/>", Prolog::Doctype),
            (b"<!-- never ends <!DOCTYPE a>", Prolog::Plain),
            (b"<?xml version=\"1.0\" encoding=\"UTF-7\"?>+ADwAIQ-DOCTYPE a+AD4-<a/>", Prolog::Encoded),
            (b"<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>", Prolog::Encoded),
            (b"<?xml version=\"1.0\" encoding=\"IBM037\"?><a/>", Prolog::Encoded),
            (b"\x4c\x6f\xa7\x94\x93", Prolog::Encoded),
            (b"\xff\xfe<\0a\0/\0>\0", Prolog::Encoded),
            (utf16("<!DOCTYPE a><a/>").as_slice(), Prolog::Encoded),
            (b"<a>\0</a>", Prolog::Encoded),
        ] {
            assert_eq!(of(text), want, "{}", String::from_utf8_lossy(text));
        }
    }
}
