//! A scripted origin: it does on the wire exactly what its script says, and remembers exactly what it was asked.

mod play;
mod ranges;
mod script;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use socket2::{Domain, Socket, Type};

pub use script::{Answer, Ending, Headers, Pause, Raw, Script, Shape, pattern, pattern_of};

use crate::http1::{Body, Head};

/// Stack of a thread that serves one connection.
const STACK: usize = 256 * 1024;
/// Connections waiting to be accepted.
const BACKLOG: i32 = 1024;
/// Connections at most that fill the queue of a listener for none.
const DEAF: usize = 8;
/// Without an answer for so long, nobody on this machine answers.
const UNANSWERED: Duration = Duration::from_millis(100);

/// One request as the origin got it.
#[derive(Debug, Clone)]
pub struct Received {
    /// The head, byte for byte.
    pub head: Head,
    /// The body, chunk framing removed.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub whole: bool,
    /// Which of the origin's connections it came on, counted from 0.
    pub connection: usize,
}

impl Received {
    /// `GET`
    #[must_use]
    pub fn method(&self) -> &str {
        self.head.word(0)
    }
    /// `/a?b`
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.word(1)
    }
}

/// A running (or stopped) origin server on a port of its own.
pub struct Origin {
    shared: Arc<Shared>,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    running: Option<JoinHandle<()>>,
    /// A full queue of connections that nobody accepts, and the connections that fill it.
    deaf: Option<(Socket, Vec<Socket>)>,
    /// Keeps the port ours while nobody listens on it, so that connecting is refused and nobody else takes it.
    reserved: Option<Socket>,
}

/// What the threads of one origin share.
struct Shared {
    script: Mutex<Script>,
    log: Mutex<Log>,
    changed: Condvar,
    stopping: AtomicBool,
    /// Bytes of bodies sent so far.
    sent: AtomicU64,
}

/// What happened so far.
#[derive(Default)]
struct Log {
    received: Vec<Received>,
    /// How often each path was asked for: which answer of its sequence is next.
    turns: HashMap<String, usize>,
    /// Bytes that came and were no request.
    broken: Vec<Vec<u8>>,
    connections: usize,
    live: HashMap<usize, TcpStream>,
    open_gates: Vec<String>,
}

