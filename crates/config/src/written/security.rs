//! Written: `geo`, `country_filters`, `addresses`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ready::Platform;

/// Where countries of client addresses come from.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Geo {
    /// A country database in MMDB format.
    pub database: Option<String>,
}

/// Countries that may or may not fetch from a directory.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["path", "action", "countries"]))]
pub struct CountryFilter {
    /// Platform of the directory.
    pub platform: Platform,
    /// Path on that platform: `/<directory>/...`.
    pub path: Option<String>,
    /// What happens to the countries listed.
    pub action: Option<FilterAction>,
    /// ISO 3166 codes of two letters.
    pub countries: Option<Vec<String>>,
}

/// `country_filters.action`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterAction {
    /// Only these countries.
    Allow,
    /// Not these countries.
    Block,
}

/// Address blocks that customers let through their firewalls; printed by `leeward origins --allow-list`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Addresses {
    /// Of edge servers.
    pub edge: Vec<String>,
    /// Of gateways and shields.
    pub gateways: Vec<String>,
    /// Kept for later.
    pub reserved: Vec<String>,
}
