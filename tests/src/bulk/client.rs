//! The fast client: kept connections, one request at a time on each, every answer checked.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::Content;
use crate::client::CacheUse;
use crate::wait::{self, PATIENCE};

/// Stack of a thread that is one connection.
const STACK: usize = 256 * 1024;
/// Bytes read at once.
const BLOCK: usize = 128 * 1024;
/// Examples told of what went wrong.
const TOLD: usize = 4;
/// The longest response head.
const HEAD: usize = 256 * 1024;
/// Parts of a second that a paced reader reads in.
const BEATS: u64 = 20;

/// How one answer came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Number of the request.
    pub number: u64,
    /// What was asked for.
    pub path: String,
    /// Status.
    pub status: u16,
    /// The whole head.
    pub head: String,
    /// What the edge says the cache did.
    pub cache: CacheUse,
    /// `X-Version`
    pub version: Option<u64>,
    /// Bytes of the body.
    pub length: u64,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// From the request to the last byte.
    pub took: Duration,
}

impl Answer {
    /// The first value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (have, value) = line.split_once(':')?;
        have.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// What came of many requests.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Whole answers.
    pub answers: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers that came from the cache, fresh.
    pub hits: u64,
    /// Answers that are not what the origin gives, with the first few of them.
    pub wrong: u64,
    /// Requests without a whole answer, because the connection was refused, closed or reset, with the first few of them.
    pub lost: u64,
    /// Examples of both.
    pub told: Vec<String>,
    /// The longest wait for an answer.
    pub longest: Duration,
    /// From the first request to the last answer.
    pub took: Duration,
}

impl Tally {
    /// Asserts that every request got its right answer with 200.
    ///
    /// # Panics
    /// When one did not.
    pub fn all_right(&self, what: &str) {
        let good = self.statuses.get(&200).copied().unwrap_or(0);
        assert!(
            self.wrong == 0 && self.lost == 0 && good == self.answers,
            "{what}: {} answers, {} wrong, {} lost, statuses {:?}, such as\n{}",
            self.answers,
            self.wrong,
            self.lost,
            self.statuses,
            self.told.join("\n")
        );
    }
    /// Answers a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

/// A client of one site.
pub struct Client {
    address: SocketAddr,
    host: String,
    connections: usize,
    pace: Option<u64>,
    receive_buffer: Option<usize>,
    stop: AtomicBool,
}

type Check<'a> = &'a (dyn Fn(&Answer) -> Option<String> + Sync);

impl Client {
    /// A client of `www.example.com` with so many connections.
    #[must_use]
    pub fn new(address: SocketAddr, connections: usize) -> Self {
        Self {
            address,
            host: "www.example.com".into(),
            connections,
            pace: None,
            receive_buffer: None,
            stop: AtomicBool::new(false),
        }
    }
    /// Reads so many bytes a second on each connection, through a small receive buffer.
    #[must_use]
    pub fn slow(mut self, pace: u64) -> Self {
        self.pace = Some(pace);
        self.receive_buffer = Some(8 * 1024);
        self
    }
    /// Ends the run: no further request is begun, and what is lost from here on does not count.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Asks for the paths of these numbers, in their order, spread over the connections.
    #[must_use]
    pub fn get(&self, numbers: std::ops::Range<u64>, path: impl Fn(u64) -> String + Sync) -> Tally {
        self.ask(numbers, |number| (path(number), String::new()), &|_| None)
    }

