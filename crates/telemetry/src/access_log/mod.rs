//! The access log: one JSON line a request, written by a thread of its own so that no request waits for a disk or a pipe.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::words::{AttemptResult, CacheState, FailoverTo, Reason, WafVerdict};

/// Lines waiting for the writer; more are dropped and counted, since a slow disk must not slow requests.
const QUEUE_LINES: usize = 16 << 10;
/// A longer field of the client's is cut: a log line is for reading.
const FIELD_BYTES: usize = 1024;
/// How long a half-filled buffer may wait.
const FLUSH_AFTER: Duration = Duration::from_millis(200);
/// How long an order waits for room in the queue.
const ORDER_WAIT: Duration = Duration::from_secs(2);
/// How often it looks for room.
const ORDER_RETRY: Duration = Duration::from_millis(5);
/// How long [`AccessLog::flush`] waits for the writer.
const FLUSH_WAIT: Duration = Duration::from_secs(2);

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// One request, as logged. Absent fields are left out of the line.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    /// When the request head was read, RFC 3339 with milliseconds, UTC.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// The client's address.
    pub client: Option<std::net::IpAddr>,
    /// Whether another tier of this CDN asked for that client.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub midgress: bool,
    /// The site as configured, or the directory of a CDN URL.
    pub site: &'a str,
    /// Request method.
    pub method: &'a str,
    /// Scheme the client used.
    pub scheme: &'a str,
    /// Host the client asked for.
    pub host: &'a str,
    /// Path without the query: queries carry tokens.
    pub path: &'a str,
    /// `HTTP/1.1`, `HTTP/2`.
    pub protocol: &'a str,
    /// Status sent; 0 when the client went away before.
    pub status: u16,
    /// Bytes of the response body.
    pub bytes: u64,
    /// From the request head to the last byte.
    pub seconds: f64,
    /// How the cache took part.
    pub cache: CacheState,
    /// Whether another request's fetch was waited for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub collapsed: bool,
    /// Why the answer was not stored, where the cache was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_stored: Option<&'a str>,
    /// Why the edge answered by itself or what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What became of the token that the URL needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<&'static str>,
    /// What failed, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// What the WAF found, where it found something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waf: Option<&'a Waf>,
    /// `User-Agent`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<&'a str>,
    /// Configuration this request was answered by.
    pub generation: u64,
    /// One entry per attempt at an origin server, in order.
    #[serde(skip_serializing_if = "<[Attempt]>::is_empty")]
    pub attempts: &'a [Attempt],
    /// Where the request went after its origin failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover: Option<&'a Failover>,
}

/// What the WAF found. Never what a client wrote.
#[derive(Debug, Clone, Serialize)]
pub struct Waf {
    /// What became of the request.
    pub verdict: WafVerdict,
    /// Ids of the rules that matched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<u32>,
    /// The anomaly score.
    pub score: u32,
}

/// One attempt at an origin server.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// Origin as configured.
    pub origin: String,
    /// Server as configured.
    pub server: String,
    /// Address tried; absent when the name had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<std::net::SocketAddr>,
    /// How it ended.
    pub result: AttemptResult,
    /// Why, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Status of the answer, if one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// From the start of the attempt to the response head or the failure.
    pub seconds: f64,
}

/// Where a request went after its origin failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failover {
    /// Redirect, alternate or stale.
    pub to: FailoverTo,
    /// What the client would have received.
    pub status: u16,
    /// Why.
    pub reason: Reason,
    /// The URL built by `site-failover`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Status of the alternate's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alternate_status: Option<u16>,
}

impl Entry<'_> {
    /// Errors are always logged, whatever the sampling.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.status == 0
            || self.status >= 400
            || self.error.is_some()
            || self.failover.is_some()
            || self.attempts.iter().any(|attempt| attempt.result != AttemptResult::Ok)
    }
}

/// Cuts what a client sent to a length worth logging, at a character.
#[must_use]
pub fn bounded(field: &str) -> &str {
    if field.len() <= FIELD_BYTES {
        return field;
    }
    let end = (0..=FIELD_BYTES).rev().find(|&at| field.is_char_boundary(at)).unwrap_or(0);
    field.get(..end).unwrap_or_default()
}

enum Message {
    Line(Vec<u8>),
    Target(Target),
    Reopen,
    Flush(SyncSender<()>),
}

/// The handle that requests hold.
#[derive(Debug)]
pub struct AccessLog {
    queue: SyncSender<Message>,
    /// Whether lines go nowhere: then none is made.
    off: AtomicBool,
    dropped: AtomicU64,
}

