//! What the edge answers by itself. Every refusal, redirect and error is one [`Answer`], written in one place.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use leeward_config::ready::OwnAnswer;
use leeward_telemetry::Reason;
use leeward_telemetry::status_fields::{self, NAME};
use pingora::http::ResponseHeader;
use pingora_proxy::Session;

use crate::context::Context;
use crate::phase::debug;

/// Methods named in a 405.
const SERVED: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// What tells a customer's own programs, as on the platform they know, that it was the WAF (delivery spec 6.5).
const AUDIT: (&str, &str) = ("X-EC-Security-Audit", "403");
/// Seconds a client is asked to wait when no origin can be reached.
const WAIT: HeaderValue = HeaderValue::from_static("5");

/// The head of the answer, once it was written. An interim response (RFC 9110 15.2) is none: the answer is still to come.
pub(crate) fn begun(session: &Session) -> Option<&ResponseHeader> {
    session
        .response_written()
        .filter(|head| !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS)
}

/// An answer of the edge's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Status of the answer.
    pub(crate) status: u16,
    /// Why, for log, metrics and `Proxy-Status`.
    pub(crate) reason: Reason,
    /// Where to, for a redirect.
    pub(crate) location: Option<String>,
    /// One more field that goes with the status.
    pub(crate) field: Option<(HeaderName, HeaderValue)>,
    /// Fields and body that the operator wrote; absent: the edge's own body.
    pub(crate) own: Option<Arc<OwnAnswer>>,
    /// Whether the connection must be closed: after a request whose framing cannot be trusted.
    pub(crate) close: bool,
}

impl Answer {
    /// A refusal or an error.
    pub(crate) const fn error(status: u16, reason: Reason) -> Self {
        Self { status, reason, location: None, field: None, own: None, close: false }
    }

    /// A redirect.
    pub(crate) const fn redirect(status: u16, reason: Reason, location: String) -> Self {
        Self { status, reason, location: Some(location), field: None, own: None, close: false }
    }

    /// The same with one more field.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.field = Some((name, value));
        self
    }

    /// The same with what the operator wrote.
    pub(crate) fn saying(mut self, own: &Arc<OwnAnswer>) -> Self {
        self.own = Some(Arc::clone(own));
        self
    }

    /// The same, with the connection closed afterwards.
    pub(crate) const fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// Writes the answer. Never stored anywhere: the next request must be judged anew.
    ///
    /// # Errors
    /// When the client is gone.
    pub(crate) async fn write(&self, session: &mut Session, ctx: &Context) -> pingora::Result<()> {
        if self.close {
            session.set_keepalive(None);
        }
        let body = self.body();
        let mut header = ResponseHeader::build(self.status, Some(8))?;
        header.insert_header("Server", NAME)?;
        header.insert_header("Cache-Control", "no-store")?;
        header.insert_header("Content-Type", "text/plain; charset=utf-8")?;
        header.set_content_length(body.len())?;
        if let Some(location) = &self.location {
            header.insert_header("Location", location.as_str())?;
        } else if let Some(value) = status_fields::proxy_status(self.reason) {
            header.insert_header("Proxy-Status", value)?;
        }
        if self.reason == Reason::Waf {
            header.insert_header(AUDIT.0, AUDIT.1)?;
        }
        match self.status {
            405 => header.insert_header("Allow", SERVED)?,
            503 => header.insert_header("Retry-After", WAIT)?,
            _ => {}
        }
        if let Some((name, value)) = &self.field {
            header.insert_header(name, value)?;
        }
        for (name, value) in self.own.iter().flat_map(|own| &own.headers) {
            header.insert_header(name.clone(), value.as_str())?;
        }
        debug::tell_own(session, &mut header, ctx)?;
        let header_only = session.req_header().method == Method::HEAD;
        session.write_response_header(Box::new(header), header_only).await?;
        // also without a body: the end is what tells an HTTP/2 client that the answer is whole
        session.write_response_body((!header_only).then_some(body), true).await
    }

    /// One line: the status in words and the reason's word, nothing of what the client sent.
    fn body(&self) -> Bytes {
        if let Some(own) = &self.own {
            return Bytes::from(own.body.clone());
        }
        let words = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        Bytes::from(format!("{} {}\n{NAME}: {}\n", self.status, words.unwrap_or("Error"), self.reason))
    }
}
