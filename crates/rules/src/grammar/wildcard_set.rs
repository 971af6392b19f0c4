//! Many patterns at once.

use aho_corasick::AhoCorasick;

use super::Wildcard;

/// Patterns up to this number are tried one after the other: that is faster than searching for what they have in common.
const FEW: usize = 8;

/// Patterns of which one must fit. The literal text of all of them is searched for in one pass; only patterns whose longest
/// literal piece occurs are tried, so that one more pattern does not cost every request.
#[derive(Debug)]
pub(crate) struct WildcardSet {
    patterns: Box<[Wildcard]>,
    index: Option<Pieces>,
}

/// The longest literal piece of each pattern.
#[derive(Debug)]
struct Pieces {
    search: AhoCorasick,
    /// For each piece the patterns that have it.
    owners: Box<[Box<[u32]>]>,
    /// Patterns without any literal text.
    always: bool,
}

impl WildcardSet {
    pub(crate) fn new(patterns: impl Iterator<Item = String>) -> Self {
        let mut texts: Vec<String> = patterns.collect();
        texts.sort_unstable();
        texts.dedup();
        let index = if texts.len() > FEW { Pieces::of(&texts) } else { None };
        Self { patterns: texts.iter().map(|text| Wildcard::new(text)).collect(), index }
    }

    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let Some(index) = &self.index else {
            return self.patterns.iter().any(|pattern| pattern.matches_bytes(text));
        };
        let fits = |owner: &u32| self.patterns.get(*owner as usize).is_some_and(|pattern| pattern.matches_bytes(text));
        index.always
            || index
                .search
                .find_overlapping_iter(text)
                .any(|found| index.owners.get(found.pattern().as_usize()).is_some_and(|owners| owners.iter().any(fits)))
    }
}

impl Pieces {
    fn of(texts: &[String]) -> Option<Self> {
        let mut owners: std::collections::BTreeMap<&str, Vec<u32>> = std::collections::BTreeMap::new();
        let mut always = false;
        for (number, text) in texts.iter().enumerate() {
            let piece = text.split('*').max_by_key(|piece| piece.len()).unwrap_or("");
            always |= piece.is_empty();
            owners.entry(piece).or_default().push(u32::try_from(number).ok()?);
        }
        owners.remove("");
        // nothing is found otherwise but slowly: a set that cannot be built is tried pattern by pattern
        let search = AhoCorasick::new(owners.keys()).ok()?;
        Some(Self { search, owners: owners.into_values().map(Vec::into_boxed_slice).collect(), always })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_patterns_say_what_each_of_them_says() {
        let few = ["*.leech.example*", "http://a.example/*", "exact", "*end", "a*b*c", "*x*"];
        let filler = (0..2_000).map(|n| format!("*site{n}.example/*"));
        let many = WildcardSet::new(filler.clone().chain(few.map(str::to_owned)));
        assert!(many.index.is_some());
        let each: Vec<Wildcard> = filler.chain(few.map(str::to_owned)).map(|text| Wildcard::new(&text)).collect();
        for text in [
            "http://www.leech.example/y",
            "http://a.example/",
            "http://b.example/",
            "exact",
            "exactly",
            "to the end",
            "the end.",
            "a-b-c",
            "acb",
            "",
            "http://site17.example/p",
            "http://site2000.example/p",
            "http://site1999.example/",
            "http://site1999.example",
        ] {
            let expected = each.iter().any(|pattern| pattern.matches(text));
            assert_eq!(many.matches(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_pattern_of_stars_alone_fits_everything_among_many() {
        let all = WildcardSet::new((0..100).map(|n| format!("p{n}*")).chain(["**".to_owned()]));
        assert!(all.matches(b"") && all.matches(b"anything"));
        let empty = WildcardSet::new(std::iter::empty());
        assert!(!empty.matches(b"anything"));
    }
}
