use leeward_config::ready::{Backup, HealthCheck, Timeouts, Unavailable};

use super::*;
use crate::direct;

const SECOND: Duration = Duration::from_secs(1);

fn origin(name: &str) -> Arc<Origin> {
    let timeouts = Timeouts { connect: 2 * SECOND, first_byte: 15 * SECOND, between_bytes: 15 * SECOND };
    direct(name, &timeouts)
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 80))
}

/// A health without chance: every pause is exactly as long as configured.
struct Clocked {
    health: Health,
    origin: Arc<Origin>,
    start: Instant,
}

impl Clocked {
    fn new() -> Self {
        Self { health: Health::with_chance(|| 0.5), origin: origin("photos"), start: Instant::now() }
    }
    fn at(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }
    fn server(&self) -> &OriginServer {
        &self.origin.http.as_ref().unwrap().servers[0]
    }
    fn ask(&self, seconds: f64) -> Admission {
        self.health.admit(&self.origin, address(1), self.at(seconds))
    }
    fn connects(&self, seconds: f64) {
        self.health.reached(&self.origin, address(1), self.at(seconds));
    }
    fn fails(&self, began: f64, seconds: f64, reason: Reason) {
        let (began, now) = (self.at(began), self.at(seconds));
        self.health.unreachable(&self.origin, self.server(), address(1), reason, began, now);
    }
    fn next(&self) -> Option<f64> {
        self.health.next_trial(&self.origin, address(1)).map(|at| self.seconds(at))
    }
    /// A millisecond is as exact as these tests are.
    fn seconds(&self, at: Instant) -> f64 {
        (at.duration_since(self.start).as_secs_f64() * 1000.0).round() / 1000.0
    }
}

/// What happens, and what is then true.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    /// Asked at this second: open, the trial, or excluded until.
    Open(f64),
    Trial(f64),
    Excluded(f64, f64),
    /// Connected at this second.
    Connects(f64),
    /// Refused at this second by an attempt that began at that one.
    Refused(f64, f64),
}
use Step::{Connects, Excluded, Open, Refused, Trial};

