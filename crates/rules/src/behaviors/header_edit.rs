//! `modify-outgoing-request-header` and `modify-outgoing-response-header`. Source: policy-language 4.9.

use http::{HeaderName, HeaderValue};

use super::destination::no_variable;
use super::fields::Fields;
use crate::grammar::Invalid;

/// What happens to a header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EditOp {
    /// Another line beside those that are there.
    Add,
    /// One line instead of those that are there.
    Modify,
    /// No line is left.
    Remove,
}

#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) op: EditOp,
    pub(crate) name: HeaderName,
    pub(crate) value: Option<HeaderValue>,
}

/// Fields that belong to one connection, frame the message or say where it goes: an edit would break the exchange or open a
/// way round the edge (RFC 9110 7.6.1; RFC 8586 for CDN-Loop).
const REFUSED: [&str; 14] = [
    "cdn-loop",
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

pub(super) fn parse(fields: &mut Fields<'_, '_>) -> Option<Edit> {
    let name = fields.required("name", |text| {
        let name = HeaderName::from_bytes(text.as_bytes())
            .map_err(|_| Invalid::new(format!("{text:?} is not a header name")))?;
        if REFUSED.contains(&name.as_str()) {
            Err(Invalid::new(format!("{name} belongs to the connection or the edge and cannot be edited")))
        } else {
            Ok(name)
        }
    });
    let op = fields.kind(&[("add", EditOp::Add), ("modify", EditOp::Modify), ("remove", EditOp::Remove)]);
    let value = match op {
        Some(EditOp::Add | EditOp::Modify) => Some(fields.required("value", value)?),
        _ => {
            if fields.optional("value", value)?.is_some() && op.is_some() {
                fields
                    .at("value", |report| report.error("remove takes every line of the field: a value has no meaning"));
                return None;
            }
            None
        }
    };
    Some(Edit { op: op?, name: name?, value })
}

fn value(text: &str) -> Result<HeaderValue, Invalid> {
    no_variable(text)?;
    let invalid = || {
        Invalid::new(format!("{text:?} cannot be a header value"))
            .hint("printable ASCII, no line breaks, no space at either end")
    };
    if text.trim_matches([' ', '\t']) != text || !text.is_ascii() {
        return Err(invalid());
    }
    HeaderValue::from_str(text).map_err(|_| invalid())
}
