//! What the edge says about itself: the shared words, the metrics, the access log, and the response fields that
//! report status (`Cache-Status`, `Proxy-Status`).
//!
//! Nothing here decides anything; phases hand over what they did.

pub mod access_log;
pub mod debug_fields;
pub mod metrics;
pub mod panics;
pub mod status_fields;
pub mod words;

pub use access_log::{AccessLog, Entry};
pub use metrics::Metrics;
pub use words::{AttemptResult, CacheState, FailoverTo, PurgeKind, Reason, WafVerdict};
