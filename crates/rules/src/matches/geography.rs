//! `geography`.

use crate::facts::Facts;
use crate::grammar::geo::{GeoCode, GeoKind, GeoSet, duplicate};
use crate::grammar::{Invalid, list, tokens};
use crate::reading::report::Report;

/// Places; an unknown place is in none of them.
#[derive(Debug)]
pub(crate) struct Places(GeoSet);

impl Places {
    pub(super) fn parse(value: &str, report: &mut Report) -> Option<Self> {
        let codes = report.take(list::each(value, code))?;
        if let Some(token) = duplicate(&codes, tokens::split(value)) {
            report.warn(format!("{token} is listed twice"));
        }
        Some(Self(codes.into_iter().collect()))
    }

    pub(super) fn codes(&self) -> impl Iterator<Item = GeoCode> {
        self.0.iter()
    }

    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.0.contains(facts.place)
    }
}

fn code(token: &str) -> Result<GeoCode, Invalid> {
    match token.split_once(':') {
        None => GeoCode::parse(GeoKind::Country, token),
        Some(("continent", code)) => GeoCode::parse(GeoKind::Continent, code),
        Some(("country", code)) => GeoCode::parse(GeoKind::Country, code),
        Some(("region", code)) => GeoCode::parse(GeoKind::Region, code),
        Some(("dma", code)) => GeoCode::parse(GeoKind::Dma, code),
        Some((kind, _)) => Err(Invalid::new(format!("{kind:?} is not a kind of place"))
            .hint("write country:US, continent:EU, region:US:WA or dma:501")),
    }
}
