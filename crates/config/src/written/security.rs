//! Written: `addresses`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
