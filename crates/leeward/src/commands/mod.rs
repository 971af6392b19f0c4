//! One file per command.

pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod origins;
pub(crate) mod purge;
pub(crate) mod run;
pub(crate) mod running;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod token;

use std::fmt::Display;
use std::io::Write;

/// A line on standard output. A reader that went away (`| head`) is no error.
pub(crate) fn say(line: &impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line on standard error.
pub(crate) fn say_error(line: &impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// What is logged without `RUST_LOG`. What the framework says about single requests and connections is left out: the access log
/// and the metrics have it, and a client that connects and leaves could else fill the log, a line a connection.
const LOG_FILTER: &str = "warn,leeward=info,pingora_proxy=off,pingora_core::apps=off,pingora_core::connectors=off";

/// Program messages go to standard error; the access log has standard output for itself. `RUST_LOG` overrides.
pub(crate) fn start_logging() {
    let default = env_logger::Env::default().default_filter_or(LOG_FILTER);
    env_logger::Builder::from_env(default).format_timestamp_millis().init();
}
