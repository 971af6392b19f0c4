//! Written: `geo`, `country_filters`, `access_mode`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ready::{Nested, Platform};

/// Where countries of client addresses come from.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Geo {
    /// A country or city database in MMDB format. Read when the configuration is loaded; a reload takes a new file in.
    pub database: Option<String>,
    /// What country filters of nested directories mean together.
    pub nested_filters: Nested,
}

/// Countries that may or may not fetch from a directory and everything below it, or a single file.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["path", "action", "countries"]))]
pub struct CountryFilter {
    /// Platform of the directory.
    pub platform: Platform,
    /// Path on that platform: `/<directory>/...`; `/` is every directory.
    pub path: Option<String>,
    /// What happens to the countries listed.
    pub action: Option<FilterAction>,
    /// ISO 3166 codes of two letters; `EU` and `AP` are addresses of a region that belong to no country of it.
    pub countries: Option<Vec<String>>,
}

/// `country_filters.action`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterAction {
    /// Only these countries. An unknown country is refused.
    Allow,
    /// Not these countries. An unknown country passes.
    Block,
}

/// `access_mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessMode {
    /// An address list and a country list must both let a client in.
    Strict,
    /// An address in `ip-whitelist` is exempt from the country list.
    Exempt,
}

impl From<AccessMode> for leeward_rules::decide::AccessMode {
    fn from(mode: AccessMode) -> Self {
        match mode {
            AccessMode::Strict => Self::Strict,
            AccessMode::Exempt => Self::Exempt,
        }
    }
}
