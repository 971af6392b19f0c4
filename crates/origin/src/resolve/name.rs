//! One followed name: what is believed about it, and when it is asked for again.
//!
//! ```text
//!            found                   no record
//!  Unknown ---------> Good --------------------------> Doubted
//!     |                ^ \__ failed: kept, asked again    |  \__ failed: kept, asked again
//!     | failed or      |     soon, then less often        |
//!     | no record      |<-------------- found ------------|
//!     v                |                                  |
//!    Lost -------------+                                  |
//!     ^        found                                      |
//!     +---------------------------- no record ------------+
//! ```

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::families::Outcome;
use super::pace::Pace;
use super::{Known, Question, ResolveError};

/// A name and what requests are told about it.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) host: Box<str>,
    pub(super) question: Question,
    known: ArcSwap<Known>,
    changed: Notify,
    /// Asks for the name now instead of at the end of the pause.
    pub(super) poke: Notify,
}

impl Name {
    pub(super) fn new(host: &str, question: Question) -> Self {
        Self {
            host: host.into(),
            question,
            known: ArcSwap::from_pointee(Known::Never),
            changed: Notify::new(),
            poke: Notify::new(),
        }
    }

    pub(super) fn known(&self) -> Known {
        Known::clone(&self.known.load())
    }

    /// Completes at the next change; enable it before looking.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(super) fn publish(&self, known: Known) {
        self.known.store(Arc::new(known));
        self.changed.notify_waiters();
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Asked for the first time.
    Unknown,
    /// There are addresses; so many queries failed since they came.
    Good { addresses: Arc<[IpAddr]>, failures: u32 },
    /// The same, but the last answer was that there is no record.
    Doubted { addresses: Arc<[IpAddr]>, failures: u32 },
    /// There are none; so many queries in a row brought none.
    Lost { failures: u32 },
}

/// What an outcome leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// What requests are told from now on; absent: as before.
    pub(super) publish: Option<Known>,
    /// A word for the log, where the operator would want one.
    pub(super) note: Option<Note>,
    /// Until the name is asked for again.
    pub(super) pause: Duration,
}

/// What is worth a line in the log: changes, not repetitions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// The addresses changed.
    Moved { from: Arc<[IpAddr]>, to: Arc<[IpAddr]> },
    /// Queries fail, requests go on with the last good answer.
    Kept(String),
    /// There is no address to go to.
    Lost(String),
    /// Answers come again.
    Back,
}

/// The state machine of a name. Pure: outcomes in, decisions out.
#[derive(Debug)]
pub(super) struct Course {
    state: State,
    pace: Pace,
}

impl Course {
    pub(super) const fn new(pace: Pace) -> Self {
        Self { state: State::Unknown, pace }
    }

    /// Takes an outcome in.
    pub(super) fn learn(&mut self, host: &str, outcome: Outcome) -> Next {
        let state = std::mem::replace(&mut self.state, State::Unknown);
        let (state, next) = match outcome {
            Outcome::Found { addresses, ttl } => self.found(state, addresses, ttl),
            Outcome::NoRecord(why) => self.no_record(state, host, why),
            Outcome::Failed(why) => self.failed(state, host, why),
        };
        self.state = state;
        next
    }

    fn found(&self, before: State, addresses: Vec<IpAddr>, ttl: Duration) -> (State, Next) {
        let pause = self.pace.lifetime(ttl);
        let (publish, note, addresses) = match before {
            State::Good { addresses: old, failures } | State::Doubted { addresses: old, failures } => {
                let note = (failures > 0).then_some(Note::Back);
                if *old == *addresses {
                    (None, note, old)
                } else {
                    let new: Arc<[IpAddr]> = addresses.into();
                    let moved = Note::Moved { from: old, to: Arc::clone(&new) };
                    (Some(Known::Addresses(Arc::clone(&new))), Some(moved), new)
                }
            }
            State::Unknown | State::Lost { .. } => {
                let new: Arc<[IpAddr]> = addresses.into();
                let note = matches!(before, State::Lost { .. }).then_some(Note::Back);
                (Some(Known::Addresses(Arc::clone(&new))), note, new)
            }
        };
        (State::Good { addresses, failures: 0 }, Next { publish, note, pause })
    }

    fn no_record(&self, before: State, host: &str, why: String) -> (State, Next) {
        match before {
            // One answer of a resolver that just came up, or was asked in the middle of a zone transfer, takes no site down.
            State::Good { addresses, failures } => {
                let next = Next { publish: None, note: None, pause: self.pace.confirm };
                (State::Doubted { addresses, failures }, next)
            }
            State::Unknown | State::Doubted { .. } => self.lost(0, host, why, true),
            State::Lost { failures } => self.lost(failures, host, why, false),
        }
    }

