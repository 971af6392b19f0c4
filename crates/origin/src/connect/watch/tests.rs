use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use super::*;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(60);

/// Both ends of a connection: the edge's and the origin's.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let edge = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (origin, _) = listener.accept().unwrap();
    origin.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    (edge, origin)
}

/// Whether the origin sees the end of the connection.
fn is_shut(mut origin: &TcpStream) -> bool {
    matches!(origin.read(&mut [0; 64]), Ok(0))
}

struct Stage {
    connections: Arc<Connections>,
    edge: TcpStream,
    origin: TcpStream,
}

impl Stage {
    fn new() -> Self {
        let (edge, origin) = pair();
        Self { connections: Arc::default(), edge, origin }
    }

    fn watch(&self, head: Duration, body: Duration, kept: bool) -> (Watch, Tracer) {
        let patience = Patience { head, body, read: LONG };
        let (mut watch, tracer) = Watch::new(&self.connections, patience);
        watch.connected(self.edge.as_raw_fd(), kept);
        (watch, tracer)
    }

    async fn look(&self, watch: &Watch, after: Duration) -> (bool, bool) {
        tokio::time::sleep(after).await;
        (is_shut(&self.origin), watch.expired())
    }
}

#[tokio::test]
async fn the_time_for_the_head_begins_when_the_request_is_sent() {
    let stage = Stage::new();
    let (mut watch, _tracer) = stage.watch(SHORT, LONG, false);
    assert_eq!(stage.look(&watch, SHORT * 2).await, (false, false), "before the request is sent");
    watch.request_sent();
    assert_eq!(stage.look(&watch, SHORT * 3).await, (true, true), "after the time");
}

#[tokio::test]
async fn what_came_in_time_is_left_alone() {
    let stage = Stage::new();
    let (mut watch, _tracer) = stage.watch(SHORT, LONG, false);
    watch.request_sent();
    watch.head(true, false);
    watch.request_sent();
    assert_eq!(stage.look(&watch, SHORT * 3).await, (false, false), "the head came first");
    let (mut kept, _tracer) = stage.watch(SHORT, LONG, true);
    kept.request_sent();
    drop(kept);
    assert_eq!(stage.look(&watch, SHORT * 3).await, (false, false), "nobody waits any more");
}

#[tokio::test]
async fn a_kept_connection_is_watched_again() {
    let stage = Stage::new();
    let (mut first, _tracer) = stage.watch(SHORT, LONG, false);
    first.head(false, false);
    let (mut second, _other) = stage.watch(SHORT, LONG, true);
    second.request_sent();
    assert_eq!(stage.look(&second, SHORT * 3).await, (true, true));
    assert!(!first.expired(), "the attempt before has nothing to do with it");
}

#[tokio::test]
async fn each_part_of_a_body_starts_the_time_anew() {
    let mut stage = Stage::new();
    let (mut watch, _tracer) = stage.watch(LONG, SHORT, false);
    watch.head(true, true);
    for part in 0..5 {
        assert_eq!(stage.look(&watch, SHORT / 2).await, (false, false), "part {part}");
        watch.part();
    }
    stage.origin.write_all(b"not read, because the client is slow").unwrap();
    assert_eq!(stage.look(&watch, SHORT * 4).await, (false, false), "bytes wait to be read");
    assert!(!watch.cut());
    stage.edge.read_exact(&mut [0; 36]).unwrap();
    watch.part();
    assert_eq!(stage.look(&watch, SHORT * 4).await, (true, true), "nothing came any more");
    assert!(watch.cut(), "such a body seems complete");
}

#[tokio::test]
async fn a_descriptor_that_was_closed_is_not_touched_again() {
    let stage = Stage::new();
    let (mut watch, tracer) = stage.watch(SHORT, LONG, false);
    watch.request_sent();
    // Pingora says so before it closes; here the descriptor then belongs to another connection
    tracer.0.on_disconnected();
    assert_eq!(stage.look(&watch, SHORT * 3).await, (false, false));
    assert!(stage.connections.open().is_empty(), "it is forgotten");
}

#[tokio::test]
async fn a_connection_that_closed_before_anyone_saw_it_is_not_kept() {
    let stage = Stage::new();
    let (mut watch, tracer) = Watch::new(&stage.connections, Patience { head: SHORT, body: LONG, read: LONG });
    tracer.0.on_disconnected();
    watch.connected(stage.edge.as_raw_fd(), false);
    watch.request_sent();
    assert_eq!(stage.look(&watch, SHORT * 3).await, (false, false));
    assert!(stage.connections.open().is_empty());
}

#[tokio::test]
async fn what_was_read_but_waits_for_a_slow_client_counts_from_its_arrival() {
    let mut stage = Stage::new();
    let limit = SHORT * 2;
    let (mut watch, _tracer) = stage.watch(LONG, limit, false);
    watch.head(true, false);
    assert_eq!(stage.look(&watch, limit * 2 / 3).await, (false, false));
    stage.origin.write_all(b"read").unwrap();
    stage.edge.read_exact(&mut [0; 4]).unwrap();
    assert_eq!(stage.look(&watch, limit * 2 / 3).await, (false, false), "it came less than the limit ago");
    assert_eq!(stage.look(&watch, limit).await, (true, true));
}
