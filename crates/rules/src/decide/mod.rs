//! Decisions: one function for each phase of a request. All are pure. `policy` and `effective` always belong together: the
//! one gave the other. A default [`Effective`] decides nothing.

mod deliver;
mod failover;
mod fetch;
mod lookup;
pub mod plan;
mod request;
mod security;
mod store;
mod tokens;
mod way;

pub use crate::behaviors::failover::FailoverKind;
pub use crate::behaviors::header_edit::EditOp;
pub use crate::behaviors::origin::OriginScheme;
pub use crate::behaviors::refresh::Refresh;
pub use crate::behaviors::switches::Downstream;
pub use crate::behaviors::target::AlternateUrl;
pub use crate::reading::AccessMode;
pub use deliver::{Deliver, deliver};
pub use failover::{Failover, SiteFailover, failover, has_failover, site_failover};
pub use fetch::{Backup, Fetch, HostHeader, OriginChoice, backup, fetch, origin};
pub use lookup::{KeyHost, Lookup, lookup};
pub use request::{Redirect, Request, request};
pub use security::{DenyReason, Verdict, has_lists, security};
pub use store::{store, store_on_hit};
pub use tokens::{Tokens, tokens};
pub use way::Way;

use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::behaviors::{Setting, Slot};
use crate::compile::Policy;
use crate::evaluate::Effective;

/// One edit of a header field. `value` is there for all but `Remove`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderEdit<'p> {
    /// What happens.
    pub op: EditOp,
    /// To which field.
    pub name: &'p HeaderName,
    /// With which value.
    pub value: Option<&'p HeaderValue>,
}

/// The edits of one request or response, in the order of their rules; at most one for each field.
pub type HeaderEdits<'p> = SmallVec<[HeaderEdit<'p>; 4]>;

fn edits<'p>(policy: &'p Policy, effective: &Effective, slot: Slot) -> HeaderEdits<'p> {
    let of_slot = effective.headers(policy).filter(|placed| placed.slot == slot);
    of_slot
        .filter_map(|placed| match &placed.setting {
            Setting::Header(edit) => Some(HeaderEdit { op: edit.op, name: &edit.name, value: edit.value.as_ref() }),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
