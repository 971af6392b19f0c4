//! Everything at once, for long: hits, misses, origins that fail, purges, reloads, slow clients, floods and rubbish. Nothing grows, nothing
//! panics, no byte is wrong. A quarter of a minute in every run; `LEEWARD_TEST_SOAK` seconds, or half an hour in `tests/full.sh`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leeward_tests::bulk::{Content, Plan, Source};
use leeward_tests::client::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, PING, RST_STREAM, block, frame, get};
use leeward_tests::client::{Request, Target, h2};
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::{Answer, Origin, Script, pattern};
use leeward_tests::{scale, turn, wait};
use rustix::process::Signal;

use crate::mixed::make::{Dice, conversation};
use crate::stage;

/// Memory that may come in the second half of the time.
const GROWTH: u64 = 24 << 20;
/// Open files that may be left when all clients are gone, besides those of the beginning: connections kept to origins.
const FILES: usize = 40;

/// Bytes of what clients over TLS ask for.
const SECURE: usize = 5000;

/// How it went.
#[derive(Debug, Default)]
struct Tally {
    good: AtomicU64,
    failed: AtomicU64,
    /// Bodies that ended early, which the client was told, and are right up to there.
    cut: AtomicU64,
    wrong: AtomicU64,
    /// The first that were wrong.
    told: Mutex<Vec<String>>,
    reloads: AtomicU64,
    purges: AtomicU64,
    rubbish: AtomicU64,
}

/// Examples told of what was wrong.
const TOLD: usize = 5;

