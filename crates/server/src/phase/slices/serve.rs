//! The answer to a range, put together from slices.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, RANGE};
use http::{HeaderValue, Method};
use leeward_cache::range::{self, Known, Order, Piece, Version, pieces};
use leeward_origin::{failure, walk};
use leeward_rules::decide::Way;
use leeward_rules::decide::plan::Next;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::conditional_filter::{not_modified_filter, to_304};
use pingora::{Error, ErrorType};
use pingora_cache::storage::HitHandler;
use pingora_cache::{CacheMeta, CachePhase, NoCacheReason};
use pingora_proxy::{RangeType, Session};

use super::pipe::{Answer, Part, Row};
use super::{Onward, known, restart, sizes};
use crate::context::Context;
use crate::phase::fetch::alternate_is_next;
use crate::phase::{deliver, failover};
use crate::proxy::Leeward;

/// Slices that are waited for where the whole is on its way.
const NEAR: u64 = 4;
/// How often a request begins again because the object changed before anything of it was sent.
const BEGINNINGS: usize = 3;

/// Whether a request was answered from slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    Yes,
    /// Nothing was sent: the object is not had in slices.
    No,
}

/// Answers a range of an object that is had in slices, of which the whole is not stored. False when the request goes its
/// ordinary way.
///
/// # Errors
/// When the answer failed.
pub(crate) async fn instead(edge: &Leeward, session: &mut Session, ctx: &mut Context) -> pingora::Result<bool> {
    use NoCacheReason::{CacheLockGiveUp, CacheLockRetryLimit, CacheLockTimeout};
    // an object that was not asked for often enough is not fetched to be stored: its origin gets the range as it was sent
    let missed = matches!(
        session.cache.phase(),
        CachePhase::Miss | CachePhase::Disabled(CacheLockGiveUp | CacheLockRetryLimit | CacheLockTimeout)
    );
    let sliced = missed && !ctx.slices.tried && matches!(known(edge.cache, ctx), Some(Known::Slices { .. }));
    if !sliced || session.subrequest_spawner.is_none() {
        return Ok(false);
    }
    release(session);
    ctx.slices.tried = true;
    let served = Box::pin(serve(edge, session, ctx)).await? == Served::Yes;
    if !served {
        ask_as_sent(edge, session, ctx);
    }
    Ok(served)
}

/// Whether the bytes that are wanted of an object that arrives as a whole are had sooner in slices than from there.
pub(crate) fn overtake(
    edge: &Leeward,
    session: &mut Session,
    meta: &CacheMeta,
    hit: &HitHandler,
    ctx: &mut Context,
) -> bool {
    let Some(object) = super::object(ctx).filter(|_| session.subrequest_spawner.is_some()) else { return false };
    let Some((from, size)) = sizes(edge.cache, ctx) else { return false };
    let head = meta.response_header();
    let Some(version) = Version::of_whole(head).filter(|version| version.total > from) else { return false };
    let Some(arrived) = leeward_cache::arrived(hit) else {
        edge.cache.sliced.forget(&object);
        return false;
    };
    let request = session.req_header();
    let first = match range::filter(request, &mut head.clone(), Order::Any) {
        RangeType::Single(range) => Some(range.start),
        RangeType::Multi(parts) => parts.ranges.iter().map(|range| range.start).min(),
        RangeType::None | RangeType::Invalid => None,
    };
    let far = first.is_some_and(|first| first as u64 > arrived.saturating_add(size.saturating_mul(NEAR)));
    if !far || not_modified_filter(request, head) || !edge.cache.sliced.learn(&object, &version, true, Instant::now()) {
        return false;
    }
    ctx.slices.admitted = true;
    // it is there already: the lock would send this request back to it
    session.cache.set_cache_lock(None, None);
    true
}

/// Answers from slices when the answer under way was given up for them. Otherwise the attempts go on.
///
/// # Errors
/// When the request was answered, or that failed.
pub(crate) async fn take_over(edge: &Leeward, session: &mut Session, ctx: &mut Context) -> pingora::Result<()> {
    if !std::mem::take(&mut ctx.slices.found) {
        return Ok(());
    }
    restart(ctx);
    release(session);
    // the framework does not keep a connection after a failed attempt: say so
    session.set_keepalive(None);
    match Box::pin(serve(edge, session, ctx)).await? {
        Served::Yes => {
            ctx.slices.answered = true;
            Err(Error::explain(ErrorType::InternalError, "answered from slices"))
        }
        Served::No => {
            ask_as_sent(edge, session, ctx);
            Ok(())
        }
    }
}

