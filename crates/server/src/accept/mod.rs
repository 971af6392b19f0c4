//! From a TCP connection to requests: what comes before the first phase.
//!
//! ```text
//! listening service -> Edge: which listener, PROXY protocol, limits, TLS -> Requests: one task-local per request, head deadline
//!     -> http1: the hit lane, else                                           -> HttpProxy: the hooks of proxy.rs
//! ```
//!
//! The framework's own listeners hide or lack each of these steps; its HTTP/2 accept loop is used unchanged. Everything here takes plain values, not the configuration, so that tests need no file.

mod bind;
mod calm;
mod connection;
mod counters;
mod edge;
mod gate;
mod head;
mod held;
mod http1;
mod proxy_protocol;
mod request_end;
mod requests;
mod short_reads;
mod workers;

pub use bind::{BindError, Bound, Listening, bind, service};
pub(crate) use connection::checked_bytes;
pub(crate) use connection::whole_seconds;
pub use connection::{Connection, connection, head_was_read};
pub use counters::Counters;
pub use edge::{Edge, Limits, Listener};
pub use gate::Gate;
pub use workers::Workers;
