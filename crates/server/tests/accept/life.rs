//! Signals and the end, seen from outside: the edge runs in a child process, which is this test program again.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leeward_server::accept::{self, Counters, Gate, Listener};
use leeward_server::admin::{Admin, Reply, Sources};
use leeward_server::life::{self, Drain, Handlers, Signals, Stage};
use leeward_telemetry::Metrics;
use pingora::server::RunArgs;
use pingora::services::background::background_service;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::edge::{Facts, answer, http1, limits_of};

/// Set in the child: its grace period in milliseconds.
const GRACE: &str = "LEEWARD_TEST_GRACE";
/// Set in the child: how long it does something else before it serves, in milliseconds.
const SLOW_START: &str = "LEEWARD_TEST_SLOW_START";

fn millis(variable: &str) -> Option<Duration> {
    std::env::var(variable).ok()?.parse().ok().map(Duration::from_millis)
}

/// Not a test by itself: what the child process runs.
#[test]
#[expect(clippy::disallowed_methods, reason = "stands for a slow start on the main thread")]
fn child() {
    let Some(grace) = millis(GRACE) else { return };
    let signals = Signals::start(Stage::default(), false).unwrap();
    println!("\nsignals");
    std::thread::sleep(millis(SLOW_START).unwrap_or_default());

    let (reloads, reopened) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let count = |counter: &Arc<AtomicU64>| {
        let counter = Arc::clone(counter);
        Box::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })
    };
    signals.handle(Handlers { reload: count(&reloads), reopen_logs: count(&reopened) }).unwrap();

    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let (edge_sockets, admin_sockets) = (accept::bind(&[loopback]).unwrap(), accept::bind(&[loopback]).unwrap());
    let (edge, admin) = (edge_sockets[0].address(), admin_sockets[0].address());
    let stage = signals.stage().clone();
    let mut server = life::server(life::server_conf(1, grace, None, None).unwrap(), None);
    let (gate, metrics) = (Arc::new(Gate::default()), Arc::new(Metrics::new().unwrap()));
    let listener = Listener { address: edge, tls: None, certificates: None, proxy_protocol: None };
    let application = accept::Edge::new(
        &server.configuration,
        Facts,
        vec![listener],
        Arc::clone(&gate),
        || *limits_of(100, 100),
        Counters::new(Arc::clone(&metrics)).unwrap(),
    );
    let sources = Sources {
        token: Box::new(|| None),
        metrics: Box::new(Vec::new),
        reload: Box::new(|| (true, json!({}))),
        config: Box::new(|| json!({})),
        origins: Box::new(|| json!({})),
        purge: Box::new(|_| Box::pin(async { Reply { status: 200, body: json!({}), again: None } })),
        cache: Box::new(move || {
            let (reloads, reopened) = (reloads.load(Ordering::SeqCst), reopened.load(Ordering::SeqCst));
            json!(format!("reloads={reloads} reopened={reopened}"))
        }),
    };
    let admin_service = accept::service("admin", Admin::new(stage.clone(), sources), admin_sockets);
    server
        .add_service(accept::service("edge", application, edge_sockets).on(accept::Workers::start("edge", 2).unwrap()));
    server.add_service(admin_service.through_the_drain(stage.clone()));
    server.add_service(background_service("drain", Drain::new(stage, gate, || println!("\nflushed"))));
    println!("\nlistening {edge} {admin}");
    server.run(RunArgs { shutdown_signal: Box::new(signals) });
    println!("\nreturned");
}

/// A child process, killed when dropped.
struct Running {
    child: Child,
    lines: Box<dyn Iterator<Item = String> + Send>,
    edge: SocketAddr,
    admin: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a child and waits for its first line: signals are handled.
fn spawn(grace: u64, slow_start: u64) -> Running {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "life::child", "--nocapture"])
        .env(GRACE, grace.to_string())
        .env(SLOW_START, slow_start.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let nowhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut running = Running { child, lines: Box::new(lines), edge: nowhere, admin: nowhere };
    running.line("signals");
    running
}

impl Running {
    /// Waits for a line of the child that starts so.
    fn line(&mut self, start: &str) -> Option<String> {
        self.lines.find(|line| line.starts_with(start))
    }

