//! What a request may ask about the connection that carries it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pingora::server::ShutdownWatch;

use super::gate::{AddressPlace, Place};
use crate::phase::request::strict::Refusal;
use crate::tls::Certificates;

/// One client connection, shared by all its requests.
///
/// It counts as open until the last clone is gone: a fill that goes on after its client left keeps the process alive
/// while it drains, up to the grace period.
#[derive(Debug)]
pub struct Connection {
    pub(super) listener: usize,
    pub(super) tls: bool,
    pub(super) server_name: Option<Box<str>>,
    /// Of the listener, when the client named a server.
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) keepalive: Duration,
    pub(super) write: Duration,
    pub(super) requests: AtomicU64,
    /// Whether the request under way is one that the hit lane would understand.
    pub(super) plain: AtomicBool,
    pub(super) shutdown: ShutdownWatch,
    pub(super) _place: Place,
    pub(super) _address: AddressPlace,
}

impl Connection {
    /// The listener that accepted it: its index in the list that the edge was made with.
    #[must_use]
    pub fn listener(&self) -> usize {
        self.listener
    }

    /// Whether the client speaks TLS to us.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The server name of the client's TLS handshake, lower case; absent on plain connections and for clients that send none.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Whether a host, in lower case and without its port, may be asked for on this connection: the certificate that the client saw
    /// is good for it. Else a client could reach one property under the name of another.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let (Some(name), Some(certificates)) = (&self.server_name, &self.certificates) else { return true };
        **name == *host || certificates.share(name, host)
    }

    /// How many request heads were read so far, the current one included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Counts a request whose head was read.
    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the request under way is one that the hit lane would understand.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    pub(crate) fn set_plain(&self, plain: bool) {
        self.plain.store(plain, Ordering::Relaxed);
    }

    /// How long a kept connection may be idle.
    pub(crate) fn idle_time(&self) -> Duration {
        self.keepalive
    }

    /// How long a client may take nothing of an answer.
    pub(crate) fn write_time(&self) -> Duration {
        self.write
    }

    /// Tells when the process is on its way out.
    pub(crate) fn shutdown(&self) -> ShutdownWatch {
        self.shutdown.clone()
    }

    /// Whether the process is on its way out: answers should say `Connection: close`.
    #[must_use]
    pub fn draining(&self) -> bool {
        *self.shutdown.borrow()
    }

    /// What `Session::set_keepalive` should be told before an answer: whole seconds, rounded up; absent while draining.
    #[must_use]
    pub fn keepalive(&self) -> Option<u64> {
        (!self.draining()).then(|| whole_seconds(self.keepalive).max(1))
    }
}

/// Whole seconds, rounded up: the framework knows no finer timers here.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

tokio::task_local! {
    static REQUEST: Current;
}

/// The request that the current task works on.
struct Current {
    connection: Arc<Connection>,
    counted: Cell<bool>,
    checked: Option<Result<(), Refusal>>,
}

/// The connection of the request that the current task works on.
///
/// Absent in subrequests, which run in tasks of their own: hand over there what they need.
#[must_use]
pub fn connection() -> Option<Arc<Connection>> {
    REQUEST.try_with(|current| Arc::clone(&current.connection)).ok()
}

/// What was found out about the bytes of the current request's head before they were parsed; absent where nobody saw them, as in
/// subrequests and over HTTP/2.
pub(crate) fn checked_bytes() -> Option<Result<(), Refusal>> {
    REQUEST.try_with(|current| current.checked).ok().flatten()
}

/// Stops the deadline of the request head. Called from `ProxyHttp::new_ctx`, the first hook after the head was read;
/// without it every connection ends at its header timeout.
pub fn head_was_read() {
    // No task-local: a subrequest, whose head never came over the wire.
    let _ = REQUEST.try_with(|current| {
        if !current.counted.replace(true) {
            current.connection.requests.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// Runs the work on one request where [`connection`] and [`head_was_read`] can find its connection.
pub(super) async fn scope<F: Future>(
    connection: Arc<Connection>,
    counted: bool,
    checked: Option<Result<(), Refusal>>,
    work: F,
) -> F::Output {
    let current = Current { connection, counted: Cell::new(counted), checked };
    REQUEST.scope(current, work).await
}
