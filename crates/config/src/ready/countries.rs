//! Ready: which countries may fetch from where. Source: the delivery spec, 3.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use leeward_rules::{Code, Place};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What country filters of nested directories mean together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nested {
    /// Every filter above a file must let the client pass.
    #[default]
    Cumulative,
    /// The nearest filter above a file decides alone.
    MostSpecific,
}

/// The country filters of one origin, as a tree of directories.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CountryFilters {
    pub(crate) nested: Nested,
    /// The filter of the whole platform.
    pub(crate) above: Option<CountryFilter>,
    /// The origin's directory.
    pub(crate) root: Directory,
}

/// A directory or a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Directory {
    pub(crate) filter: Option<CountryFilter>,
    /// By name, without escapes.
    below: HashMap<Box<[u8]>, Self, RandomState>,
}

/// Countries that may or may not pass.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CountryFilter {
    /// Whether those listed are the only ones that pass, not those that do not.
    pub(crate) allow: bool,
    /// In order.
    pub(crate) countries: Box<[Code]>,
}

impl CountryFilter {
    /// An unknown country is in no list.
    fn refuses(&self, country: Option<Code>) -> bool {
        let listed = country.is_some_and(|country| self.countries.binary_search(&country).is_ok());
        listed != self.allow
    }
}

impl Directory {
    /// The directory or file of that path below this one, made if it is not there.
    pub(crate) fn at(&mut self, path: &str) -> &mut Self {
        let mut here = self;
        for name in names(path) {
            here = here.below.entry(name.into_owned().into()).or_default();
        }
        here
    }

    /// An origin may take what follows a `;` for a parameter of the name before it.
    fn below(&self, name: &[u8]) -> Option<&Self> {
        let plain = || name.split(|byte| *byte == b';').next().and_then(|plain| self.below.get(plain));
        self.below.get(name).or_else(plain)
    }
}

impl CountryFilters {
    /// Whether a client there may not fetch the path on the origin: `prefix`, then `path`, both in normal form.
    ///
    /// The path is read as origins read it: empty segments count for nothing, and every escape for its character. Where an escaped
    /// slash makes two readings, neither may be refused.
    #[must_use]
    pub fn refuse(&self, prefix: &str, path: &str, place: Option<&Place>) -> bool {
        let country = place.and_then(|place| place.country);
        let refused = self.refuse_names(names(prefix).chain(names(path)), country);
        let hidden = |text: &str| text.contains("%2F") || text.contains("%5C");
        if refused || !(hidden(prefix) || hidden(path)) {
            return refused;
        }
        let whole = [prefix, path].concat().replace("%2F", "/").replace("%5C", "/");
        self.refuse_names(names(&whole), country)
    }

    fn refuse_names<'p>(&self, names: impl Iterator<Item = Cow<'p, [u8]>>, country: Option<Code>) -> bool {
        let mut nearest = self.above.as_ref();
        if nearest.is_some_and(|filter| self.nested == Nested::Cumulative && filter.refuses(country)) {
            return true;
        }
        let mut here = Some(&self.root);
        let mut names = names;
        while let Some(directory) = here {
            if let Some(filter) = &directory.filter {
                if self.nested == Nested::Cumulative && filter.refuses(country) {
                    return true;
                }
                nearest = Some(filter);
            }
            here = names.next().and_then(|name| directory.below(&name));
        }
        nearest.is_some_and(|filter| filter.refuses(country))
    }
}

/// The names of a path's segments, without escapes and without the empty ones.
fn names(path: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
    path.split('/').filter(|name| !name.is_empty()).map(|name| percent_decode_str(name).into())
}

#[cfg(test)]
mod tests;
