//! The end of a body that is judged in part. The library shows rules an argument once it has seen its end: without one, an
//! attack in the last argument before the cut would be seen by nobody.

use bytes::Bytes;

/// Nested arrays and objects that are closed; the engine refuses deeper ones.
const MAX_DEPTH: usize = 64;
/// Bytes of a boundary (RFC 2046 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// What to add to a body that was cut off, so that it is one of its type. Empty for types without an end.
pub(super) fn end(content_type: &[u8], body: &[Bytes]) -> Vec<u8> {
    let lower = content_type.to_ascii_lowercase();
    if lower.starts_with(b"multipart/") {
        return boundary(content_type).map(|boundary| [b"\r\n--", boundary, b"--\r\n"].concat()).unwrap_or_default();
    }
    let media = lower.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if media == b"application/json" || media.ends_with(b"+json") { json(body) } else { Vec::new() }
}

/// The `boundary` parameter, without its quotes.
fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    let parameters = content_type.split(|byte| *byte == b';').skip(1).map(<[u8]>::trim_ascii);
    let (name, value) = (b"boundary=", parameters.into_iter());
    let is_it = |parameter: &&[u8]| parameter.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let value = value.filter(is_it).filter_map(|parameter| parameter.get(name.len()..)).next()?;
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    (!value.is_empty() && value.len() <= MAX_BOUNDARY).then_some(value)
}

/// Closes a string, and every array and object around it.
fn json(body: &[Bytes]) -> Vec<u8> {
    let (mut open, mut in_string, mut escaped, mut hex) = (Vec::new(), false, false, 0_u8);
    for byte in body.iter().flatten() {
        match byte {
            _ if hex > 0 => hex -= 1,
            b'u' if escaped => (escaped, hex) = (false, 4),
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'}' | b']' => drop(open.pop()),
            _ => {}
        }
        if open.len() > MAX_DEPTH {
            return Vec::new();
        }
    }
    let mut end = Vec::new();
    if escaped {
        end.push(b'\\');
    }
    end.extend(std::iter::repeat_n(b'0', usize::from(hex)));
    if in_string {
        end.push(b'"');
    }
    open.reverse();
    end.extend(open);
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_was_cut_off_is_closed_as_its_type_wants() {
        for (content_type, body, want) in [
            ("application/json", r#"{"a":[1,{"b":"x"#, r#""}]}"#),
            ("application/json; charset=utf-8", r#"["\"#, r#"\"]"#),
            ("application/problem+json", r#"["\u00"#, r#"00"]"#),
            ("application/json", r#"{"a":"\u0022]"#, r#""}"#),
            ("application/json", r#"{"a":"\\"#, r#""}"#),
            ("application/json", r#"{"a":1}"#, ""),
            ("APPLICATION/JSON", "]]", ""),
            ("multipart/form-data; boundary=x", "--x\r\n", "\r\n--x--\r\n"),
            ("Multipart/Form-Data; charset=a; Boundary=\"a b\"", "", "\r\n--a b--\r\n"),
            ("multipart/form-data", "", ""),
            ("application/x-www-form-urlencoded", "a=", ""),
            ("", "{", ""),
        ] {
            let got = end(content_type.as_bytes(), &[Bytes::copy_from_slice(body.as_bytes())]);
            assert_eq!(String::from_utf8_lossy(&got), want, "{content_type} {body}");
        }
        assert!(end(b"application/json", &["[".repeat(100_000).into()]).is_empty());
    }
}
