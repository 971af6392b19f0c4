//! Patterns of an `acl`: `*` is any bytes, `?` is one.

/// Whether the whole text fits. Goes back to the last `*` only; both sides have bounds.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // behind the last star, and where in the text its rest was tried
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(one) if *one == b'?' || one == byte => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((behind, tried)) = star else { return false };
                star = Some((behind, tried + 1));
                (p, t) = (behind, tried + 1);
            }
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_any_bytes_and_a_question_mark_is_one() {
        for (pattern, text, want) in [
            ("/*", "/", true),
            ("/*", "/a/b", true),
            ("/video/*", "/video/", true),
            ("/video/*", "/video", false),
            ("/video/*", "/videos/a", false),
            ("/v?deo/*", "/video/a", true),
            ("/?", "/", false),
            ("/?", "/ab", false),
            ("*.mp4", "/a/b.mp4", true),
            ("*.mp4", "/a/b.mp4x", false),
            ("/a*b*c", "/axxbyybzzc", true),
            ("/a*b*c", "/axxcyyb", false),
            ("/a", "/a", true),
            ("/a", "/A", false),
            ("", "", true),
            ("", "/", false),
            ("**", "/a", true),
            ("/a.b", "/axb", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), want, "{pattern} {text}");
        }
    }
}
