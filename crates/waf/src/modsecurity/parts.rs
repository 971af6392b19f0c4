//! The heads of a form's parts. The library reads a field that is there twice in a head as one, and programs behind it may take the
//! other: what is an upload for one, whose content nobody judges, is a field for the other.

/// Whether the head of some part has a field twice. One pass over the body.
pub(super) fn repeat_a_field(content_type: &[u8], body: &[u8]) -> bool {
    let Some(boundary) = super::closed::boundary(content_type) else { return false };
    let mut lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let mut in_head = false;
    let mut names: Vec<Vec<u8>> = Vec::new();
    lines.any(|line| {
        if line.strip_prefix(b"--").is_some_and(|rest| rest.starts_with(boundary)) {
            in_head = true;
            names.clear();
        } else if line.is_empty() {
            in_head = false;
        } else if in_head && let Some(end) = line.iter().position(|byte| *byte == b':') {
            let name = line.get(..end).unwrap_or_default().trim_ascii().to_ascii_lowercase();
            // more fields than any head has
            if names.contains(&name) || names.len() == MAX_FIELDS {
                return true;
            }
            names.push(name);
        }
        false
    })
}

/// Fields in the head of a part.
const MAX_FIELDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_there_twice_is_seen_in_any_head_and_in_no_content() {
        let part = |head: &str, content: &str| format!("--x\r\n{head}\r\n\r\n{content}\r\n");
        let many: String = (0..20).map(|n| format!("A{n}: b\r\n")).collect();
        for (body, want) in [
            (part("A: b\r\nC: d", "e"), false),
            (part("A: b\r\nC: d", "A: b\r\nA: b\r\n\r\nA: b"), false),
            (part("A: b", "c") + &part("A: b", "c"), false),
            (part("A: b\r\nC: d\r\na : e", "f"), true),
            (part("A: b", "c") + &part("A: b\r\nA: b", "c"), true),
            (part("A: b", "c").replace("\r\n", "\n") + "--x\nA:\nA:", true),
            (part(&many, ""), true),
            ("A: b\r\nA: b".to_owned(), false),
        ] {
            let got = repeat_a_field(b"multipart/form-data; boundary=\"x\"", body.as_bytes());
            assert_eq!(got, want, "{body}");
        }
        assert!(!repeat_a_field(b"application/json", b"--x\r\nA:\r\nA:"));
    }
}
