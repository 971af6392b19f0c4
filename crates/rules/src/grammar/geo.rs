//! Places as rules name them.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::Invalid;
use crate::place::{Code, Place};

/// Places of a rule: a look-up costs the same for one and for thousands.
#[derive(Debug, Clone, Default)]
pub(crate) struct GeoSet(HashSet<GeoCode, RandomState>);

impl FromIterator<GeoCode> for GeoSet {
    fn from_iter<T: IntoIterator<Item = GeoCode>>(codes: T) -> Self {
        Self(codes.into_iter().collect())
    }
}

impl GeoSet {
    /// An unknown place is in no set.
    pub(crate) fn contains(&self, place: Option<&Place>) -> bool {
        place.is_some_and(|place| GeoCode::of(place).into_iter().flatten().any(|code| self.0.contains(&code)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = GeoCode> {
        self.0.iter().copied()
    }
}

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

    /// Every code that a place has.
    pub(crate) fn of(place: &Place) -> [Option<Self>; 4] {
        [
            place.country.map(Self::Country),
            place.continent.map(Self::Continent),
            place.country.zip(place.region).map(|(country, region)| Self::Region(country, region)),
            place.dma.map(Self::Dma),
        ]
    }
}

/// The first code that is listed twice, as written.
pub(crate) fn duplicate<'a>(codes: &[GeoCode], mut tokens: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::with_hasher(RandomState::default());
    let at = codes.iter().position(|code| !seen.insert(*code))?;
    tokens.nth(at)
}
