//! Plain zlib under the name of `libz-ng-sys`, so that the edge builds with a C compiler and nothing else.
//!
//! `pingora-core` switches on flate2's `zlib-ng` feature, and the real `libz-ng-sys` runs `cmake`. Both libraries have
//! the same C interface; only the names are re-exported here.
#![no_std]
pub use libz_sys::*;
