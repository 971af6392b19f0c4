//! Requests at an origin whose servers come and go, on a clock that only the test moves: which servers each request asks.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use leeward_config::ready::{Balance, Origin, OriginServer, Servers, Timeouts};
use leeward_origin::walk::{Leg, Step, Turns};
use leeward_origin::{Health, Known, Walk};
use leeward_rules::decide::Way;
use leeward_telemetry::Reason;

/// One origin, its servers at 192.0.2.1 and so on, and what became of them so far.
struct Stage {
    origin: Arc<Origin>,
    health: Health,
    turns: Turns,
    now: Instant,
    refusing: Vec<u8>,
}

impl Stage {
    /// With pauses of 5 s, 7.5 s and so on, without jitter.
    fn new(servers: u8, balance: Balance) -> Self {
        let server = |i| OriginServer { tls: false, host: format!("192.0.2.{i}"), port: 80 };
        let servers = Servers { servers: (1..=servers).map(server).collect(), balance };
        let origin = Origin { name: "photos".into(), http: Some(servers), group_key: 7, ..Origin::default() };
        Self {
            origin: Arc::new(origin),
            health: Health::with_chance(|| 0.5),
            turns: Turns::default(),
            now: Instant::now(),
            refusing: Vec::new(),
        }
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// One request: the servers that it asks, the last of which answers unless the list ends with 0.
    fn request(&self) -> Vec<u8> {
        let known = |server: &OriginServer| Known::Addresses([server.host.parse::<IpAddr>().unwrap()].into());
        let leg = Leg {
            servers: None,
            way: Way::Servers,
            origin: Arc::clone(&self.origin),
            timeouts: Timeouts::default(),
            extra: 0,
            others_behind: true,
        };
        let mut walk = Walk::begin(leg, false, &self.turns, &known, self.now).unwrap();
        let mut asked = Vec::new();
        loop {
            match walk.step(&|_, address| self.health.admit(&self.origin, address, self.now), self.now) {
                Step::Connect(target) => {
                    let SocketAddr::V4(address) = target.address else { unreachable!("{target:?}") };
                    let number = address.ip().octets()[3];
                    asked.push(number);
                    if !self.refusing.contains(&number) {
                        self.health.reached(&self.origin, target.address, self.now);
                        return asked;
                    }
                    let (server, at) = (&target.server, target.address);
                    self.health.unreachable(&self.origin, server, at, Reason::ConnectRefused, self.now, self.now);
                }
                Step::Down { .. } | Step::Over => {
                    asked.push(0);
                    return asked;
                }
                other => unreachable!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_refusing_primary_is_tried_once_after_each_pause_and_the_pauses_grow() {
    let mut stage = Stage::new(2, Balance::PrimaryFailover);
    stage.refusing = vec![1];
    assert_eq!(stage.request(), [1, 2], "the same request goes on");
    // 5 s, 7.5 s, 11.25 s: (milliseconds to wait, what the next request asks)
    let table = [
        (1, [2].as_slice()),
        (4_998, &[2]),
        (1, &[1, 2]),
        (0, &[2]),
        (7_499, &[2]),
        (1, &[1, 2]),
        (11_249, &[2]),
        (1, &[1, 2]),
    ];
    let mut passed = 0;
    for (millis, want) in table {
        stage.wait(millis);
        passed += millis;
        assert_eq!(stage.request(), want, "after {passed} ms");
    }
}

#[test]
fn a_primary_that_answers_its_trial_is_the_primary_again_with_its_pauses_forgotten() {
    let mut stage = Stage::new(2, Balance::PrimaryFailover);
    stage.refusing = vec![1];
    stage.request();
    stage.wait(5_000);
    assert_eq!(stage.request(), [1, 2], "the second pause is 7.5 s");
    stage.refusing.clear();
    stage.wait(7_499);
    assert_eq!(stage.request(), [2]);
    stage.wait(1);
    assert_eq!((stage.request(), stage.request()), (vec![1], vec![1]));
    stage.refusing = vec![1];
    assert_eq!(stage.request(), [1, 2]);
    stage.wait(5_000);
    assert_eq!(stage.request(), [1, 2], "the first pause is 5 s again");
}

#[test]
fn one_request_alone_makes_the_trial() {
    let mut stage = Stage::new(2, Balance::PrimaryFailover);
    stage.refusing = vec![1];
    stage.request();
    stage.wait(5_000);
    let (origin, first) = (Arc::clone(&stage.origin), SocketAddr::from(([192, 0, 2, 1], 80)));
    // a request is at its trial when the others come
    let trial = stage.health.admit(&origin, first, stage.now);
    assert_eq!(trial, leeward_origin::Admission::Trial);
    assert_eq!((stage.request(), stage.request()), (vec![2], vec![2]));
}

#[test]
fn spread_load_goes_around_a_server_that_is_down() {
    let mut stage = Stage::new(3, Balance::RoundRobin);
    assert_eq!([stage.request(), stage.request(), stage.request()], [[1], [2], [3]]);
    stage.refusing = vec![2];
    assert_eq!([stage.request(), stage.request(), stage.request()], [vec![1], vec![2, 3], vec![3]]);
    assert_eq!([stage.request(), stage.request(), stage.request()], [[1], [3], [3]]);
}

#[test]
fn all_servers_down_is_the_end_of_the_way() {
    let mut stage = Stage::new(2, Balance::PrimaryFailover);
    stage.refusing = vec![1, 2];
    assert_eq!(stage.request(), [1, 2, 0]);
    assert_eq!(stage.request(), [0]);
    stage.wait(5_000);
    assert_eq!(stage.request(), [1, 2, 0]);
}