    fn failed(&self, before: State, host: &str, why: String) -> (State, Next) {
        let kept = |failures: u32, why: String| Next {
            publish: None,
            note: (failures == 0).then_some(Note::Kept(why)),
            pause: self.pace.pause(failures.saturating_add(1)),
        };
        match before {
            State::Good { addresses, failures } => {
                let next = kept(failures, why);
                (State::Good { addresses, failures: failures.saturating_add(1) }, next)
            }
            State::Doubted { addresses, failures } => {
                let next = kept(failures, why);
                (State::Doubted { addresses, failures: failures.saturating_add(1) }, next)
            }
            State::Unknown => self.lost(0, host, why, true),
            State::Lost { failures } => self.lost(failures, host, why, false),
        }
    }

    fn lost(&self, failures: u32, host: &str, why: String, first: bool) -> (State, Next) {
        let failures = failures.saturating_add(1);
        let publish = Some(Known::Failed(ResolveError::new(host, &why)));
        let next = Next { publish, note: first.then_some(Note::Lost(why)), pause: self.pace.pause(failures) };
        (State::Lost { failures }, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        floor: Duration::from_secs(5),
        cap: Duration::from_secs(300),
        confirm: Duration::from_secs(1),
        retry: Duration::from_secs(1),
        retry_max: Duration::from_secs(30),
    };

    fn outcome(word: &str) -> Outcome {
        let ttl = |word: &str| Duration::from_secs(word.parse().unwrap());
        let of = |last: u8| vec![IpAddr::from([192, 0, 2, last])];
        match word.split_once('/') {
            Some(("one", seconds)) => Outcome::Found { addresses: of(1), ttl: ttl(seconds) },
            Some(("two", seconds)) => Outcome::Found { addresses: of(2), ttl: ttl(seconds) },
            _ if word == "gone" => Outcome::NoRecord(String::new()),
            _ if word == "fail" => Outcome::Failed(String::new()),
            _ => panic!("{word}"),
        }
    }

    /// What requests are told, what is logged, and when it is asked again.
    fn words(known: &Known, next: &Next) -> String {
        let told = match known {
            Known::Addresses(addresses) => addresses.iter().map(ToString::to_string).collect(),
            Known::Failed(_) => "none".to_owned(),
            Known::Never => "never".to_owned(),
        };
        let note = match next.note {
            None => "",
            Some(Note::Moved { .. }) => " moved",
            Some(Note::Kept(_)) => " kept",
            Some(Note::Lost(_)) => " lost",
            Some(Note::Back) => " back",
        };
        format!("{} {}s{note}", told.trim_start_matches("192.0.2."), next.pause.as_secs())
    }

    #[test]
    fn an_answer_is_kept_until_another_comes_or_its_end_is_confirmed() {
        let cases: &[&[(&str, &str)]] = &[
            // Floor and cap of the time to live; the same answer again says nothing, another one replaces it.
            &[("one/0", "1 5s"), ("one/60", "1 60s"), ("one/86400", "1 300s"), ("two/7", "2 7s moved")],
            // Failures keep it for as long as they last, and are told once.
            &[
                ("one/60", "1 60s"),
                ("fail", "1 1s kept"),
                ("fail", "1 2s"),
                ("fail", "1 4s"),
                ("fail", "1 8s"),
                ("fail", "1 16s"),
                ("fail", "1 30s"),
                ("fail", "1 30s"),
                ("one/60", "1 60s back"),
                ("fail", "1 1s kept"),
                ("two/60", "2 60s moved"),
            ],
            // Its end must be said twice; a failure in between confirms nothing, an answer takes the doubt away.
            &[
                ("one/60", "1 60s"),
                ("gone", "1 1s"),
                ("gone", "none 1s lost"),
                ("gone", "none 2s"),
                ("one/60", "1 60s back"),
            ],
            &[("one/60", "1 60s"), ("gone", "1 1s"), ("fail", "1 1s kept"), ("gone", "none 1s lost")],
            &[("one/60", "1 60s"), ("gone", "1 1s"), ("one/60", "1 60s"), ("gone", "1 1s"), ("two/60", "2 60s moved")],
            &[("one/60", "1 60s"), ("fail", "1 1s kept"), ("gone", "1 1s"), ("gone", "none 1s lost")],
            // Nothing good yet: whatever is wrong is told at once, and asked again less and less often.
            &[("fail", "none 1s lost"), ("fail", "none 2s"), ("gone", "none 4s"), ("one/60", "1 60s back")],
            &[("gone", "none 1s lost"), ("fail", "none 2s")],
        ];
        for case in cases {
            let (mut course, mut known) = (Course::new(PACE), Known::Never);
            for (at, (word, want)) in case.iter().enumerate() {
                let next = course.learn("a.example", outcome(word));
                if let Some(new) = &next.publish {
                    known = new.clone();
                }
                assert_eq!(words(&known, &next), *want, "{case:?}, outcome {at}");
            }
        }
    }
}
