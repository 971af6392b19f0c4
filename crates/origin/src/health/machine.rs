//! The life of one address, pure: time and chance come as arguments.
//!
//! ```text
//!                 first failure (c)
//!   Available ------------------------> Excluded(first)
//!       ^                                   |  over: the next that asks
//!       |  connected (b)                    v
//!       +------------------------------- Trial --- lost: its lease is over, the next that asks ---> Trial
//!       ^                                   |  failure of the trial
//!       |  connected (b)                    v
//!       +------------------------------- Excluded(x factor, at most max)
//! ```
//!
//! a. What is excluded is asked by nobody; once that is over, by one request alone, the trial. Its lease ends by itself,
//!    so that a trial whose request went away costs no more than that time.
//! b. A connection resets everything, whichever attempt made it. Only what an active check excluded waits for the check:
//!    it may take connections and still not be fit to serve.
//! c. A failure moves the machine only when the attempt began after the last change and after the last connection: of 800
//!    attempts that find a server down together, the first excludes it and the others say nothing new.

use std::time::{Duration, Instant};

use leeward_config::ready::Unavailable;
use leeward_telemetry::Reason;

/// Part of a pause that chance adds or takes away: machines that lost a server together do not try it together.
const JITTER: f64 = 0.1;

/// The pause after a failed trial. A factor that is no number, or below one, never shortens it.
fn longer(pause: Duration, back_off: &Unavailable) -> Duration {
    let grown = Duration::try_from_secs_f64(pause.as_secs_f64() * back_off.factor).unwrap_or(back_off.max);
    grown.max(pause).min(back_off.max)
}

/// Whether an address may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// By everyone.
    Open,
    /// By this caller alone, who says what came of it.
    Trial,
    /// By nobody.
    Excluded {
        /// When the next trial is due; while one is under way, when its lease ends.
        until: Instant,
        /// The last failure.
        reason: Reason,
    },
}

/// What found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finder {
    /// A request of a client.
    Request,
    /// An active check.
    Check,
}

/// A failure as it is told: why, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    pub(super) reason: Reason,
    pub(super) by: Finder,
    /// When the attempt began.
    pub(super) began: Instant,
    pub(super) now: Instant,
}

/// The last failure that was told, counted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastError {
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Available {
        since: Option<Instant>,
    },
    Excluded {
        until: Instant,
        pause: Duration,
        by: Finder,
    },
    /// Since `began`; `lease` is the end of the latest trial's.
    Trial {
        began: Instant,
        lease: Instant,
        pause: Duration,
        by: Finder,
    },
}

/// What an outsider sees of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Asked by everyone.
    Available,
    /// Asked by nobody until then.
    Excluded {
        /// When the next trial is due.
        until: Instant,
    },
    /// Asked by one request at the moment.
    Trial {
        /// When it counts as lost.
        lease: Instant,
    },
}

/// What active checks of an address found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Why the last one failed; absent when it did not.
    pub failed: Option<Reason>,
    /// When the last one ended.
    pub at: Instant,
    /// Failures one after another, up to the last.
    pub failures: u32,
}

/// A change that people want to read about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Excluded { pause: Duration, reason: Reason, failures: u32 },
    Back { down: Duration },
}

/// The state of one address and what led to it.
#[derive(Debug)]
pub(super) struct Machine {
    state: State,
    /// Failures that moved it, since the last connection.
    failures: u32,
    /// When the first of them was.
    down_since: Option<Instant>,
    last: Option<LastError>,
    checked: Option<Checked>,
}

impl Default for Machine {
    fn default() -> Self {
        Self { state: State::Available { since: None }, failures: 0, down_since: None, last: None, checked: None }
    }
}

impl Machine {
    pub(super) fn is_available(&self) -> bool {
        matches!(self.state, State::Available { .. })
    }

    pub(super) fn condition(&self) -> Condition {
        match self.state {
            State::Available { .. } => Condition::Available,
            State::Excluded { until, .. } => Condition::Excluded { until },
            State::Trial { lease, .. } => Condition::Trial { lease },
        }
    }

