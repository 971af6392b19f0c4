//! Lists of exact names in one value, separated by runs of spaces.

/// Splits a value into its tokens.
pub(crate) fn split(value: &str) -> impl Iterator<Item = &str> {
    value.split(' ').filter(|token| !token.is_empty())
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
    fn runs_of_spaces_separate_tokens() {
        let got: Vec<&str> = split("  png   gif jpg ").collect();
        assert_eq!(got, ["png", "gif", "jpg"]);
        let set = Tokens::new(split("b a  b c").map(str::to_owned));
        assert_eq!(set.iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        for (name, expected) in [("a", true), ("b", true), ("c", true), ("", false), ("ab", false), ("B", false)] {
            assert_eq!(set.contains(name), expected, "{name:?}");
        }
    }
}
