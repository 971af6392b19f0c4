//! Two times where Pingora has one: how long an origin may take to its response head, and how long each pause within the
//! body may be.
//!
//! Pingora bounds every read of a connection by one `read_timeout`, which is the longer of the two. The shorter one is
//! watched here: when it is over and the origin sent nothing, the socket is shut down, Pingora's read ends, and
//! [`Watch::expired`] tells that this was no whim of the origin's.
//!
//! ```text
//!             connected            request sent             head                  end
//!  [unarmed] ----------> [unarmed] -------------> [head] ----------> [body] ------------> [unarmed]
//!                                                   |  first_byte      |  between_bytes since the last part
//!                                                   +------> [expired] <+
//! ```
//!
//! The socket is only ever touched under the lock of its [`Connection`], and Pingora tells a connection's tracer before
//! it closes the descriptor: a descriptor that was closed, or already belongs to another connection, is never shut down.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::fast::RandomState;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};
use pingora::protocols::l4::ext::get_tcp_info;
use pingora::upstreams::peer::{Tracer, Tracing};
use tokio::task::JoinHandle;

use super::hold::Hold;

/// What came but was not read yet is looked at again after this: a busy edge, or a client that is slower than the origin.
const UNREAD: Duration = Duration::from_millis(100);

/// How long an origin may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the end of the request to the end of the response head.
    pub head: Duration,
    /// Between two parts of the body.
    pub body: Duration,
    /// What Pingora bounds by itself: every single read.
    pub read: Duration,
}

impl Patience {
    /// Whether Pingora's one timeout is too long for one of the two waits.
    pub(super) fn needs_watch(&self) -> bool {
        self.head < self.read || self.body < self.read
    }
}

/// One connection to an origin whose attempts are watched, from the moment it is there to the moment before it is closed.
#[derive(Debug, Default)]
struct Connection {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Absent before the first attempt on it, and from the moment the connection closes.
    fd: Option<RawFd>,
    closed: bool,
    /// The attempt that may shut it down.
    armed: Option<u64>,
}

impl Connection {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The open connections whose attempts are watched, by descriptor. As many as there are such connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Mutex<HashMap<RawFd, Arc<Connection>, RandomState>>,
    attempts: AtomicU64,
}

impl Connections {
    fn open(&self) -> MutexGuard<'_, HashMap<RawFd, Arc<Connection>, RandomState>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a new connection has this descriptor, unless it is closed again already.
    fn enter(&self, fd: RawFd, connection: &Arc<Connection>) {
        let mut state = connection.state();
        if !state.closed {
            state.fd = Some(fd);
            self.open().insert(fd, Arc::clone(connection));
        }
    }
}

/// Lives as long as a connection.
#[derive(Debug, Clone)]
struct Trace {
    connection: Arc<Connection>,
    connections: Arc<Connections>,
}

impl Tracing for Trace {
    fn on_connected(&self) {}

    /// Called before the descriptor is closed.
    fn on_disconnected(&self) {
        let mut state = self.connection.state();
        state.closed = true;
        state.armed = None;
        if let Some(fd) = state.fd.take() {
            self.connections.open().remove(&fd);
        }
    }

    fn boxed_clone(&self) -> Box<dyn Tracing> {
        Box::new(self.clone())
    }
}

/// Watches one attempt. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    attempt: u64,
    patience: Patience,
    /// For a WebSocket.
    pub(super) hold: Option<Arc<Hold>>,
    connections: Arc<Connections>,
    /// Of the connection that this attempt may open.
    new: Arc<Connection>,
    /// The connection it got.
    connection: Option<Arc<Connection>>,
    seen: Arc<Seen>,
    /// The response head came.
    answered: bool,
    /// An end of the connection would pass for the end of the body.
    ends_by_closing: bool,
    timer: Option<JoinHandle<()>>,
}

/// What the attempt and its timer tell each other.
#[derive(Debug)]
struct Seen {
    began: Instant,
    /// Milliseconds from `began` to the last part of the body.
    part: AtomicU64,
    expired: AtomicBool,
}

impl Watch {
    /// A watch over one attempt, and what its peer must carry.
    pub(super) fn new(connections: &Arc<Connections>, patience: Patience) -> (Self, Tracer) {
        let new = Arc::<Connection>::default();
        let trace = Trace { connection: Arc::clone(&new), connections: Arc::clone(connections) };
        let seen = Seen { began: Instant::now(), part: AtomicU64::new(0), expired: AtomicBool::new(false) };
        let watch = Self {
            attempt: connections.attempts.fetch_add(1, Ordering::Relaxed),
            patience,
            hold: None,
            connections: Arc::clone(connections),
            new,
            connection: None,
            seen: Arc::new(seen),
            answered: false,
            ends_by_closing: false,
            timer: None,
        };
        (watch, Tracer(Box::new(trace)))
    }

    /// Tells this attempt from all others.
    pub(super) fn attempt(&self) -> u64 {
        self.attempt
    }

