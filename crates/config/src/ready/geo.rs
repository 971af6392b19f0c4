//! Ready: where addresses are.

use std::net::IpAddr;

use leeward_rules::{Code, Place};
use maxminddb::{LookupResult, PathElement, Reader, WithinOptions};
use serde::Deserialize;

/// Bytes of a database, which is held in memory.
pub const MAX_DATABASE: u64 = 512 << 20;
/// Records that are read to find out whether a database has countries at all.
const SAMPLE: usize = 1_000;

/// Where a field stands in a record.
type Field = &'static [PathElement<'static>];

/// MaxMind's layout, the flat one of others, and the country of whoever registered the network where nobody knows more.
const COUNTRY: &[Field] = &[
    &[PathElement::Key("country"), PathElement::Key("iso_code")],
    &[PathElement::Key("country_code")],
    &[PathElement::Key("country")],
    &[PathElement::Key("registered_country"), PathElement::Key("iso_code")],
];
const CONTINENT: &[Field] = &[
    &[PathElement::Key("continent"), PathElement::Key("code")],
    &[PathElement::Key("continent_code")],
    &[PathElement::Key("continent")],
];
const REGION: &[Field] = &[
    &[PathElement::Key("subdivisions"), PathElement::Index(0), PathElement::Key("iso_code")],
    &[PathElement::Key("region_code")],
];
const METRO: &[Field] =
    &[&[PathElement::Key("location"), PathElement::Key("metro_code")], &[PathElement::Key("metro_code")]];

/// A database in MMDB format (<https://maxmind.github.io/MaxMind-DB/>), in memory.
pub struct Database {
    reader: Reader<Vec<u8>>,
}

impl Database {
    /// Takes a database in.
    ///
    /// # Errors
    /// A clause that says what is wrong: no such format, or no countries in it.
    pub fn new(bytes: Vec<u8>) -> Result<Self, String> {
        let reader = Reader::from_source(bytes).map_err(|error| error.to_string())?;
        let database = Self { reader };
        let mut found = false;
        let records = database.reader.networks(WithinOptions::default()).map_err(|error| error.to_string())?;
        for record in records.take(SAMPLE) {
            let record = record.map_err(|error| error.to_string())?;
            found |= Self::read(&record).country.is_some();
        }
        if found { Ok(database) } else { Err("it has no countries".to_owned()) }
    }

    /// Where an address is, as far as that is known. Does not allocate.
    #[must_use]
    pub fn place(&self, address: IpAddr) -> Option<Place> {
        let record = self.reader.lookup(address.to_canonical()).ok()?;
        Some(Self::read(&record)).filter(|place| *place != Place::default())
    }

    fn read(record: &LookupResult<'_, Vec<u8>>) -> Place {
        let code = |fields: &[Field], length: std::ops::RangeInclusive<usize>| {
            let text = first::<&str>(record, fields)?;
            Code::new(text).filter(|_| length.contains(&text.len()))
        };
        let continent = code(CONTINENT, 2..=2);
        // an address that is known to be in Europe, Asia or the Pacific and in no country of it
        let country = code(COUNTRY, 2..=2).or_else(|| match continent?.as_str() {
            "EU" => Code::new("EU"),
            "AS" | "OC" => Code::new("AP"),
            _ => None,
        });
        let by_country = country.map(Place::of_country).unwrap_or_default();
        Place {
            continent: continent.or(by_country.continent),
            region: code(REGION, 1..=3),
            dma: first(record, METRO),
            ..by_country
        }
    }
}

/// The first of the fields that is there and of that type.
fn first<'r, T: Deserialize<'r>>(record: &LookupResult<'r, Vec<u8>>, fields: &[Field]) -> Option<T> {
    fields.iter().find_map(|path| record.decode_path(path).ok().flatten())
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let about = self.reader.metadata();
        f.debug_struct("Database").field("type", &about.database_type).field("built", &about.build_epoch).finish()
    }
}

#[cfg(test)]
mod tests;
