//! Requests per second through the whole edge: the real binary with one thread, a client and an origin over sockets. Hits of three sizes
//! from memory and from disk, among few objects and among 100,000, and what is passed to the origin because it may not be stored.
//!
//! `LEEWARD_BIN` names another binary than the one that is built for this. Client and origin run on the same machine and take their share of it: the figures compare two builds, and say nothing by
//! themselves.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Connections of the client, each with one request at a time.
const CONNECTIONS: usize = 16;
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// Rounds of asking for every object until all are stored: the queue of the disk drops what comes too fast.
const ROUNDS: usize = 30;
/// Between two numbers that are asked for: a prime, so that no two in a row are neighbours.
const STRIDE: u64 = 7919;

/// What is asked for.
struct Case {
    name: &'static str,
    size: usize,
    objects: u64,
}

const fn case(name: &'static str, size: usize, objects: u64) -> Case {
    Case { name, size, objects }
}

const FROM_MEMORY: [Case; 5] = [
    case("1 KiB", KIB, 1),
    case("1 KiB among 1,000", KIB, 1_000),
    case("1 KiB among 100,000", KIB, 100_000),
    case("64 KiB", 64 * KIB, 1),
    case("1 MiB", MIB, 1),
];
/// Far more than the 4 MiB of memory beside it.
const FROM_DISK: [Case; 3] = [
    case("1 KiB among 20,000", KIB, 20_000),
    case("64 KiB among 1,000", 64 * KIB, 1_000),
    case("1 MiB among 100", MIB, 100),
];

/// An origin that answers `/NUMBER/SIZE` with so many bytes, to be stored, and `/pass/SIZE` with as many that may not be.
struct Origin {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Origin {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || answer(stream, &counter));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn answer(stream: TcpStream, requests: &AtomicU64) {
    stream.set_nodelay(true).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let (mut stream, mut line, mut path) = (stream, String::new(), String::new());
    while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
        if let Some(asked) = line.strip_prefix("GET ") {
            path = asked.split(' ').next().unwrap_or_default().to_owned();
        } else if line == "\r\n" {
            requests.fetch_add(1, Ordering::Relaxed);
            let size: usize = path.rsplit('/').next().and_then(|size| size.parse().ok()).unwrap_or(0);
            let kept = if path.starts_with("/pass/") { "no-store" } else { "max-age=86400" };
            let head = format!(
                "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: application/octet-stream\r\nETag: \"{size}\"\r\n\
                 Cache-Control: {kept}\r\nContent-Length: {size}\r\n\r\n"
            );
            let mut whole = head.into_bytes();
            whole.resize(whole.len() + size, b'x');
            if stream.write_all(&whole).is_err() {
                return;
            }
        }
        line.clear();
    }
}

/// The edge; killed when dropped.
struct Edge {
    process: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Edge {
    /// An edge with these keys of `cache`; `DIRECTORY` stands for one of its own.
    fn start(origin: SocketAddr, cache: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("leeward.yaml");
        let cache = cache.replace("DIRECTORY", &directory.path().join("cache").display().to_string());
        let text = format!(
            "account: \"0001\"\n\
             server: {{ threads: 1, listen: [{{ address: \"127.0.0.1:0\" }}] }}\n\
             admin: {{ address: \"127.0.0.1:0\" }}\n\
             log: {{ access: off }}\n\
             cache: {{ store_on_hit: 1, {cache} }}\n\
             origins: [{{ directory: o, platform: http_large, http: {{ servers: [\"http://{origin}\"] }} }}]\n\
             sites: [{{ host: bench.example, origin: o }}]\n"
        );
        std::fs::write(&file, text).unwrap();
        let built = || env!("CARGO_BIN_EXE_leeward").into();
        let mut process = Command::new(std::env::var_os("LEEWARD_BIN").unwrap_or_else(built))
            .args(["run", "--config"])
            .arg(&file)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = said.find_map(|line| line.split("listening on ").nth(1)?.trim().parse().ok());
        // whatever else it says must find a reader
        std::thread::spawn(move || said.for_each(drop));
        Self { process, address: address.expect("the edge listens"), _directory: directory }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One connection of the client.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(edge: SocketAddr) -> Self {
        let stream = TcpStream::connect(edge).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 256 * 1024] }
    }

    /// Asks and reads the whole answer.
    fn get(&mut self, path: &str, size: usize) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench.example\r\n\r\n");
        self.stream.write_all(request.as_bytes()).unwrap();
        let (mut head, mut at) = (None, 0);
        loop {
            let from = if head.is_none() { at } else { 0 };
            let read = self.stream.read(&mut self.buffer[from..]).unwrap();
            assert!(read > 0, "the edge closed the connection");
            at += read;
            if head.is_none() {
                let found = self.buffer[..at].windows(4).position(|four| four == b"\r\n\r\n");
                assert!(found.is_none() || self.buffer.starts_with(b"HTTP/1.1 200 "), "{path}");
                head = found.map(|end| end + 4);
            }
            match head {
                Some(head) if at == head + size => return,
                Some(head) => assert!(at < head + size, "more than asked for"),
                None => {}
            }
        }
    }
}

/// Time for so many requests, spread over all connections.
fn ask(connections: &mut [Connection], requests: u64, path: impl Fn(u64) -> String + Sync, size: usize) -> Duration {
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let (next, path) = (&next, &path);
    std::thread::scope(|scope| {
        for connection in connections {
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests {
                        break;
                    }
                    connection.get(&path(number), size);
                }
            });
        }
    });
    began.elapsed()
}

/// Hits of each case; whatever reached the origin meanwhile was none.
fn hits(criterion: &mut Criterion, group: &str, cache: &str, cases: &[Case]) {
    let origin = Origin::start();
    let edge = Edge::start(origin.address, cache);
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| Connection::open(edge.address)).collect();
    let mut group = criterion.benchmark_group(group);
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for &Case { name, size, objects } in cases {
        let all_stored = (0..ROUNDS).any(|_| {
            let before = origin.requests();
            ask(&mut connections, objects, |number| format!("/{number}/{size}"), size);
            origin.requests() == before
        });
        assert!(all_stored, "{name}: not all objects are stored after {ROUNDS} rounds");
        let (before, mut asked) = (origin.requests(), 0);
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let first = asked;
                asked += count;
                let path = |number| format!("/{}/{size}", (first + number) * STRIDE % objects);
                ask(&mut connections, count, path, size)
            });
        });
        let missed = origin.requests() - before;
        assert!(missed * 1000 <= asked, "{name}: {missed} of {asked} requests were no hits");
    }
    group.finish();
}

fn passes(criterion: &mut Criterion) {
    let origin = Origin::start();
    let edge = Edge::start(origin.address, "memory: 4MiB");
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| Connection::open(edge.address)).collect();
    let mut group = criterion.benchmark_group("pass");
    group.sample_size(10).measurement_time(Duration::from_secs(5)).throughput(Throughput::Elements(1));
    group.bench_function("1 KiB", |bencher| {
        bencher.iter_custom(|count| ask(&mut connections, count, |_| format!("/pass/{KIB}"), KIB));
    });
    group.finish();
}

fn requests(criterion: &mut Criterion) {
    // The hit lane may remember a 32nd of it: so much that it remembers every object of the largest case.
    hits(criterion, "hit from memory", "memory: 4GiB", &FROM_MEMORY);
    hits(criterion, "hit from disk", "memory: 4MiB, disk: { path: \"DIRECTORY\", size: 4GiB }", &FROM_DISK);
    passes(criterion);
}

criterion_group!(benches, requests);
criterion_main!(benches);
