//! `header`, `cookie`, `url-querystring`.

use http::HeaderName;
use http::header::COOKIE;

use super::key::{Carrier, Key, Keys};
use crate::facts::Facts;
use crate::grammar::{Invalid, Wildcard, list, query, tokens};

/// A value is split at spaces, so a space inside a token is written as an escape.
fn with_spaces(token: &str) -> String {
    token.replace("%20", " ")
}

/// One request header: present, or with a value that fits a pattern.
#[derive(Debug)]
pub(crate) struct Header {
    name: HeaderName,
    /// Empty: presence is enough.
    patterns: Box<[Wildcard]>,
}

pub(super) fn header_name(text: &str) -> Result<HeaderName, Invalid> {
    HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Invalid::new(format!("{text:?} is not a header name")).hint("write `Name` or `Name: pattern`"))
}

impl Header {
    pub(super) fn parse(value: &str) -> Result<Self, Invalid> {
        let (name, patterns) = value.split_once(':').unwrap_or((value, ""));
        let patterns: Box<[Wildcard]> =
            tokens::split(patterns).map(|token| Wildcard::new(&with_spaces(token))).collect();
        let presence = patterns.iter().any(|pattern| pattern.as_str() == "*");
        Ok(Self {
            name: header_name(name.trim_matches(' '))?,
            patterns: if presence { Box::default() } else { patterns },
        })
    }

    pub(super) fn keys(&self) -> Keys<'_> {
        let name = self.name.as_str().as_bytes();
        if self.patterns.is_empty() {
            return std::iter::once(Key::Field(Carrier::Header, name, None)).collect();
        }
        self.patterns.iter().map(|pattern| Key::Field(Carrier::Header, name, pattern.exact())).collect()
    }

    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        let mut lines = facts.headers.get_all(&self.name).iter();
        if self.patterns.is_empty() {
            return lines.next().is_some();
        }
        lines.any(|line| self.patterns.iter().any(|pattern| pattern.matches_bytes(line.as_bytes())))
    }
}

/// A named thing, present or with a value that fits a pattern.
#[derive(Debug)]
struct Named {
    name: Box<[u8]>,
    value: Option<Wildcard>,
}

impl Named {
    fn key(&self, carrier: Carrier) -> Key<'_> {
        Key::Field(carrier, &self.name, self.value.as_ref().and_then(Wildcard::exact))
    }

    fn fits(&self, name: &[u8], value: impl FnOnce() -> bool) -> bool {
        *self.name == *name && (self.value.is_none() || value())
    }
}

/// Cookies by name, or by name and value.
#[derive(Debug)]
pub(crate) struct Cookies(Box<[Named]>);

impl Cookies {
    pub(super) fn parse(value: &str) -> Result<Self, Vec<Invalid>> {
        let read = |token: &str| {
            let (name, value) = token.split_once('=').map_or((token, None), |(name, value)| (name, Some(value)));
            if name.is_empty() || name.contains(['*', ';', ',']) {
                return Err(Invalid::new(format!("{token:?} does not begin with a cookie name"))
                    .hint("write `name` or `name=pattern`; only the value may contain '*'"));
            }
            Ok(Named { name: name.as_bytes().into(), value: value.map(|value| Wildcard::new(&with_spaces(value))) })
        };
        Ok(Self(list::each(value, read)?.into_boxed_slice()))
    }

    pub(super) fn keys(&self) -> Keys<'_> {
        self.0.iter().map(|cookie| cookie.key(Carrier::Cookie)).collect()
    }

    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        cookies(facts).any(|(name, value)| {
            self.0.iter().any(|cookie| {
                cookie.fits(name, || cookie.value.as_ref().is_some_and(|pattern| pattern.matches_bytes(value)))
            })
        })
    }
}

/// Every cookie of the request, name and value as sent.
pub(crate) fn cookies<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    facts.headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).map(|pair| {
        let pair = pair.trim_ascii();
        match memchr::memchr(b'=', pair) {
            Some(at) => {
                (pair.get(..at).unwrap_or(pair).trim_ascii_end(), pair.get(at + 1..).unwrap_or(&[]).trim_ascii_start())
            }
            None => (pair, &[][..]),
        }
    })
}

/// Query parameters by name, or by name and value; both sides compared decoded.
#[derive(Debug)]
pub(crate) struct Parameters(Box<[Named]>);

impl Parameters {
    pub(super) fn parse(value: &str) -> Result<Self, Vec<Invalid>> {
        let read = |token: &str| {
            let (name, value) = token.split_once('=').map_or((token, None), |(name, value)| (name, Some(value)));
            if name.is_empty() || name.contains(['*', '&', '?']) {
                return Err(Invalid::new(format!("{token:?} does not begin with a parameter name"))
                    .hint("write `name`, `name=value` or `name=pattern*`; only the value may contain '*'"));
            }
            let value = value.map(|value| Wildcard::of_bytes(&query::decode(value)));
            Ok(Named { name: query::decode(name).into(), value })
        };
        Ok(Self(list::each(value, read)?.into_boxed_slice()))
    }

    pub(super) fn keys(&self) -> Keys<'_> {
        self.0.iter().map(|parameter| parameter.key(Carrier::Parameter)).collect()
    }

    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        let Some(text) = facts.query else { return false };
        query::parameters(text).any(|parameter| {
            let name = query::decode(parameter.name);
            self.0.iter().any(|wanted| {
                wanted.fits(&name, || {
                    wanted.value.as_ref().is_some_and(|pattern| pattern.matches_bytes(&query::decode(parameter.value)))
                })
            })
        })
    }
}
