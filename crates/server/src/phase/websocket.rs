//! WebSockets (RFC 6455, delivery spec 7): a request that asks for one is passed on as such where its origin allows it, and
//! as an ordinary request everywhere else. After the origin's 101, bytes go both ways and nobody looks at them.
//!
//! What the client sends before the 101 stays with the edge: it becomes the first message if the origin switches, and the
//! next request, with all checks, if it does not.

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, Method, StatusCode};
use leeward_origin::connect::WEBSOCKET_IDLE;
use leeward_telemetry::CacheState;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorSource, ErrorType};
use pingora_proxy::Session;

use super::request;
use crate::context::{Context, Route};

/// Decides whether the request may become a WebSocket. Where it may not, the wish is forgotten, and so is every other upgrade.
pub(crate) fn admit(session: &mut Session, ctx: &mut Context) {
    if !session.req_header().headers.contains_key(UPGRADE) {
        return;
    }
    let allowed = ctx.route.as_ref().and_then(Route::chosen_origin).is_some_and(|(origin, _)| origin.websocket);
    let own = session.subrequest_ctx.is_none() && ctx.client.protocol == "HTTP/1.1";
    if allowed && own && is_handshake(session.req_header()) && session.is_body_empty() {
        ctx.websocket = true;
    } else {
        session.req_header_mut().remove_header(&UPGRADE);
    }
}

/// `GET`, `Connection: Upgrade` and `Upgrade: websocket` (RFC 6455 4.1). What the handshake contains besides is the origin's
/// business.
fn is_handshake(request: &RequestHeader) -> bool {
    let mut upgrades = request.headers.get_all(UPGRADE).iter();
    let asks = (upgrades.next(), upgrades.next());
    let websocket = matches!(asks, (Some(name), None) if name.as_bytes().eq_ignore_ascii_case(b"websocket"));
    request.method == Method::GET && websocket && has_token(&request.headers, "upgrade")
}

fn has_token(headers: &HeaderMap, wanted: &str) -> bool {
    let names = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    names.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(wanted))
}

/// Looks at a response head: with a 101 the connection belongs to the two ends.
///
/// # Errors
/// When the origin switches to something that nobody asked for.
pub(crate) fn switch(session: &mut Session, response: &ResponseHeader, ctx: &mut Context) -> pingora::Result<()> {
    if response.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    let websocket =
        response.headers.get(UPGRADE).is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if !ctx.websocket || !websocket {
        let what = "the origin switches to a protocol that was not asked for";
        return Err(Error::explain(ErrorType::InvalidHTTPHeader, what).into_up());
    }
    // silence is the origin connection's to bound, for both ends
    session.set_read_timeout(None);
    ctx.lookup.state = Some(CacheState::Bypass);
    Ok(())
}

/// Counts the request body, which a WebSocket does not have.
///
/// # Errors
/// 413 beyond the limit, 408 for a body that trickles.
pub(crate) fn measure(session: &Session, chunk: Option<&Bytes>, end: bool, ctx: &mut Context) -> pingora::Result<()> {
    if session.was_upgraded() { Ok(()) } else { request::measure(chunk, end, ctx) }
}

/// A WebSocket that did not end in order. Nothing is left to try.
pub(crate) fn broke_off(mut error: Box<Error>, ctx: &mut Context) -> Box<Error> {
    error.set_retry(false);
    let idle = *error.esource() == ErrorSource::Upstream && *error.etype() == ErrorType::ReadTimedout;
    ctx.error = idle.then(|| format!("neither side said anything for {} s", WEBSOCKET_IDLE.as_secs()));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_handshake_for_a_websocket_is_one() {
        type Fields<'a> = &'a [(&'static str, &'a str)];
        let cases: &[(&str, Fields<'_>, bool)] = &[
            ("GET", &[("Connection", "Upgrade"), ("Upgrade", "websocket")], true),
            ("GET", &[("Connection", "keep-alive, upgrade"), ("Upgrade", "WebSocket")], true),
            ("GET", &[("Connection", "keep-alive"), ("Connection", "Upgrade"), ("Upgrade", "websocket")], true),
            ("POST", &[("Connection", "Upgrade"), ("Upgrade", "websocket")], false),
            ("GET", &[("Upgrade", "websocket")], false),
            ("GET", &[("Connection", "keep-alive"), ("Upgrade", "websocket")], false),
            ("GET", &[("Connection", "Upgrade"), ("Upgrade", "h2c")], false),
            ("GET", &[("Connection", "Upgrade"), ("Upgrade", "websocket, h2c")], false),
            ("GET", &[("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Upgrade", "h2c")], false),
            ("GET", &[("Connection", "Upgrade")], false),
        ];
        for (method, fields, want) in cases {
            let mut request = RequestHeader::build(*method, b"/chat", None).unwrap();
            for (name, value) in *fields {
                request.append_header(*name, *value).unwrap();
            }
            assert_eq!(is_handshake(&request), *want, "{method} {fields:?}");
        }
    }
}