/// The whole is larger than what is kept, and only had as a whole: the origin gets the range as it was sent.
fn ask_as_sent(edge: &Leeward, session: &mut Session, ctx: &Context) {
    let too_large = |total| total > edge.cache.store.max_object();
    if session.cache.enabled() && matches!(known(edge.cache, ctx), Some(Known::Whole { total }) if too_large(total)) {
        session.cache.disable(NoCacheReason::ResponseTooLarge);
    }
}

/// Others that wait for this object need not wait for this client.
fn release(session: &mut Session) {
    if session.cache.enabled() {
        session.cache.release_write_lock(NoCacheReason::DeclinedToUpstream);
    }
}

async fn serve(edge: &Leeward, session: &mut Session, ctx: &mut Context) -> pingora::Result<Served> {
    let (Some(object), Some((_, size))) = (ctx.slices.key.as_deref().cloned(), sizes(edge.cache, ctx)) else {
        return Ok(Served::No);
    };
    let budget = walk::budget(&failover::timeouts(ctx));
    let deadline = *ctx.slices.deadline.get_or_insert_with(|| Instant::now() + budget);
    for _ in 0..BEGINNINGS {
        let Some(Known::Slices { version, .. }) = known(edge.cache, ctx) else { break };
        edge.cache.sliced.learn(&super::object(ctx).unwrap_or_default(), &version, true, Instant::now());
        let row = Row { object: object.clone(), version, size };
        let Some(first) = first_piece(session.req_header(), &row) else { break };
        let Some(mut part) = Part::begin(session, ctx, &row, first, Some(deadline)) else { break };
        let answer = part.answer().await;
        part.tell(ctx, true);
        match answer {
            Answer::Slice(head) => {
                send(session, ctx, &row, part, *head).await?;
                return Ok(Served::Yes);
            }
            Answer::Other(head) => {
                part.pass_on(session, head).await?;
                return Ok(Served::Yes);
            }
            Answer::Failed(onward) => return go_on(edge, session, ctx, onward).await,
            Answer::Changed => {}
            Answer::Whole => break,
        }
    }
    Ok(Served::No)
}

/// Where the failure of the first slice leads: another site, or an error.
async fn go_on(edge: &Leeward, session: &mut Session, ctx: &mut Context, onward: Onward) -> pingora::Result<Served> {
    ctx.fetch.onward = Some(onward);
    let elsewhere = onward.next == Next::Way(Way::SiteFailover) && alternate_is_next(ctx);
    if elsewhere && failover::alternate(edge, session, ctx, onward).await {
        return Ok(Served::Yes);
    }
    Err(Error::explain(failure::type_of(onward.reason), "the slice cannot be had").into_up())
}

/// The piece to begin with: where the range begins in the version that is known.
fn first_piece(request: &RequestHeader, row: &Row) -> Option<Piece> {
    let mut plain = RequestHeader::build(Method::GET, b"/", Some(1)).ok()?;
    for range in request.headers.get_all(RANGE) {
        plain.append_header(RANGE, range.clone()).ok()?;
    }
    let mut head = ResponseHeader::build(200, Some(1)).ok()?;
    head.insert_header(CONTENT_LENGTH, HeaderValue::from(row.version.total)).ok()?;
    let mut plan = Plan::new(&range::filter(&plain, &mut head, Order::Any), row);
    plan.next().map(|step| step.piece).or_else(|| pieces(0..1, row.version.total, row.size).next())
}