impl Origin {
    /// Starts an origin on an ephemeral port of 127.0.0.1.
    #[must_use]
    pub fn start(script: Script) -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None, script)
    }

    /// Starts an origin on an address (port 0: any), with TLS when a configuration is given.
    ///
    /// # Panics
    /// When the address cannot be bound.
    #[must_use]
    pub fn start_at(address: SocketAddr, tls: Option<Arc<ServerConfig>>, script: Script) -> Self {
        Self::try_start_at(address, tls, script).unwrap_or_else(|error| panic!("an origin on {address}: {error}"))
    }

    /// As `start_at`, for an address that may be out of reach, such as port 80.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn try_start_at(address: SocketAddr, tls: Option<Arc<ServerConfig>>, script: Script) -> std::io::Result<Self> {
        let reserved = reserve(address)?;
        let address = reserved.local_addr()?.as_socket().unwrap();
        let shared = Shared {
            script: Mutex::new(script),
            log: Mutex::new(Log::default()),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            sent: AtomicU64::new(0),
        };
        let mut origin =
            Self { shared: Arc::new(shared), address, tls, running: None, deaf: None, reserved: Some(reserved) };
        origin.resume();
        Ok(origin)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces the script; sequences start over.
    pub fn play(&self, script: Script) {
        let mut playing = self.shared.script.lock().unwrap();
        *playing = script;
        self.shared.log.lock().unwrap().turns.clear();
    }

    /// Listens again on the same port after a stop.
    ///
    /// # Panics
    /// When the port cannot be listened on.
    pub fn resume(&mut self) {
        if self.running.is_some() {
            return;
        }
        self.shared.stopping.store(false, Ordering::SeqCst);
        self.deaf = None;
        let socket = again(self.address);
        socket.listen(BACKLOG).unwrap();
        self.reserved = None;
        let listener = TcpListener::from(socket);
        let (shared, tls) = (Arc::clone(&self.shared), self.tls.clone());
        self.running = Some(std::thread::spawn(move || accept(&listener, &shared, tls.as_ref())));
    }

    /// Stops: connecting is refused from now on, and every open connection is closed.
    ///
    /// # Panics
    /// When the accepting thread does not end.
    pub fn stop(&mut self) {
        let Some(thread) = self.running.take() else {
            if self.deaf.take().is_some() {
                self.reserved = Some(again(self.address));
            }
            return;
        };
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The accepting thread waits in accept(): one connection wakes it.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(5));
        thread.join().unwrap();
        let live: Vec<TcpStream> = self.shared.log.lock().unwrap().live.drain().map(|(_, tcp)| tcp).collect();
        for tcp in live {
            let _ = tcp.shutdown(Shutdown::Both);
        }
        self.shared.changed.notify_all();
        self.reserved = Some(again(self.address));
    }

    /// Stops answering at all: connecting neither succeeds nor is refused, it times out.
    ///
    /// # Panics
    /// When the system answers nevertheless.
    pub fn deafen(&mut self) {
        self.stop();
        let listener = again(self.address);
        // The queue for no connection holds one; the system drops what comes while it is full.
        listener.listen(0).unwrap();
        let mut queued = Vec::new();
        loop {
            assert!(queued.len() < DEAF, "{}: connections are taken although the queue is full", self.address);
            let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None).unwrap();
            let connected = socket.connect_timeout(&self.address.into(), UNANSWERED);
            queued.push(socket);
            if connected.is_err() {
                break;
            }
        }
        self.deaf = Some((listener, queued));
        self.reserved = None;
    }

    /// Opens a gate that answers wait at.
    pub fn open(&self, gate: &str) {
        self.shared.log.lock().unwrap().open_gates.push(gate.to_owned());
        self.shared.changed.notify_all();
    }

    /// Every request so far, in the order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.log.lock().unwrap().received.clone()
    }

    /// How many requests came so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.log.lock().unwrap().received.len()
    }

    /// How many connections came so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.log.lock().unwrap().connections
    }

    /// How many bytes of bodies were sent so far, as far as the system took them.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// Everything that came and was no request.
    #[must_use]
    pub fn broken(&self) -> Vec<Vec<u8>> {
        self.shared.log.lock().unwrap().broken.clone()
    }

    /// Waits until so many requests came, counted from the start.
    ///
    /// # Panics
    /// When they did not come within the deadline.
    pub fn wait_for(&self, requests: usize, within: Duration) {
        let log = self.shared.log.lock().unwrap();
        let waited = self.shared.changed.wait_timeout_while(log, within, |log| log.received.len() < requests);
        let (log, _) = waited.unwrap();
        assert!(
            log.received.len() >= requests,
            "the origin got {} requests within {within:?}, {requests} were waited for",
            log.received.len()
        );
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Binds without listening.
fn reserve(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Binds a port that was ours a moment ago. A process that is just being started may still hold a copy of the socket.
fn again(address: SocketAddr) -> Socket {
    crate::wait::until("the origin's port", crate::wait::PATIENCE, || reserve(address).ok())
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, tls: Option<&Arc<ServerConfig>>) {
    loop {
        let Ok((tcp, _)) = listener.accept() else {
            continue;
        };
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Some(id) = shared.enter(&tcp) else {
            continue;
        };
        let (shared, tls) = (Arc::clone(shared), tls.cloned());
        let served = std::thread::Builder::new().stack_size(STACK).spawn(move || play::serve(&shared, tcp, tls, id));
        served.unwrap();
    }
}

impl Shared {
    /// Counts a connection and keeps a handle on it, so that stopping can end it.
    fn enter(&self, tcp: &TcpStream) -> Option<usize> {
        let handle = tcp.try_clone().ok()?;
        let mut log = self.log.lock().unwrap();
        let id = log.connections;
        log.connections += 1;
        log.live.insert(id, handle);
        Some(id)
    }

    /// Gives up the handle: a reset happens only when the last handle goes.
    fn leave(&self, id: usize) {
        self.log.lock().unwrap().live.remove(&id);
    }

    /// Picks the answer to a request of which only the head was read.
    fn choose(&self, head: &Head) -> Answer {
        let path = head.word(1).split('?').next().unwrap_or_default();
        let script = self.script.lock().unwrap();
        let mut log = self.log.lock().unwrap();
        let turn = log.turns.entry(script.turn(path).to_owned()).or_default();
        let index = *turn;
        *turn += 1;
        script.answer(path, index)
    }

    /// Notes a request; its number.
    fn note(&self, request: Received) -> usize {
        let mut log = self.log.lock().unwrap();
        log.received.push(request);
        self.changed.notify_all();
        log.received.len() - 1
    }

    /// Completes a request that was noted before its body came.
    fn complete(&self, number: usize, body: Body) {
        let mut log = self.log.lock().unwrap();
        log.received[number].whole = body.cut.is_none();
        log.received[number].body = body.bytes;
        self.changed.notify_all();
    }

    fn note_broken(&self, bytes: &[u8]) {
        self.log.lock().unwrap().broken.push(bytes.to_vec());
    }

    /// Waits at a gate; false when the origin was stopped meanwhile.
    fn pass(&self, gate: &str) -> bool {
        let log = self.log.lock().unwrap();
        let closed =
            |log: &mut Log| !self.stopping.load(Ordering::SeqCst) && !log.open_gates.iter().any(|open| open == gate);
        let (_log, waited) = self.changed.wait_timeout_while(log, crate::wait::PATIENCE * 3, closed).unwrap();
        !waited.timed_out() && !self.stopping.load(Ordering::SeqCst)
    }

    /// Lets time pass; false when the origin was stopped meanwhile.
    fn rest(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut log = self.log.lock().unwrap();
        while !self.stopping.load(Ordering::SeqCst) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return true;
            };
            log = self.changed.wait_timeout(log, left).unwrap().0;
        }
        false
    }
}
