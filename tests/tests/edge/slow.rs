//! Clients that take their time: a thousand of them are dropped within their deadlines, and cost nobody else anything.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use leeward_tests::client::frames::{self, DATA, END_HEADERS, Frames, HEADERS, Outcome, block, frame};
use leeward_tests::client::{CacheUse, Request};
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::{Answer, Origin, Script};
use leeward_tests::turn;
use leeward_tests::wait::{self, PATIENCE};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, SockRef, Socket, Type};

use crate::stage;

/// Slow clients of each kind.
const OF_EACH: usize = 334;
/// Deadlines of the edge under test.
const DEADLINE: Duration = Duration::from_secs(4);
/// A slow client is gone this long after its deadline. A body must be silent, or trickle, for its whole time first.
const GRACE: Duration = Duration::from_secs(20);
/// Hits while they are there.
const HITS: usize = 1000;

fn with_limits(setup: Setup, limits: &str) -> Setup {
    let limits = format!("grace_period: 5s, limits: {{ {limits} }}");
    Setup { config: setup.config.replace("grace_period: 5s", &limits), ..setup }
}

/// As many files as this process may have.
fn many_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

fn connect(edge: &Edge, receive_buffer: Option<usize>) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    socket.connect_timeout(&edge.http().address.into(), PATIENCE).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

/// Sends a byte now and then, or reads one, until the other side is gone; how long that took.
struct Slow {
    what: &'static str,
    stream: TcpStream,
    begun: Instant,
    gone: Option<Duration>,
}

impl Slow {
    fn step(&mut self) {
        if self.gone.is_some() {
            return;
        }
        let mut byte = [0; 1];
        let gone = if self.what == "reader" {
            // what was sent before it was dropped still waits in this socket: the reset shows
            SockRef::from(&self.stream).take_error().is_ok_and(|error| error.is_some())
                || gone(self.stream.read(&mut byte))
        } else {
            let sent = self.stream.write(b"a");
            gone(sent.map(|_| 1)) || gone(self.stream.read(&mut byte))
        };
        if gone {
            self.gone = Some(self.begun.elapsed());
        }
    }
}

