//! The real binary, seen from outside. One test binary, because linking is slower than running.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "this whole crate is test code: it stops at the first surprise"
)]

mod admin;
mod bad_answers;
mod clock;
mod coalescing;
mod connections;
mod demo;
mod disk;
mod failover_streams;
mod frames;
mod hit_lane;
mod log;
mod memory;
mod mixed;
mod overload;
mod proxied;
mod purging;
mod raw;
mod readers;
mod reload_under_load;
mod slow;
mod soak;
mod stage;
mod stopping;
mod streaming;
mod tiers;
mod timeouts;
mod tls;
mod tokens;
mod variants;
mod waf;
mod websocket;

/// Every file under `scenarios/`, one test each.
mod scenarios {
    include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));
}
