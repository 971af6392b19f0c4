//! Black-box tests of the edge: a scripted origin, a small client, a process runner, and scenarios that put them together.
//!
//! Nothing here links the edge. The real binary is started with a configuration file, spoken to over sockets, and
//! stopped with signals. Every wait has a deadline; a broken expectation panics, because a panic is how a test fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "this whole crate is test code: it stops at the first surprise"
)]

pub mod bulk;
pub mod certificates;
pub mod client;
pub mod dns;
pub mod edge;
pub mod http1;
pub mod mmdb;
pub mod origin;
pub mod scale;
pub mod scenario;
pub mod size;
pub mod turn;
pub mod wait;
pub mod wire;
