//! Where in a query a token stands.

use std::borrow::Cow;

use crate::grammar::Invalid;
use crate::grammar::query::parameters;

/// Characters of the longest parameter name.
const MAX_NAME: usize = 64;

/// Where in a query a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// At its start: `?TOKEN` or `?TOKEN&a=1`.
    Start,
    /// In the parameter of this name.
    Parameter(&'a str),
}

impl Place<'_> {
    /// The token. A parameter that is given twice counts as it stands first.
    #[must_use]
    pub fn find<'q>(&self, query: Option<&'q str>) -> Option<&'q str> {
        let query = query?;
        let token = match self {
            Self::Start => query.split('&').next().filter(|first| !first.contains('=')),
            Self::Parameter(name) => {
                parameters(query).find(|parameter| parameter.name == *name).map(|parameter| parameter.value)
            }
        };
        token.filter(|token| !token.is_empty())
    }

    /// The query without the token, and without further parameters of its name; empty when nothing is left.
    #[must_use]
    pub fn without<'q>(&self, query: &'q str) -> Cow<'q, str> {
        match self {
            Self::Start => query.split_once('&').map_or("", |(_, rest)| rest).into(),
            Self::Parameter(name) => {
                let is_token = |raw: &&str| raw.split('=').next() == Some(*name);
                if !query.split('&').any(|raw| is_token(&raw)) {
                    return query.into();
                }
                let rest: Vec<&str> = query.split('&').filter(|raw| !is_token(raw)).collect();
                rest.join("&").into()
            }
        }
    }
}

/// Checks the name of a parameter that carries an ectoken.
///
/// # Errors
/// For what is no plain name, and for `ec_token`, which the delivery documents exclude.
pub fn parameter_name(text: &str) -> Result<Box<str>, Invalid> {
    let good = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.len() <= MAX_NAME
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !good {
        return Err(Invalid::new(format!("{text:?} is not a parameter name"))
            .hint(format!("begin with a letter; letters, digits, '-' and '_' follow, {MAX_NAME} at most")));
    }
    if text == "ec_token" {
        return Err(Invalid::new("a parameter for tokens may not be named ec_token").hint("choose another name"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_at_the_start_or_in_its_parameter_and_the_rest_is_the_query() {
        let name = Place::Parameter("t");
        for (place, query, token, rest) in [
            (Place::Start, "TOKEN", Some("TOKEN"), ""),
            (Place::Start, "TOKEN&a=1&b", Some("TOKEN"), "a=1&b"),
            (Place::Start, "TOKEN&", Some("TOKEN"), ""),
            (Place::Start, "a=1&TOKEN", None, "TOKEN"),
            (Place::Start, "", None, ""),
            (Place::Start, "&TOKEN", None, "TOKEN"),
            (name, "t=TOKEN", Some("TOKEN"), ""),
            (name, "a=1&t=TOKEN&b", Some("TOKEN"), "a=1&b"),
            (name, "t=ONE&a=1&t=TWO", Some("ONE"), "a=1"),
            (name, "t=&t=TWO", None, ""),
            (name, "t", None, ""),
            (name, "TOKEN&tt=x&T=y", None, "TOKEN&tt=x&T=y"),
            (name, "a=1&&b", None, "a=1&&b"),
        ] {
            assert_eq!((place.find(Some(query)), &*place.without(query)), (token, rest), "{place:?} {query}");
        }
        assert_eq!(Place::Start.find(None), None);
    }

    #[test]
    fn a_parameter_has_a_plain_name() {
        for (name, good) in [
            ("token", true),
            ("T-1_x", true),
            ("ec_token", false),
            ("", false),
            ("1t", false),
            ("a b", false),
            ("a=b", false),
            (&*"a".repeat(65), false),
        ] {
            assert_eq!(parameter_name(name).is_ok(), good, "{name}");
        }
    }
}
