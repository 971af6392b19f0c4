//! What an origin may see: heads that can be read in one way only, and none that nobody sent.

use leeward_tests::origin::Received;

use super::case::Case;

/// Compares what came with what may have come.
pub(super) fn requests(case: &Case, seen: &[&Received]) -> Result<(), String> {
    let mut starts: Vec<&str> = seen.iter().map(|got| got.head.start.as_str()).collect();
    // the origin notes a request when its body ends: that of the case before may come after this one has begun
    starts.dedup();
    if let Some(got) = seen.iter().find(|got| got.head.start.contains("smuggled")) {
        return Err(format!("the origin was asked {:?}", got.head.start));
    }
    let mut allowed = case.origin.iter();
    let fits = if case.any {
        starts.len() <= 1
    } else {
        starts.iter().all(|start| allowed.any(|may| may.split(" | ").any(|one| one == *start)))
    };
    if !fits {
        return Err(format!("the origin was asked {starts:?}, which is not of {:?}", case.origin));
    }
    for got in seen {
        unambiguous(&got.head.raw)
            .map_err(|why| format!("the origin got {why}: {:?}", String::from_utf8_lossy(&got.head.raw)))?;
        let head = String::from_utf8_lossy(&got.head.raw).to_ascii_lowercase();
        if let Some(word) = case.lacks.iter().find(|word| head.contains(&word.to_ascii_lowercase())) {
            return Err(format!("the origin got {word:?}: {head:?}"));
        }
    }
    match (seen.first(), &case.body) {
        (Some(got), _) if case.broken && got.whole => {
            Err(format!("the origin got a whole body: {:?}", String::from_utf8_lossy(&got.body)))
        }
        (Some(got), Some(body)) if got.whole && got.body != body.as_bytes() => {
            Err(format!("the origin got the body {:?}", String::from_utf8_lossy(&got.body)))
        }
        _ => Ok(()),
    }
}

/// Whether a head has one reading: RFC 9112 without what it leaves to the recipient.
pub(crate) fn unambiguous(raw: &[u8]) -> Result<(), &'static str> {
    let text = raw.strip_suffix(b"\r\n\r\n").ok_or("a head without its end")?;
    let lines: Vec<&[u8]> = split(text);
    let control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    if lines.iter().any(|line| line.iter().any(control)) {
        return Err("a control byte");
    }
    let (first, fields) = lines.split_first().ok_or("nothing")?;
    // a method may have a `#`
    let target = first.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    if first.split(|byte| *byte == b' ').count() != 3 || !first.ends_with(b" HTTP/1.1") || target.contains(&b'#') {
        return Err("a request line that is not three words");
    }
    let mut names = Vec::new();
    for line in fields {
        let colon = line.iter().position(|byte| *byte == b':').ok_or("a line without a colon")?;
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) {
            return Err("a name that is no token");
        }
        let value = String::from_utf8_lossy(&line[colon + 1..]).trim().to_owned();
        if name == "content-length" && (value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err("a length that is no number");
        }
        if name == "transfer-encoding" && value != "chunked" {
            return Err("another coding than chunked");
        }
        names.push(name);
    }
    let count = |wanted: &str| names.iter().filter(|name| name.replace('_', "-") == wanted).count();
    match (count("host"), count("content-length"), count("transfer-encoding")) {
        (1, 0 | 1, 0) | (1, 0, 1) => Ok(()),
        (1, ..) => Err("more than one framing"),
        _ => Err("not one Host"),
    }
}

fn split(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    lines
}

#[test]
fn the_audit_sees_what_has_two_readings() {
    let clean = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(unambiguous(clean.as_bytes()), Ok(()));
    for head in [
        clean.replace("Host", "X"),
        clean.replace("Host: a", "Host: a\r\nhost: b"),
        clean.replace("Content-Length: 1", "Content-Length: 1\r\nTransfer-Encoding: chunked"),
        clean.replace("Content-Length: 1", "Content-Length: 1\r\nTransfer_Encoding: chunked"),
        clean.replace("Content-Length: 1", "Content-Length: 1, 1"),
        clean.replace("Content-Length: 1", "Transfer-Encoding: xchunked"),
        clean.replace("Host: a", "Host: a\nX: b"),
        clean.replace("Host: a", "Host: a\r\n X: b"),
        clean.replace("Host: a", "Host : a"),
        clean.replace("POST /", "POST / /"),
    ] {
        assert!(unambiguous(head.as_bytes()).is_err(), "{head:?}");
    }
}
