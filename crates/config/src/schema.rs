//! The JSON Schema of the configuration.

use crate::written::Configuration;

/// The JSON Schema (2020-12) of `leeward.yaml`, from the written types; kept as `conf/leeward.schema.json`.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Configuration).to_value()
}
