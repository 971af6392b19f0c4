//! The WAF: the last check, and the only one that looks at bodies. What of a body is judged is held back here, before the cache and
//! the origin hear of the request, in the buffer from which the framework sends it, to the first server or to the next one.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName};
use leeward_config::ready::{Guard, Site, Snapshot};
use leeward_telemetry::access_log::{self, bounded};
use leeward_telemetry::{Reason, WafVerdict};
use leeward_waf::{Key, Refused, Request, Verdict};
use pingora::http::RequestHeader;
use pingora_proxy::Session;

use crate::answer::Answer;
use crate::context::{Context, Route};
use crate::proxy::Leeward;
use crate::waf::{Rules, Tools};

/// Fields that say what a body is: shown to the rules also where `inspect.headers` is off.
static OF_THE_BODY: [HeaderName; 4] = [HOST, CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING];

/// Whether requests for a site, or by CDN URL, are judged at all: who answers before the phases leaves these alone.
pub(crate) fn wanted(snapshot: &Snapshot, site: Option<&Site>) -> bool {
    site.map_or(snapshot.guard.is_some(), |site| site.guard.is_some())
}

/// How a request is judged; `None`: not at all.
pub(crate) fn guard(session: &Session, ctx: &Context) -> Option<Arc<Guard>> {
    let route = ctx.route.as_ref()?;
    let guard = match &route.site {
        Some(site) => site.guard.as_ref(),
        None if route.direct => None,
        None => ctx.snapshot.guard.as_ref(),
    }?;
    // the edge has judged what this tier is asked; a refresh in the background asks what a client asked
    let judged = ctx.client.midgress || session.subrequest_ctx.is_some() && ctx.alternate.is_none();
    (!judged).then(|| Arc::clone(guard))
}

/// What is known of a body.
#[derive(Default)]
struct Held {
    parts: Vec<Bytes>,
    /// It goes on.
    cut: bool,
}

/// Judges a request.
///
/// # Errors
/// The refusal.
pub(crate) async fn judge(
    edge: &Leeward,
    session: &mut Session,
    ctx: &mut Context,
    guard: &Guard,
) -> Result<(), Answer> {
    let Some(route) = &ctx.route else { return Ok(()) };
    let (Some(rules), Some(tools)) = (guard.waf.loaded.get::<Rules>(), edge.waf.tools()) else {
        return unjudged(edge, ctx, guard, "there are no rules, or no threads");
    };
    let with_body = guard.body && !session.as_mut().is_body_empty();
    let key = (!with_body).then(|| key(tools, rules, session.req_header(), ctx, route, guard));
    if let Some(known) = key.as_ref().and_then(|key| tools.memory.recall(key, Instant::now())) {
        edge.waf.metrics.remembered();
        return conclude(edge, ctx, guard, known.as_deref().unwrap_or(&Verdict::default()));
    }
    let held = if with_body { hold(edge, session, ctx, guard).await? } else { Held::default() };
    let Some(route) = &ctx.route else { return Ok(()) };
    let request = request(session.req_header(), ctx, route, guard, held);
    let asked = tools.pool.inspect(Arc::clone(&rules.set), request);
    edge.waf.metrics.waiting(tools.pool.waiting());
    let judged = match asked {
        Ok(ticket) => ticket.wait(guard.deadline).await,
        Err(refused) => Err(refused),
    };
    edge.waf.metrics.waiting(tools.pool.waiting());
    match judged {
        Ok((verdict, took)) => {
            edge.waf.metrics.inspected(took, verdict.score);
            let verdict = Arc::new(verdict);
            if let Some(key) = key {
                tools.memory.keep(&key, &verdict, Instant::now());
            }
            conclude(edge, ctx, guard, &verdict)
        }
        Err(Refused::Failed(why)) => unjudged(edge, ctx, guard, why),
        Err(refused) => unjudged(edge, ctx, guard, &refused.to_string()),
    }
}

