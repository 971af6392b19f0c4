//! Address, country and referer lists. Source: policy-language 4.5.

use super::fields::Fields;
use crate::grammar::geo::{GeoCode, GeoKind, GeoSet, duplicate};
use crate::grammar::{IpSet, WildcardSet, list, tokens};
use crate::place::Place;

pub(super) fn ips(fields: &mut Fields<'_, '_>) -> Option<IpSet> {
    let value = fields.required_value("list addresses and networks: 192.0.2.1 198.51.100.0/24")?;
    fields.report.within("value", |report| report.take(IpSet::parse(value)))
}

/// Places of one kind.
#[derive(Debug)]
pub(crate) struct Geo(GeoSet);

const TYPES: &[(&str, GeoKind)] =
    &[("continent", GeoKind::Continent), ("country", GeoKind::Country), ("region", GeoKind::Region)];

pub(super) fn geo(fields: &mut Fields<'_, '_>) -> Option<Geo> {
    let kind = fields.kind(TYPES)?;
    let value = fields.required_value("list codes: US CA")?;
    fields.report.within("value", |report| {
        let codes = report.take(list::each(value, |token| GeoCode::parse(kind, token)))?;
        if let Some(token) = duplicate(&codes, tokens::split(value)) {
            report.warn(format!("{token} is listed twice"));
        }
        Some(Geo(codes.into_iter().collect()))
    })
}

impl Geo {
    /// An unknown place is in no list.
    pub(crate) fn contains(&self, place: Option<&Place>) -> bool {
        self.0.contains(place)
    }
}

/// Patterns over the whole Referer, without regard to case.
#[derive(Debug)]
pub(crate) struct Referers(WildcardSet);

pub(super) fn referers(fields: &mut Fields<'_, '_>) -> Option<Referers> {
    let value = fields.required_value("list patterns over the whole URL: *www.example.com*")?;
    let patterns = tokens::split(value).map(str::to_ascii_lowercase);
    Some(Referers(WildcardSet::new(patterns)))
}

impl Referers {
    /// Whether this Referer fits a pattern.
    pub(crate) fn contains(&self, referer: &[u8]) -> bool {
        let lower: smallvec::SmallVec<[u8; 256]> = referer.iter().map(u8::to_ascii_lowercase).collect();
        self.0.matches(&lower)
    }
}
