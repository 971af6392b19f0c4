//! (being built)
pub mod accept;
