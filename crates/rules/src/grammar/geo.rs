//! Places as rules name them.

use super::Invalid;
use crate::facts::{Code, Place};

/// One place of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum GeoCode {
    Continent(Code),
    Country(Code),
    /// A subdivision and the country it belongs to.
    Region(Code, Code),
    Dma(u16),
}

/// What a code names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GeoKind {
    Continent,
    Country,
    Region,
    Dma,
}

impl GeoCode {
    pub(crate) fn parse(kind: GeoKind, text: &str) -> Result<Self, Invalid> {
        let pair = |text: &str| {
            if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()) { Code::new(text) } else { None }
        };
        let part = |text: &str| {
            if text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
                Code::new(text)
            } else {
                None
            }
        };
        let (code, shape) = match kind {
            GeoKind::Continent => {
                (pair(text).map(Self::Continent), "a continent is two upper-case letters, such as EU")
            }
            GeoKind::Country => (pair(text).map(Self::Country), "a country is two upper-case letters, such as US"),
            GeoKind::Region => {
                let both = text
                    .split_once(':')
                    .and_then(|(country, region)| Some(Self::Region(pair(country)?, part(region)?)));
                (both, "a region is a country and a subdivision, such as US:WA")
            }
            GeoKind::Dma => {
                let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
                (text.parse().ok().filter(|_| digits).map(Self::Dma), "a market area is a number, such as 501")
            }
        };
        code.ok_or_else(|| Invalid::new(format!("{text:?} is not the code of a place")).hint(shape))
    }

    pub(crate) fn contains(self, place: &Place) -> bool {
        match self {
            Self::Continent(code) => place.continent == Some(code),
            Self::Country(code) => place.country == Some(code),
            Self::Region(country, region) => place.country == Some(country) && place.region == Some(region),
            Self::Dma(area) => place.dma == Some(area),
        }
    }
}

/// The first code that is listed twice, as written.
pub(crate) fn duplicate<'a>(codes: &[GeoCode], mut tokens: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = std::collections::HashSet::with_hasher(foldhash::fast::RandomState::default());
    let at = codes.iter().position(|code| !seen.insert(*code))?;
    tokens.nth(at)
}
