//! Written: `origins.*.shield`.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::OriginTls;

/// A tier between this server and the origin: other Leeward servers with the same sites and origins, asked first. `pops` on `http_large`
/// and `http_small`, `gateways` on `adn` and `can`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shield {
    /// Shield nodes, by the regions that they serve.
    pub pops: Pops,
    /// Gateways: `http://10.2.0.1:8080`. The three that fetch `validation_path` fastest are asked, the fastest first.
    pub gateways: Option<Vec<String>>,
    /// TLS towards nodes and gateways with `https://`.
    pub tls: OriginTls,
}

/// Shield nodes, by the regions that they serve. A region that is left out is served by the nearest of the others.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pops {
    /// One for every region.
    pub all: Option<Pop>,
    /// The east of the USA.
    pub us_east: Option<Pop>,
    /// The west of the USA.
    pub us_west: Option<Pop>,
    /// Europe.
    pub europe: Option<Pop>,
    /// Asia.
    pub asia: Option<Pop>,
}

/// The nodes of a POP, or `bypass` (or the region's code: BYEC, BYWC, BYEU, BYAP) for a region that goes to the origin directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pop {
    /// `bypass`, or a region's code.
    Bypass(&'static str),
    /// Nodes: `http://10.1.0.1:8080`.
    Nodes(Vec<String>),
}

/// What stands for no shield.
pub(crate) const BYPASS: [&str; 5] = ["bypass", "BYEC", "BYWC", "BYEU", "BYAP"];

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Pop;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of servers or `bypass`")
    }
    fn visit_str<E: Error>(self, word: &str) -> Result<Pop, E> {
        let known = BYPASS.iter().find(|known| **known == word);
        known.map(|known| Pop::Bypass(known)).ok_or_else(|| E::unknown_variant(word, &BYPASS))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Pop, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Pop::Nodes(nodes))
    }
}

impl<'de> Deserialize<'de> for Pop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read)
    }
}

impl Serialize for Pop {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bypass(word) => word.serialize(serializer),
            Self::Nodes(nodes) => nodes.serialize(serializer),
        }
    }
}

impl JsonSchema for Pop {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pop".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The nodes of a POP, or `bypass` (or the region's code: BYEC, BYWC, BYEU, BYAP) for a region that goes to \
                            the origin directly.",
            "anyOf": [
                { "enum": BYPASS },
                { "type": "array", "items": { "type": "string" } },
            ],
        })
    }
}
