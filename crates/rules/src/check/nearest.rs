//! Suggestions for mistyped names.

/// The legal name nearest to what was written, when it is near enough to be meant.
pub(crate) fn nearest<'a>(written: &str, legal: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer names than any legal one cannot be near, and the distance costs their product.
    if written.len() > 64 {
        return None;
    }
    let written = written.to_ascii_lowercase().replace('_', "-");
    let allowed = (written.len() / 3).clamp(1, 4);
    legal
        .into_iter()
        .map(|name| (distance(&written, &name.to_ascii_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Edits between two texts: insertions, deletions and replacements of bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, to) in row.iter_mut().skip(1).zip(b.bytes()) {
            let replace = diagonal + usize::from(from != to);
            diagonal = *cell;
            left = replace.min(*cell + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_when_it_is_near() {
        let legal = ["http-method", "url-path", "url-wildcard", "caching"];
        let table = [
            ("http_methd", Some("http-method")),
            ("URL-Path", Some("url-path")),
            ("url-wildcards", Some("url-wildcard")),
            ("cachng", Some("caching")),
            ("weather", None),
            ("", None),
        ];
        for (written, expected) in table {
            assert_eq!(nearest(written, legal), expected, "{written}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }
}
