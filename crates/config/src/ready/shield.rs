//! Ready: tiers between an edge and its origins.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Origin;

/// A part of the world, `server.region`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    /// The east of the USA.
    UsEast,
    /// The west of the USA.
    UsWest,
    /// Europe.
    Europe,
    /// Asia.
    Asia,
}

impl Region {
    /// As written in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UsEast => "us_east",
            Self::UsWest => "us_west",
            Self::Europe => "europe",
            Self::Asia => "asia",
        }
    }

    /// The code by which this region goes around a shield (delivery spec 1.8).
    #[must_use]
    pub const fn bypass(self) -> &'static str {
        match self {
            Self::UsEast => "BYEC",
            Self::UsWest => "BYWC",
            Self::Europe => "BYEU",
            Self::Asia => "BYAP",
        }
    }
}

/// The tier that this edge asks before an origin's servers. Nodes and gateways are servers of origins of their own, the same for clients
/// on HTTP and on HTTPS: they have health, names, TLS and connections as other servers have.
#[derive(Debug, PartialEq)]
pub enum Shield {
    /// An origin shield: the POP that serves this edge's region, else every POP, of which the nearest is used. At least one.
    Pops(Vec<Pop>),
    /// Gateways, in the order written.
    Gateways(Arc<Origin>),
}

/// A place with shield nodes.
#[derive(Debug, PartialEq)]
pub struct Pop {
    /// The region that it is for; absent: all.
    pub region: Option<Region>,
    /// Its nodes, at least one.
    pub nodes: Arc<Origin>,
}

impl Shield {
    /// Every group of nodes.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Origin>> {
        let (pops, gateways) = match self {
            Self::Pops(pops) => (pops.as_slice(), None),
            Self::Gateways(gateways) => (&[][..], Some(gateways)),
        };
        pops.iter().map(|pop| &pop.nodes).chain(gateways)
    }
}
