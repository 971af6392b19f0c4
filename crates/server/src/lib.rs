//! The proxy: one `ProxyHttp` whose hooks walk the phases, the listeners in front of it, and the life of the process.

pub mod accept;
pub mod admin;
pub mod life;
pub mod tls;
