//! Active checks: the machine by the clock, then real servers.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::AtomicU16;

use crate::Question;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::Known;

fn check(path: Option<&str>) -> HealthCheck {
    let (interval, timeout) = (Duration::from_millis(50), Duration::from_millis(300));
    HealthCheck { path: path.map(str::to_owned), interval, timeout, failures: 2 }
}

fn checked_origin(name: &str, path: Option<&str>) -> Arc<Origin> {
    let mut origin = origin(name);
    Arc::get_mut(&mut origin).unwrap().health_check = Some(check(path));
    origin
}

/// What happens to an address with `failures: 2`, checked with a timeout of 0.3 s.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A check that begins and ends at this second: good or not.
    Good(f64),
    Bad(f64),
    /// A client's connection or failure.
    Connects(f64),
    Refused(f64),
    /// Who asks is told this.
    Is(f64, &'static str),
}
use Event::{Bad, Good, Is};

const LIVES: &[(&str, &[Event])] = &[
    ("one failure is none", &[Bad(0.0), Is(0.0, "open"), Good(1.0), Bad(2.0), Is(2.0, "open")]),
    ("as many as configured one after another exclude", &[Bad(0.0), Bad(1.0), Is(1.0, "excluded")]),
    ("one success brings it back, before the time too", &[Bad(0.0), Bad(1.0), Good(2.0), Is(2.0, "open")]),
    (
        "failures during an exclusion do not make it longer, the one after it does",
        &[
            Bad(0.0),
            Bad(1.0),
            Bad(2.0),
            Bad(5.0),
            Bad(6.0),
            Is(8.0, "excluded"),
            Is(13.4, "excluded"),
            Is(15.0, "trial"),
        ],
    ),
    (
        "a check has the trial for itself; a client takes it over when there is none",
        &[Bad(0.0), Bad(1.0), Is(6.0, "excluded"), Is(7.2, "excluded"), Is(7.3, "trial"), Is(7.4, "excluded")],
    ),
    (
        "what a client finds down, a check brings back",
        &[Event::Refused(0.0), Is(0.1, "excluded"), Good(0.5), Is(0.5, "open")],
    ),
    (
        "what a check finds unfit, a connection does not bring back",
        &[Bad(0.0), Bad(1.0), Event::Connects(2.0), Is(2.0, "excluded"), Good(3.0), Is(3.0, "open")],
    ),
    (
        "connections do not hide failing checks",
        &[Bad(0.0), Event::Connects(0.5), Bad(1.0), Event::Connects(1.5), Is(1.5, "excluded")],
    ),
];

#[test]
fn checks_exclude_and_bring_back() {
    for (what, events) in LIVES {
        let clocked = Clocked { origin: checked_origin("photos", Some("/health")), ..Clocked::new() };
        let ends = |at: f64, result| {
            let now = clocked.at(at);
            clocked.health.checked(&clocked.origin, clocked.server(), address(1), result, now, now);
        };
        for (number, event) in events.iter().enumerate() {
            match *event {
                Good(at) => ends(at, Ok(())),
                Bad(at) => ends(at, Err(Reason::Status)),
                Event::Connects(at) => clocked.connects(at),
                Event::Refused(at) => clocked.fails(at, at, Reason::ConnectRefused),
                Is(at, want) => {
                    let got = match clocked.ask(at) {
                        Admission::Open => "open",
                        Admission::Trial => "trial",
                        Admission::Excluded { .. } => "excluded",
                    };
                    assert_eq!(got, want, "{what}: event {number} of {events:?}");
                }
            }
        }
    }
}

