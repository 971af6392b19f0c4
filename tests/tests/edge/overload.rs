//! More than the edge can do: what it does do stays, what it cannot is refused at once, and it is itself again as soon as the load is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leeward_tests::bulk::{Plan, Source};
use leeward_tests::client::{Connection, Request};
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::{scale, turn, wait};

/// Connections that the edge takes.
const CONNECTIONS: usize = 16;
/// Clients that want one, in the overload.
const CLIENTS: usize = 160;
/// Of what the edge does at best, so much it does in the overload.
const LEAST: f64 = 0.8;

fn edge(source: &Source) -> Edge {
    let config = format!(
        r#"
server: {{ threads: 1, listen: [{{ address: "${{listen}}" }}], grace_period: 5s,
  limits: {{ connections: {CONNECTIONS}, connections_per_ip: 1000, keepalive_timeout: 1s, header_timeout: 2s }} }}
admin: {{ address: "${{admin}}" }}
origins: [{{ directory: main, http: {{ servers: ["http://{}"] }} }}]
sites: [{{ host: www.example.com, origin: main }}]
cache: {{ store_on_hit: 1 }}
"#,
        source.address()
    );
    Edge::start(&Setup::new(&config))
}

/// What clients got.
#[derive(Debug, Default)]
struct Got {
    good: AtomicU64,
    refused: AtomicU64,
    slowest_refusal: AtomicU64,
}

/// A client that asks for one thing after another, half of it hits, a few requests on each connection, and comes again when refused.
fn client(edge: &Edge, number: usize, got: &Got, over: &AtomicBool) {
    let mut asked = 0_usize;
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let Ok(mut connection) = edge.http().connect() else { continue };
        let mut first = true;
        for _ in 0..20 {
            asked += 1;
            let path = if asked.is_multiple_of(2) {
                format!("/hit-{}", asked % 50)
            } else {
                format!("/miss-{number}-{asked}")
            };
            if answered(&mut connection, &path) {
                got.good.fetch_add(1, Ordering::Relaxed);
            } else {
                if first {
                    got.refused.fetch_add(1, Ordering::Relaxed);
                    got.slowest_refusal.fetch_max(begun.elapsed().as_millis() as u64, Ordering::Relaxed);
                    // as clients do that were refused, who would else be nothing but a load on this machine
                    wait::pause(Duration::from_millis(50));
                }
                break;
            }
            first = false;
        }
    }
}

fn answered(connection: &mut Connection, path: &str) -> bool {
    connection.ask(&Request::get("www.example.com", path)).is_ok_and(|answer| answer.status() == 200)
}

/// Good answers a second while so many clients ask.
fn load(edge: &Edge, clients: usize, time: Duration) -> (f64, Got) {
    let (got, over) = (Got::default(), AtomicBool::new(false));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..clients {
            let (got, over) = (&got, &over);
            std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn_scoped(scope, move || client(edge, number, got, over))
                .unwrap();
        }
        wait::pause(time);
        over.store(true, Ordering::Relaxed);
    });
    (got.good.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64(), got)
}

#[test]
fn ten_times_the_clients_get_no_less_done() {
    let _alone = turn::alone();
    let source = Source::start(|asked| {
        let wait = Duration::from_millis(if asked.path.starts_with("/miss") { 5 } else { 0 });
        Plan {
            wait,
            ..Plan::with(
                2000,
                if wait.is_zero() { "Cache-Control: max-age=3600\r\n" } else { "Cache-Control: no-store\r\n" },
            )
        }
    });
    let edge = edge(&source);
    let time = Duration::from_secs(scale::of(3, 20));
    load(&edge, CONNECTIONS, Duration::from_secs(1));
    // a busy machine may have been busy with something else: three times
    let mut tries = Vec::new();
    for _ in 0..3 {
        let (peak, _) = load(&edge, CONNECTIONS, time);
        let (start, _) = edge.resident();
        let (goodput, got) = load(&edge, CLIENTS, time);
        let (_, most) = edge.resident();
        let slowest = Duration::from_millis(got.slowest_refusal.load(Ordering::Relaxed));
        let refused = got.refused.load(Ordering::Relaxed);
        let begun = Instant::now();
        wait::until("an answer after the overload", Duration::from_secs(5), || {
            let mut connection = edge.http().connect().ok()?;
            answered(&mut connection, "/hit-1").then_some(())
        });
        let recovered = begun.elapsed();
        eprintln!(
            "{peak:.0}/s at best, {goodput:.0}/s with ten times the clients; {refused} refused, the slowest after {slowest:?}; again after {recovered:?}"
        );
        assert!(refused > 0, "nobody was refused: that was no overload");
        assert!(most < start + (64 << 20), "{start} bytes before, {most} at most");
        tries.push((goodput >= LEAST * peak && slowest < Duration::from_secs(2), peak, goodput, slowest));
        if tries.last().is_some_and(|(good, ..)| *good) {
            edge.stop();
            return;
        }
    }
    panic!("{tries:?}");
}
