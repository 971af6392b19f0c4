//! Clients that are refused for a time: a table of a fixed size, read and written without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Places in which a client can be.
const WAYS: usize = 4;
/// Bits of an entry that say when it is over, in milliseconds since the start: 34 years. The rest tells clients apart.
const TIME: u32 = 40;

/// One entry in each place: the upper bits of a client's key, and when its time is over. 0 is nobody.
#[derive(Debug)]
pub(super) struct Penalties(Box<[[AtomicU64; WAYS]]>);

impl Penalties {
    /// Room for that many clients.
    pub(super) fn new(clients: usize) -> Self {
        Self((0..clients.div_ceil(WAYS)).map(|_| Default::default()).collect())
    }

    fn places(&self, key: u64) -> &[AtomicU64] {
        let buckets = self.0.len().max(1) as u64;
        let bucket = usize::try_from((key & u64::from(u32::MAX)) % buckets).unwrap_or(0);
        self.0.get(bucket).map_or(&[], |places| places)
    }

    /// How long a client is refused yet, at a time since the start.
    pub(super) fn left(&self, key: u64, now: Duration) -> Option<Duration> {
        let now = millis(now);
        let of_client = self.places(key).iter().map(|place| place.load(Ordering::Relaxed));
        let until = of_client.filter(|entry| entry >> TIME == tag(key)).map(until).max()?;
        until.checked_sub(now).filter(|left| *left > 0).map(Duration::from_millis)
    }

    /// Refuses a client from now on. Where there is no place left, the client goes free whose time is over first.
    pub(super) fn begin(&self, key: u64, now: Duration, penalty: Duration) {
        let entry = tag(key) << TIME | millis(now + penalty);
        let places = self.places(key);
        let own = places.iter().find(|place| place.load(Ordering::Relaxed) >> TIME == tag(key));
        let place = own.or_else(|| places.iter().min_by_key(|place| until(place.load(Ordering::Relaxed))));
        // of two that write at once one is refused at its next request again
        if let Some(place) = place {
            place.store(entry, Ordering::Relaxed);
        }
    }
}

/// Never 0, which is nobody's.
fn tag(key: u64) -> u64 {
    (key >> TIME).max(1)
}

fn until(entry: u64) -> u64 {
    entry & ((1 << TIME) - 1)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX) & ((1 << TIME) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(100);
    const PENALTY: Duration = Duration::from_secs(10);

    /// Keys that differ in all their bits.
    fn key(client: u64) -> u64 {
        (client + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn a_client_is_refused_until_its_time_is_over() {
        let penalties = Penalties::new(64);
        assert_eq!(penalties.left(key(1), START), None);
        penalties.begin(key(1), START, PENALTY);
        for (after, left) in [(0, Some(10_000)), (1, Some(9_999)), (9_999, Some(1)), (10_000, None), (60_000, None)] {
            let got = penalties.left(key(1), START + Duration::from_millis(after));
            assert_eq!(got, left.map(Duration::from_millis), "{after} ms later");
        }
        assert_eq!(penalties.left(key(2), START), None, "another client");
        penalties.begin(key(1), START + PENALTY, PENALTY);
        assert_eq!(penalties.left(key(1), START + PENALTY), Some(PENALTY), "again");
    }

    #[test]
    fn a_full_table_frees_who_would_be_free_first() {
        let penalties = Penalties::new(WAYS);
        for client in 0..=WAYS as u64 {
            penalties.begin(key(client), START + Duration::from_secs(client), PENALTY);
        }
        let refused: Vec<bool> = (0..=WAYS as u64).map(|client| penalties.left(key(client), START).is_some()).collect();
        assert_eq!(refused, [false, true, true, true, true]);
    }

    #[test]
    fn all_clients_together_have_one_place() {
        let penalties = Penalties::new(1);
        penalties.begin(0, START, PENALTY);
        assert_eq!(penalties.left(0, START), Some(PENALTY));
    }
}