    /// The attempt got this connection, a new or a kept one.
    pub fn connected(&mut self, fd: RawFd, kept: bool) {
        self.connection = if kept {
            self.connections.open().get(&fd).cloned()
        } else {
            self.connections.enter(fd, &self.new);
            Some(Arc::clone(&self.new))
        };
        if let Some(hold) = &self.hold {
            hold.begin();
        }
    }

    /// The last byte of the request is on its way: the wait for the response head begins. For a WebSocket this is what must
    /// go the way of the request's body: the request leaves when it is dropped.
    pub fn request_sent(&mut self) -> Option<Bytes> {
        if !self.answered && self.timer.is_none() && self.patience.head < self.patience.read {
            self.arm(Phase::Head);
        }
        self.hold.take().map(Hold::body)
    }

    /// The response head is there. `body` tells whether one follows, `ends_by_closing` whether only the end of the
    /// connection ends it.
    pub fn head(&mut self, body: bool, ends_by_closing: bool) {
        self.disarm();
        self.answered = true;
        self.ends_by_closing = ends_by_closing;
        if body && self.patience.body < self.patience.read {
            self.arm(Phase::Body);
        }
    }

    /// A part of the body came.
    pub fn part(&self) {
        self.seen.part.store(millis(self.seen.began.elapsed()), Ordering::Relaxed);
    }

    /// Nothing more is waited for. From here on the connection may serve other attempts.
    pub fn disarm(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        if let Some(connection) = &self.connection {
            let mut state = connection.state();
            if state.armed == Some(self.attempt) {
                state.armed = None;
            }
        }
    }

    /// Whether the origin took too long, so that the connection was shut down.
    #[must_use]
    pub fn expired(&self) -> bool {
        self.seen.expired.load(Ordering::Acquire)
    }

    /// Whether a body that seems complete was cut by the watch.
    #[must_use]
    pub fn cut(&self) -> bool {
        self.ends_by_closing && self.expired()
    }

    fn arm(&mut self, phase: Phase) {
        let Some(connection) = &self.connection else { return };
        {
            let mut state = connection.state();
            if state.closed {
                return;
            }
            state.armed = Some(self.attempt);
        }
        self.part();
        let limit = if phase == Phase::Head { self.patience.head } else { self.patience.body };
        let timer = Timer {
            phase,
            limit,
            attempt: self.attempt,
            connection: Arc::clone(connection),
            seen: Arc::clone(&self.seen),
        };
        self.timer = Some(tokio::spawn(timer.run(Instant::now())));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Body,
}

/// The task that waits.
struct Timer {
    phase: Phase,
    limit: Duration,
    attempt: u64,
    connection: Arc<Connection>,
    seen: Arc<Seen>,
}

impl Timer {
    async fn run(self, start: Instant) {
        let mut due = start + self.limit;
        loop {
            tokio::time::sleep_until(due.into()).await;
            match self.look(start, Instant::now()) {
                Some(next) => due = next,
                None => return,
            }
        }
    }

    /// When to look again. `None` when there is nothing more to wait for: the attempt went on, or it is over now.
    fn look(&self, start: Instant, now: Instant) -> Option<Instant> {
        let state = self.connection.state();
        let fd = state.fd.filter(|_| state.armed == Some(self.attempt))?;
        match waiting(fd) {
            Waiting::Bytes => return Some(now + UNREAD),
            Waiting::End => return None,
            Waiting::Nothing => {}
        }
        let last = match self.phase {
            // the head must be complete by then, however its bytes trickle
            Phase::Head => start,
            Phase::Body => self.last_of_body(fd, now),
        };
        let due = last + self.limit;
        if due > now {
            return Some(due);
        }
        self.seen.expired.store(true, Ordering::Release);
        if let Err(error) = shutdown(fd, Shutdown::Both) {
            log::debug!("a connection that ended by itself: {error}");
        }
        None
    }

    /// When the last byte of the body came: what was read, or what the kernel saw and Pingora holds back because the client
    /// is slow.
    fn last_of_body(&self, fd: RawFd, now: Instant) -> Instant {
        let read = self.seen.began + Duration::from_millis(self.seen.part.load(Ordering::Relaxed));
        let ago = get_tcp_info(fd).ok().map(|info| Duration::from_millis(info.tcpi_last_data_recv.into()));
        let arrived = ago.and_then(|ago| now.checked_sub(ago));
        arrived.map_or(read, |arrived| arrived.max(read))
    }
}

/// What waits in the kernel to be read.
#[derive(Debug, PartialEq, Eq)]
enum Waiting {
    Bytes,
    End,
    Nothing,
}

fn waiting(fd: RawFd) -> Waiting {
    match recv(fd, &mut [0; 1], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
        Ok(0) => Waiting::End,
        Ok(_) => Waiting::Bytes,
        Err(Errno::EAGAIN | Errno::EINTR) => Waiting::Nothing,
        Err(_) => Waiting::End,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