    /// Waits until the edge is ready.
    async fn up(mut self) -> Self {
        let line = self.line("listening").expect("the child listens");
        let mut addresses = line.split(' ').skip(1).map(|address| address.parse().unwrap());
        (self.edge, self.admin) = (addresses.next().unwrap(), addresses.next().unwrap());
        let began = Instant::now();
        while !self.ask("/readyz").await.contains("200 OK") {
            assert!(began.elapsed() < Duration::from_secs(10), "never ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "{name} was not sent");
    }

    /// One request to the admin listener.
    async fn ask(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(self.admin).await else { return "refused".to_owned() };
        http1(&mut stream, path).await
    }

    /// Waits until the admin listener says so.
    async fn said(&self, wanted: &str) -> bool {
        for _ in 0..250 {
            if self.ask("/v1/cache").await.contains(wanted) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Waits for the end: how, and after how long.
    async fn end(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, began.elapsed());
            }
            assert!(began.elapsed() < Duration::from_secs(20), "the child does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn no_signal_is_lost_before_the_edge_serves() {
    let running = spawn(1000, 300);
    running.signal("HUP");
    running.signal("USR1");
    running.signal("HUP");
    let running = running.up().await;
    assert!(running.said("reloads=1 reopened=1").await, "{}", running.ask("/v1/cache").await);
    running.signal("HUP");
    assert!(running.said("reloads=2 reopened=1").await, "{}", running.ask("/v1/cache").await);
    running.signal("USR1");
    assert!(running.said("reloads=2 reopened=2").await, "{}", running.ask("/v1/cache").await);

    let mut early = spawn(5000, 300);
    early.signal("TERM");
    let (status, took) = early.end().await;
    assert!(status.success() && took < Duration::from_secs(4), "SIGTERM before it served: {status} after {took:?}");
}

#[tokio::test]
async fn an_idle_edge_leaves_at_once_and_with_code_0() {
    for signal in ["TERM", "INT", "QUIT"] {
        let mut running = spawn(8000, 0).up().await;
        let mut idle = TcpStream::connect(running.edge).await.unwrap();
        assert!(http1(&mut idle, "/").await.contains("200 OK"));
        running.signal(signal);
        let (status, took) = running.end().await;
        assert!(status.success() && took < Duration::from_secs(4), "{signal}: {status} after {took:?}");
        assert!(running.line("flushed").is_some(), "{signal}: ended without a flush");
    }
}

#[tokio::test]
async fn a_busy_edge_is_not_ready_and_finishes_before_it_leaves() {
    let mut running = spawn(8000, 0).up().await;
    let mut busy = TcpStream::connect(running.edge).await.unwrap();
    busy.write_all(b"GET /sleep/2000 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.signal("TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (ready, alive) = (running.ask("/readyz").await, running.ask("/healthz").await);
    assert!(ready.contains(" 503 ") && alive.contains(" 200 "), "while draining: {ready}\n{alive}");
    assert!(TcpStream::connect(running.edge).await.is_err(), "a new connection while draining");
    let text = answer(&mut busy).await;
    assert!(text.contains("200 OK") && text.contains("draining=true"), "{text}");
    let (status, took) = running.end().await;
    assert!(status.success() && took < Duration::from_secs(3), "{status} {took:?} after the last answer");
}

#[tokio::test]
async fn what_takes_longer_than_the_grace_period_is_cut() {
    let mut running = spawn(1000, 0).up().await;
    let mut busy = TcpStream::connect(running.edge).await.unwrap();
    busy.write_all(b"GET /sleep/15000 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.signal("TERM");
    let (status, took) = running.end().await;
    let grace = Duration::from_secs(1);
    assert!(status.success() && took + Duration::from_millis(100) >= grace && took < grace * 4, "{status} {took:?}");
    assert!(running.line("returned").is_some(), "`Server::run` did not return");
    assert!(!answer(&mut busy).await.contains("200 OK"));
}

#[tokio::test]
async fn a_second_signal_does_not_wait() {
    for second in ["TERM", "INT"] {
        let mut running = spawn(15_000, 0).up().await;
        let mut busy = TcpStream::connect(running.edge).await.unwrap();
        busy.write_all(b"GET /sleep/15000 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        running.signal("TERM");
        tokio::time::sleep(Duration::from_millis(300)).await;
        running.signal(second);
        let (status, took) = running.end().await;
        assert!(status.code() == Some(1) && took < Duration::from_secs(2), "{second}: {status} after {took:?}");
    }
}