impl AccessLog {
    /// Starts the writer.
    ///
    /// # Errors
    /// When the thread cannot be started or the file cannot be opened.
    pub fn start(target: Target) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE_LINES);
        let (out, off) = (Output::open(&target)?, AtomicBool::new(target == Target::Off));
        std::thread::Builder::new().name("access-log".into()).spawn(move || write_lines(&lines, target, out))?;
        Ok(Self { queue, off, dropped: AtomicU64::new(0) })
    }

    /// Whether lines go nowhere: then none need be made.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.off.load(Ordering::Relaxed)
    }

    /// Logs one request, unless sampling leaves it out; `sample` is the share of requests kept, 0.0 to 1.0.
    pub fn log(&self, entry: &Entry<'_>, sample: f64) {
        if self.is_off() || !(entry.is_error() || keep(sample)) {
            return;
        }
        let mut line = Vec::with_capacity(512);
        if serde_json::to_writer(&mut line, entry).is_ok() {
            line.push(b'\n');
            self.line(line);
        }
    }

    /// Changes where lines go, from the next line on.
    pub fn retarget(&self, target: Target) {
        self.off.store(target == Target::Off, Ordering::Relaxed);
        self.order(Message::Target(target));
    }

    /// Opens the file anew, for log rotation.
    pub fn reopen(&self) {
        self.order(Message::Reopen);
    }

    /// Waits, for a bounded time, until everything logged so far is written.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        self.order(Message::Flush(done));
        let _ = wait.recv_timeout(FLUSH_WAIT);
    }

    /// A line never waits for the writer.
    fn line(&self, line: Vec<u8>) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Line(line)) {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed);
            if dropped.is_power_of_two() || dropped == 0 {
                log::warn!("the access log is too slow: {} lines dropped so far", dropped + 1);
            }
        }
    }
}

impl AccessLog {
    /// An order waits its turn, for a bounded time: it comes from a reload or the end, and must not be lost among lines.
    fn order(&self, mut order: Message) {
        let until = Instant::now() + ORDER_WAIT;
        while let Err(TrySendError::Full(back)) = self.queue.try_send(order) {
            if Instant::now() >= until {
                log::error!("the access log is stuck: an order to it was given up after {ORDER_WAIT:?}");
                return;
            }
            order = back;
            std::thread::park_timeout(ORDER_RETRY);
        }
    }
}

/// RFC 3339, UTC, milliseconds.
fn rfc3339<S: serde::Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&humantime::format_rfc3339_millis(*time))
}

/// Keeps that share of the calls, evenly spread: the fractional parts add up on each worker by themselves.
fn keep(sample: f64) -> bool {
    thread_local! { static OWED: Cell<f64> = const { Cell::new(0.0) }; }
    if sample >= 1.0 {
        return true;
    }
    OWED.with(|owed| {
        let now = owed.get() + sample.max(0.0);
        let keep = now >= 1.0;
        owed.set(if keep { now - 1.0 } else { now });
        keep
    })
}

enum Output {
    Stdout(BufWriter<io::Stdout>),
    File(BufWriter<File>),
    Off,
}

impl Output {
    fn open(target: &Target) -> io::Result<Self> {
        Ok(match target {
            Target::Stdout => Self::Stdout(BufWriter::with_capacity(64 << 10, io::stdout())),
            Target::File(path) => {
                let file = File::options().create(true).append(true).open(path)?;
                Self::File(BufWriter::with_capacity(64 << 10, file))
            }
            Target::Off => Self::Off,
        })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.write_all(line),
            Self::File(out) => out.write_all(line),
            Self::Off => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(out) => out.flush(),
            Self::Off => Ok(()),
        }
    }
}

/// The writer's loop; ends when the last handle is gone.
fn write_lines(lines: &Receiver<Message>, mut target: Target, mut out: Output) {
    let mut failing = false;
    loop {
        let result = match lines.recv_timeout(FLUSH_AFTER) {
            Ok(Message::Line(line)) => out.write(&line),
            Ok(Message::Target(new)) if new == target => Ok(()),
            Ok(Message::Target(new)) => reopen(&mut out, &new).map(|()| target = new),
            Ok(Message::Reopen) => reopen(&mut out, &target),
            Ok(Message::Flush(done)) => {
                let result = out.flush();
                let _ = done.send(());
                result
            }
            Err(RecvTimeoutError::Timeout) => out.flush(),
            Err(RecvTimeoutError::Disconnected) => {
                let _ = out.flush();
                return;
            }
        };
        // say it once, not once a line
        match &result {
            Err(error) if !failing => log::error!("the access log cannot be written: {error}"),
            Ok(()) if failing => log::info!("the access log is written again"),
            _ => {}
        }
        failing = result.is_err();
    }
}

fn reopen(out: &mut Output, target: &Target) -> io::Result<()> {
    let flushed = out.flush();
    *out = Output::open(target)?;
    flushed
}

#[cfg(test)]
mod tests;
