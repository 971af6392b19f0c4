//! What `leeward demo` shows: a small origin, its mirror, and what to try with them.

mod origin;
pub(crate) mod script;

pub(crate) use origin::Origin;
