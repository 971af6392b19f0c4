//! The policy language: what customers write (`matches` and `behaviors`), its checks, its compiled form, and decisions.
//!
//! Pure: no I/O, no clock, no randomness. Time, place and addresses come in as [`Facts`]; the same facts and the same policy
//! always give the same decisions. Everything is bounded: by the limits in [`check`] and by matching in linear time.
//!
//! ```text
//! JSON or YAML tree --read--> written::Policy --compile--> Policy --evaluate(facts)--> Effective --decide::<phase>--> decision
//!                   (all problems at once)                          (winner per behaviour name)
//! ```
//!
//! Source: the policy language specification.

pub mod check;
pub mod decide;
pub mod explain;
pub mod grammar;
pub mod token;
pub mod written;

mod behaviors;
mod compile;
mod continents;
mod evaluate;
mod facts;
mod index;
mod matches;
mod path;
mod place;
mod reading;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;

pub use behaviors::caching::Caching;
pub use behaviors::key_query::KeyQuery;
pub use check::{Conditions, read};
pub use compile::{NameKind, Policy};
pub use continents::is_country;
pub use evaluate::Effective;
pub use facts::{Facts, Scheme};
pub use path::{MAX_PATH, Path, PathError};
pub use place::{Code, Place};
pub use reading::report::{Problem, Severity, Step};
pub use reading::{Context, Form, nearest};
