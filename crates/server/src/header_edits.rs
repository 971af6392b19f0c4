//! What rules change of request and response heads.

use http::{HeaderName, HeaderValue};
use leeward_rules::decide::{EditOp, HeaderEdit};
use pingora::http::{RequestHeader, ResponseHeader};

/// Headers that rules may edit.
pub(crate) trait Fields {
    fn append(&mut self, name: HeaderName, value: HeaderValue) -> pingora::Result<()>;
    fn insert(&mut self, name: HeaderName, value: HeaderValue) -> pingora::Result<()>;
    fn remove(&mut self, name: &HeaderName);
}

impl Fields for ResponseHeader {
    fn append(&mut self, name: HeaderName, value: HeaderValue) -> pingora::Result<()> {
        self.append_header(name, value).map(|_| ())
    }
    fn insert(&mut self, name: HeaderName, value: HeaderValue) -> pingora::Result<()> {
        self.insert_header(name, value)
    }
    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }
}

impl Fields for RequestHeader {
    fn append(&mut self, name: HeaderName, value: HeaderValue) -> pingora::Result<()> {
        self.append_header(name, value).map(|_| ())
    }
    fn insert(&mut self, name: HeaderName, value: HeaderValue) -> pingora::Result<()> {
        self.insert_header(name, value)
    }
    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }
}

/// Applies what rules change, in their order.
///
/// # Errors
/// When a field cannot be set.
pub(crate) fn apply(fields: &mut impl Fields, edits: &[HeaderEdit<'_>]) -> pingora::Result<()> {
    for HeaderEdit { op, name, value } in edits {
        match (op, value) {
            (EditOp::Add, Some(value)) => fields.append((*name).clone(), (*value).clone())?,
            (EditOp::Modify, Some(value)) => fields.insert((*name).clone(), (*value).clone())?,
            _ => fields.remove(name),
        }
    }
    Ok(())
}