/// What happens to one address, second by second: first 5 s, factor 1.5, at most 60 s, connect timeout 2 s.
const LIVES: &[(&str, &[Step])] = &[
    ("nothing is known", &[Open(0.0), Open(0.0)]),
    ("the first failure excludes", &[Open(0.0), Refused(0.0, 0.0), Excluded(0.0, 5.0), Excluded(4.999, 5.0)]),
    (
        "one trial when it is over, whose lease is the connect timeout and a second",
        &[Refused(0.0, 0.0), Trial(5.0), Excluded(5.0, 8.0), Excluded(7.999, 8.0)],
    ),
    (
        "each failed trial makes it longer, up to the cap",
        &[
            Refused(0.0, 0.0),
            Trial(5.0),
            Refused(5.0, 5.0),
            Excluded(5.0, 12.5),
            Trial(12.5),
            Refused(12.5, 12.5),
            Excluded(12.5, 23.75),
            Trial(100.0),
            Refused(100.0, 100.0),
            Excluded(100.0, 116.875),
            Trial(200.0),
            Refused(200.0, 200.0),
            Excluded(200.0, 225.313),
            Trial(300.0),
            Refused(300.0, 300.0),
            Excluded(300.0, 337.969),
            Trial(400.0),
            Refused(400.0, 400.0),
            Excluded(400.0, 456.953),
            Trial(500.0),
            Refused(500.0, 500.0),
            Excluded(500.0, 560.0),
            Trial(600.0),
            Refused(600.0, 600.0),
            Excluded(600.0, 660.0),
        ],
    ),
    (
        "a connection resets everything",
        &[
            Refused(0.0, 0.0),
            Trial(5.0),
            Refused(5.0, 5.0),
            Trial(13.0),
            Connects(13.0),
            Open(13.0),
            Open(13.0),
            Refused(14.0, 14.0),
            Excluded(14.0, 19.0),
        ],
    ),
    ("a connection outside a trial does too", &[Refused(0.0, 0.0), Connects(2.0), Open(2.0)]),
    (
        "a lost trial costs its lease and nothing more",
        &[Refused(0.0, 0.0), Trial(5.0), Excluded(7.0, 8.0), Trial(8.0), Refused(8.0, 8.0), Excluded(8.0, 15.5)],
    ),
    (
        "a trial that fails after its lease counts while no other began",
        &[Refused(0.0, 0.0), Trial(5.0), Refused(5.0, 9.0), Excluded(9.0, 16.5)],
    ),
    (
        "one that fails after another began counts too, and the other then says nothing new",
        &[
            Refused(0.0, 0.0),
            Trial(5.0),
            Trial(8.0),
            Refused(5.0, 9.0),
            Excluded(9.0, 16.5),
            Refused(8.0, 10.0),
            Excluded(10.0, 16.5),
        ],
    ),
    (
        "failures of attempts from before say nothing new",
        &[Refused(0.0, 1.0), Refused(0.1, 1.0), Refused(0.9, 2.0), Excluded(2.0, 6.0), Refused(5.5, 7.0), Trial(7.0)],
    ),
    (
        "nor during the trial, if they began before it",
        &[Refused(0.0, 0.0), Trial(5.0), Refused(4.0, 5.5), Excluded(5.5, 8.0), Connects(5.6), Open(5.6)],
    ),
    (
        "nor after a connection, if they began before it",
        &[
            Refused(0.0, 0.0),
            Trial(5.0),
            Connects(5.5),
            Refused(5.2, 6.0),
            Open(6.0),
            Refused(6.0, 6.0),
            Excluded(6.0, 11.0),
        ],
    ),
    (
        "even if it was never excluded",
        &[Connects(1.0), Refused(0.5, 1.5), Open(1.5), Refused(1.0, 1.5), Excluded(2.0, 6.5)],
    ),
];

#[test]
fn an_address_is_left_alone_tried_once_and_left_alone_for_longer_until_it_answers() {
    for (what, steps) in LIVES {
        let clocked = Clocked::new();
        for (number, step) in steps.iter().enumerate() {
            let asked = |at: f64| match clocked.ask(at) {
                Admission::Open => Open(at),
                Admission::Trial => Trial(at),
                Admission::Excluded { until, .. } => {
                    assert_eq!(clocked.next(), Some(clocked.seconds(until)), "{what}: both say when");
                    Excluded(at, clocked.seconds(until))
                }
            };
            let got = match *step {
                Open(at) | Trial(at) | Excluded(at, _) => asked(at),
                Connects(at) => {
                    clocked.connects(at);
                    *step
                }
                Refused(began, at) => {
                    clocked.fails(began, at, Reason::ConnectRefused);
                    *step
                }
            };
            assert_eq!(got, *step, "{what}: step {number} of {steps:?}");
        }
    }
}

#[test]
fn only_connections_that_do_not_come_about_make_a_server_unavailable() {
    let unavailable = [Reason::ConnectRefused, Reason::ConnectTimeout, Reason::ConnectError];
    for reason in Reason::ALL {
        let clocked = Clocked::new();
        clocked.fails(0.0, 2.0, *reason);
        let excluded = clocked.ask(2.0) != Admission::Open;
        assert_eq!(excluded, unavailable.contains(reason), "{reason}");
    }
    let of_pingora = [
        (ErrorType::ConnectRefused, Some(Reason::ConnectRefused)),
        (ErrorType::ConnectTimedout, Some(Reason::ConnectTimeout)),
        (ErrorType::ConnectNoRoute, Some(Reason::ConnectError)),
        (ErrorType::BindError, None), // no port left here: not the server's fault
        (ErrorType::ConnectError, None),
        (ErrorType::TLSHandshakeTimedout, None),
        (ErrorType::TLSHandshakeFailure, None),
        (ErrorType::ReadTimedout, None),
        (ErrorType::ConnectionClosed, None),
        (ErrorType::HTTPStatus(503), None),
    ];
    for (error, reason) in of_pingora {
        assert_eq!(counts(&error), reason, "{error:?}");
    }
}

