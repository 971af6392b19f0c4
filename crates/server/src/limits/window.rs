//! How often a client was seen in the time before now: a window that slides in tenths.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pingora_limits::estimator::Estimator;

/// Parts of the time of a limit. What is in the part that is leaving the window counts as if it was all in it: so it counts for a
/// tenth longer than the time at most, and never too short.
const PARTS: u64 = 10;
/// The part that runs now, those before it that can be in the window, and the next one, empty.
const SLOTS: usize = PARTS as usize + 2;

/// Counts requests by client. Nothing is locked, and no client is ever counted too low.
pub(super) struct Window {
    slots: [Estimator; SLOTS],
    /// Milliseconds of a part.
    part: u64,
    /// The part that runs now, counted from the start.
    now: AtomicU64,
}

impl Window {
    /// A window as long as `per`, in sketches of so many rows and columns.
    pub(super) fn new(per: Duration, rows: usize, columns: usize) -> Self {
        let part = u64::try_from(per.as_millis()).unwrap_or(u64::MAX).div_ceil(PARTS).max(1);
        Self { slots: std::array::from_fn(|_| Estimator::new(rows, columns)), part, now: AtomicU64::new(0) }
    }

    /// Counts a request at a time since the start, unless the client was seen `most` times already; whether it was counted.
    pub(super) fn count(&self, key: u64, most: u64, now: Duration) -> bool {
        let part = self.turn(u64::try_from(now.as_millis()).unwrap_or(u64::MAX) / self.part);
        let Some(current) = self.slot(part) else { return true };
        let before = (part.saturating_sub(PARTS)..part).filter_map(|part| self.slot(part));
        let before: isize = before.map(|slot| slot.get(key).max(0)).sum();
        let seen = before.saturating_add(current.incr(key, 1));
        let over = u64::try_from(seen).is_ok_and(|seen| seen > most);
        if over {
            // who is refused does not stay so by asking again
            current.decr(key, 1);
        }
        !over
    }

    fn slot(&self, part: u64) -> Option<&Estimator> {
        self.slots.get(usize::try_from(part % SLOTS as u64).ok()?)
    }

    /// Goes on to a part, and empties those in between and the next one. The part that runs now, which may be later: a request can be
    /// held up between the clock and here.
    fn turn(&self, part: u64) -> u64 {
        let before = self.now.load(Ordering::Acquire);
        if part <= before {
            return before;
        }
        if let Err(later) = self.now.compare_exchange(before, part, Ordering::AcqRel, Ordering::Acquire) {
            return later.max(part);
        }
        // the one after `before` was emptied when that began
        let oldest = (before + 2).max((part + 2).saturating_sub(SLOTS as u64));
        for emptied in oldest..=part + 1 {
            if let Some(slot) = self.slot(emptied) {
                slot.reset();
            }
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER: Duration = Duration::from_secs(10);

    /// Whether each of these requests, in milliseconds, is let pass.
    fn pass(most: u64, at: &[u64]) -> Vec<u64> {
        let window = Window::new(PER, 4, 64);
        at.iter().copied().filter(|at| window.count(7, most, Duration::from_millis(*at))).collect()
    }

    #[test]
    fn no_time_of_that_length_lets_more_pass() {
        // (requests, how a client asks: at which milliseconds)
        let greedy: Vec<u64> = (0..120_000).step_by(7).collect();
        let bursts: Vec<u64> = (0..12).flat_map(|n| vec![n * 10_000 + 9_990; 50]).collect();
        let borders: Vec<u64> =
            (1..12).flat_map(|n| [vec![n * 10_000 - 1; 20], vec![n * 10_000; 20]].concat()).collect();
        let spread: Vec<u64> = (0..600).map(|n| n * 200 + n % 13).collect();
        for most in [1, 3, 20, 50] {
            for (what, at) in [("greedy", &greedy), ("bursts", &bursts), ("borders", &borders), ("spread", &spread)] {
                let passed = pass(most, at);
                for (index, start) in passed.iter().enumerate() {
                    let within = passed[index..].iter().take_while(|at| **at < start + 10_000).count() as u64;
                    assert!(within <= most, "{what}: {within} of {most} from {start} ms on");
                }
                // what comes just at the time after a burst may be a tenth too early
                assert!(passed.len() as u64 >= most * 5, "{what}: only {} passed of {most}", passed.len());
            }
        }
    }

    #[test]
    fn who_asks_at_nine_tenths_of_the_rate_is_never_refused() {
        for most in [1_u64, 2, 10, 100] {
            let at: Vec<u64> = (0..most * 30).map(|n| n * 11_000 / most).collect();
            assert_eq!(pass(most, &at), at, "{most} in ten seconds");
        }
    }

    #[test]
    fn who_is_refused_is_free_when_the_time_is_over_however_often_he_asks() {
        let at: Vec<u64> = (0..40).map(|n| n * 500).collect();
        assert_eq!(pass(1, &at), [0, 11_000]);
    }

    #[test]
    fn time_may_stand_still_for_long_or_come_late() {
        let late = [5000, 4000, 100, 5100, 3_600_000, 3_599_000, 86_400_000_000, 86_400_000_001];
        assert_eq!(pass(2, &late), [5000, 4000, 3_600_000, 3_599_000, 86_400_000_000, 86_400_000_001]);
        let window = Window::new(PER, 4, 64);
        assert!(window.count(7, 1, Duration::MAX) && !window.count(7, 1, Duration::MAX), "the end of time");
    }

    #[test]
    fn many_at_once_are_counted_exactly() {
        let window = Window::new(PER, 4, 64);
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| (0..5000).filter(|n| window.count(7, 1000, Duration::from_micros(n * 900))).count())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!((990..=1000).contains(&passed), "{passed} of 1000");
    }
}
