//! `http-method`, `url-scheme`, `host-name`.

use crate::facts::{Facts, Scheme};
use crate::grammar::{Invalid, Tokens, host, list, tokens};
use crate::reading::report::Report;

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

#[derive(Debug)]
pub(crate) struct Methods(Tokens);

impl Methods {
    pub(super) fn parse(value: &str) -> Result<Self, Vec<Invalid>> {
        let read = |token: &str| {
            if METHODS.contains(&token) {
                return Ok(token.to_owned());
            }
            Err(Invalid::new(format!("{token:?} is not a method that can be matched"))
                .hint(format!("methods, in upper case: {}", METHODS.join(" "))))
        };
        Ok(Self(Tokens::new(list::each(value, read)?)))
    }

    #[inline]
    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.0.contains(facts.method)
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Schemes {
    http: bool,
    https: bool,
}

impl Schemes {
    pub(super) fn parse(value: &str, report: &mut Report) -> Option<Self> {
        let mut schemes = Self { http: false, https: false };
        let read = |token: &str| match token.to_ascii_uppercase().as_str() {
            "HTTP" => Ok(Scheme::Http),
            "HTTPS" => Ok(Scheme::Https),
            _ => Err(Invalid::new(format!("{token:?} is not a scheme")).hint("write HTTP or HTTPS")),
        };
        for scheme in report.take(list::each(value, read))? {
            match scheme {
                Scheme::Http => schemes.http = true,
                Scheme::Https => schemes.https = true,
            }
        }
        Some(schemes)
    }

    #[inline]
    pub(super) fn holds(self, facts: &Facts<'_>) -> bool {
        match facts.scheme {
            Scheme::Http => self.http,
            Scheme::Https => self.https,
        }
    }

    pub(super) fn is_both(self) -> bool {
        self.http && self.https
    }

    pub(super) fn covers(self, other: Self) -> bool {
        (self.http || !other.http) && (self.https || !other.https)
    }

    pub(super) fn is_disjoint(self, other: Self) -> bool {
        !(self.http && other.http || self.https && other.https)
    }
}

#[derive(Debug)]
pub(crate) struct Hosts(Tokens);

impl Hosts {
    pub(super) fn parse(value: &str) -> Result<Self, Vec<Invalid>> {
        if tokens::split(value).any(|token| token.contains('*')) {
            return Err(vec![
                Invalid::new("host names take no wildcard").hint("list the names, or use host-name-regex"),
            ]);
        }
        Ok(Self(Tokens::new(list::each(value, host::domain)?)))
    }

    #[inline]
    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.0.contains(facts.host)
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0
    }
}
