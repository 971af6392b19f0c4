//! The proxy: one `ProxyHttp` whose hooks walk the phases, the listeners in front of it, and the life of the process.
//!
//! Start reading at [`proxy`]: it is the table of contents.

pub mod accept;
pub mod admin;
mod answer;
mod cache_metrics;
mod cache_parts;
mod context;
pub mod explain;
mod header_edits;
mod lane;
pub mod life;
mod limits;
mod node;
mod phase;
pub mod proxy;
mod start;
mod sweep;
pub mod tls;
mod waf;

pub use start::{Running, StartError, run};
pub use waf::{load, load_to_run};