    /// When someone is admitted again; `later` as in [`Machine::ask`].
    pub(super) fn next_trial(&self, later: Duration) -> Option<Instant> {
        match self.state {
            State::Available { .. } => None,
            State::Excluded { until, .. } => Some(until + later),
            State::Trial { lease, .. } => Some(lease),
        }
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn last(&self) -> Option<LastError> {
        self.last
    }

    pub(super) fn checked(&self) -> Option<Checked> {
        self.checked
    }

    /// Notes what an active check found. Returns whether that is enough for a failure: `enough` of them one after another,
    /// or one of what is no longer available.
    pub(super) fn note_check(&mut self, failed: Option<Reason>, enough: u32, now: Instant) -> bool {
        let before = self.checked.map_or(0, |checked| checked.failures);
        let failures = if failed.is_some() { before.saturating_add(1) } else { 0 };
        self.checked = Some(Checked { failed, at: now, failures });
        failed.is_some() && (failures >= enough || !self.is_available())
    }

    /// Asks for admission. `later` is how long an active check has the trial for itself; `lease` how long a trial may take.
    pub(super) fn ask(&mut self, now: Instant, later: Duration, lease: Duration) -> Admission {
        let (over, began, pause, by) = match self.state {
            State::Available { .. } => return Admission::Open,
            State::Excluded { until, pause, by } => (until + later, now, pause, by),
            // an attempt may take longer than a lease where a rule allows it more: its failure still counts
            State::Trial { began, lease, pause, by } => (lease, began, pause, by),
        };
        if now < over {
            let reason = self.last.map_or(Reason::Unavailable, |last| last.reason);
            return Admission::Excluded { until: over, reason };
        }
        self.state = State::Trial { began, lease: now + lease, pause, by };
        Admission::Trial
    }

    /// A connection came about. `checked`: an active check looks after the address.
    pub(super) fn connected(&mut self, by: Finder, checked: bool, now: Instant) -> Option<Change> {
        let waits_for_check = |excluded_by| checked && excluded_by == Finder::Check && by == Finder::Request;
        match self.state {
            State::Available { .. } => return None,
            State::Excluded { by, .. } | State::Trial { by, .. } if waits_for_check(by) => return None,
            State::Excluded { .. } | State::Trial { .. } => {}
        }
        self.state = State::Available { since: Some(now) };
        self.failures = 0;
        let down = self.down_since.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        Some(Change::Back { down })
    }

    /// An attempt failed. `reached` is when a connection last came about, which says nothing to a check that asks for more;
    /// `chance` is between 0 and 1.
    pub(super) fn failed(
        &mut self,
        failed: Failed,
        reached: Option<Instant>,
        back_off: &Unavailable,
        chance: f64,
    ) -> Option<Change> {
        self.last = Some(LastError { reason: failed.reason, at: failed.now });
        let old = |changed: Option<Instant>| changed.is_some_and(|changed| failed.began < changed);
        let pause = match self.state {
            State::Available { since } if !old(since) && (failed.by == Finder::Check || !old(reached)) => {
                back_off.first.min(back_off.max)
            }
            State::Trial { began, pause, .. } if !old(Some(began)) => longer(pause, back_off),
            // the check's own failure is the trial that no client has to make
            State::Excluded { until, pause, .. } if failed.by == Finder::Check && failed.began >= until => {
                longer(pause, back_off)
            }
            _ => return None,
        };
        self.failures = self.failures.saturating_add(1);
        self.down_since.get_or_insert(failed.now);
        let jittered = pause.mul_f64(1.0 + JITTER * (2.0 * chance.clamp(0.0, 1.0) - 1.0));
        self.state = State::Excluded { until: failed.now + jittered, pause, by: failed.by };
        Some(Change::Excluded { pause: jittered, reason: failed.reason, failures: self.failures })
    }
}