#[test]
fn a_timeout_that_a_deadline_cut_short_does_not_count() {
    for (waited, excluded) in [(0.0, false), (0.05, false), (0.25, true), (1.95, true), (2.0, true)] {
        let clocked = Clocked::new();
        clocked.fails(0.0, waited, Reason::ConnectTimeout);
        assert_eq!(clocked.next().is_some(), excluded, "after {waited} s");
    }
}

#[test]
fn chance_moves_the_end_of_an_exclusion_by_a_tenth_and_the_next_one_not_at_all() {
    for (chance, first, second) in [(0.0, 4.5, 6.75), (0.5, 5.0, 7.5), (1.0, 5.5, 8.25), (9.0, 5.5, 8.25)] {
        let clocked = Clocked { health: Health::with_chance(move || chance), ..Clocked::new() };
        clocked.fails(0.0, 0.0, Reason::ConnectRefused);
        assert_eq!(clocked.next(), Some(first), "chance {chance}");
        assert_eq!(clocked.ask(10.0), Admission::Trial);
        clocked.fails(10.0, 10.0, Reason::ConnectRefused);
        assert_eq!(clocked.next(), Some(10.0 + second), "chance {chance}");
    }
    let health = Health::default();
    let drawn: Vec<f64> = (0..1000).map(|_| (health.chance)()).collect();
    assert!(drawn.iter().all(|chance| (0.0..=1.0).contains(chance)), "{drawn:?}");
    let mean = drawn.iter().sum::<f64>() / 1000.0;
    assert!((0.4..0.6).contains(&mean), "chance is lopsided: {mean}");
}

#[test]
fn an_address_is_its_origins_own_affair() {
    let clocked = Clocked::new();
    clocked.fails(0.0, 0.0, Reason::ConnectRefused);
    let other = origin("videos");
    for (origin, address, want) in [
        (&clocked.origin, address(1), false),
        (&clocked.origin, address(2), true),
        (&other, address(1), true),
        (&clocked.origin, SocketAddr::new(address(1).ip(), 81), true),
    ] {
        let got = clocked.health.admit(origin, address, clocked.at(1.0));
        assert_eq!(got == Admission::Open, want, "{} at {address}: {got:?}", origin.name);
    }
}

/// Runs on 16 threads at once.
fn together(work: impl Fn(usize) + Sync) {
    let barrier = std::sync::Barrier::new(16);
    std::thread::scope(|threads| {
        for number in 0..16 {
            let (work, barrier) = (&work, &barrier);
            threads.spawn(move || {
                barrier.wait();
                work(number);
            });
        }
    });
}

