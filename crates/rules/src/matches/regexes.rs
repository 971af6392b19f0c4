//! Regular-expression matches: `url-path-regex`, `url-querystring-regex`, `host-name-regex`, `header-regex`, `cookie-regex`.
//!
//! The value is one expression, spaces included; it is searched anywhere in its subject unless it anchors itself.
//! Source: delivery-and-security 5.6.

use ::regex::bytes::Regex;
use http::HeaderName;

use super::fields::{cookies, header_name};
use crate::facts::Facts;
use crate::grammar::{Invalid, regex};

#[derive(Debug)]
pub(crate) struct Pattern {
    subject: Subject,
    regex: Regex,
}

#[derive(Debug)]
enum Subject {
    Path,
    Query,
    Host,
    Header(HeaderName),
    Cookie(Box<[u8]>),
}

impl Pattern {
    pub(super) fn parse(name: &str, value: &str) -> Result<Self, Invalid> {
        let (subject, expression) = match name {
            "url-path-regex" => (Subject::Path, value),
            "url-querystring-regex" => (Subject::Query, value),
            "host-name-regex" => (Subject::Host, value),
            "header-regex" => {
                let (header, expression) = value
                    .split_once(':')
                    .ok_or_else(|| Invalid::new("there is no ':' after the header name").hint("write `Name: regex`"))?;
                (Subject::Header(header_name(header)?), expression.trim_start_matches(' '))
            }
            _ => {
                let (cookie, expression) =
                    value.split_once('=').filter(|(cookie, _)| !cookie.is_empty()).ok_or_else(|| {
                        Invalid::new("there is no `name=` before the expression").hint("write `name=regex`")
                    })?;
                (Subject::Cookie(cookie.as_bytes().into()), expression)
            }
        };
        Ok(Self { subject, regex: regex::compile(expression)? })
    }

    /// Whether the expression is searched for in a part of the URL.
    pub(super) fn looks_at_url_alone(&self) -> bool {
        matches!(self.subject, Subject::Path | Subject::Query | Subject::Host)
    }

    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        let hit = |text: &[u8]| self.regex.is_match(text);
        match &self.subject {
            Subject::Path => hit(facts.path.as_str().as_bytes()),
            Subject::Query => facts.query.is_some_and(|query| hit(query.as_bytes())),
            Subject::Host => hit(facts.host.as_bytes()),
            Subject::Header(name) => facts.headers.get_all(name).iter().any(|line| hit(line.as_bytes())),
            Subject::Cookie(wanted) => cookies(facts).any(|(name, value)| *name == **wanted && hit(value)),
        }
    }
}
