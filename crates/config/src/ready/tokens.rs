//! Ready: `token_auth`.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use leeward_rules::token::{Denial, Keys};
use smallvec::SmallVec;

use super::Platform;

/// Tokens asked for by directory, and what rules with `ectoken` need.
#[derive(Debug, Default)]
pub struct Tokens {
    /// Whether the origin gets the tokens, too.
    pub forward: bool,
    platforms: [PlatformTokens; Platform::ALL.len()],
}

/// Tokens of one platform.
#[derive(Debug, Default)]
pub struct PlatformTokens {
    /// The keys that count.
    pub keys: Keys,
    /// What a client without a good token gets.
    pub denial: Denial,
    /// The parameter that holds the token; absent: the query begins with it.
    pub parameter: Option<Box<str>>,
    /// Whether a token's paths and Referers are compared without regard to case.
    pub ignore_case: bool,
    /// Paths that need a token.
    pub directories: Tree,
}

impl Tokens {
    /// What holds on a platform.
    #[must_use]
    pub fn of(&self, platform: Platform) -> &PlatformTokens {
        let [http_large, http_small, adn, can] = &self.platforms;
        match platform {
            Platform::HttpLarge => http_large,
            Platform::HttpSmall => http_small,
            Platform::Adn => adn,
            Platform::Can => can,
        }
    }

    pub(crate) fn new(forward: bool, of: impl FnMut(Platform) -> PlatformTokens) -> Self {
        Self { forward, platforms: Platform::ALL.map(of) }
    }

    pub(crate) fn of_mut(&mut self, platform: Platform) -> &mut PlatformTokens {
        let [http_large, http_small, adn, can] = &mut self.platforms;
        match platform {
            Platform::HttpLarge => http_large,
            Platform::HttpSmall => http_small,
            Platform::Adn => adn,
            Platform::Can => can,
        }
    }
}

/// Directories by their segments. A path is looked at once, segment by segment, however many directories there are.
///
/// Segments are compared as an origin could read them: decoded, an encoded slash and a backslash as slashes, empty ones not at
/// all, without what follows a `;`, and `..` both as a name and as the way up. Who writes a path differently must not get around.
#[derive(Debug, Default)]
pub struct Tree {
    children: HashMap<Box<[u8]>, Tree, RandomState>,
    /// Everything from here on is in it.
    whole: bool,
}

/// Parents on the way; deeper paths cost an allocation.
const DEPTH: usize = 16;

impl Tree {
    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty() && !self.whole
    }

    /// Whether a path below an origin's directory is in it. The path is in normal form.
    #[must_use]
    pub fn covers(&self, directory: &str, path: &str) -> bool {
        let Some(root) = self.children.get(directory.as_bytes()) else { return false };
        let mut way: SmallVec<[Option<&Self>; DEPTH]> = SmallVec::new();
        way.push(Some(root));
        if root.whole {
            return true;
        }
        for segment in segments(&decoded(path)) {
            match segment {
                b"." => continue,
                b".." if way.len() > 1 => _ = way.pop(),
                b".." => {}
                name => {
                    let next = way.last().copied().flatten().and_then(|tree| tree.children.get(name));
                    way.push(next);
                }
            }
            if way.last().copied().flatten().is_some_and(|tree| tree.whole) {
                return true;
            }
        }
        false
    }

    /// Adds a path, `/<directory>/...`. False when it was in it before.
    pub(crate) fn insert(&mut self, path: &str) -> bool {
        let mut tree = self;
        for segment in segments(&decoded(path)) {
            if tree.whole {
                return false;
            }
            tree = tree.children.entry(segment.into()).or_default();
        }
        !std::mem::replace(&mut tree.whole, true)
    }
}

fn decoded(path: &str) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode_str(path).into()
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let plain = |segment: &'_ [u8]| segment.iter().position(|byte| *byte == b';').unwrap_or(segment.len());
    path.split(|byte| matches!(byte, b'/' | b'\\'))
        .filter_map(move |segment| segment.get(..plain(segment)))
        .filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use leeward_rules::Path;

    use super::Tree;

    #[test]
    fn a_directory_covers_what_is_below_it_however_that_is_written() {
        let mut tree = Tree::default();
        for path in ["/photos/paid", "/photos/a/b/", "/photos/x(1)", "/films"] {
            assert!(tree.insert(path), "{path}");
        }
        for path in ["/photos/paid/", "/films/new"] {
            assert!(!tree.insert(path), "{path}");
        }
        for (directory, path, want) in [
            ("photos", "/paid", true),
            ("photos", "/paid/", true),
            ("photos", "/paid/a/b.jpg", true),
            ("photos", "/paidless/a", false),
            ("photos", "/Paid/a", false),
            ("photos", "/", false),
            ("photos", "/free/paid/a", false),
            ("photos", "/a", false),
            ("photos", "/a/b", true),
            ("photos", "/a/bc", false),
            ("films", "/", true),
            ("films", "/anything", true),
            ("other", "/paid/a", false),
            // other spellings
            ("photos", "//paid/a", true),
            ("photos", "/%70aid/a", true),
            ("photos", "/paid%2Fa", true),
            ("photos", "/a%2fb/c", true),
            ("photos", "/a%5Cb", true),
            ("photos", "/x%281%29/c", true),
            ("photos", "/paid;v=1/c", true),
            ("photos", "/free/..;/paid/c", true),
            ("photos", "/paid/..;/free/c", true),
            ("photos", "/;/paid/c", true),
            ("photos", "/free/.;/paid/c", false),
            ("photos", "/..;/paid", true),
            ("photos", "/free/../paid/c", true),
            ("photos", "/paid/../free/c", false),
        ] {
            let normal = Path::normalise(path).unwrap();
            assert_eq!(tree.covers(directory, normal.as_str()), want, "{directory} {path}");
        }
        let deep = format!("{}/paid", "/a".repeat(1000));
        assert!(!tree.covers("photos", &deep));
        assert!(!Tree::default().covers("photos", "/paid"));
        assert!(Tree::default().is_empty() && !tree.is_empty());
    }
}
