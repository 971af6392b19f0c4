//! Conditions on the client's request: one file per family. Source: policy-language 3.

mod address;
mod fields;
mod geography;
mod key;
mod regexes;
mod request;
mod url;

use smallvec::{SmallVec, smallvec};

pub(crate) use fields::cookies;
pub(crate) use key::{Carrier, Key, Keys};

use crate::facts::Facts;
use crate::reading::nearest;
use crate::reading::report::Report;

/// Every legal name.
pub(crate) const NAMES: &[&str] = &[
    "http-method",
    "url-scheme",
    "url-path",
    "url-wildcard",
    "url-filename",
    "url-extension",
    "host-name",
    "header",
    "cookie",
    "client-ip",
    "geography",
    "url-querystring",
    "url-path-regex",
    "url-querystring-regex",
    "host-name-regex",
    "header-regex",
    "cookie-regex",
];

/// One match, ready to be tested.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) condition: Condition,
    pub(crate) negated: bool,
    pub(crate) name: &'static str,
    pub(crate) value: Box<str>,
}

#[derive(Debug)]
pub(crate) enum Condition {
    Method(request::Methods),
    Scheme(request::Schemes),
    Host(request::Hosts),
    FirstComponent(url::Names),
    Filename(url::Names),
    Extension(url::Names),
    Wildcard(url::Wildcards),
    Query(fields::Parameters),
    Header(fields::Header),
    Cookie(fields::Cookies),
    ClientIp(address::ClientIp),
    Geography(geography::Places),
    Regex(Box<regexes::Pattern>),
}

impl Test {
    /// Reads one match; everything that is wrong goes to the report, below `name` and `value`.
    pub(crate) fn parse(name: &str, value: &str, negated: bool, report: &mut Report) -> Option<Self> {
        let Some(known) = NAMES.iter().copied().find(|known| *known == name) else {
            let legal = NAMES.join(", ");
            let hint = nearest(name, NAMES.iter().copied()).map_or_else(
                || format!("legal names: {legal}"),
                |near| format!("did you mean {near:?}? legal names: {legal}"),
            );
            report.within("name", |report| report.error_hint(format!("unknown match {name:?}"), hint));
            return None;
        };
        let condition = report.within("value", |report| Condition::parse(known, value, report))?;
        Some(Self { condition, negated, name: known, value: value.into() })
    }

    #[inline]
    pub(crate) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.condition.holds(facts) != self.negated
    }

    /// Whether the test looks at nothing but method and URL.
    pub(crate) fn looks_at_url_alone(&self) -> bool {
        match &self.condition {
            Condition::Method(_)
            | Condition::Scheme(_)
            | Condition::Host(_)
            | Condition::FirstComponent(_)
            | Condition::Filename(_)
            | Condition::Extension(_)
            | Condition::Wildcard(_)
            | Condition::Query(_) => true,
            Condition::Header(_) | Condition::Cookie(_) | Condition::ClientIp(_) | Condition::Geography(_) => false,
            Condition::Regex(pattern) => pattern.looks_at_url_alone(),
        }
    }

    /// Whether the test holds for every request.
    pub(crate) fn is_universal(&self) -> bool {
        !self.negated && self.condition.is_universal()
    }

    /// Whether the test can hold for no request.
    pub(crate) fn is_impossible(&self) -> bool {
        self.negated && self.condition.is_universal()
    }

    /// Whether `self` is known to hold wherever `other` holds.
    pub(crate) fn follows_from(&self, other: &Self) -> bool {
        if self.is_universal() {
            return true;
        }
        if self.name != other.name || self.negated != other.negated {
            return false;
        }
        if self.negated { other.covers(self) } else { self.covers(other) }
    }

    /// Whether the two are known never to hold together.
    pub(crate) fn contradicts(&self, other: &Self) -> bool {
        if self.name != other.name {
            return false;
        }
        match (self.negated, other.negated) {
            (false, false) => self.condition.is_disjoint(&other.condition),
            (false, true) => other.covers(self),
            (true, false) => self.covers(other),
            (true, true) => false,
        }
    }

    /// Whether the test lets nothing but GET and HEAD through.
    pub(crate) fn allows_only_get_and_head(&self) -> bool {
        !self.negated
            && matches!(&self.condition, Condition::Method(methods) if methods.tokens().iter().all(|method| matches!(method, "GET" | "HEAD")))
    }

    fn covers(&self, other: &Self) -> bool {
        self.value == other.value || self.condition.covers(&other.condition)
    }

    /// Where the index may keep a rule with this test, as alternatives. Each has one key per token, such that every request
    /// for which the test holds has at least one of them. Nothing when that cannot be said.
    pub(crate) fn keys(&self) -> SmallVec<[Keys<'_>; 2]> {
        if self.negated {
            return SmallVec::new();
        }
        let one: Keys<'_> = match &self.condition {
            Condition::Host(hosts) => hosts.tokens().iter().map(Key::Host).collect(),
            Condition::FirstComponent(names) => names.tokens().iter().map(Key::First).collect(),
            Condition::Filename(names) => names.tokens().iter().map(Key::Filename).collect(),
            Condition::Extension(names) => names.tokens().iter().map(Key::Tail).collect(),
            Condition::Header(header) => header.keys(),
            Condition::Cookie(cookies) => cookies.keys(),
            Condition::Query(parameters) => parameters.keys(),
            Condition::ClientIp(addresses) => addresses.networks().map(Key::Network).collect(),
            Condition::Geography(places) => places.codes().map(Key::Place).collect(),
            Condition::Wildcard(patterns) => return patterns.keys(),
            _ => return SmallVec::new(),
        };
        smallvec![one]
    }
}

