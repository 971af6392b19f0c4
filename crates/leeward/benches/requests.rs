//! Requests per second through the whole edge: the real binary with one thread, a client and an origin over sockets. Hits of three sizes,
//! and what is passed to the origin because it may not be stored.
//!
//! Client and origin run on the same machine and take their share of it: the figures compare two builds, and say nothing by
//! themselves.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Connections of the client, each with one request at a time.
const CONNECTIONS: usize = 16;
const SIZES: [(&str, usize); 3] = [("1 KiB", 1024), ("64 KiB", 64 * 1024), ("1 MiB", 1024 * 1024)];

/// An origin that answers `/SIZE` with so many bytes, to be stored, and `/pass/SIZE` with as many that may not be.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let (mut stream, mut line, mut path) = (stream, String::new(), String::new());
    while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
        if let Some(asked) = line.strip_prefix("GET ") {
            path = asked.split(' ').next().unwrap_or_default().to_owned();
        } else if line == "\r\n" {
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
    fn start(origin: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("leeward.yaml");
        let text = format!(
            "account: \"0001\"\n\
             server: {{ threads: 1, listen: [{{ address: \"127.0.0.1:0\" }}] }}\n\
             admin: {{ address: \"127.0.0.1:0\" }}\n\
             log: {{ access: off }}\n\
             cache: {{ store_on_hit: 1 }}\n\
             origins: [{{ directory: o, platform: http_large, http: {{ servers: [\"http://{origin}\"] }} }}]\n\
             sites: [{{ host: bench.example, origin: o }}]\n"
        );
        std::fs::write(&file, text).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_leeward"))
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
fn ask(connections: &mut [Connection], requests: u64, path: &str, size: usize) -> Duration {
    let (count, began) = (connections.len() as u64, Instant::now());
    std::thread::scope(|scope| {
        for (n, connection) in (0..).zip(connections) {
            let share = requests / count + u64::from(n < requests % count);
            scope.spawn(move || (0..share).for_each(|_| connection.get(path, size)));
        }
    });
    began.elapsed()
}

fn requests(criterion: &mut Criterion) {
    let edge = Edge::start(origin());
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| Connection::open(edge.address)).collect();
    let mut group = criterion.benchmark_group("requests");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    let hits = SIZES.map(|(name, size)| (format!("hit of {name}"), format!("/{size}"), size));
    let passes = [("pass of 1 KiB".to_owned(), "/pass/1024".to_owned(), 1024)];
    for (name, path, size) in hits.into_iter().chain(passes) {
        group.throughput(Throughput::Elements(1));
        group.bench_function(&name, |bencher| {
            bencher.iter_custom(|count| ask(&mut connections, count, &path, size));
        });
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
