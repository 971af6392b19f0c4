//! The end of a JSON text that was cut off.

use super::{Closed, MAX_DEPTH, whole_letters};

/// What comes next. What does not belong there is left to the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A value.
    Value,
    /// A value, or the end of an empty array.
    FirstValue,
    /// A name.
    Name,
    /// A name, or the end of an empty object.
    FirstName,
    /// The colon behind a name.
    Colon,
    /// A comma, or the end of what is open.
    Comma,
}

/// Where in a string the text ends.
#[derive(Debug, Clone, Copy)]
struct Quoted {
    is_name: bool,
    /// Where an escape began that is not complete, and how many digits it lacks.
    escape: Option<(usize, u8)>,
}

/// Completes the word or string that is open, adds what must follow, and closes every array and object.
pub(super) fn close(body: &[u8]) -> Closed {
    let mut open = Vec::new();
    let mut next = Next::Value;
    let mut quoted: Option<Quoted> = None;
    let mut word: Option<usize> = None;
    for (at, byte) in body.iter().enumerate() {
        if let Some(string) = &mut quoted {
            match (string.escape, byte) {
                (Some((from, 0)), b'u') => string.escape = Some((from, 4)),
                (Some((_, 0 | 1)), _) => string.escape = None,
                (Some((from, digits)), _) => string.escape = Some((from, digits - 1)),
                (None, b'\\') => string.escape = Some((at, 0)),
                (None, b'"') => {
                    next = if string.is_name { Next::Colon } else { Next::Comma };
                    quoted = None;
                }
                (None, _) => {}
            }
            continue;
        }
        if word.is_some() {
            if byte.is_ascii_alphanumeric() || b"+-.".contains(byte) {
                continue;
            }
            (word, next) = (None, Next::Comma);
        }
        match byte {
            b'"' => quoted = Some(Quoted { is_name: matches!(next, Next::Name | Next::FirstName), escape: None }),
            b'{' => {
                open.push(b'}');
                next = Next::FirstName;
            }
            b'[' => {
                open.push(b']');
                next = Next::FirstValue;
            }
            b'}' | b']' => {
                open.pop();
                next = Next::Comma;
            }
            b':' => next = Next::Value,
            b',' => next = if open.last() == Some(&b'}') { Next::Name } else { Next::Value },
            byte if byte.is_ascii_whitespace() => {}
            _ => word = Some(at),
        }
        if open.len() > MAX_DEPTH {
            return Closed::as_it_is(body);
        }
    }
    let mut keep = body.len();
    let mut end = Vec::new();
    if let Some(string) = quoted {
        keep = string.escape.map_or_else(|| whole_letters(body), |(from, _)| from);
        end.push(b'"');
        next = if string.is_name { Next::Colon } else { Next::Comma };
    } else if let Some(from) = word {
        end.extend(rest_of(body.get(from..).unwrap_or_default()));
        next = Next::Comma;
    }
    end.extend_from_slice(match next {
        Next::Value => b"null",
        Next::Name => b"\"\":null",
        Next::Colon => b":null",
        Next::FirstValue | Next::FirstName | Next::Comma => b"",
    });
    open.reverse();
    end.extend(open);
    Closed::new(keep, end)
}

/// What a literal or a number lacks.
fn rest_of(word: &[u8]) -> Vec<u8> {
    let literal = [&b"true"[..], b"false", b"null"].into_iter().find_map(|literal| literal.strip_prefix(word));
    let half = word.last().is_some_and(|last| b"+-.eE".contains(last));
    match literal {
        Some(rest) => rest.to_vec(),
        None if half => vec![b'0'],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_completed_wherever_it_was_cut() {
        for (body, want) in [
            ("", "null"),
            (" ", " null"),
            ("{", "{}"),
            ("[", "[]"),
            (r#"{"a"#, r#"{"a":null}"#),
            (r#"{"a""#, r#"{"a":null}"#),
            (r#"{"a":"#, r#"{"a":null}"#),
            (r#"{"a":["#, r#"{"a":[]}"#),
            (r#"{"a":[1,"#, r#"{"a":[1,null]}"#),
            (r#"{"a":1,"#, r#"{"a":1,"":null}"#),
            (r#"{"a":1"#, r#"{"a":1}"#),
            (r#"{"a":-"#, r#"{"a":-0}"#),
            (r#"{"a":1.5e+"#, r#"{"a":1.5e+0}"#),
            (r#"{"a":fal"#, r#"{"a":false}"#),
            (r#"["x\"#, r#"["x"]"#),
            (r#"["x\u00"#, r#"["x"]"#),
            (r#"["x\u0041"#, r#"["x\u0041"]"#),
            (r#"["\\"#, r#"["\\"]"#),
            (r#"["]"#, r#"["]"]"#),
            (r#"{"a":1}"#, r#"{"a":1}"#),
            ("]]", "]]"),
        ] {
            let Closed { keep, end } = close(body.as_bytes());
            assert_eq!(format!("{}{}", &body[..keep], String::from_utf8_lossy(&end)), want, "{body}");
        }
        assert_eq!(close("[\"a\u{e4}".as_bytes().split_last().unwrap().1), Closed::new(3, "\"]"));
        assert_eq!(close(&[b'['; 1000]), Closed::as_it_is(&[b'['; 1000]));
    }
}
