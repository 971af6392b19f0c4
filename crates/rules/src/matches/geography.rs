//! `geography`.

use crate::check::report::Report;
use crate::facts::Facts;
use crate::grammar::geo::{GeoCode, GeoKind, duplicate};
use crate::grammar::{Invalid, list, tokens};

/// Places; an unknown place is in none of them.
#[derive(Debug)]
pub(crate) struct Places(Box<[GeoCode]>);

impl Places {
    pub(super) fn parse(value: &str, report: &mut Report) -> Option<Self> {
        let codes = report.take(list::each(value, code))?;
        if let Some(token) = duplicate(&codes, tokens::split(value)) {
            report.warn(format!("{token} is listed twice"));
        }
        Some(Self(codes.into_boxed_slice()))
    }

    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        facts.place.is_some_and(|place| self.0.iter().any(|code| code.contains(place)))
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