/// Sends the answer, which the head of the first slice decides on.
async fn send(
    session: &mut Session,
    ctx: &mut Context,
    row: &Row,
    part: Part,
    mut head: ResponseHeader,
) -> pingora::Result<()> {
    head.insert_header(CONTENT_LENGTH, HeaderValue::from(row.version.total))?;
    deliver::say_the_end(session);
    if not_modified_filter(session.req_header(), &head) {
        to_304(&mut head);
        part.leave();
        return head_only(session, head).await;
    }
    let range = range::filter(session.req_header(), &mut head, Order::Any);
    if range == RangeType::Invalid {
        part.leave();
        return head_only(session, head).await;
    }
    session.write_response_header(Box::new(head), false).await.map_err(|error| error.into_down())?;
    let mut plan = Plan::new(&range, row);
    let (mut ready, mut next) = (Some(part), plan.next());
    while let Some(Step { before, piece }) = next {
        let part = match ready.take() {
            Some(part) if *part.wanted() == piece.wanted => part,
            other => {
                // what was begun with is not what the client gets: its `If-Range` does not hold
                other.into_iter().for_each(Part::leave);
                fetch(session, ctx, row, piece).await?
            }
        };
        next = plan.next();
        // the one behind it is fetched while this one is sent
        let ahead = next.as_ref().and_then(|step| Part::begin(session, ctx, row, step.piece.clone(), None));
        if let Some(before) = before {
            session.write_response_body(Some(before), false).await.map_err(|error| error.into_down())?;
        }
        let sent = part.send(session).await;
        match (sent, ahead) {
            (Ok(()), Some(mut ahead)) => {
                check(ctx, &mut ahead).await?;
                ready = Some(ahead);
            }
            (Ok(()), None) => {}
            (Err(error), ahead) => {
                ahead.into_iter().for_each(Part::leave);
                return Err(error);
            }
        }
    }
    session.write_response_body(plan.after, true).await.map_err(|error| error.into_down())
}

async fn head_only(session: &mut Session, head: ResponseHeader) -> pingora::Result<()> {
    session.write_response_header(Box::new(head), true).await.map_err(|error| error.into_down())?;
    session.write_response_body(None, true).await.map_err(|error| error.into_down())
}

/// A slice in the middle of an answer.
async fn fetch(session: &Session, ctx: &mut Context, row: &Row, piece: Piece) -> pingora::Result<Part> {
    let none = || Error::explain(ErrorType::InternalError, "no slices can be had");
    let mut part = Part::begin(session, ctx, row, piece, None).ok_or_else(none)?;
    check(ctx, &mut part).await?;
    Ok(part)
}

/// Whether a slice in the middle of an answer is one of the version whose head was sent.
async fn check(ctx: &mut Context, part: &mut Part) -> pingora::Result<()> {
    let answer = part.answer().await;
    part.tell(ctx, false);
    let why = match answer {
        Answer::Slice(_) => return Ok(()),
        Answer::Changed | Answer::Whole | Answer::Other(_) => "the object changed while it was sent",
        Answer::Failed(_) => "a slice cannot be had",
    };
    Err(Error::explain(ErrorType::ConnectionClosed, why).into_up())
}

/// What is sent: pieces, and what stands between them in a multipart answer.
struct Plan {
    ranges: VecDeque<(Option<Bytes>, Range<u64>)>,
    under_way: Box<dyn Iterator<Item = Piece> + Send>,
    before: Option<Bytes>,
    after: Option<Bytes>,
    version: Arc<Version>,
    size: u64,
}

struct Step {
    before: Option<Bytes>,
    piece: Piece,
}

impl Plan {
    fn new(range: &RangeType, row: &Row) -> Self {
        let (mut ranges, mut after) = (VecDeque::new(), None);
        let offsets = |range: &Range<usize>| range.start as u64..range.end as u64;
        match range {
            RangeType::None => ranges.push_back((None, 0..row.version.total)),
            RangeType::Single(range) => ranges.push_back((None, offsets(range))),
            RangeType::Multi(parts) => {
                for range in &parts.ranges {
                    ranges.push_back((Some(range::part_head(parts, range, row.version.total)), offsets(range)));
                }
                after = Some(range::parts_end(parts));
            }
            RangeType::Invalid => {}
        }
        let under_way = Box::new(std::iter::empty());
        Self { ranges, under_way, before: None, after, version: Arc::clone(&row.version), size: row.size }
    }

    fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(piece) = self.under_way.next() {
                return Some(Step { before: self.before.take(), piece });
            }
            let (before, range) = self.ranges.pop_front()?;
            self.before = before;
            self.under_way = Box::new(pieces(range, self.version.total, self.size));
        }
    }
}
