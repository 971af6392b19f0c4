//! `url-path`, `url-filename`, `url-extension`, `url-wildcard`.

use smallvec::SmallVec;

use super::key::{Key, Keys};
use crate::facts::Facts;
use crate::grammar::{Invalid, Tokens, Wildcard, list};
use crate::path::normalise_escapes;

/// Exact names of one part of the path.
#[derive(Debug)]
pub(crate) struct Names(Tokens);

impl Names {
    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0
    }
}

/// Values are compared with normal paths, so they are brought into the same spelling.
fn normal(token: &str) -> Result<String, Invalid> {
    normalise_escapes(token).map_err(|error| {
        Invalid::new(format!("{token:?} can be no part of a path: {error}"))
            .hint("only the path is compared, without the query")
    })
}

fn bare(token: &str, hint: &str) -> Result<String, Invalid> {
    for character in ['/', '*'] {
        if token.contains(character) {
            return Err(Invalid::new(format!("{token:?} contains '{character}'")).hint(hint));
        }
    }
    normal(token)
}

pub(super) fn component(value: &str) -> Result<Names, Vec<Invalid>> {
    let read =
        |token: &str| bare(token, "write the bare first component, as in \"static\"; use url-wildcard for patterns");
    Ok(Names(Tokens::new(list::each(value, read)?)))
}

pub(super) fn filename(value: &str) -> Result<Names, Vec<Invalid>> {
    let read = |token: &str| bare(token, "write the bare filename, as in \"logo.jpg\"; use url-wildcard for patterns");
    Ok(Names(Tokens::new(list::each(value, read)?)))
}

pub(super) fn extension(value: &str) -> Result<Names, Vec<Invalid>> {
    let read = |token: &str| {
        if token.starts_with('.') {
            return Err(Invalid::new(format!("{token:?} begins with a dot"))
                .hint(format!("write {:?}", token.trim_start_matches('.'))));
        }
        if token.contains('.') {
            return Err(Invalid::new(format!("{token:?} contains a dot and can never match"))
                .hint("an extension is what follows the last dot"));
        }
        bare(token, "write bare extensions, as in \"jpg png\"")
    };
    Ok(Names(Tokens::new(list::each(value, read)?)))
}

/// Patterns over the whole path.
#[derive(Debug)]
pub(crate) struct Wildcards(Box<[Wildcard]>);

impl Wildcards {
    pub(super) fn parse(value: &str) -> Result<Self, Vec<Invalid>> {
        let read = |token: &str| {
            if !token.starts_with(['/', '*']) {
                return Err(Invalid::new(format!("the pattern {token:?} begins with neither '/' nor '*'"))
                    .hint(format!("write \"/{token}\"")));
            }
            normal(token).map(|pattern| Wildcard::new(&pattern))
        };
        Ok(Self(list::each(value, read)?.into_boxed_slice()))
    }

    #[inline]
    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.0.iter().any(|pattern| pattern.matches(facts.path.as_str()))
    }

    pub(super) fn is_everything(&self) -> bool {
        self.0.iter().any(|pattern| matches!(pattern.as_str(), "*" | "/*"))
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|narrow| self.0.iter().any(|wide| wide.covers(narrow)))
    }

    pub(super) fn keys(&self) -> SmallVec<[Keys<'_>; 2]> {
        let by_beginning = self.0.iter().map(key).collect();
        let by_end = self.0.iter().map(|pattern| filename_key(pattern).or_else(|| key(pattern))).collect();
        let ways: [Option<Keys<'_>>; 2] = [by_beginning, by_end];
        ways.into_iter().flatten().collect()
    }
}

/// `/tenants/*/logo.png`: whatever matches has the filename `logo.png`.
fn filename_key(pattern: &Wildcard) -> Option<Key<'_>> {
    pattern.suffix().rsplit_once('/').filter(|_| pattern.exact().is_none()).map(|(_, name)| Key::Filename(name))
}

fn key(pattern: &Wildcard) -> Option<Key<'_>> {
    if pattern.exact().is_some() {
        return Some(Key::Exact(pattern.as_str()));
    }
    if pattern.prefix().len() > 1 {
        return Some(Key::Prefix(pattern.prefix()));
    }
    // `/*.jpg`: whatever matches has `jpg` after its last dot, and no slash behind that dot.
    match pattern.suffix().rsplit_once('.') {
        Some((_, tail)) if !tail.contains('/') => Some(Key::Tail(tail)),
        _ => None,
    }
}