fn gone(result: std::io::Result<usize>) -> bool {
    match result {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn a_thousand_slow_clients_are_dropped_in_time_while_a_thousand_hits_are_served() {
    let _alone = turn::alone();
    many_files();
    let large = Answer::sized(8 << 20).with("Cache-Control", "max-age=600");
    let script = Script::always(Answer::ok("fine").with("Cache-Control", "max-age=600")).on("/large", [large]);
    let origin = Origin::start(script);
    let setup = stage::setup(&origin, "cache: { store_on_hit: 1 }\nlog: { access: \"${dir}/access.log\" }");
    let limits = "header_timeout: 4s, body_timeout: 4s, write_timeout: 4s, connections_per_ip: 10000";
    let edge = Edge::start(&with_limits(setup, limits));
    for path in ["/hit", "/large"] {
        assert_eq!(edge.http().get("www.example.com", path).status(), 200);
    }
    let kinds = [
        ("head", "GET /hit HTTP/1.1\r\nHost: www.example.com\r\nX: "),
        ("body", "POST /upload HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 100000\r\n\r\n"),
        ("reader", "GET /large HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    ];
    let mut slow = Vec::new();
    for (what, start) in kinds {
        for _ in 0..OF_EACH {
            let mut stream = connect(&edge, (what == "reader").then_some(4096));
            stream.write_all(start.as_bytes()).unwrap();
            slow.push(Slow { what, stream, begun: Instant::now(), gone: None });
        }
    }
    let (failed, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let open = || edge.metrics().sum("leeward_connections", &[("listener", &edge.http().address.to_string())]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..HITS / 4 {
                    let answer = edge.http().ask(&Request::get("www.example.com", "/hit"));
                    let good = answer.is_ok_and(|answer| answer.text() == "fine" && answer.cache() == CacheUse::Hit);
                    if good { &served } else { &failed }.fetch_add(1, Ordering::Relaxed);
                    wait::pause(Duration::from_millis(5));
                }
            });
        }
        let end = Instant::now() + DEADLINE + GRACE;
        while Instant::now() < end
            && (open() > 0.0 || slow.iter().any(|slow| slow.gone.is_none() && slow.what != "reader"))
        {
            slow.iter_mut().for_each(Slow::step);
            wait::pause(Duration::from_millis(250));
        }
    });
    assert_eq!((failed.into_inner(), served.into_inner()), (0, HITS), "hits that failed, that were served");
    for (what, _) in kinds {
        let of: Vec<_> = slow.iter().filter(|slow| slow.what == what).collect();
        let left = of.iter().filter(|slow| slow.gone.is_none()).count();
        let longest = of.iter().filter_map(|slow| slow.gone).max();
        eprintln!("{what}: {left} of {} still there, the last one dropped after {longest:?}", of.len());
        assert!(what == "reader" || left == 0, "{what}: {left} of {} are still there", of.len());
    }
    assert!(open() <= 0.0, "{} connections are still open", open());
    edge.stop();
}

#[test]
fn who_stops_uploading_over_http2_is_told_and_the_origin_is_not_blamed() {
    let _beside = turn::beside();
    let origin = stage::tls_origin(Script::always(Answer::ok("thanks")));
    let setup = stage::tls_setup(&origin, "");
    let config = setup.config.replace("headers: 100KiB", "headers: 100KiB, body_timeout: 1s");
    let config =
        config.replace("directory: main,", "directory: main, timeouts: { first_byte: 1s, between_bytes: 1s },");
    let edge = Edge::start(&Setup { config, ..setup });
    let mut connection = Frames::open(edge.https_address());
    let mut fields = frames::get("/upload", &[("content-length", "10")]);
    fields[0].1 = b"POST".to_vec();
    let request = [frame(HEADERS, END_HEADERS, 1, &block(&fields)), frame(DATA, 0, 1, b"hello")].concat();
    connection.send(&request).unwrap();
    let outcome = connection.outcome(1, Duration::from_secs(10));
    assert_eq!(outcome, Outcome::Status(408));
    let (entry, all) = edge.output().wait_for_access(PATIENCE, |entry| entry["path"] == "/upload");
    let entry = entry.unwrap_or_else(|| panic!("no line in the log: {all:?}"));
    assert_eq!((&entry["status"], &entry["reason"]), (&408.into(), &"client".into()), "{entry}");
    assert_eq!(entry["attempts"][0]["result"], "abandoned", "{entry}");
    // and it is asked again at once
    assert_eq!(edge.https("www.example.com").get("www.example.com", "/next").text(), "thanks");
}

#[test]
fn an_upload_that_trickles_is_given_up_whatever_its_length() {
    let _beside = turn::beside();
    let origin = Origin::start(Script::always(Answer::ok("thanks")));
    let edge = Edge::start(&with_limits(stage::setup(&origin, ""), "body_timeout: 2s"));
    for (what, head, piece) in
        [("with a length", "Content-Length: 1000000", "a"), ("in chunks", "Transfer-Encoding: chunked", "1\r\na\r\n")]
    {
        let mut client = edge.http().connect().unwrap();
        client.send(format!("POST / HTTP/1.1\r\nHost: www.example.com\r\n{head}\r\n\r\n").as_bytes()).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) && client.send(piece.as_bytes()).is_ok() {
            wait::pause(Duration::from_millis(300));
        }
        let status = client.read("POST").map(|answer| answer.status());
        assert!(matches!(status, Ok(408)), "{what}: {status:?} after {:?}", begun.elapsed());
    }
}

/// CPU time that a process has used.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[test]
fn an_edge_that_is_out_of_files_goes_on_is_idle_and_recovers() {
    let _alone = turn::alone();
    many_files();
    let origin = Origin::start(Script::always(Answer::ok("fine").with("Cache-Control", "max-age=600")));
    let setup = stage::setup(&origin, "cache: { store_on_hit: 1 }");
    let limits = "header_timeout: 60s, connections_per_ip: 100000";
    let mut edge =
        Edge::start(&with_limits(setup, limits).under(&["bash", "-c", "ulimit -n 256; exec \"$@\"", "bash"]));
    assert_eq!(edge.http().get("www.example.com", "/hit").text(), "fine");
    let crowd: Vec<TcpStream> = (0..1000).map(|_| connect(&edge, None)).collect();
    wait::until("the places to be taken", PATIENCE, || {
        let refused = edge.metrics().sum("leeward_connections_refused_total", &[("reason", "connections")]);
        (refused >= 500.0).then_some(())
    });
    let (before, begun) = (cpu(edge.pid()), Instant::now());
    while begun.elapsed() < Duration::from_secs(2) {
        let asked = Instant::now();
        assert_eq!(edge.admin("GET", "/healthz", None).map(|answer| answer.status()), Ok(200));
        assert!(asked.elapsed() < Duration::from_secs(1), "the admin listener took {:?}", asked.elapsed());
        wait::pause(Duration::from_millis(200));
    }
    let used = (cpu(edge.pid()) - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    assert!(used < 0.4, "it uses {used} of a processor while nothing happens");
    drop(crowd);
    let freed = Instant::now();
    wait::until("a hit", PATIENCE, || {
        let answer = edge.http().ask(&Request::get("www.example.com", "/hit"));
        answer.is_ok_and(|answer| answer.text() == "fine").then_some(())
    });
    assert!(freed.elapsed() < Duration::from_secs(2), "it took {:?} to recover", freed.elapsed());
    assert!(edge.runs());
    edge.stop();
}
