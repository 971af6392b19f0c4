//! Lists of exact names in one value, separated by white space.

/// Splits a value into its tokens: runs of spaces, or of the line breaks of a YAML block, separate them.
pub(crate) fn split(value: &str) -> impl Iterator<Item = &str> {
    value.split_ascii_whitespace()
}

/// A set of exact names, found in logarithmic time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tokens(Box<[Box<str>]>);

impl Tokens {
    /// The set of these names.
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut names: Vec<Box<str>> = names.into_iter().map(String::into_boxed_str).collect();
        names.sort_unstable();
        names.dedup();
        Self(names.into_boxed_slice())
    }

    /// Whether the name is in the set.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match &*self.0 {
            [only] => **only == *name,
            names => names.binary_search_by(|token| (**token).cmp(name)).is_ok(),
        }
    }

    /// The names in ascending order, each once.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|name| other.contains(name))
    }

    pub(crate) fn is_disjoint(&self, other: &Self) -> bool {
        !self.iter().any(|name| other.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_separates_tokens() {
        for text in ["  png   gif jpg ", "png\tgif jpg", "png gif\njpg\n", "png\r\ngif\r\njpg"] {
            assert_eq!(split(text).collect::<Vec<_>>(), ["png", "gif", "jpg"], "{text:?}");
        }
        let set = Tokens::new(split("b a  b c").map(str::to_owned));
        assert_eq!(set.iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        for (name, expected) in [("a", true), ("b", true), ("c", true), ("", false), ("ab", false), ("B", false)] {
            assert_eq!(set.contains(name), expected, "{name:?}");
        }
    }
}
