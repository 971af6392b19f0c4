//! Everything between the decision "ask the origin" and a connection: names to addresses, which server next, how to
//! connect, and what a failed attempt means for the client.

pub mod connect;
pub mod direct;
pub mod failure;
pub mod health;
pub mod resolve;
pub mod tiers;
pub mod walk;

pub use connect::{Connector, Kind, Watch};
pub use direct::direct;
pub use failure::Failure;
pub use health::{Admission, Health};
pub use resolve::{Known, Question, ResolveError, Resolver};
pub use tiers::Tiers;
pub use walk::{Target, Walk};
