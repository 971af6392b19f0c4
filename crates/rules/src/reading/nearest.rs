//! Suggestions for misspelt words.

/// Characters of the longest word that is compared: the distance costs the product of both lengths.
const MAX_WORD: usize = 64;
/// Edits up to which a long word may still be meant.
const MAX_EDITS: usize = 4;

/// The legal word that a misspelt one most likely stands for: at most a third of the longer one wrong, counted in edits and
/// swaps of neighbours. Case does not count, and `_` is `-`.
#[must_use]
pub fn nearest<'a>(written: &str, legal: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = plain(written);
    if written.is_empty() || written.len() > MAX_WORD {
        return None;
    }
    legal
        .into_iter()
        .filter_map(|word| {
            let meant = plain(word);
            let longer = written.len().max(meant.len());
            let allowed = (longer / 3).clamp(1, MAX_EDITS);
            // Something must be right: of two single letters one is no misspelling of the other.
            let edits = if written.len().abs_diff(meant.len()) > allowed { longer } else { distance(&written, &meant) };
            (edits <= allowed && edits < longer).then_some((edits, word))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}

fn plain(word: &str) -> Vec<char> {
    word.chars().flat_map(char::to_lowercase).map(|c| if c == '_' { '-' } else { c }).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j) + usize::from(x != y)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if j > 0 && previous == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
        previous = Some(x);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_when_a_third_of_it_is_wrong_at_most() {
        let legal = [
            "http-method",
            "url-path",
            "url-wildcard",
            "caching",
            "photos",
            "matches",
            "value",
            "type",
            "origin",
            "origins",
            "query_string",
            "tls",
            "host",
        ];
        let table = [
            ("http_methd", Some("http-method")),
            ("URL-Path", Some("url-path")),
            ("url-wildcards", Some("url-wildcard")),
            ("cachng", Some("caching")),
            ("fotos", Some("photos")),
            ("pohtos", Some("photos")),
            ("match", Some("matches")),
            ("vlaue", Some("value")),
            ("typ", Some("type")),
            ("orign", Some("origin")),
            ("originss", Some("origins")),
            ("Query-String", Some("query_string")),
            ("tsl", Some("tls")),
            ("hots", Some("host")),
            ("weather", None),
            ("zzz", None),
            ("x", None),
            ("", None),
        ];
        for (written, expected) in table {
            assert_eq!(nearest(written, legal), expected, "{written}");
        }
        assert_eq!(nearest("a", ["b"]), None);
        assert_eq!(nearest(&"a".repeat(1 << 20), legal), None);
    }

    #[test]
    fn words_differ_by_insertions_deletions_replacements_and_swaps() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("ab", "ba", 1),
            ("abcd", "acbd", 1),
        ] {
            assert_eq!(distance(&plain(a), &plain(b)), expected, "{a} {b}");
        }
    }
}
