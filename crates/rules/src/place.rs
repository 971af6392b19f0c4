//! Where clients are.

use crate::continents;

/// Where a client is. Every part may be unknown; an unknown part equals no code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// Continent, such as `EU`.
    pub continent: Option<Code>,
    /// ISO 3166-1 country, such as `US`.
    pub country: Option<Code>,
    /// ISO 3166-2 subdivision without its country, such as `WA`.
    pub region: Option<Code>,
    /// Designated market area (United States).
    pub dma: Option<u16>,
}

impl Place {
    /// A country and the continent that it is on.
    #[must_use]
    pub fn of_country(country: Code) -> Self {
        let continent = continents::of(country.as_str()).and_then(Code::new);
        Self { country: Some(country), continent, ..Self::default() }
    }
}

/// One to three upper-case letters or digits: a continent, country or region.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code([u8; 3]);

impl Code {
    /// The code, or nothing when the text is not one to three ASCII letters or digits. Lower case is folded.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > 3 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let mut code = [0; 3];
        for (slot, byte) in code.iter_mut().zip(text.bytes()) {
            *slot = byte.to_ascii_uppercase();
        }
        Some(Self(code))
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(3);
        self.0.get(..end).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
