//! What is stored, under which key, for how long, and who may have it.
//!
//! [`Store`] is pingora's `Storage`: a memory tier, and below it [`disk`]; [`purge`] says what of them must not be served any more. Around it stand pure decisions: [`key`] (what makes two requests ask
//! for the same object), [`freshness`] (RFC 9111: may this answer be stored, and until when), [`vary`] (which variant), [`range`]
//! (which bytes) and [`admission`] (whether an object has been asked for often enough).

pub mod admission;
pub mod disk;
pub mod freshness;
pub mod key;
mod lock;
mod prediction;
pub mod purge;
pub mod range;
mod store;
pub mod vary;

pub use lock::FetchLock;
pub use prediction::Uncacheable;
pub use store::{Named, ObjectName, Options, Stats, Store, arrived, is_followed, is_passing};
