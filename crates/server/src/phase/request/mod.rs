//! The first phase: is this HTTP, whose is it, which rules apply.

mod address;
mod client;
mod intake;
mod midgress;
mod route;
pub(crate) mod strict;

pub(crate) use address::host_of;
pub(crate) use intake::{MIN_SEND_RATE, begin, check, check_head, measure, stalled};
pub(crate) use midgress::validate;
pub(crate) use route::{redirect, redirect_without_token, route};
