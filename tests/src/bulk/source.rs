//! The fast origin: a thread for each connection, answers made up from a plan.

use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use super::Content;
use crate::http1::{self, Framing, Head};
use crate::wait;
use crate::wire::{Lost, Wire};

/// Stack of a thread that serves one connection.
const STACK: usize = 256 * 1024;
/// How long one write may take.
const WRITE: Duration = Duration::from_secs(120);
/// Answers up to this size are sent with their head in one write.
const SMALL: u64 = 64 * 1024;
/// Parts of a second that a paced body is sent in.
const BEATS: u64 = 20;

/// A request as the origin got it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Path and query.
    pub path: &'a str,
    /// The whole head.
    pub head: &'a str,
}

impl Asked<'_> {
    /// The first value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.split("\r\n").skip(1);
        lines.find_map(|line| {
            let (have, value) = line.split_once(':')?;
            have.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What the answer to a request is. `Date`, `ETag`, `X-Version` and `X-Path` are added; a request with that `ETag` gets a 304.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the body.
    pub size: u64,
    /// Version of the object.
    pub version: u64,
    /// Further fields, each with its line end.
    pub fields: String,
    /// Time before the first byte.
    pub wait: Duration,
    /// Bytes a second; none: as fast as they go.
    pub pace: Option<u64>,
}

impl Plan {
    /// A 200 of so many bytes that may be stored for an hour.
    #[must_use]
    pub fn stored(size: u64) -> Self {
        Self::with(size, "Cache-Control: max-age=3600\r\n")
    }
    /// A 200 of so many bytes with these fields.
    #[must_use]
    pub fn with(size: u64, fields: &str) -> Self {
        Self { status: 200, size, version: 1, fields: fields.to_owned(), wait: Duration::ZERO, pace: None }
    }
}

type Planned = Box<dyn Fn(&Asked<'_>) -> Plan + Send + Sync>;

/// A running fast origin.
pub struct Source {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    plan: Planned,
    stopping: AtomicBool,
    requests: AtomicU64,
    unchanged: AtomicU64,
    bytes: AtomicU64,
    broken: AtomicU64,
    live: Mutex<Vec<TcpStream>>,
}

impl Source {
    /// Starts an origin on a port of its own of 127.0.0.1.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start(plan: impl Fn(&Asked<'_>) -> Plan + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            plan: Box::new(plan),
            stopping: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            unchanged: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            live: Mutex::default(),
        });
        let accepting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { shared, address, accepting: Some(accepting) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }
    /// Those answered with 304.
    #[must_use]
    pub fn unchanged(&self) -> u64 {
        self.shared.unchanged.load(Ordering::SeqCst)
    }
    /// Bytes of bodies sent so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::SeqCst)
    }
    /// Bodies that the other side did not take to their end.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.shared.broken.load(Ordering::SeqCst)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The accepting thread waits in accept(): one connection wakes it.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(5));
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
        for tcp in self.shared.live.lock().unwrap().drain(..) {
            let _ = tcp.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((tcp, _)) = listener.accept() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(handle) = tcp.try_clone() {
            let mut live = shared.live.lock().unwrap();
            // An edge that was killed leaves many behind.
            live.retain(|tcp| tcp.peer_addr().is_ok());
            live.push(handle);
        }
        let shared = Arc::clone(shared);
        std::thread::Builder::new().stack_size(STACK).spawn(move || drop(serve(&shared, tcp))).unwrap();
    }
}

fn serve(shared: &Shared, mut tcp: TcpStream) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    tcp.set_write_timeout(Some(WRITE))?;
    let mut wire = Wire::plain(tcp.try_clone()?);
    loop {
        wire.forever();
        let request = match Head::read(&mut wire) {
            Ok(request) => request,
            Err(Lost::Malformed(_)) => return Err(ErrorKind::InvalidData.into()),
            Err(_) => return Ok(()),
        };
        // what stands in a body is no request
        let framing = if request.chunked() { Framing::Chunked } else { Framing::Length(request.length().unwrap_or(0)) };
        if http1::read_body(&mut wire, framing).cut.is_some() {
            return Ok(());
        }
        let head = std::str::from_utf8(&request.raw).map_err(|_| ErrorKind::InvalidData)?;
        let (method, path) = (request.word(0), request.word(1));
        let asked = Asked { path, head };
        shared.requests.fetch_add(1, Ordering::SeqCst);
        let plan = (shared.plan)(&asked);
        wait::pause(plan.wait);
        let answered = answer(shared, &mut tcp, &asked, &plan, method == "HEAD");
        if answered.is_err() {
            shared.broken.fetch_add(1, Ordering::SeqCst);
        }
        answered?;
    }
}

fn answer(shared: &Shared, tcp: &mut TcpStream, asked: &Asked<'_>, plan: &Plan, silent: bool) -> std::io::Result<()> {
    let tag = format!("\"{}\"", plan.version);
    let unchanged = plan.status == 200 && asked.field("if-none-match") == Some(&tag);
    let status = if unchanged { 304 } else { plan.status };
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut bytes = format!(
        "HTTP/1.1 {status} OK\r\nDate: {date}\r\nETag: {tag}\r\nX-Version: {}\r\nX-Path: {}\r\n{}",
        plan.version, asked.path, plan.fields
    );
    if unchanged {
        shared.unchanged.fetch_add(1, Ordering::SeqCst);
        bytes.push_str("\r\n");
        return tcp.write_all(bytes.as_bytes());
    }
    bytes.push_str(&format!("Content-Length: {}\r\n\r\n", plan.size));
    let mut bytes = bytes.into_bytes();
    if silent {
        return tcp.write_all(&bytes);
    }
    let content = Content::of(asked.path, plan.version);
    if plan.size <= SMALL && plan.pace.is_none() {
        while_left(plan.size, |offset, left| {
            let piece = content.piece(offset, left);
            bytes.extend_from_slice(piece);
            Ok(piece.len())
        })?;
        shared.bytes.fetch_add(plan.size, Ordering::SeqCst);
        return tcp.write_all(&bytes);
    }
    tcp.write_all(&bytes)?;
    let begun = Instant::now();
    while_left(plan.size, |offset, left| {
        let most = plan.pace.map_or(left, |pace| left.min((pace / BEATS).max(1)));
        let piece = content.piece(offset, most);
        tcp.write_all(piece)?;
        shared.bytes.fetch_add(piece.len() as u64, Ordering::SeqCst);
        if let Some(pace) = plan.pace {
            let due = Duration::from_secs_f64((offset + piece.len() as u64) as f64 / pace as f64);
            wait::pause(due.saturating_sub(begun.elapsed()));
        }
        Ok(piece.len())
    })
}

/// Calls with offset and what is left until nothing is; the callee says how much it did.
fn while_left(size: u64, mut part: impl FnMut(u64, u64) -> std::io::Result<usize>) -> std::io::Result<()> {
    let mut offset = 0;
    while offset < size {
        offset += part(offset, size - offset)? as u64;
    }
    Ok(())
}
