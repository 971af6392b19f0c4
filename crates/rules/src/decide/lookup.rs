//! The third phase: under which key is an answer stored, and may a stored one be used.

use crate::behaviors::caching::Caching;
use crate::behaviors::key_query::KeyQuery;
use crate::behaviors::origin::Name;
use crate::behaviors::refresh::Refresh;
use crate::behaviors::{Setting, Slot};
use crate::compile::Policy;
use crate::evaluate::Effective;

/// What the rules say about looking an answer up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lookup<'p> {
    /// `caching`, if a rule sets it.
    pub caching: Option<Caching>,
    /// `bypass-cache`, if a rule sets it: away from the cache, or into it where the platform would not use it.
    pub bypass: Option<bool>,
    /// Which part of the query is in the key, if a rule says so.
    pub key_query: Option<&'p KeyQuery>,
    /// The host in the key.
    pub key_host: KeyHost<'p>,
    /// What was stored before an instant must be confirmed.
    pub refresh: Option<Refresh>,
    /// The domain of the effective origin, lower case.
    pub origin_domain: Option<&'p str>,
}

/// The host in the cache key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyHost<'p> {
    /// No rule names an origin.
    #[default]
    Unset,
    /// The site's.
    Property,
    /// The origin's.
    Origin,
    /// This one, lower case.
    Fixed(&'p str),
}

/// Decides how an answer is looked up.
#[must_use]
pub fn lookup<'p>(policy: &'p Policy, effective: &Effective) -> Lookup<'p> {
    let origin = match effective.setting(policy, Slot::Origin) {
        Some(Setting::Origin(origin)) => Some(&**origin),
        _ => None,
    };
    Lookup {
        caching: super::store(policy, effective),
        bypass: match effective.setting(policy, Slot::BypassCache) {
            Some(Setting::Switch(bypass)) => Some(*bypass),
            _ => None,
        },
        key_query: match effective.setting(policy, Slot::KeyQuery) {
            Some(Setting::KeyQuery(choice)) => Some(choice),
            _ => None,
        },
        key_host: match origin.map(|origin| &origin.key_host) {
            None => KeyHost::Unset,
            Some(Name::Property) => KeyHost::Property,
            Some(Name::Origin) => KeyHost::Origin,
            Some(Name::Fixed(name)) => KeyHost::Fixed(name),
        },
        refresh: match effective.setting(policy, Slot::Refresh) {
            Some(Setting::Refresh(refresh)) => Some(*refresh),
            _ => None,
        },
        origin_domain: origin.map(|origin| origin.domain.as_str()),
    }
}
