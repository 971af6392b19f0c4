//! Objects by the hundred thousand: an origin and a client that are fast, and that agree on every byte of every answer.
//!
//! What a path holds at a version follows from both alone ([`Content`]), so nothing needs to be remembered of a million objects, and
//! the client compares each body byte by byte while it arrives, with what the origin gave for the version that the head names.

mod client;
mod content;
mod source;

pub use client::{Answer, Client, Tally};
pub use content::Content;
pub use source::{Asked, Plan, Source};
