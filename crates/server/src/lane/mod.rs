//! The hit lane: a plain GET whose fresh object is in memory is answered before the framework is asked, in one read and one write.
//!
//! It decides nothing. A request goes the full way, through `proxy.rs`, and when its answer was a hit that depended on
//! nothing but method and URL, what was decided is remembered ([`remember`]) together with the head that was sent. The next
//! request with the same bytes in target and `Host`, and no field that could matter ([`head`]), gets that head and the object
//! as long as configuration and object are the same, the object is fresh, and no purge is about it. Everything else is handed
//! on untouched, whatever was read of it.
//!
//! ```text
//! accept/http1.rs: first bytes of a request -> Lane::serve -- known, unchanged, fresh --> head and body, log line, metrics
//!                                                  | anything else
//!                                                  v
//!                                             HttpProxy, proxy.rs -> phase/log -> remember
//! ```
//!
//! Why: half of what the full way costs for a small hit is the framework's session, header maps and futures
//! (`docs/decisions/0022-hit-lane.md` has the figures).

mod head;
mod memory;
mod remember;
mod template;

pub(crate) use remember::remember;

use std::io::{ErrorKind, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use bytes::{Buf, BytesMut};
use leeward_cache::{Named, Store};
use leeward_config::ready::Snapshot;
use leeward_rules::Scheme;
use leeward_telemetry::access_log::{Entry, bounded};
use leeward_telemetry::metrics::Request;
use leeward_telemetry::{AccessLog, CacheState, Metrics, Reason};
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use smallvec::SmallVec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Sleep, timeout_at};

use crate::accept::Connection;
use crate::phase::request::MIN_SEND_RATE;
use crate::phase::request::strict::is_authority;
use head::Head;
use memory::{Known, Memory};

/// Room for what is read at once.
const READ_BUFFER: usize = 4096;

/// Parts that one system call takes; of a large body these are a few megabytes.
const MOST_PARTS: usize = 64;

/// Answers hits. Shared by all connections.
#[derive(Debug)]
pub(crate) struct Lane {
    snapshot: Arc<ArcSwap<Snapshot>>,
    store: &'static Store,
    metrics: Arc<Metrics>,
    access_log: Arc<AccessLog>,
    memory: Memory,
}

/// Why [`Lane::serve`] returned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A request that is not for the lane begins with the bytes that were read.
    Full {
        /// The length of its head, if that is a plain one with a valid `Host`: there is nothing in it that a parser repairs or refuses.
        head: Option<usize>,
    },
    /// The connection is over.
    Closed,
}

/// What a connection waits for besides its next request: made once for all its returns to the lane.
pub(crate) struct Waits<'w, E> {
    /// The time that a kept connection may be idle is over, or may be: it is not set anew for every request.
    pub(crate) idle: Pin<&'w mut Sleep>,
    /// The process is on its way out. Asked once.
    pub(crate) ending: Pin<&'w mut E>,
    /// Knows whether it is since the connection began.
    pub(crate) ended: &'w ShutdownWatch,
}

impl<E> Waits<'_, E> {
    fn is_over(&self) -> bool {
        self.ended.has_changed().unwrap_or(true)
    }
}

/// What a connection says of all its requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client<'c> {
    scheme: Scheme,
    server_name: Option<&'c str>,
}

impl<'c> Client<'c> {
    fn of(connection: &'c Connection) -> Self {
        let scheme = if connection.tls() { Scheme::Https } else { Scheme::Http };
        Self { scheme, server_name: connection.server_name() }
    }
}

impl Lane {
    pub(crate) fn new(
        snapshot: &Arc<ArcSwap<Snapshot>>,
        store: &'static Store,
        metrics: &Arc<Metrics>,
        access_log: &Arc<AccessLog>,
    ) -> Self {
        let memory = Memory::new(snapshot.load().cache.memory);
        let (snapshot, metrics, access_log) = (Arc::clone(snapshot), Arc::clone(metrics), Arc::clone(access_log));
        Self { snapshot, store, metrics, access_log, memory }
    }

    /// Answers requests as long as it can. What it leaves in `buffer` is the beginning of the one it cannot.
    ///
    /// The wait for the first request of a connection is bounded by whoever calls.
    pub(crate) async fn serve<E: Future>(
        &self,
        stream: &mut Stream,
        buffer: &mut BytesMut,
        address: IpAddr,
        connection: &Connection,
        waits: &mut Waits<'_, E>,
    ) -> Next {
        if waits.is_over() {
            return Next::Full { head: None };
        }
        let mut out = BytesMut::new();
        loop {
            while !buffer.is_empty() {
                if waits.is_over() {
                    return Next::Full { head: None };
                }
                if let Err(head) = self.answer(stream, buffer, &mut out, address, connection).await {
                    return Next::Full { head };
                }
                if out.is_empty() {
                    return Next::Closed;
                }
            }
            let waits_since = Instant::now();
            buffer.reserve(READ_BUFFER);
            loop {
                tokio::select! {
                    biased;
                    read = stream.read_buf(buffer) => match read {
                        Ok(1..) => break,
                        _ => return Next::Closed,
                    },
                    () = &mut waits.idle => {
                        // set once in an idle time, not for every request
                        let end = waits_since + connection.idle_time();
                        if connection.requests() > 0 && end <= Instant::now() {
                            return Next::Closed;
                        }
                        waits.idle.as_mut().reset(end.max(Instant::now() + Duration::from_millis(100)).into());
                    }
                    _ = &mut waits.ending => return if connection.requests() > 0 {
                        Next::Closed
                    } else {
                        Next::Full { head: None }
                    },
                }
            }
        }
    }