#[test]
fn of_all_that_ask_when_an_exclusion_is_over_one_makes_the_trial() {
    let clocked = Clocked::new();
    clocked.fails(0.0, 0.0, Reason::ConnectRefused);
    let mut at = 0.0;
    for round in 0..200 {
        at += 70.0;
        let trials = AtomicU64::new(0);
        together(|_| {
            if clocked.ask(at) == Admission::Trial {
                trials.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert_eq!(trials.load(Ordering::Relaxed), 1, "round {round}");
        clocked.fails(at, at, Reason::ConnectRefused);
    }
}

#[test]
fn a_server_found_down_by_800_requests_at_once_failed_once() {
    let clocked = Clocked::new();
    together(|number| {
        for attempt in 0..50 {
            let began = 0.001 * f64::from(u32::try_from(number * 50 + attempt).unwrap());
            clocked.fails(began, 1.0, Reason::ConnectRefused);
        }
    });
    assert_eq!(clocked.next(), Some(6.0));
    assert_eq!(clocked.ask(6.0), Admission::Trial);
    // the same when the trial of each finds it down
    together(|_| clocked.fails(6.0, 6.0, Reason::ConnectRefused));
    assert_eq!(clocked.next(), Some(13.5));
}

#[test]
fn no_more_addresses_are_remembered_than_there_is_room_for() {
    let clocked = Clocked::new();
    let many = |number: usize| {
        let [_, a, b, c] = u32::try_from(number).unwrap().to_be_bytes();
        SocketAddr::from(([10, a, b, c], 80))
    };
    let fails = |address| {
        let (server, now) = (clocked.server(), clocked.at(0.0));
        clocked.health.unreachable(&clocked.origin, server, address, Reason::ConnectRefused, now, now);
    };
    let excluded = |address| clocked.health.next_trial(&clocked.origin, address).is_some();
    for number in 0..REMEMBERED - 1 {
        clocked.health.reached(&clocked.origin, many(number), clocked.start);
    }
    fails(many(REMEMBERED - 1));
    fails(many(REMEMBERED));
    assert_eq!(
        (excluded(many(REMEMBERED - 1)), excluded(many(REMEMBERED))),
        (true, true),
        "those that are well go first"
    );
    for number in 0..REMEMBERED + 5 {
        fails(many(number));
    }
    assert_eq!(clocked.health.entries.read().unwrap().len(), REMEMBERED);
    assert!(!excluded(many(REMEMBERED + 4)), "what does not fit is available");
}

#[test]
fn a_kept_connection_ends_a_trial_and_hides_no_failure() {
    let clocked = Clocked::new();
    let kept = |seconds| clocked.health.kept(&clocked.origin, address(1), clocked.at(seconds));
    kept(1.0);
    clocked.fails(0.5, 2.0, Reason::ConnectRefused);
    assert_eq!(clocked.next(), Some(7.0));
    assert_eq!(clocked.ask(7.0), Admission::Trial);
    kept(7.0);
    assert_eq!(clocked.next(), None);
}

#[test]
fn a_reload_keeps_what_is_known_of_origins_that_stay_and_forgets_the_others() {
    let clocked = Clocked::new();
    let gone = origin("videos");
    let fails = |origin: &Origin| {
        let now = clocked.at(0.0);
        clocked.health.unreachable(origin, clocked.server(), address(1), Reason::ConnectRefused, now, now);
    };
    fails(&clocked.origin);
    fails(&gone);
    // the same servers, left alone for other times: the new ones hold from the next change on
    let mut stays = origin("photos");
    let unavailable = Unavailable { first: SECOND, factor: 4.0, max: 30 * SECOND };
    Arc::get_mut(&mut stays).unwrap().unavailable = unavailable;
    let mut backed = origin("with a backup");
    let backup = origin("backup");
    fails(&backup);
    let on = leeward_config::ready::Triggers::default();
    Arc::get_mut(&mut backed).unwrap().backup = Some(Backup { origin: Arc::clone(&backup), on });
    clocked.health.retain(&snapshot(vec![Arc::clone(&stays), backed]));
    let next = |origin: &Origin| clocked.health.next_trial(origin, address(1)).map(|at| clocked.seconds(at));
    assert_eq!((next(&stays), next(&gone), next(&backup)), (Some(5.0), None, Some(5.0)));
    assert_eq!(clocked.health.admit(&stays, address(1), clocked.at(5.0)), Admission::Trial);
    let now = clocked.at(5.0);
    clocked.health.unreachable(&stays, clocked.server(), address(1), Reason::ConnectRefused, now, now);
    assert_eq!(next(&stays), Some(25.0));
}

/// A configuration with these origins and nothing else of its own.
pub(super) fn snapshot(origins: Vec<Arc<Origin>>) -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leeward.yaml");
    let text = "origins: [{ directory: a, http: { servers: ['http://192.0.2.1'] } }]\nsites: [{ host: a.example, origin: a }]\n";
    std::fs::write(&file, text).unwrap();
    let loaded = leeward_config::load(&file);
    let mut snapshot = loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    snapshot.origins = origins;
    snapshot
}

mod checked;
