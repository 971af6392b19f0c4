//! The first phase: is this HTTP, whose is it, which rules apply.

mod address;
mod client;
mod intake;
mod route;
pub(crate) mod strict;

pub(crate) use intake::{begin, check, check_head, measure};
pub(crate) use route::{redirect, route};