/// Acts on a verdict, counts it, and keeps what the log says of it.
fn conclude(edge: &Leeward, ctx: &mut Context, guard: &Guard, verdict: &Verdict) -> Result<(), Answer> {
    let word = match (verdict.refuse, guard.block) {
        (false, _) => WafVerdict::Pass,
        (true, false) => WafVerdict::Detected,
        (true, true) => WafVerdict::Blocked,
    };
    edge.waf.metrics.request(label(ctx), word, &verdict.rules);
    if verdict.refuse || !verdict.rules.is_empty() {
        note(ctx, word, verdict);
    }
    if word == WafVerdict::Blocked { Err(Answer::error(403, Reason::Waf)) } else { Ok(()) }
}

/// Acts where there is no verdict.
fn unjudged(edge: &Leeward, ctx: &mut Context, guard: &Guard, why: &str) -> Result<(), Answer> {
    let word = if guard.open { WafVerdict::Open } else { WafVerdict::Closed };
    edge.waf.metrics.request(label(ctx), word, &[]);
    note(ctx, word, &Verdict::default());
    if guard.open {
        return Ok(());
    }
    ctx.error = Some(bounded(why).to_owned());
    Err(Answer::error(503, Reason::WafOverload))
}

fn label(ctx: &Context) -> &str {
    ctx.route.as_ref().map_or(leeward_telemetry::metrics::NO_SITE, |route| route.label.as_str())
}

fn note(ctx: &mut Context, word: WafVerdict, verdict: &Verdict) {
    let (rules, score) = (verdict.rules.clone(), verdict.score);
    ctx.waf = Some(Box::new(access_log::Waf { verdict: word, rules, score }));
}

/// Reads so much of the body as is judged.
async fn hold(edge: &Leeward, session: &mut Session, ctx: &mut Context, guard: &Guard) -> Result<Held, Answer> {
    let unreadable = |ctx: &mut Context, status, why: &str| {
        edge.waf.metrics.request(label(ctx), WafVerdict::Unreadable, &[]);
        note(ctx, WafVerdict::Unreadable, &Verdict::default());
        ctx.error = Some(why.to_owned());
        Err(Answer::error(status, Reason::WafBody))
    };
    let headers = &session.req_header().headers;
    if is_encoded(headers) {
        // nothing is unpacked here, and what the origin unpacks would be seen by nobody
        return match guard.block {
            true => unreadable(ctx, 415, "the request body is encoded"),
            false => Ok(Held { parts: Vec::new(), cut: true }),
        };
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let larger = "the request body is larger than waf.body_limit";
    let reject = guard.block && guard.reject_larger;
    if reject && length.is_some_and(|length| length > guard.body_limit as u64) {
        return unreadable(ctx, 413, larger);
    }
    if headers.contains_key(EXPECT) {
        // the client waits to be asked for the body, and the origin need not ask again
        let downstream = session.as_downstream_mut();
        let asked = downstream.write_continue_response().await;
        asked.map_err(|error| lost(ctx, &error))?;
        session.req_header_mut().remove_header(&EXPECT);
    }
    let longest = ctx.snapshot.server.limits.body_timeout;
    let read = tokio::time::timeout(longest, read(session, guard.body_limit)).await;
    let held = match read {
        Ok(read) => read.map_err(|error| lost(ctx, &error))?,
        Err(_) => {
            ctx.error = Some("the request body trickles".to_owned());
            return Err(Answer::error(408, Reason::Client).closing());
        }
    };
    if session.as_ref().retry_buffer_truncated() {
        // a connection from before the WAF was on, which reads more at once: the body could not be sent on
        ctx.error = Some("more of the request body came than can be held".to_owned());
        edge.waf.metrics.request(label(ctx), WafVerdict::Closed, &[]);
        return Err(Answer::error(503, Reason::WafOverload).closing());
    }
    if held.cut {
        edge.waf.metrics.truncated();
        if reject {
            return unreadable(ctx, 413, larger);
        }
    }
    Ok(held)
}

/// The client is gone, or its body is not framed as it says.
fn lost(ctx: &mut Context, error: &pingora::Error) -> Answer {
    ctx.error = Some(bounded(&error.to_string()).to_owned());
    Answer::error(400, Reason::Client).closing()
}

async fn read(session: &mut Session, limit: usize) -> pingora::Result<Held> {
    // what is read from here on is what the framework sends first, to every server that is asked
    session.as_mut().enable_retry_buffering();
    let mut held = Held::default();
    let mut bytes = 0;
    // where the length is not known, that a body of exactly the limit has ended is only known from what comes next
    while bytes < limit || bytes == limit && !session.as_mut().is_body_done() {
        let Some(part) = session.as_mut().read_request_body().await? else { return Ok(held) };
        bytes += part.len();
        held.parts.push(part);
    }
    if let Some(last) = held.parts.last_mut() {
        let over = bytes.saturating_sub(limit);
        last.truncate(last.len().saturating_sub(over));
    }
    held.cut = bytes > limit || !session.as_mut().is_body_done();
    Ok(held)
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

/// Path and query as the client wrote them.
fn target<'r>(request: &'r RequestHeader, guard: &Guard) -> &'r [u8] {
    let raw = request.raw_path();
    let written =
        if raw.starts_with(b"/") { raw } else { request.uri.path_and_query().map_or(raw, |it| it.as_str().as_bytes()) };
    if guard.query { written } else { written.split(|byte| *byte == b'?').next().unwrap_or_default() }
}

