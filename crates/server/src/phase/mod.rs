//! The phases of a request, in order. `proxy.rs` says which hook calls which. A phase does not do another one's work; what
//! `lookup` and `fetch` ask is whether `failover` applies to a status, since a copy or an answer is then no use.
//!
//! * [`request`]: is this HTTP, whose is it, which rules apply
//! * [`security`]: may it be answered
//! * [`lookup`]: is there a stored answer
//! * [`fetch`]: which server is asked, with what, and what its answer means
//! * [`failover`]: what becomes of it when no server helps
//! * [`store`]: is the answer kept, and for how long
//! * [`deliver`]: what the client sees
//! * [`log`](mod@log): what remains
//!
//! Five things go through several of them: [`slices`] of large objects, [`watch`], the times of an attempt, [`orphan`], fills whose
//! client has left, [`websocket`], and [`debug`], answers that say how they came about.

pub(crate) mod admission;
pub(crate) mod debug;
pub(crate) mod deliver;
pub(crate) mod failover;
pub(crate) mod fetch;
pub(crate) mod log;
pub(crate) mod lookup;
pub(crate) mod orphan;
pub(crate) mod request;
pub(crate) mod security;
pub(crate) mod slices;
pub(crate) mod store;
pub(crate) mod watch;
pub(crate) mod websocket;