impl Tally {
    /// Counts an answer with 200; true when it is whole and right.
    fn count(&self, path: &str, body: &[u8], size: u64, cut: Option<&str>, differs: Option<u64>) -> bool {
        let length = body.len() as u64;
        let good = cut.is_none() && differs.is_none() && length == size;
        let early = cut.is_some() && differs.is_none() && length < size;
        let counter = if good {
            &self.good
        } else if early {
            &self.cut
        } else {
            &self.wrong
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap();
        if !good && told.len() < TOLD {
            told.push(format!(
                "{path}: {length} of {size} bytes, the first that is not right {differs:?}, cut {cut:?}"
            ));
        }
        good
    }
}

/// Where what is asked for comes from.
struct Origins {
    source: Source,
    /// Does not fail.
    spare: Source,
    /// For clients over TLS.
    secure: Origin,
}

fn config(origins: &Origins, turn: u64) -> String {
    // every second configuration has a rule more, and another rate limit
    let rules = if turn.is_multiple_of(2) {
        ""
    } else {
        ", rules: [{ matches: [{ name: url-wildcard, value: \"/x*\" }], behaviors: [{ name: deny-access }] }]"
    };
    format!(
        r#"
server: {{ threads: 2, listen: [{{ address: "${{listen}}" }}, {{ address: "${{listen.tls}}", tls: {{ http2: true, certificates: [{{ chain: tls/www.pem, key: tls/www.key }}] }} }}],
  grace_period: 5s, limits: {{ header_timeout: 2s, keepalive_timeout: 5s, body_timeout: 2s, write_timeout: 3s }} }}
admin: {{ address: "${{admin}}" }}
log: {{ access: "off" }}
origins:
  - {{ directory: main, http: {{ servers: ["http://{}"] }}, https: {{ servers: ["https://{}"] }}, tls: {{ ca: tls/ca.pem, sni: origin.example.net }},
      backup: {{ server: "http://{}", exclude: ["40x"] }} }}
sites: [{{ host: www.example.com, origin: main, query_string: unique{rules} }}]
cache: {{ store_on_hit: 1, memory: 32MiB, disk: {{ path: "${{dir}}/cache", size: 128MiB }} }}
"#,
        origins.source.address(),
        origins.secure.address(),
        origins.spare.address()
    )
}

fn size(path: &str) -> u64 {
    let number = path.bytes().fold(7_u64, |all, byte| all.wrapping_mul(31).wrapping_add(u64::from(byte)));
    [500, 3_000, 20_000, 150_000][usize::try_from(number % 4).unwrap()]
}

/// An origin that fails now and then, and one that does not.
fn origin(fails: bool) -> Source {
    Source::start(move |asked| {
        let path = asked.path.to_owned();
        let fields =
            if path.starts_with("/kept") { "Cache-Control: max-age=20\r\n" } else { "Cache-Control: no-store\r\n" };
        let status = if fails && path.starts_with("/flaps") { 503 } else { 200 };
        Plan { status, ..Plan::with(size(&path), fields) }
    })
}

fn hits(edge: &Edge, seed: u64, tally: &Tally, over: &AtomicBool) {
    let mut dice = Dice::new(seed);
    while !over.load(Ordering::Relaxed) {
        let Ok(mut connection) = edge.http().connect() else { continue };
        for _ in 0..50 {
            let kind = ["/kept", "/kept", "/kept", "/never", "/flaps"][dice.below(5)];
            let path = format!("{kind}/{}", dice.below(1500));
            match connection.ask(&Request::get("www.example.com", &path)) {
                Ok(answer) if answer.status() == 200 => {
                    let differs = Content::of(&path, 1).differs(0, &answer.body);
                    let cut = answer.cut.map(|lost| format!("{lost:?}"));
                    if !tally.count(&path, &answer.body, size(&path), cut.as_deref(), differs) {
                        break;
                    }
                }
                _ => {
                    tally.failed.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
            if over.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

fn over_http2(edge: &Edge, tally: &Tally, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        // On a busy machine a handshake may take longer than the edge allows.
        let Ok(connection) = h2::Connection::try_open(edge.https_address(), "www.example.com") else {
            tally.failed.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        for number in 0..20 {
            match connection.ask(&h2::Request::get(&format!("https://www.example.com/kept/{number}"))) {
                Ok(answer) if answer.status == 200 => {
                    let wanted = pattern(SECURE);
                    let differs = answer.body.iter().zip(&wanted).position(|(have, want)| have != want);
                    let path = format!("over HTTP/2: {number}");
                    tally.count(&path, &answer.body, SECURE as u64, answer.cut.as_deref(), differs.map(|at| at as u64));
                }
                _ => _ = tally.failed.fetch_add(1, Ordering::Relaxed),
            }
        }
    }
}

/// Clients that nobody wants: rubbish, slow heads, readers that leave, floods.
fn hostile(edge: &Edge, seed: u64, tally: &Tally, over: &AtomicBool) {
    let mut dice = Dice::new(seed);
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        tally.rubbish.fetch_add(1, Ordering::Relaxed);
        if number % 20 == 0 {
            let Ok(mut frames) = Frames::try_open(edge.https_address()) else { continue };
            let one = |stream: u32| {
                [
                    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&get("/never/1", &[]))),
                    frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]),
                ]
                .concat()
            };
            let flood: Vec<u8> = if dice.below(2) == 0 {
                (0..500).flat_map(|n| one(2 * n + 1)).collect()
            } else {
                frame(PING, 0, 0, &[0; 8]).repeat(3000)
            };
            let _ = frames.send(&flood);
            continue;
        }
        let Ok(mut tcp) = TcpStream::connect(edge.http().address) else { continue };
        let _ = tcp.set_read_timeout(Some(Duration::from_millis(200)));
        let said = conversation(&mut dice, 0, number).bytes;
        match dice.below(4) {
            0 => _ = tcp.write_all(&said),
            1 => _ = tcp.write_all(&said[..dice.below(said.len())]),
            2 => {
                let noise: Vec<u8> = (0..dice.below(3000)).map(|_| dice.below(256) as u8).collect();
                let _ = tcp.write_all(&noise);
            }
            _ => {
                let _ =
                    tcp.write_all(format!("GET /never/{number} HTTP/1.1\r\nHost: www.example.com\r\n\r\n").as_bytes());
            }
        }
        // some read, some leave at once
        if dice.below(2) == 0 {
            let _ = tcp.read(&mut [0; 4096]);
        }
    }
}

fn slow(edge: &Edge, over: &AtomicBool) {
    let mut open: Vec<TcpStream> = Vec::new();
    while !over.load(Ordering::Relaxed) {
        if let Ok(mut tcp) = TcpStream::connect(edge.http().address) {
            let _ =
                tcp.write_all(b"POST /never/slow HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 100000\r\n\r\n");
            open.push(tcp);
        }
        for tcp in &mut open {
            let _ = tcp.write_all(b"x");
        }
        if open.len() > 40 {
            open.drain(..10);
        }
        wait::pause(Duration::from_millis(100));
    }
}

fn operator(edge: &Edge, origins: &Origins, tally: &Tally, over: &AtomicBool) {
    let mut turn = 0;
    while !over.load(Ordering::Relaxed) {
        turn += 1;
        let what = match turn % 10 {
            0 => r#"{"all": true}"#.to_owned(),
            _ => format!(r#"{{"url": "http://www.example.com/kept/{}"}}"#, turn % 1500),
        };
        let mut request = Request::new("POST", "localhost", "/v1/purge").with("Content-Type", "application/json");
        request.body = Some(what.into_bytes());
        if Target::plain(edge.admin_address()).ask(&request).is_ok_and(|answer| answer.status() == 200) {
            tally.purges.fetch_add(1, Ordering::Relaxed);
        }
        if turn % 4 == 0 {
            edge.write_config(&config(origins, turn / 4));
            edge.signal(Signal::HUP);
            tally.reloads.fetch_add(1, Ordering::Relaxed);
        }
        wait::pause(Duration::from_millis(500));
    }
}

fn files(edge: &Edge) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", edge.pid())).map_or(0, Iterator::count)
}

#[test]
fn nothing_grows_and_no_byte_is_wrong_however_long_it_runs() {
    let _alone = turn::alone();
    let time = Duration::from_secs(scale::given("LEEWARD_TEST_SOAK", 15, 1800));
    let script = Script::always(Answer::sized(SECURE).with("Cache-Control", "max-age=20"));
    let origins = Origins { source: origin(true), spare: origin(false), secure: stage::tls_origin(script) };
    let edge = Edge::start(&Setup::new(&config(&origins, 0)).certificate("www", &["www.example.com"]));
    let (tally, over) = (Tally::default(), AtomicBool::new(false));
    let begun_with = files(&edge);
    let mut samples = Vec::new();
    std::thread::scope(|scope| {
        let (edge, tally, over, origins) = (&edge, &tally, &over, &origins);
        for seed in 0..3 {
            scope.spawn(move || hits(edge, seed, tally, over));
        }
        scope.spawn(move || over_http2(edge, tally, over));
        scope.spawn(move || hostile(edge, 99, tally, over));
        scope.spawn(move || slow(edge, over));
        scope.spawn(move || operator(edge, origins, tally, over));
        let begun = Instant::now();
        while begun.elapsed() < time {
            wait::pause(Duration::from_secs(1));
            samples.push((begun.elapsed(), edge.resident().0, files(edge)));
            if samples.len() % 60 == 0 {
                println!(
                    "{:?} s: {} MiB, {} files, {tally:?}",
                    begun.elapsed().as_secs(),
                    edge.resident().0 >> 20,
                    files(edge)
                );
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    let most = |from: f64, to: f64| {
        let within = samples.iter().filter(|(at, ..)| (time.mul_f64(from)..=time.mul_f64(to)).contains(at));
        within.map(|(_, memory, _)| *memory).max().unwrap_or(0)
    };
    let (early, late) = (most(0.3, 0.6), most(0.6, 1.1));
    let open = samples.iter().map(|(.., files)| *files).max().unwrap();
    println!(
        "{time:?}: {} MiB up to the middle, {} MiB after it, {open} files at most, {tally:?}",
        early >> 20,
        late >> 20
    );
    assert_eq!(tally.wrong.load(Ordering::Relaxed), 0, "wrong bytes: {tally:?}");
    let good = tally.good.load(Ordering::Relaxed);
    let failed = tally.failed.load(Ordering::Relaxed) + tally.cut.load(Ordering::Relaxed);
    assert!(good > 100 && failed * 100 <= good, "{tally:?}");
    assert!(late <= early + GROWTH, "{early} bytes up to the middle, {late} after it");
    wait::until("the files of clients to be closed", Duration::from_secs(20), || {
        (files(&edge) <= begun_with + FILES).then_some(())
    });
    // what is wrong with its answers is asserted above; a panic fails the test when the edge stops
    edge.stop();
}
