//! Rules kept under what a request carries by name: header fields, cookies, query parameters.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::facts::Facts;
use crate::grammar::query;
use crate::matches::{Carrier, cookies};

type Names = HashMap<Box<[u8]>, Named, RandomState>;

/// Rules that ask for a name.
#[derive(Debug, Default)]
struct Named {
    /// With any value.
    any: Vec<u32>,
    /// With exactly this one.
    values: HashMap<Box<[u8]>, Vec<u32>, RandomState>,
}

#[derive(Debug, Default)]
pub(super) struct Fields {
    headers: Names,
    cookies: Names,
    parameters: Names,
}

impl Fields {
    pub(super) fn insert(&mut self, carrier: Carrier, name: &[u8], value: Option<&[u8]>, rule: u32) {
        let names = match carrier {
            Carrier::Header => &mut self.headers,
            Carrier::Cookie => &mut self.cookies,
            Carrier::Parameter => &mut self.parameters,
        };
        let named = names.entry(name.into()).or_default();
        let list = match value {
            None => &mut named.any,
            Some(value) => named.values.entry(value.into()).or_default(),
        };
        // The same token twice in one value.
        if list.last() != Some(&rule) {
            list.push(rule);
        }
    }

    /// Costs nothing where no rule is kept.
    #[inline]
    pub(super) fn of(&self, facts: &Facts<'_>, visit: &mut impl FnMut(&[u32])) {
        if !self.headers.is_empty() {
            for (name, value) in facts.headers {
                look(&self.headers, name.as_str().as_bytes(), || value.as_bytes(), visit);
            }
        }
        if !self.cookies.is_empty() {
            for (name, value) in cookies(facts) {
                look(&self.cookies, name, || value, visit);
            }
        }
        if !self.parameters.is_empty() {
            for parameter in facts.query.into_iter().flat_map(query::parameters) {
                look(&self.parameters, &query::decode(parameter.name), || query::decode(parameter.value), visit);
            }
        }
    }
}

fn look<V: AsRef<[u8]>>(names: &Names, name: &[u8], value: impl FnOnce() -> V, visit: &mut impl FnMut(&[u32])) {
    let Some(named) = names.get(name) else { return };
    visit(&named.any);
    if !named.values.is_empty()
        && let Some(list) = named.values.get(value().as_ref())
    {
        visit(list);
    }
}
