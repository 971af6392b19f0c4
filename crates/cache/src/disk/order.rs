//! The files of one shard, compactly, and S3-FIFO over them.
//!
//! New objects enter a small queue. Those that are asked for there move to the main queue, the others leave and are remembered by
//! a fingerprint; a remembered one that comes back enters the main queue at once. So a scan over many objects that nobody asks for
//! again moves nothing else ("FIFO queues are all you need for cache eviction", SOSP 2023).
//!
//! Objects are nodes of one list of nodes, found through a table of their numbers: about 60 bytes an object in all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashTable;

use super::name::{Name, Version, cost};

/// Uses that count for an object between two looks of the eviction; what two bits hold.
const MOST_USES: u64 = 3;

/// The small queue's share of the bytes, as a divisor.
const SMALL_SHARE: u64 = 10;

/// Fingerprints remembered, as a part of the objects; at least and at most.
const GHOST_SHARE: usize = 2;
const GHOSTS: std::ops::RangeInclusive<usize> = 64..=64 * 1024;

/// The list of nodes grows by this part of itself, not to the double: memory is counted by the object.
const GROWTH_SHARE: usize = 8;
const LEAST_GROWTH: usize = 64;

/// No node.
const NONE: u32 = u32::MAX;

/// The parts of [`Node::packed`]: uses, which queue, whether a scan has yet to see the file; the length above.
const USES: u64 = 0b11;
const IN_MAIN: u64 = 1 << 2;
const UNSEEN: u64 = 1 << 3;
const LENGTH_SHIFT: u32 = 16;

#[derive(Debug)]
struct Node {
    /// In halves: a `u128` would align the node to 16 bytes.
    place: [u64; 2],
    generation: u64,
    packed: AtomicU64,
    previous: u32,
    next: u32,
}

impl Node {
    fn name(&self) -> Name {
        let [high, low] = self.place;
        let place = u128::from(high) << 64 | u128::from(low);
        let length = self.packed.load(Ordering::Relaxed) >> LENGTH_SHIFT;
        Name { version: Version { place, generation: self.generation }, length }
    }

    fn has(&self, flag: u64) -> bool {
        self.packed.load(Ordering::Relaxed) & flag != 0
    }

    fn cost(&self) -> u64 {
        cost(self.packed.load(Ordering::Relaxed) >> LENGTH_SHIFT)
    }
}

fn halves(place: u128) -> [u64; 2] {
    [(place >> 64) as u64, place as u64]
}

/// Places are hashes already; this only folds them, so that places which are not (in tests) spread too.
fn hash(place: [u64; 2]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let folded = (place[0] ^ place[1].rotate_left(32)).wrapping_mul(ODD);
    folded ^ folded >> 32
}

/// What is remembered of a place that left, and where it stands in the table of such.
fn fingerprint(place: [u64; 2]) -> u32 {
    hash(place) as u32
}

fn spread(fingerprint: u32) -> u64 {
    u64::from(fingerprint).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Both ends of one queue and its bytes.
#[derive(Debug, Clone, Copy)]
struct Queue {
    oldest: u32,
    newest: u32,
    bytes: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self { oldest: NONE, newest: NONE, bytes: 0 }
    }
}

#[derive(Debug, Default)]
struct Ghosts {
    order: VecDeque<u32>,
    table: HashTable<u32>,
}

impl Ghosts {
    fn has(&self, fingerprint: u32) -> bool {
        self.table.find(spread(fingerprint), |ghost| *ghost == fingerprint).is_some()
    }

    fn remember(&mut self, fingerprint: u32, residents: usize) {
        if !self.has(fingerprint) {
            self.table.insert_unique(spread(fingerprint), fingerprint, |ghost| spread(*ghost));
            self.order.push_back(fingerprint);
        }
        let most = (residents / GHOST_SHARE).clamp(*GHOSTS.start(), *GHOSTS.end());
        while self.order.len() > most {
            if let Some(oldest) = self.order.pop_front()
                && let Ok(entry) = self.table.find_entry(spread(oldest), |ghost| *ghost == oldest)
            {
                entry.remove();
            }
        }
    }
}

/// What one step of eviction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is nothing.
    Empty,
    /// An object moved on; nothing was freed.
    Moved,
    /// This file is no longer in the order.
    Evicted(Name),
}

