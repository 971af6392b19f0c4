//! Texts with the groups of a regular expression: the destinations of `rewrite` and `url-redirect`.

use ::regex::bytes::{Captures, Regex};

use crate::grammar::Invalid;
use crate::path::Path;

/// Text and references to groups (`$0` to `$9`; `$$` is a dollar).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

/// Variables come with a later version.
pub(crate) fn no_variable(text: &str) -> Result<(), Invalid> {
    if text.contains("%{") {
        return Err(Invalid::new("variables (%{...}) are not supported yet"));
    }
    Ok(())
}

impl Destination {
    /// Reads a destination for this expression.
    pub(crate) fn parse(text: &str, regex: &Regex) -> Result<Self, Invalid> {
        no_variable(text)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Invalid::new(format!("{text:?} contains characters that cannot stand in a URL"))
                .hint("percent-encode them"));
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character != '$' {
                plain.push(character);
                continue;
            }
            match characters.next() {
                Some('$') => plain.push('$'),
                Some(digit) if digit.is_ascii_digit() => {
                    let group = usize::try_from(digit.to_digit(10).unwrap_or(0)).unwrap_or(0);
                    if group >= regex.captures_len() {
                        return Err(Invalid::new(format!("${group} names no group of the source"))
                            .hint(format!("the source has {} groups", regex.captures_len() - 1)));
                    }
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(Part::Group(group));
                }
                _ => {
                    return Err(Invalid::new("a '$' is followed by neither a digit nor another '$'")
                        .hint("write $1 for the first group and $$ for a dollar"));
                }
            }
        }
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    /// The text with the groups filled in. Normal paths are ASCII, and so is every group of one.
    pub(crate) fn expand(&self, captures: &Captures<'_>) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(group) => out.push_str(
                    &captures
                        .get(*group)
                        .map_or_else(String::new, |group| String::from_utf8_lossy(group.as_bytes()).into_owned()),
                ),
            }
        }
        out
    }
}

/// The part of a URL after its host, in normal form: path and own query.
pub(crate) fn path_and_query(text: &str) -> Result<(String, Option<String>), Invalid> {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    if text.contains('#') {
        return Err(Invalid::new(format!("{text:?} contains '#'")).hint("fragments never reach a server"));
    }
    if !path.starts_with('/') {
        return Err(Invalid::new(format!("{text:?} does not begin with '/'")).hint(format!("write \"/{text}\"")));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Invalid::new(format!("{text:?} contains characters that cannot stand in a URL"))
            .hint("percent-encode them"));
    }
    let path = Path::normalise(path).map_err(|error| Invalid::new(format!("{text:?}: {error}")))?;
    Ok((path.as_str().to_owned(), query.map(str::to_owned)))
}
