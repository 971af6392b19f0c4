//! Taking a request in: one form for HTTP/1.1, HTTP/2 and alternate requests, the connection's timeouts, the strict check.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Version;
use http::header::{COOKIE, HOST};
use leeward_rules::Scheme;
use leeward_telemetry::Reason;
use pingora::http::RequestHeader;
use pingora::{ErrorSource, ErrorType};
use pingora_proxy::Session;

use super::address::host_of;
use super::{client, midgress, strict};
use crate::answer::Answer;
use crate::context::{AlternateRequest, Context};
use crate::phase::security::tokens;
use crate::phase::{debug, slices};
use crate::{accept, node};

/// Who is slower than this over a whole body, in bytes a second, is cut off: an upload holds two connections.
pub(crate) const MIN_SEND_RATE: usize = 500;

/// Brings every request into one form, before anything looks at it.
///
/// # Errors
/// When a header cannot be set, which no client can cause.
pub(crate) fn begin(session: &mut Session, ctx: &mut Context) -> pingora::Result<()> {
    if let Some(request) = alternate_request(session) {
        return adopt(session, ctx, &request);
    }
    if slices::adopt(session, ctx) {
        return Ok(());
    }
    ctx.client.protocol = match session.req_header().version {
        _ if session.is_http2() => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    };
    let tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
    ctx.client.scheme = if tls { Scheme::Https } else { Scheme::Http };
    midgress::recognise(session, ctx, peer(session));
    debug::recognise(session, ctx);
    let limits = &ctx.snapshot.server.limits;
    // what the client or the version forbids stays forbidden, and while the process ends nothing is kept; an in-process
    // request has no connection
    if let Some(connection) = accept::connection()
        && session.get_keepalive().is_some()
    {
        session.set_keepalive(connection.keepalive());
    }
    session.set_read_timeout(Some(limits.body_timeout));
    // what is left of a refused request is read so long at most, however slowly it comes
    session.set_total_drain_timeout(Some(limits.body_timeout));
    // a least rate of the framework's would replace this: no reader would be dropped before its part's whole time at that rate
    session.set_write_timeout(Some(limits.write_timeout));
    // else a request that comes while this one's fill still runs (HEAD of a cold object) costs the connection, unannounced
    session.as_downstream_mut().set_pipelining_enabled(true);
    session.set_ignore_info_resp(true);
    session.ignore_downstream_range = false;
    // a slow first client must not hold up those who follow its fill
    session.set_proxy_tasks_enabled(true);
    as_http11(session)
}

/// An HTTP/2 request is carried on as HTTP/1.1 with a `Host`: subrequests are printed and parsed as HTTP/1.1. What
/// HTTP/1.0 leaves out and the target says becomes a `Host` too; in HTTP/1.1 its absence is an error.
fn as_http11(session: &mut Session) -> pingora::Result<()> {
    let http2 = session.is_http2();
    let request = session.req_header_mut();
    if (http2 || request.version == Version::HTTP_10)
        && !request.headers.contains_key(HOST)
        && let Some(authority) = authority(request).map(str::to_owned)
    {
        request.insert_header(HOST, authority)?;
    }
    if http2 {
        join_cookies(request)?;
        request.set_version(Version::HTTP_11);
    }
    Ok(())
}

/// The authority of the target: HTTP/2's, or that of an absolute form, which the framework leaves in the raw target.
fn authority(request: &RequestHeader) -> Option<&str> {
    request.uri.authority().map(http::uri::Authority::as_str).or_else(|| strict::absolute(request.raw_path()))
}

/// HTTP/2 may send each cookie in a field of its own; outside of it there is one (RFC 9113 8.2.3).
fn join_cookies(request: &mut RequestHeader) -> pingora::Result<()> {
    let mut cookies = request.headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else { return Ok(()) };
    let mut joined = first.as_bytes().to_vec();
    for cookie in std::iter::once(second).chain(cookies) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    request.insert_header(COOKIE, joined)
}

/// What `failover` handed to this request, when it is an alternate request.
fn alternate_request(session: &Session) -> Option<Arc<AlternateRequest>> {
    session.subrequest_ctx.as_ref()?.user_ctx()?.downcast_ref::<Arc<AlternateRequest>>().cloned()
}

/// An alternate request asks for the URL that was built, on behalf of the same client under the same configuration.
fn adopt(session: &mut Session, ctx: &mut Context, request: &AlternateRequest) -> pingora::Result<()> {
    // the framework makes this request of the bytes that the client sent, and none of a tier's has an alternate
    midgress::forget(session);
    let header = session.req_header_mut();
    header.insert_header(HOST, request.authority.as_str())?;
    header.set_version(Version::HTTP_11);
    let uri = request
        .path_and_query
        .parse()
        .map_err(|_| pingora::Error::explain(ErrorType::InternalError, "the alternate URL is no URI"))?;
    header.set_uri(uri);
    ctx.snapshot = Arc::clone(&request.snapshot);
    ctx.client = request.client.clone();
    if let Some(admitted) = &mut ctx.client.admitted {
        tokens::adopted(header, admitted);
    }
    ctx.alternate = Some(request.target.clone());
    Ok(())
}

