//! `leeward schema`

use std::process::ExitCode;

use super::say;

/// Prints the JSON Schema of the configuration, as kept in `conf/leeward.schema.json`.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    say(&serde_json::to_string_pretty(&leeward_config::schema())?);
    Ok(ExitCode::SUCCESS)
}