    /// Answers the request at the start of the buffer and takes it out. An empty `out` says that the client is gone.
    ///
    /// # Errors
    /// When the request has to go the full way: the length of its head, if that is good.
    async fn answer(
        &self,
        stream: &mut Stream,
        buffer: &mut BytesMut,
        out: &mut BytesMut,
        address: IpAddr,
        connection: &Connection,
    ) -> Result<(), Option<usize>> {
        connection.set_plain(false);
        let client = Client::of(connection);
        let head = head::plain(buffer).ok_or(None)?;
        connection.set_plain(true);
        let length = head.length;
        let good = || is_authority(head.host).then_some(length);
        let known = self.find(&head, client).ok_or_else(good)?;
        // the clocks are read where that is of use
        let (started, now) = (Instant::now(), SystemTime::now());
        let object = self.store.take(&known.object, now).ok_or_else(good)?;
        connection.count_request();
        out.clear();
        known.head.write(now, out);
        let sent = send(stream, out, &object, started, connection.write_time()).await;
        let bytes = *sent.as_ref().unwrap_or_else(|(sent, _)| sent);
        let done = Done { address, started, at: now, bytes, error: sent.as_ref().err().map(|(_, error)| error) };
        self.log(&known, &head, &done);
        buffer.advance(length);
        if sent.is_err() {
            out.clear();
        }
        Ok(())
    }

    /// What is known of a request, if nothing has changed since. Its object may have.
    fn find(&self, head: &Head<'_>, client: Client<'_>) -> Option<Arc<Known>> {
        let known = self.memory.find(client, head.host, head.target)?;
        let known = known.as_ref()?;
        let snapshot = self.snapshot.load();
        let limits = &snapshot.server.limits;
        let within = head.length as u64 <= limits.headers && head.fields as u64 <= limits.header_count as u64;
        if known.generation != snapshot.generation || !snapshot.cache.hit_lane || !within {
            return None;
        }
        Some(Arc::clone(known))
    }

    fn log(&self, known: &Known, head: &Head<'_>, done: &Done<'_>) {
        let seconds = done.started.elapsed().as_secs_f64();
        let site = known.label.as_str();
        let (status, cache, bytes) = (known.status, CacheState::Hit, done.bytes);
        self.metrics.request(&Request { site, method: &http::Method::GET, status, cache, seconds, bytes });
        self.metrics.lane_hit();
        let snapshot = self.snapshot.load();
        let error = done.error.map(ToString::to_string);
        self.access_log.log(
            &Entry {
                time: done.at,
                client: Some(done.address),
                midgress: false,
                site,
                method: "GET",
                scheme: known.scheme.as_str(),
                host: bounded(&known.log_host),
                path: bounded(head.target.get(..known.path_end).unwrap_or(head.target)),
                protocol: "HTTP/1.1",
                status,
                bytes,
                seconds,
                cache,
                collapsed: false,
                not_stored: None,
                reason: None::<Reason>,
                token: None,
                error: error.as_deref().map(bounded),
                waf: None,
                user_agent: head.user_agent.map(bounded),
                generation: known.generation,
                attempts: &[],
                failover: None,
            },
            snapshot.log.sample,
        );
    }
}

/// How one answer went.
struct Done<'e> {
    address: IpAddr,
    started: Instant,
    at: SystemTime,
    bytes: u64,
    error: Option<&'e std::io::Error>,
}

/// Writes head and body in as few system calls as the socket takes. Answers the bytes of the body sent, also with the error.
///
/// Every write has `idle` to get on, and all together as long as a reader takes who is not slower than [`MIN_SEND_RATE`].
async fn send(
    stream: &mut Stream,
    head: &[u8],
    object: &Named,
    started: Instant,
    idle: Duration,
) -> Result<u64, (u64, std::io::Error)> {
    let bodies = object.chunks().iter().map(|chunk| IoSlice::new(chunk));
    let mut parts: SmallVec<[IoSlice<'_>; 8]> = std::iter::once(IoSlice::new(head)).chain(bodies).collect();
    let mut left = parts.as_mut_slice();
    let total = head.len() as u64 + object.length();
    let slowest = Duration::from_secs(1 + total / MIN_SEND_RATE as u64);
    let deadline: tokio::time::Instant = (started + slowest).into();
    let mut until = deadline.min((started + idle).into());
    let mut sent = 0;
    let body_sent = |sent: u64| sent.saturating_sub(head.len() as u64);
    while sent < total {
        let batch = left.get(..left.len().min(MOST_PARTS)).unwrap_or_default();
        match timeout_at(until, stream.write_vectored(batch)).await.map_err(std::io::Error::from).and_then(|done| done)
        {
            Ok(0) => return Err((body_sent(sent), ErrorKind::WriteZero.into())),
            Ok(bytes) => {
                IoSlice::advance_slices(&mut left, bytes);
                sent += bytes as u64;
                if sent < total {
                    until = deadline.min(tokio::time::Instant::now() + idle);
                }
            }
            Err(error) => return Err((body_sent(sent), error)),
        }
    }
    let flushed = timeout_at(deadline, stream.flush()).await.map_err(std::io::Error::from);
    flushed.and_then(|done| done).map_err(|error| (body_sent(sent), error))?;
    Ok(body_sent(sent))
}
