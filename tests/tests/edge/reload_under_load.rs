//! A thousand requests in flight while SIGHUP alternates good and bad files: none fails, none is half old and half new.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use leeward_tests::client::{Request, Response};
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::{Answer, Origin, Script};
use leeward_tests::turn;
use leeward_tests::wait::{self, PATIENCE};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

const IN_FLIGHT: usize = 1000;
/// Clients that ask and ask while reloads happen.
const BUSY: usize = 8;
const PERIOD: Duration = Duration::from_millis(50);
const RELOADS: usize = 40;
/// Stack of a thread that does one request.
const STACK: usize = 256 * 1024;

/// One good configuration: the letter shows in the Host and path at the origin and in a field of the answer.
fn config(letter: char) -> String {
    format!(
        r#"
server: {{ threads: 2, listen: [{{ address: "${{listen}}" }}] }}
admin: {{ address: "${{admin}}" }}
log: {{ access: off }}
origins: [{{ directory: main, http: {{ servers: ["http://${{origin}}"] }}, host_header: {letter}.example.net, timeouts: {{ first_byte: 2m }} }}]
sites:
  - host: www.example.com
    origin: main
    path: /{letter}
    rules:
      - matches: [{{ name: url-wildcard, value: "/*" }}]
        behaviors: [{{ name: modify-outgoing-response-header, type: add, params: {{ name: X-Config, value: {letter} }} }}]
"#
    )
}

/// The letter of the configuration that answered, or what is wrong with the answer.
fn letter(response: &Response) -> Result<char, String> {
    let (field, text) = (response.field("x-config"), response.text());
    if response.status() != 200 || response.cut.is_some() {
        return Err(format!("status {}, cut {:?}: {text}", response.status(), response.cut));
    }
    for letter in ['a', 'b'] {
        let all = [
            field.as_deref() == Some(&letter.to_string()),
            text.contains(&format!("Host: {letter}.example.net"))
                || text.contains(&format!("host: {letter}.example.net")),
            text.starts_with(&format!("GET /{letter}/")),
        ];
        match all {
            [true, true, true] => return Ok(letter),
            [false, false, false] => {}
            _ => return Err(format!("a mixed answer: X-Config {field:?}, the origin was asked {text:?}")),
        }
    }
    Err(format!("an answer of no configuration: X-Config {field:?}, the origin was asked {text:?}"))
}

/// As many open files as the system allows: each request in flight takes five here.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

#[test]
fn a_thousand_requests_in_flight_survive_reloads_of_good_and_bad_files() {
    let _alone = turn::alone();
    raise_open_files();
    let held = Answer { echo: true, gate: Some("go".into()), ..Answer::default() }.with("Cache-Control", "no-store");
    let quick = Answer { echo: true, ..Answer::default() }.with("Cache-Control", "no-store");
    // The path differs in every request, so that none waits for another.
    let script = (0..IN_FLIGHT)
        .fold(Script::always(quick), |script, index| script.on(&format!("/a/held/{index}"), [held.clone()]));
    let origin = Origin::start(script);
    let edge = Edge::start(&Setup::new(&config('a')).name("origin", &origin.address()));
    let target = edge.http();
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));

    std::thread::scope(|scope| {
        let held: Vec<_> = (0..IN_FLIGHT)
            .map(|index| {
                let (target, path) = (&target, format!("/held/{index}"));
                let ask = move || target.ask(&Request::get("www.example.com", &path));
                std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, ask).unwrap()
            })
            .collect();
        origin.wait_for(IN_FLIGHT, PATIENCE * 2);

        let busy: Vec<_> = (0..BUSY)
            .map(|_| {
                scope.spawn(|| {
                    let mut letters = Vec::new();
                    while !done.load(Ordering::SeqCst) {
                        let path = format!("/quick/{}", asked.fetch_add(1, Ordering::SeqCst));
                        let response = target.ask(&Request::get("www.example.com", &path));
                        letters.push(response.map_err(|lost| format!("no answer: {lost:?}")).and_then(|r| letter(&r)));
                    }
                    letters
                })
            })
            .collect();

        for round in 0..RELOADS {
            match round % 4 {
                0 => edge.write_config(&config('b')),
                2 => edge.write_config(&config('a')),
                1 => edge.write_config("origins: [{ directory: main"),
                _ => edge.write_config(&config('b').replace("origin: main", "origin: nobody")),
            }
            edge.signal(Signal::HUP);
            wait::pause(PERIOD);
            if round == RELOADS / 2 {
                origin.open("go");
            }
        }
        done.store(true, Ordering::SeqCst);

        let wrong: Vec<_> = held
            .into_iter()
            .map(|request| {
                request.join().unwrap().map_err(|lost| format!("no answer: {lost:?}")).and_then(|r| letter(&r))
            })
            .filter(|answer| *answer != Ok('a'))
            .collect();
        assert!(
            wrong.is_empty(),
            "{} of {IN_FLIGHT} requests in flight failed, the first: {:?}",
            wrong.len(),
            wrong[0]
        );

        let answers: Vec<_> = busy.into_iter().flat_map(|client| client.join().unwrap()).collect();
        let wrong: Vec<_> = answers.iter().filter(|answer| answer.is_err()).collect();
        assert!(wrong.is_empty(), "{} of {} requests failed, the first: {:?}", wrong.len(), answers.len(), wrong[0]);
        for letter in ['a', 'b'] {
            assert!(answers.contains(&Ok(letter)), "no request was answered by {letter}: the test shows nothing");
        }
    });
    let metrics = wait::until("all good and bad reloads to be counted", PATIENCE, || {
        let metrics = edge.metrics();
        (metrics.sum("leeward_reloads_total", &[]) >= 4.0).then_some(metrics)
    });
    assert!(metrics.sum("leeward_reloads_total", &[("result", "ok")]) >= 2.0);
    assert!(metrics.sum("leeward_reloads_total", &[("result", "failed")]) >= 2.0);
    edge.stop();
}
