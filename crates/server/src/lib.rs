//! (being built)
pub mod accept;
pub mod tls;