/// What an insertion did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    /// The object is in.
    New,
    /// It stands in the place of this one, whose file is to go.
    Replaced(Name),
    /// The same version is there already.
    Same,
    /// A newer one stands in its place.
    Refused,
}

/// How an object stands in the order: what a restart keeps of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) name: Name,
    pub(super) in_main: bool,
    pub(super) uses: u8,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Order {
    nodes: Vec<Node>,
    /// The first of the nodes that are free; they follow each other by `next`.
    free: Option<u32>,
    table: HashTable<u32>,
    small: Queue,
    main: Queue,
    ghosts: Ghosts,
}

impl Order {
    /// Objects.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.table.allocation_size()
            + self.ghosts.table.allocation_size()
            + self.ghosts.order.capacity() * size_of::<u32>()
    }

    fn find(&self, place: u128) -> Option<u32> {
        let place = halves(place);
        self.table.find(hash(place), |number| self.node(*number).is_some_and(|node| node.place == place)).copied()
    }

    fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(number as usize)
    }

    fn node_mut(&mut self, number: u32) -> Option<&mut Node> {
        self.nodes.get_mut(number as usize)
    }

    fn queue(&mut self, main: bool) -> &mut Queue {
        if main { &mut self.main } else { &mut self.small }
    }

    /// The file that stands in a place; counts nothing.
    pub(super) fn get(&self, place: u128) -> Option<Name> {
        self.node(self.find(place)?).map(Node::name)
    }

    /// The file that stands in a place; counts a use.
    pub(super) fn take_use(&self, place: u128) -> Option<Name> {
        let node = self.node(self.find(place)?)?;
        // Once the count is full the line is only read. Two uses at the same time may count as one.
        if node.packed.load(Ordering::Relaxed) & USES < MOST_USES {
            let more = |packed: u64| (packed & USES < MOST_USES).then_some(packed + 1);
            let _ = node.packed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
        Some(node.name())
    }

    /// Takes an object in as one that has just been written.
    pub(super) fn insert(&mut self, name: Name) -> Inserted {
        let in_main = self.ghosts.has(fingerprint(halves(name.version.place)));
        self.restore(Standing { name, in_main, uses: 0 }, true)
    }

    /// Takes an object in as it stood; `seen` says whether its file is known to be there.
    pub(super) fn restore(&mut self, standing: Standing, seen: bool) -> Inserted {
        let Standing { name, in_main, uses } = standing;
        let flags = if seen { 0 } else { UNSEEN };
        let length = name.length << LENGTH_SHIFT;
        if let Some(number) = self.find(name.version.place) {
            let Some(node) = self.node_mut(number) else { return Inserted::Refused };
            let (old, main) = (node.name(), node.has(IN_MAIN));
            if old == name {
                return Inserted::Same;
            }
            if old.version.generation >= name.version.generation {
                return Inserted::Refused;
            }
            node.generation = name.version.generation;
            let kept = *node.packed.get_mut() & (USES | IN_MAIN);
            *node.packed.get_mut() = length | flags | kept;
            let queue = self.queue(main);
            queue.bytes = queue.bytes - old.cost() + name.cost();
            return Inserted::Replaced(old);
        }
        let main = if in_main { IN_MAIN } else { 0 };
        let node = Node {
            place: halves(name.version.place),
            generation: name.version.generation,
            packed: AtomicU64::new(length | flags | main | u64::from(uses).min(MOST_USES)),
            previous: NONE,
            next: NONE,
        };
        let Some(number) = self.allocate(node) else { return Inserted::Refused };
        let nodes = &self.nodes;
        let rehash = |number: &u32| nodes.get(*number as usize).map_or(0, |node| hash(node.place));
        self.table.insert_unique(hash(halves(name.version.place)), number, rehash);
        self.push(number, in_main);
        Inserted::New
    }

    /// Puts a node where a free one was, or at the end. `None` when there are more than can be numbered.
    fn allocate(&mut self, node: Node) -> Option<u32> {
        if let Some(number) = self.free {
            let place = self.node_mut(number)?;
            let next = std::mem::replace(place, node).next;
            self.free = (next != NONE).then_some(next);
            return Some(number);
        }
        let number = u32::try_from(self.nodes.len()).ok().filter(|number| *number != NONE)?;
        if self.nodes.len() == self.nodes.capacity() {
            self.nodes.reserve_exact((self.nodes.len() / GROWTH_SHARE).max(LEAST_GROWTH));
        }
        self.nodes.push(node);
        Some(number)
    }

    fn push(&mut self, number: u32, main: bool) {
        let before = self.queue(main).newest;
        let Some(node) = self.node_mut(number) else { return };
        (node.previous, node.next) = (before, NONE);
        let cost = node.cost();
        if let Some(node) = self.node_mut(before) {
            node.next = number;
        }
        let queue = self.queue(main);
        queue.newest = number;
        if queue.oldest == NONE {
            queue.oldest = number;
        }
        queue.bytes += cost;
    }

    fn unlink(&mut self, number: u32) {
        let Some(node) = self.node(number) else { return };
        let (previous, next, cost, main) = (node.previous, node.next, node.cost(), node.has(IN_MAIN));
        if let Some(node) = self.node_mut(previous) {
            node.next = next;
        }
        if let Some(node) = self.node_mut(next) {
            node.previous = previous;
        }
        let queue = self.queue(main);
        if queue.oldest == number {
            queue.oldest = next;
        }
        if queue.newest == number {
            queue.newest = previous;
        }
        queue.bytes -= cost;
    }

    /// Takes an object out; with a generation only that one.
    pub(super) fn remove(&mut self, place: u128, generation: Option<u64>) -> Option<Name> {
        let number = self.find(place)?;
        let name = self.node(number)?.name();
        if generation.is_some_and(|generation| generation != name.version.generation) {
            return None;
        }
        self.forget(number);
        Some(name)
    }

    fn forget(&mut self, number: u32) {
        self.unlink(number);
        let Some(place) = self.node(number).map(|node| node.place) else { return };
        if let Ok(entry) = self.table.find_entry(hash(place), |candidate| *candidate == number) {
            entry.remove();
        }
        let free = self.free.replace(number).unwrap_or(NONE);
        if let Some(node) = self.node_mut(number) {
            node.next = free;
        }
    }

    /// Looks at one object and keeps, moves or evicts it.
    pub(super) fn step(&mut self) -> Step {
        let all = self.small.bytes + self.main.bytes;
        let small_is_full = self.small.bytes * SMALL_SHARE >= all && self.small.oldest != NONE;
        let from_small = small_is_full || self.main.oldest == NONE;
        let number = self.queue(!from_small).oldest;
        let Some(node) = self.node_mut(number) else { return Step::Empty };
        let packed = *node.packed.get_mut();
        let (name, place) = (node.name(), node.place);
        if packed & USES > 0 {
            self.unlink(number);
            if let Some(node) = self.node_mut(number) {
                let uses = if from_small { 0 } else { (packed & USES) - 1 };
                *node.packed.get_mut() = packed & !USES | uses | IN_MAIN;
            }
            self.push(number, true);
            return Step::Moved;
        }
        self.forget(number);
        if from_small {
            self.ghosts.remember(fingerprint(place), self.table.len());
        }
        Step::Evicted(name)
    }

    /// Notes that a scan has found the file of an object.
    pub(super) fn mark_seen(&self, place: u128) {
        if let Some(node) = self.find(place).and_then(|number| self.node(number)) {
            node.packed.fetch_and(!UNSEEN, Ordering::Relaxed);
        }
    }

    /// Takes out every object whose file a scan has not found.
    pub(super) fn drop_unseen(&mut self) -> Vec<Name> {
        let unseen =
            self.standings().filter(|(_, unseen)| *unseen).map(|(standing, _)| standing.name).collect::<Vec<_>>();
        for name in &unseen {
            self.remove(name.version.place, Some(name.version.generation));
        }
        unseen
    }

    /// Every object from the oldest of the main queue to the newest of the small one, and whether its file is yet to be seen.
    pub(super) fn standings(&self) -> impl Iterator<Item = (Standing, bool)> + '_ {
        let follow = |node: &&Node| self.node(node.next);
        let queue = move |oldest: u32| std::iter::successors(self.node(oldest), follow);
        queue(self.main.oldest).chain(queue(self.small.oldest)).map(|node| {
            let uses = (node.packed.load(Ordering::Relaxed) & USES) as u8;
            (Standing { name: node.name(), in_main: node.has(IN_MAIN), uses }, node.has(UNSEEN))
        })
    }
}
