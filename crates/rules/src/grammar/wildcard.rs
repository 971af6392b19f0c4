//! Patterns in which `*` stands for any bytes.

use memchr::memmem::Finder;

/// A pattern anchored at both ends: `*` is zero or more bytes, everything else is itself. There is no escape.
///
/// Matching takes time linear in the text for each literal piece and never goes back over a piece.
#[derive(Debug, Clone)]
pub struct Wildcard {
    pattern: Box<[u8]>,
    /// Byte offset of the first `*`; without one the pattern is the only text that matches.
    head: Option<usize>,
    /// Byte offset after the last `*`.
    tail: usize,
    middle: Box<[Finder<'static>]>,
}

impl Wildcard {
    /// Compiles a pattern; every text is one.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self::of_bytes(pattern.as_bytes())
    }

    /// The same for a pattern that need not be UTF-8, such as a decoded query value.
    #[must_use]
    pub fn of_bytes(pattern: &[u8]) -> Self {
        let head = memchr::memchr(b'*', pattern);
        let tail = memchr::memrchr(b'*', pattern).map_or(0, |star| star + 1);
        let between = head.and_then(|head| pattern.get(head..tail)).unwrap_or(&[]);
        let middle = between
            .split(|byte| *byte == b'*')
            .filter(|piece| !piece.is_empty())
            .map(|piece| Finder::new(piece).into_owned())
            .collect();
        Self { pattern: pattern.into(), head, tail, middle }
    }

    /// Whether the whole text fits the pattern.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.matches_bytes(text.as_bytes())
    }

    /// The same for text that need not be UTF-8, such as a header field's value.
    #[must_use]
    pub fn matches_bytes(&self, text: &[u8]) -> bool {
        let Some(head) = self.head else { return text == &*self.pattern };
        let (Some(prefix), Some(suffix)) = (self.pattern.get(..head), self.pattern.get(self.tail..)) else {
            return false;
        };
        let Some(mut rest) = text.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix)) else { return false };
        for piece in &self.middle {
            let Some(at) = piece.find(rest) else { return false };
            rest = rest.get(at + piece.needle().len()..).unwrap_or(&[]);
        }
        true
    }

    /// The pattern as written; empty when it is not UTF-8.
    #[must_use]
    pub fn as_str(&self) -> &str {
        text(&self.pattern)
    }

    /// What every matching text begins with.
    pub(crate) fn prefix(&self) -> &str {
        text(self.head.and_then(|head| self.pattern.get(..head)).unwrap_or(&self.pattern))
    }

    /// What every matching text ends with.
    pub(crate) fn suffix(&self) -> &str {
        text(self.pattern.get(self.tail..).unwrap_or(&[]))
    }

    /// The only text that matches, of a pattern without a `*`.
    pub(crate) fn exact(&self) -> Option<&[u8]> {
        self.head.is_none().then_some(&*self.pattern)
    }

    /// Whether every text that fits `other` is known to fit this pattern. A `*` of `other` can only be swallowed by a `*` here.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.matches_bytes(&other.pattern)
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_bytes_and_the_rest_is_itself() {
        let table: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "/a/b", true),
            ("/*", "/", true),
            ("/styles/*", "/styles/", true),
            ("/styles/*", "/styles/a/b.css", true),
            ("/styles/*", "/styles", false),
            ("/styles/*", "/Styles/a.css", false),
            ("/*.jpg", "/a/b/c.jpg", true),
            ("/*.jpg", "/a.jpg.png", false),
            ("/a*a", "/a", false),
            ("/a*a", "/aa", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*ab*ab*", "ab", false),
            ("*ab*ab*", "abab", true),
            ("a**b", "ab", true),
            ("/images/logo.png", "/images/logo.png", true),
            ("/images/logo.png", "/images/logo_png", false),
            ("a?b", "axb", false),
            ("[a]*", "a", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(Wildcard::new(pattern).matches(text), *expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = Wildcard::new(&"*a".repeat(4_000));
        let text = "a".repeat(3_999) + "b";
        let start = std::time::Instant::now();
        assert!(!pattern.matches(&text));
        assert!(start.elapsed() < std::time::Duration::from_secs(1), "{:?}", start.elapsed());
    }
}
