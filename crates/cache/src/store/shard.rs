//! One shard: its index, its fills, and S3-FIFO over what it holds.
//!
//! New objects enter a small queue. Those that are asked for there move to the main queue, the others leave and are remembered
//! by name only; a remembered one that comes back enters the main queue at once. So a scan over many objects that nobody asks
//! for again passes through the small queue and moves nothing else ("FIFO queues are all you need for cache eviction", SOSP 2023).

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use pingora_cache::CacheKey;

use super::entry::{Entry, Place};
use super::fill::Fill;

/// Hits that count for an object between two looks of the eviction.
const MOST_HITS: u8 = 3;

/// The small queue's share of the bytes, as a divisor.
const SMALL_SHARE: u64 = 10;

/// Names remembered at least and at most.
const GHOSTS: std::ops::RangeInclusive<usize> = 64..=8192;

/// Dead names in a queue before it is cleaned, beside being more than half of it.
const DEAD_BEFORE_CLEANING: usize = 64;

type Map<V> = HashMap<Place, V, foldhash::fast::RandomState>;

#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    cost: u64,
    /// Names this stay in the queue: a name without a slot of the same ticket is dead.
    ticket: u64,
    in_main: bool,
    hits: AtomicU8,
}

impl Slot {
    /// Once the count is full the line is only read, so that a hot object is not written to by every hit.
    fn count_hit(&self) {
        let hits = self.hits.load(Ordering::Relaxed);
        if hits < MOST_HITS {
            self.hits.store(hits + 1, Ordering::Relaxed);
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Shard {
    slots: Map<Slot>,
    fills: Map<Vec<Arc<Fill>>>,
    small: Queue,
    main: Queue,
    ghosts: Ghosts,
    tickets: u64,
}

#[derive(Debug, Default)]
struct Queue {
    names: VecDeque<(Place, u64)>,
    bytes: u64,
    dead: usize,
}

#[derive(Debug, Default)]
struct Ghosts {
    order: VecDeque<Place>,
    set: HashSet<Place, foldhash::fast::RandomState>,
}

impl Ghosts {
    fn remember(&mut self, place: Place, residents: usize) {
        if self.set.insert(place) {
            self.order.push_back(place);
        }
        let most = residents.clamp(*GHOSTS.start(), *GHOSTS.end());
        while self.order.len() > most {
            if let Some(oldest) = self.order.pop_front() {
                self.set.remove(&oldest);
            }
        }
    }
}

/// What one step of eviction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The shard holds nothing.
    Empty,
    /// A name without an object left; nothing was freed.
    Moved,
    /// An object stays because it was asked for.
    Kept(Place),
    /// An object of this many bytes left.
    Evicted(u64),
}

impl Shard {
    /// The newest fill that may be joined, or else the complete object.
    pub(super) fn fill(&self, place: Place, key: &CacheKey) -> Option<Arc<Fill>> {
        let fills = self.fills.get(&place)?;
        fills.iter().rev().find(|fill| fill.listed() && fill.identity.is(key)).cloned()
    }

    /// The complete object; counts a hit.
    pub(super) fn entry(&self, place: Place, key: &CacheKey) -> Option<Arc<Entry>> {
        let slot = self.slots.get(&place).filter(|slot| slot.entry.identity.is(key))?;
        slot.count_hit();
        Some(Arc::clone(&slot.entry))
    }

    /// The complete object with this serial number, unless a newer one arrives; counts a hit.
    pub(super) fn named(&self, place: Place, serial: u64) -> Option<Arc<Entry>> {
        if !self.fills.is_empty() && self.fills.contains_key(&place) {
            return None;
        }
        let slot = self.slots.get(&place).filter(|slot| slot.entry.serial == serial)?;
        slot.count_hit();
        Some(Arc::clone(&slot.entry))
    }

    /// The fill of exactly this generation.
    pub(super) fn fill_of(&self, place: Place, generation: u64) -> Option<Arc<Fill>> {
        self.fills.get(&place)?.iter().find(|fill| fill.generation == generation).cloned()
    }

    pub(super) fn begin(&mut self, place: Place, fill: Arc<Fill>) {
        self.fills.entry(place).or_default().push(fill);
    }

    pub(super) fn end(&mut self, place: Place, generation: u64) {
        if let Some(fills) = self.fills.get_mut(&place) {
            fills.retain(|fill| fill.generation != generation);
            if fills.is_empty() {
                self.fills.remove(&place);
            }
        }
    }

    /// Takes a complete object in, unless a newer one stands in its place. Answers the bytes that a replaced one freed and
    /// whether the object was taken.
    pub(super) fn insert(&mut self, place: Place, entry: Arc<Entry>) -> Inserted {
        let cost = entry.cost();
        if let Some(slot) = self.slots.get_mut(&place) {
            if slot.entry.generation > entry.generation {
                return Inserted { taken: false, replaced: None };
            }
            let freed = std::mem::replace(&mut slot.cost, cost);
            slot.entry = entry;
            let queue = if slot.in_main { &mut self.main } else { &mut self.small };
            queue.bytes = queue.bytes + cost - freed;
            return Inserted { taken: true, replaced: Some(freed) };
        }
        self.tickets += 1;
        let ticket = self.tickets;
        let in_main = self.ghosts.set.contains(&place);
        let queue = if in_main { &mut self.main } else { &mut self.small };
        queue.names.push_back((place, ticket));
        queue.bytes += cost;
        self.slots.insert(place, Slot { entry, cost, ticket, in_main, hits: AtomicU8::new(0) });
        Inserted { taken: true, replaced: None }
    }

    /// Puts another head on an object; `None` when `replace` gave nothing.
    pub(super) fn rehead(&mut self, place: Place, replace: impl FnOnce(&Entry) -> Option<Entry>) -> Option<Reheaded> {
        let slot = self.slots.get_mut(&place)?;
        let entry = Arc::new(replace(&slot.entry)?);
        let (old_cost, new_cost) = (slot.cost, entry.cost());
        slot.entry = Arc::clone(&entry);
        slot.cost = new_cost;
        let queue = if slot.in_main { &mut self.main } else { &mut self.small };
        queue.bytes = queue.bytes + new_cost - old_cost;
        Some(Reheaded { entry, old_cost, new_cost })
    }

    /// Whether nothing complete is in this place.
    pub(super) fn is_vacant(&self, place: Place) -> bool {
        !self.slots.contains_key(&place)
    }

    /// All complete objects.
    pub(super) fn entries(&self) -> Vec<(Place, Arc<Entry>)> {
        self.slots.iter().map(|(place, slot)| (*place, Arc::clone(&slot.entry))).collect()
    }

    /// Takes an object out, and its fills off the list; with a generation only what has it. Answers the generation and the
    /// bytes freed.
    pub(super) fn purge(&mut self, place: Place, generation: Option<u64>) -> Option<(u64, u64)> {
        let wanted = |candidate: u64| generation.is_none_or(|generation| generation == candidate);
        let mut purged = None;
        for fill in self.fills.get(&place).into_iter().flatten().filter(|fill| wanted(fill.generation)) {
            fill.unlist();
            purged = Some((fill.generation, 0));
        }
        if self.slots.get(&place).is_some_and(|slot| wanted(slot.entry.generation)) {
            purged = self.drop_slot(place).or(purged);
        }
        purged
    }

    /// Takes an object out that is older than a generation; answers the bytes freed.
    pub(super) fn drop_older(&mut self, place: Place, generation: u64) -> Option<u64> {
        self.slots.get(&place).filter(|slot| slot.entry.generation < generation)?;
        self.drop_slot(place).map(|(_, freed)| freed)
    }

    /// Answers the generation and the bytes freed.
    fn drop_slot(&mut self, place: Place) -> Option<(u64, u64)> {
        let slot = self.slots.remove(&place)?;
        let queue = if slot.in_main { &mut self.main } else { &mut self.small };
        queue.bytes -= slot.cost;
        queue.dead += 1;
        self.clean();
        Some((slot.entry.generation, slot.cost))
    }

    fn clean(&mut self) {
        let slots = &self.slots;
        for queue in [&mut self.small, &mut self.main] {
            if queue.dead > DEAD_BEFORE_CLEANING && queue.dead * 2 > queue.names.len() {
                queue.names.retain(|(place, ticket)| slots.get(place).is_some_and(|slot| slot.ticket == *ticket));
                queue.dead = 0;
            }
        }
    }

    /// Looks at one object and keeps, moves or evicts it.
    pub(super) fn step(&mut self) -> Step {
        let from_small =
            self.small.bytes * SMALL_SHARE >= self.small.bytes + self.main.bytes && !self.small.names.is_empty();
        let from_small = from_small || self.main.names.is_empty();
        let queue = if from_small { &mut self.small } else { &mut self.main };
        let Some((place, ticket)) = queue.names.pop_front() else {
            return Step::Empty;
        };
        let Some(slot) = self.slots.get_mut(&place).filter(|slot| slot.ticket == ticket) else {
            queue.dead = queue.dead.saturating_sub(1);
            return Step::Moved;
        };
        let hits = *slot.hits.get_mut();
        if hits > 0 {
            *slot.hits.get_mut() = if from_small { 0 } else { hits - 1 };
            slot.in_main = true;
            queue.bytes -= slot.cost;
            self.main.bytes += slot.cost;
            self.main.names.push_back((place, ticket));
            return Step::Kept(place);
        }
        let cost = slot.cost;
        queue.bytes -= cost;
        self.slots.remove(&place);
        if from_small {
            self.ghosts.remember(place, self.slots.len());
        }
        Step::Evicted(cost)
    }
}

/// What an insertion did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inserted {
    pub(super) taken: bool,
    pub(super) replaced: Option<u64>,
}

/// An object under a new head.
#[derive(Debug)]
pub(super) struct Reheaded {
    pub(super) entry: Arc<Entry>,
    pub(super) old_cost: u64,
    pub(super) new_cost: u64,
}
