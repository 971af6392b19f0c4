//! One answer of the admin API.

use http::header;
use pingora::http::ResponseHeader;
use serde_json::{Value, json};

use super::routes::Method;

/// Status, body and what describes it. Never stored by anyone (`Cache-Control: no-store`).
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    content_type: &'static str,
    extra: Option<(&'static str, &'static str)>,
    /// Seconds until the same may be asked again.
    again: Option<u32>,
    body: Vec<u8>,
    /// The connection ends after it.
    pub(super) last: bool,
}

impl Answer {
    pub(super) fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text.as_bytes().to_vec())
    }

    pub(super) fn metrics(text: Vec<u8>) -> Self {
        Self::new(200, "text/plain; version=0.0.4; charset=utf-8", text)
    }

    pub(super) fn json(status: u16, value: &Value) -> Self {
        let mut body = serde_json::to_vec_pretty(value).unwrap_or_default();
        body.push(b'\n');
        Self::new(status, "application/json", body)
    }

    pub(super) fn error(status: u16, message: &str) -> Self {
        Self::json(status, &json!({ "error": message }))
    }

    pub(super) fn unauthorised() -> Self {
        let answer = Self::error(401, "the bearer token is missing or wrong");
        Self { extra: Some(("WWW-Authenticate", "Bearer realm=\"leeward\"")), ..answer }
    }

    pub(super) fn not_allowed(allowed: Method) -> Self {
        let answer = Self::error(405, &format!("only {}", allowed.list()));
        Self { extra: Some(("Allow", allowed.list())), ..answer }
    }

    /// Says in how many seconds to come again.
    pub(super) fn retry_after(self, seconds: Option<u32>) -> Self {
        Self { again: seconds, ..self }
    }

    /// Ends the connection: what is left of the request is not read.
    pub(super) fn last(self) -> Self {
        Self { last: true, ..self }
    }

    fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, extra: None, again: None, body, last: false }
    }

    pub(super) fn into_parts(self) -> pingora::Result<(ResponseHeader, Vec<u8>)> {
        let mut head = ResponseHeader::build(self.status, Some(5))?;
        head.insert_header(header::CONTENT_TYPE, self.content_type)?;
        head.insert_header(header::CONTENT_LENGTH, self.body.len())?;
        head.insert_header(header::CACHE_CONTROL, "no-store")?;
        if let Some((name, value)) = self.extra {
            head.insert_header(name, value)?;
        }
        if let Some(seconds) = self.again {
            head.insert_header("Retry-After", seconds)?;
        }
        Ok((head, self.body))
    }
}
