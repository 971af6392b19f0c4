//! (being built)
pub mod accept;
pub mod admin;
pub mod life;
pub mod tls;