impl Condition {
    fn parse(name: &'static str, value: &str, report: &mut Report) -> Option<Self> {
        match name {
            "http-method" => report.take(request::Methods::parse(value)).map(Self::Method),
            "url-scheme" => request::Schemes::parse(value, report).map(Self::Scheme),
            "host-name" => report.take(request::Hosts::parse(value)).map(Self::Host),
            "url-path" => report.take(url::component(value)).map(Self::FirstComponent),
            "url-filename" => report.take(url::filename(value)).map(Self::Filename),
            "url-extension" => report.take(url::extension(value)).map(Self::Extension),
            "url-wildcard" => report.take(url::Wildcards::parse(value)).map(Self::Wildcard),
            "url-querystring" => report.take(fields::Parameters::parse(value)).map(Self::Query),
            "header" => report.take_one(fields::Header::parse(value)).map(Self::Header),
            "cookie" => report.take(fields::Cookies::parse(value)).map(Self::Cookie),
            "client-ip" => report.take(address::ClientIp::parse(value)).map(Self::ClientIp),
            "geography" => geography::Places::parse(value, report).map(Self::Geography),
            other => {
                report.take_one(regexes::Pattern::parse(other, value)).map(|pattern| Self::Regex(Box::new(pattern)))
            }
        }
    }

    #[inline]
    fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Method(methods) => methods.holds(facts),
            Self::Scheme(schemes) => schemes.holds(facts),
            Self::Host(hosts) => hosts.holds(facts),
            Self::FirstComponent(names) => {
                facts.path.first_component().is_some_and(|name| names.tokens().contains(name))
            }
            Self::Filename(names) => names.tokens().contains(facts.path.filename()),
            Self::Extension(names) => facts.path.extension().is_some_and(|name| names.tokens().contains(name)),
            Self::Wildcard(patterns) => patterns.holds(facts),
            Self::Query(parameters) => parameters.holds(facts),
            Self::Header(header) => header.holds(facts),
            Self::Cookie(cookies) => cookies.holds(facts),
            Self::ClientIp(addresses) => addresses.holds(facts),
            Self::Geography(places) => places.holds(facts),
            Self::Regex(pattern) => pattern.holds(facts),
        }
    }

    fn is_universal(&self) -> bool {
        match self {
            Self::Scheme(schemes) => schemes.is_both(),
            Self::Wildcard(patterns) => patterns.is_everything(),
            _ => false,
        }
    }

    /// Whether `self` is known to hold wherever `other` does. Says no when in doubt.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Method(a), Self::Method(b)) => b.tokens().is_subset(a.tokens()),
            (Self::Scheme(a), Self::Scheme(b)) => a.covers(*b),
            (Self::Host(a), Self::Host(b)) => b.tokens().is_subset(a.tokens()),
            (Self::FirstComponent(a), Self::FirstComponent(b))
            | (Self::Filename(a), Self::Filename(b))
            | (Self::Extension(a), Self::Extension(b)) => b.tokens().is_subset(a.tokens()),
            (Self::Wildcard(a), Self::Wildcard(b)) => a.covers(b),
            _ => false,
        }
    }

    /// Whether the two, each about a thing of which a request has exactly one, have no value in common.
    fn is_disjoint(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Method(a), Self::Method(b)) => a.tokens().is_disjoint(b.tokens()),
            (Self::Scheme(a), Self::Scheme(b)) => a.is_disjoint(*b),
            (Self::Host(a), Self::Host(b)) => a.tokens().is_disjoint(b.tokens()),
            (Self::FirstComponent(a), Self::FirstComponent(b))
            | (Self::Filename(a), Self::Filename(b))
            | (Self::Extension(a), Self::Extension(b)) => a.tokens().is_disjoint(b.tokens()),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