/// Refuses what is not HTTP as the edge understands it. Alternate and background requests were checked as what they came from.
///
/// # Errors
/// The answer to give.
pub(crate) fn check(session: &Session, ctx: &mut Context) -> Result<(), Answer> {
    if session.subrequest_ctx.is_some() {
        if ctx.alternate.is_none() {
            ctx.client.address = client_address(session, ctx);
            // a refresh in the background: its client's token was good, and may be over now
            ctx.client.admitted = Some(Box::default());
        }
        return Ok(());
    }
    ctx.client.address = client_address(session, ctx);
    // Pingora repairs some heads while it parses: over HTTP/1 they were checked as they were sent
    let checked = accept::checked_bytes().transpose().map_err(|refusal| refuse(ctx, refusal))?;
    // the `Host` of other versions may have been made since
    let checked = checked.is_some() && ctx.client.protocol == "HTTP/1.1";
    check_head(session.req_header(), checked, ctx)?;
    if ctx.client.scheme == Scheme::Https && is_misdirected(session, ctx) {
        return Err(Answer::error(421, Reason::Misdirected));
    }
    Ok(())
}

/// Whether the host asked for is none of those that the connection's certificate is for. Proxies of ours, and other tiers, name
/// hosts of their own in the handshake.
fn is_misdirected(session: &Session, ctx: &Context) -> bool {
    let Some(connection) = accept::connection() else { return false };
    let (Some(name), Some(host)) = (connection.server_name(), session.req_header().headers.get(HOST)) else {
        return false;
    };
    if name.as_bytes().eq_ignore_ascii_case(host.as_bytes()) || ctx.client.midgress {
        return false;
    }
    let is_proxy = ctx.snapshot.server.trusted_proxies.contains(peer(session));
    !is_proxy && !connection.is_for(&host_of(host.to_str().unwrap_or_default()))
}

/// The strict check of a request head, and the loop guard. `checked`: its bytes were looked at before they were parsed.
///
/// # Errors
/// The answer to give.
pub(crate) fn check_head(header: &RequestHeader, checked: bool, ctx: &mut Context) -> Result<(), Answer> {
    let head = strict::Head {
        method: &header.method,
        target: header.raw_path(),
        authority: authority(header),
        version: header.version,
        headers: &header.headers,
        checked,
    };
    let limits = &ctx.snapshot.server.limits;
    let limits = if ctx.client.midgress { &midgress::limits(limits) } else { limits };
    if let Err(refusal) = strict::check(&head, limits) {
        return Err(refuse(ctx, refusal));
    }
    if node::loops(&header.headers, node::id(&ctx.snapshot), ctx.client.midgress) {
        return Err(Answer::error(508, Reason::Loop));
    }
    Ok(())
}

fn refuse(ctx: &mut Context, refusal: strict::Refusal) -> Answer {
    ctx.error = Some(refusal.detail.to_owned());
    Answer::error(refusal.status, refusal.reason).closing()
}

fn client_address(session: &Session, ctx: &Context) -> IpAddr {
    let headers = &session.req_header().headers;
    if ctx.client.midgress
        && let Some(client) = midgress::client_of(headers)
    {
        return client;
    }
    client::address(peer(session), headers, &ctx.snapshot.server.trusted_proxies)
}

/// The other end of the connection.
fn peer(session: &Session) -> IpAddr {
    let peer = session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Counts the request body; a chunked one shows its size only on the way. A body may pause for `limits.body_timeout`, and
/// beyond that must come at the least rate: else a byte now and then would keep it going for ever.
///
/// # Errors
/// 413 beyond the limit, 408 for a body that trickles.
pub(crate) fn measure(chunk: Option<&Bytes>, end: bool, ctx: &mut Context) -> pingora::Result<()> {
    ctx.body_ended |= end;
    let Some(chunk) = chunk.filter(|chunk| !chunk.is_empty()) else { return Ok(()) };
    let now = Instant::now();
    if ctx.body_seen == 0 {
        ctx.body_began = now;
    }
    ctx.body_seen += chunk.len() as u64;
    let limits = &ctx.snapshot.server.limits;
    if ctx.body_seen > limits.body {
        let status = ErrorType::HTTPStatus(413);
        return Err(pingora::Error::explain(status, "the request body is larger than limits.body").into_down());
    }
    let due = limits.body_timeout + Duration::from_secs(ctx.body_seen / MIN_SEND_RATE as u64);
    if !end && now.duration_since(ctx.body_began) > due {
        return Err(too_slow("the request body trickles"));
    }
    Ok(())
}

/// Whose fault it is that an origin sent nothing: it cannot answer a request whose body the client does not send. The
/// framework knows no read timeout for a body over HTTP/2, so that its wait for the answer ends first.
pub(crate) fn stalled(session: &Session, error: Box<pingora::Error>, ctx: &Context) -> Box<pingora::Error> {
    let waited = *error.esource() == ErrorSource::Upstream && *error.etype() == ErrorType::ReadTimedout;
    let client = waited && !ctx.body_ended && session.response_written().is_none();
    if client { too_slow("the request body stopped coming") } else { error }
}

fn too_slow(what: &'static str) -> Box<pingora::Error> {
    pingora::Error::explain(ErrorType::ReadTimedout, what).into_down()
}