    /// The same with further fields for each request, each with its line end, and a look at each answer: what it says counts as
    /// wrong.
    ///
    /// # Panics
    /// When a thread cannot be started.
    #[must_use]
    pub fn ask(
        &self,
        numbers: std::ops::Range<u64>,
        request: impl Fn(u64) -> (String, String) + Sync,
        check: Check<'_>,
    ) -> Tally {
        let (next, tally, begun) = (AtomicU64::new(numbers.start), Mutex::new(Tally::default()), Instant::now());
        let one = || {
            let mut connection = None;
            let mut mine = Tally::default();
            while !self.stop.load(Ordering::SeqCst) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= numbers.end {
                    break;
                }
                let (path, fields) = request(number);
                let got = self.exchange(&mut connection, number, &path, &fields);
                if got.is_err() {
                    connection = None;
                    if self.stop.load(Ordering::SeqCst) {
                        break;
                    }
                }
                mine.count(number, &path, got, check);
            }
            tally.lock().unwrap().add(mine);
        };
        std::thread::scope(|scope| {
            for _ in 0..self.connections {
                std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, one).unwrap();
            }
        });
        let mut tally = tally.into_inner().unwrap();
        tally.took = begun.elapsed();
        tally
    }

    fn exchange(
        &self,
        connection: &mut Option<Connection>,
        number: u64,
        path: &str,
        fields: &str,
    ) -> Result<Answer, String> {
        let connection = match connection {
            Some(connection) => connection,
            none => none.insert(self.connect().map_err(|error| format!("connecting: {error}"))?),
        };
        let begun = Instant::now();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", self.host);
        connection.tcp.write_all(request.as_bytes()).map_err(|error| format!("asking: {error}"))?;
        let head = connection.head()?;
        let status: u16 = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let version = field(&head, "x-version").and_then(|version| version.parse().ok());
        let cache = CacheUse::of(field(&head, "cache-status"));
        let length = field(&head, "content-length").and_then(|length| length.parse().ok());
        let bodyless = matches!(status, 204 | 304);
        let length = if bodyless { 0 } else { length.ok_or_else(|| format!("no Content-Length:\n{head}"))? };
        let mut fault =
            field(&head, "x-path").filter(|other| *other != path).map(|other| format!("this is the head of {other}"));
        let content = version.filter(|_| status == 200).map(|version| Content::of(path, version));
        if content.is_none() && status == 200 {
            fault = Some("a 200 without a version".into());
        }
        connection.body(length, content, self.pace, &mut fault)?;
        let took = begun.elapsed();
        Ok(Answer { number, path: path.to_owned(), status, head, cache, version, length, fault, took })
    }

    fn connect(&self) -> std::io::Result<Connection> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.connect_timeout(&self.address.into(), PATIENCE)?;
        let tcp = TcpStream::from(socket);
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { tcp, buffer: Vec::new(), block: vec![0; BLOCK] })
    }
}

struct Connection {
    tcp: TcpStream,
    buffer: Vec<u8>,
    block: Vec<u8>,
}

impl Connection {
    fn head(&mut self) -> Result<String, String> {
        let mut searched = 0;
        loop {
            let from = self.buffer.len().min(searched);
            if let Some(end) = self.buffer[from..].windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..from + end + 4).collect();
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            searched = self.buffer.len().saturating_sub(3);
            let count = self.tcp.read(&mut self.block).map_err(|error| format!("reading a head: {error}"))?;
            if count == 0 || self.buffer.len() > HEAD {
                return Err(format!("the connection ended after {} bytes of a head", self.buffer.len()));
            }
            self.buffer.extend_from_slice(&self.block[..count]);
        }
    }

    fn body(
        &mut self,
        length: u64,
        content: Option<Content>,
        pace: Option<u64>,
        fault: &mut Option<String>,
    ) -> Result<(), String> {
        let mut offset = 0;
        let mut look = |offset: u64, bytes: &[u8]| {
            if let Some(at) = content.and_then(|content| content.differs(offset, bytes))
                && fault.is_none()
            {
                *fault = Some(format!("byte {at} of {length} is wrong"));
            }
        };
        let present = self.buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        let first: Vec<u8> = self.buffer.drain(..present).collect();
        look(0, &first);
        offset += first.len() as u64;
        let begun = Instant::now();
        while offset < length {
            let most = pace.map_or(length - offset, |pace| (length - offset).min((pace / BEATS).max(1)));
            let most = usize::try_from(most).unwrap_or(BLOCK).min(BLOCK);
            let count = self.tcp.read(&mut self.block[..most]);
            let count = count.map_err(|error| format!("after {offset} of {length} bytes: {error}"))?;
            if count == 0 {
                return Err(format!("the connection ended after {offset} of {length} bytes"));
            }
            look(offset, &self.block[..count]);
            offset += count as u64;
            if let Some(pace) = pace {
                let due = Duration::from_secs_f64(offset as f64 / pace as f64);
                wait::pause(due.saturating_sub(begun.elapsed()));
            }
        }
        Ok(())
    }
}

impl Tally {
    fn count(&mut self, number: u64, path: &str, got: Result<Answer, String>, check: Check<'_>) {
        let answer = match got {
            Ok(answer) => answer,
            Err(why) => {
                self.lost += 1;
                self.tell(format!("number {number}, {path}: lost: {why}"));
                return;
            }
        };
        self.answers += 1;
        *self.statuses.entry(answer.status).or_default() += 1;
        self.hits += u64::from(answer.cache == CacheUse::Hit);
        self.longest = self.longest.max(answer.took);
        if let Some(why) = answer.fault.clone().or_else(|| check(&answer)) {
            self.wrong += 1;
            self.tell(format!("number {number}, {path}: {why}\n{}", answer.head.trim_end()));
        } else if answer.status != 200 {
            self.tell(format!("number {number}, {path}:\n{}", answer.head.trim_end()));
        }
    }

    fn tell(&mut self, what: String) {
        if self.told.len() < TOLD {
            self.told.push(what);
        }
    }

    fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.hits += other.hits;
        self.wrong += other.wrong;
        self.lost += other.lost;
        self.longest = self.longest.max(other.longest);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for told in other.told {
            self.tell(told);
        }
    }
}
