//! From measurements to an order.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use leeward_telemetry::Reason;

/// What one measurement came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// The time, or why there is none.
    pub result: Result<Duration, Reason>,
    /// When it was measured.
    pub at: Instant,
}

/// Places in the order of their times. Those that failed come behind, then those that nothing is known of, each in the order
/// written. The current best stays the best until another takes less than four fifths of its time: two that are equally
/// near must not take turns, since each has its own cache.
pub(super) fn best(took: &[Option<Took>], current: Option<usize>) -> Vec<usize> {
    let time = |place: usize| {
        let time = took.get(place).copied().flatten()?.result.ok()?;
        Some(if current == Some(place) { time * 4 / 5 } else { time })
    };
    let failed = |place: usize| took.get(place).is_some_and(Option::is_some);
    let mut places: Vec<usize> = (0..took.len()).collect();
    places.sort_by(|a, b| match (time(*a), time(*b)) {
        (Some(one), Some(other)) => one.cmp(&other),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        // nothing known is better than known to fail
        (None, None) => failed(*a).cmp(&failed(*b)),
    });
    places
}
