//! Many clients at once, and what all of them got.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_yaml::Value;

use super::ask::Client;
use super::file::{Ask, Asked};
use crate::wait::{self, Span};

/// Stack of a thread that is one client.
const STACK: usize = 256 * 1024;
/// Wrong answers told in full.
const TOLD: usize = 3;
/// The variable that replaces every `for`, so that a short scenario can be played for long.
const FOR: &str = "LEEWARD_TEST_FOR";

/// How many answers may be wrong: a number, or a share such as `0.1%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Budget {
    /// So many.
    Count(usize),
    /// So many of a hundred.
    Percent(f64),
}

impl Default for Budget {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok()).map(Self::Count);
        let percent = value.as_str().and_then(|text| text.strip_suffix('%')?.trim().parse().ok()).map(Self::Percent);
        count
            .or(percent)
            .ok_or_else(|| D::Error::custom(format!("{value:?} is neither a number of errors nor a share")))
    }
}

impl Budget {
    pub(super) fn allows(self, wrong: usize, of: usize) -> bool {
        match self {
            Self::Count(count) => wrong <= count,
            #[allow(clippy::cast_precision_loss, reason = "counts of a test")]
            Self::Percent(percent) => wrong as f64 * 100.0 <= percent * of as f64,
        }
    }
}

/// What came of it.
#[derive(Default)]
struct Tally {
    answers: usize,
    wrong: usize,
    told: Vec<String>,
    longest: Duration,
}

/// Lets all clients of a step ask; everything that is wrong afterwards.
pub(super) fn play(client: &Client, asked: &Asked) -> Vec<String> {
    let ask = &asked.ask;
    let crowd = ask.clients.unwrap_or(1);
    let span = ask.span.map(|span| given().unwrap_or(span));
    let (together, number, tally) = (Barrier::new(crowd), AtomicUsize::new(0), Mutex::new(Tally::default()));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..crowd {
            let one = || {
                // All are connected before the first asks.
                let mut kept = client.connect(ask).ok().filter(|_| !ask.http2);
                together.wait();
                let begun = Instant::now();
                let (mut turn, mut before) = (0, None);
                while span.map_or(turn < ask.times, |span| begun.elapsed() < span.0) {
                    turn += 1;
                    let n = number.fetch_add(1, Ordering::Relaxed);
                    let mine = asked.number(n);
                    let asking = Instant::now();
                    let got = client.ask(&mine, &mut kept);
                    let took = asking.elapsed();
                    let mut misses = mine.expect.0.misses(got.as_ref());
                    if let (Err(_), Some(before)) = (&got, &before) {
                        misses.push(format!("the same connection's answer before: {before}"));
                    }
                    before = got.ok().filter(|_| kept.is_some()).map(|got| got.summary());
                    tally.lock().unwrap().count(n, &mine, took, &misses);
                    if let Some(pace) = ask.pace {
                        wait::pause(pace.0);
                    }
                }
            };
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, one).unwrap();
        }
    });
    tally.into_inner().unwrap().judge(ask, started.elapsed())
}

fn given() -> Option<Span> {
    let text = std::env::var(FOR).ok()?;
    Some(serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{FOR}: {error}")))
}

impl Tally {
    fn count(&mut self, n: usize, ask: &Ask, took: Duration, misses: &[String]) {
        self.answers += 1;
        self.longest = self.longest.max(took);
        if !misses.is_empty() {
            self.wrong += 1;
            if self.told.len() < TOLD {
                self.told.push(format!("number {n}, {}, after {took:?}: {}", ask.ask, misses.join("; ")));
            }
        }
    }

    fn judge(self, ask: &Ask, took: Duration) -> Vec<String> {
        let Self { answers, wrong, told, longest } = self;
        eprintln!("{}: {answers} answers in {took:?}, {wrong} wrong, the longest took {longest:?}", ask.ask);
        let mut misses = Vec::new();
        if !ask.errors.allows(wrong, answers) {
            misses.push(format!(
                "answers\n      expected: at most {:?} wrong\n      got:      {wrong} of {answers} wrong, such as\n      {}",
                ask.errors,
                told.join("\n      ")
            ));
        }
        if let Some(most) = ask.longest.filter(|most| longest > most.0) {
            misses.push(format!("longest wait\n      expected: at most {:?}\n      got:      {longest:?}", most.0));
        }
        if let Some(least) = ask.at_least.filter(|least| answers < *least) {
            misses.push(format!("answers\n      expected: at least {least}\n      got:      {answers}"));
        }
        misses
    }
}