fn fields<'r>(request: &'r RequestHeader, guard: &Guard) -> impl Iterator<Item = (&'r HeaderName, &'r [u8])> {
    let all = guard.headers;
    let fields = request.headers.iter().filter(move |(name, _)| all || OF_THE_BODY.contains(name));
    fields.map(|(name, value)| (name, value.as_bytes()))
}

/// What the verdict on a request without a body depends on: all that the rules are shown.
fn key(tools: &Tools, rules: &Rules, request: &RequestHeader, ctx: &Context, route: &Route, guard: &Guard) -> Key {
    let mut key = tools.memory.key(rules.generation);
    key.add(request.method.as_str().as_bytes());
    key.add(target(request, guard));
    key.add(ctx.client.protocol.as_bytes());
    key.add(&guard.level.to_le_bytes());
    for exclusion in guard.exclusions(route.path.as_str()) {
        key.add(&exclusion.to_le_bytes());
    }
    let mut number = 0_u64;
    for (name, value) in fields(request, guard) {
        key.add(name.as_str().as_bytes());
        key.add(value);
        number += 1;
    }
    key.add(&number.to_le_bytes());
    let client = ctx.client.address;
    if rules.set.asks_for_client() {
        key.add(client.to_string().as_bytes());
    }
    // the Core Rule Set makes exceptions for the machine itself
    key.add(&[u8::from(client.is_loopback())]);
    key
}

fn request(request: &RequestHeader, ctx: &Context, route: &Route, guard: &Guard, held: Held) -> Request {
    let owned = |(name, value): (&HeaderName, &[u8])| (name.as_str().as_bytes().to_vec(), value.to_vec());
    Request {
        method: request.method.as_str().as_bytes().to_vec(),
        target: target(request, guard).to_vec(),
        version: match ctx.client.protocol {
            "HTTP/1.0" => "1.0",
            "HTTP/2" => "2.0",
            _ => "1.1",
        },
        fields: fields(request, guard).map(owned).collect(),
        body: held.parts,
        cut: held.cut,
        client: ctx.client.address,
        level: guard.level,
        exclusions: guard.exclusions(route.path.as_str()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_encoded_unless_it_says_that_it_is_not() {
        for (values, want) in [
            (&[][..], false),
            (&["identity"], false),
            (&["Identity "], false),
            (&["gzip"], true),
            (&["identity", "br"], true),
            (&[""], true),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, value.parse().unwrap());
            }
            assert_eq!(is_encoded(&headers), want, "{values:?}");
        }
    }
}