/// A server on a port of its own that answers every request with the status that is set; 0: it closes without an answer,
/// 103: it says so first and 200 then.
async fn serve(status: Arc<AtomicU16>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, heard) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (status, log) = (status.load(Ordering::Relaxed), Arc::clone(&log));
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let read = stream.read(&mut request).await.unwrap_or(0);
                log.lock().unwrap().push(String::from_utf8_lossy(&request[..read]).into_owned());
                let early = if status == 103 { "HTTP/1.1 103 x\r\n\r\n" } else { "" };
                let status = if status == 103 { 200 } else { status };
                if status > 0 {
                    let answer = format!("{early}HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    (address, heard)
}

fn at(address: SocketAddr, path: Option<&str>) -> Arc<Origin> {
    let mut origin = checked_origin("photos", path);
    let server = OriginServer { tls: false, host: "origin.example.net".into(), port: address.port() };
    let http = &mut Arc::get_mut(&mut origin).unwrap();
    http.host_header = None;
    http.http.as_mut().unwrap().servers = vec![server];
    http.https = None;
    origin
}

/// Waits for what must come to be within a time that is long for a loaded machine.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within 10 s");
}

fn loopback(_: &str, _: Question) -> Known {
    Known::Addresses(Arc::from([IpAddr::V4(Ipv4Addr::LOCALHOST)]))
}

#[tokio::test]
async fn a_server_is_checked_as_its_configuration_says_and_follows_it() {
    let status = Arc::new(AtomicU16::new(204));
    let (address, heard) = serve(Arc::clone(&status)).await;
    let checked = at(address, Some("/health?deep=1"));
    let current = Arc::new(arc_swap::ArcSwap::from_pointee(snapshot(vec![Arc::clone(&checked)])));
    let health = Arc::new(Health::default());
    let running = Arc::clone(&current);
    let checks = Checks::new(Arc::clone(&health), move || running.load_full(), loopback);
    tokio::spawn(checks.run());

    until("a second check", || heard.lock().unwrap().len() > 1).await;
    let first = heard.lock().unwrap()[0].clone();
    let host = format!("\r\nHost: origin.example.net:{}\r\n", address.port());
    assert!(first.starts_with("GET /health?deep=1 HTTP/1.1\r\n") && first.contains(&host), "{first}");
    let state = || health.state(&checked, address);
    until("a good check is noted", || state().checked.is_some_and(|checked| checked.failed.is_none())).await;
    assert_eq!(state().condition, Condition::Available);

    for (bad, good) in [(500, 302), (404, 103), (0, 200)] {
        status.store(bad, Ordering::Relaxed);
        until("excluded", || state().next_trial.is_some()).await;
        assert!(state().checked.unwrap().failures >= 2, "{bad}: {:?}", state());
        let reason = if bad == 0 { Reason::Closed } else { Reason::Status };
        assert_eq!(state().last_error.unwrap().reason, reason, "{bad}");
        status.store(good, Ordering::Relaxed);
        until("back", || state().next_trial.is_none()).await;
    }

    // without a path a connection is enough, whatever would be answered
    status.store(500, Ordering::Relaxed);
    until("excluded", || state().next_trial.is_some()).await;
    current.store(Arc::new(snapshot(vec![at(address, None)])));
    until("back after the reload", || state().next_trial.is_none()).await;

    // no longer asked for: no longer made
    current.store(Arc::new(snapshot(Vec::new())));
    tokio::time::sleep(Duration::from_millis(600)).await;
    let before = heard.lock().unwrap().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(heard.lock().unwrap().len(), before);
}

#[tokio::test]
async fn a_server_that_is_gone_or_silent_is_excluded_by_its_checks() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cases = [
        (gone, None, Reason::ConnectRefused),
        (gone, Some("/"), Reason::ConnectRefused),
        (silent.local_addr().unwrap(), Some("/"), Reason::ReadTimeout),
    ];
    for (address, path, reason) in cases {
        let origin = at(address, path);
        let (health, current) = (Arc::new(Health::default()), Arc::new(snapshot(vec![Arc::clone(&origin)])));
        let checks = Checks::new(Arc::clone(&health), move || Arc::clone(&current), loopback);
        let running = tokio::spawn(checks.run());
        let state = || health.state(&origin, address);
        until("excluded", || state().next_trial.is_some()).await;
        assert_eq!(state().last_error.unwrap().reason, reason, "{path:?}");
        running.abort();
    }
}
