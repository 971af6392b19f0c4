//! What is on disk, in memory: the files in their order of use, the writes that are on their way, and what they take of the budget.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::name::{Name, Version};
use super::order::{Inserted, Order, Standing, Step};

/// Most shards; a power of two.
const MOST_SHARDS: usize = 64;

/// Bytes of the budget for each shard at least: with few objects a shard, the order of eviction would be chance.
const BYTES_PER_SHARD: u64 = 64 * 1024 * 1024;

/// Looks of the eviction at objects before it gives up for now.
const MOST_STEPS: usize = 1024 * 1024;

/// Places of a shard that were emptied while a scan is under way; beyond it the scan takes nothing more in.
const MOST_EMPTIED: usize = 16 * 1024;

/// A write that is on its way; the number of all is bounded by the queue of writes and by the budget of spools.
#[derive(Debug)]
struct Pending {
    version: Version,
    /// The object is still arriving.
    spooled: bool,
    /// A newer head than the one that is being written.
    head: Option<Vec<u8>>,
}

/// What a scan must not take in again.
#[derive(Debug, Default)]
enum Emptied {
    /// No scan is under way.
    #[default]
    Idle,
    /// Places, and the highest generation that is gone from each.
    These(HashMap<u128, u64, foldhash::fast::RandomState>),
    /// Too many to list.
    Everything,
}

#[derive(Debug, Default)]
struct Shard {
    order: Order,
    pending: Vec<Pending>,
    emptied: Emptied,
}

impl Shard {
    fn is_gone(&self, version: Version) -> bool {
        match &self.emptied {
            Emptied::Idle => false,
            Emptied::These(places) => places.get(&version.place).is_some_and(|most| version.generation <= *most),
            Emptied::Everything => true,
        }
    }

    fn note_gone(&mut self, place: u128, generation: u64) {
        match &mut self.emptied {
            Emptied::These(places) if places.len() < MOST_EMPTIED => {
                let most = places.entry(place).or_default();
                *most = generation.max(*most);
            }
            Emptied::These(_) => self.emptied = Emptied::Everything,
            Emptied::Idle | Emptied::Everything => {}
        }
    }
}

/// What becomes of a file that a scan found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It is in the index.
    Kept,
    /// It is, and this older one's file is to go.
    Instead(Name),
    /// It is to go.
    Unwanted,
}

/// A finished write.
#[derive(Debug)]
pub(super) struct Landed {
    /// The file that it stands for, which is to go.
    pub(super) replaced: Option<Name>,
    /// A newer head that came while it was written.
    pub(super) head: Option<Vec<u8>>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Index {
    shards: Box<[RwLock<Shard>]>,
    budget: AtomicU64,
    /// What is used at most where the disk was full before the budget was.
    ceiling: AtomicU64,
    used: AtomicU64,
    /// The shard that eviction looks at next.
    hand: AtomicUsize,
    objects: AtomicU64,
    evictions: AtomicU64,
    highest: AtomicU64,
}

impl Index {
    pub(super) fn new(budget: u64) -> Self {
        let wanted = usize::try_from(budget / BYTES_PER_SHARD).unwrap_or(MOST_SHARDS).clamp(1, MOST_SHARDS);
        let count = if wanted.is_power_of_two() { wanted } else { wanted.next_power_of_two() / 2 };
        Self {
            shards: (0..count).map(|_| RwLock::default()).collect(),
            budget: AtomicU64::new(budget),
            ceiling: AtomicU64::new(u64::MAX),
            used: AtomicU64::new(0),
            hand: AtomicUsize::new(0),
            objects: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            highest: AtomicU64::new(0),
        }
    }

    /// The count of shards is a power of two and at least one, so every number chooses one.
    #[expect(clippy::indexing_slicing, reason = "masked by the length, which is a power of two")]
    fn shard(&self, number: usize) -> &RwLock<Shard> {
        &self.shards[number & (self.shards.len() - 1)]
    }

    fn number(place: u128) -> usize {
        (place >> 64) as usize ^ place as usize
    }

    fn read(&self, place: u128) -> RwLockReadGuard<'_, Shard> {
        self.shard(Self::number(place)).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, place: u128) -> RwLockWriteGuard<'_, Shard> {
        self.shard(Self::number(place)).write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn budget(&self) -> u64 {
        self.budget.load(Ordering::Relaxed)
    }

    pub(super) fn set_budget(&self, bytes: u64) {
        self.budget.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    pub(super) fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// The highest generation that was seen so far.
    pub(super) fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> u64 {
        let of = |shard: &RwLock<Shard>| shard.read().unwrap_or_else(PoisonError::into_inner).order.memory();
        self.shards.iter().map(|shard| of(shard) as u64).sum()
    }

    /// The file that stands in a place; counts nothing.
    pub(super) fn get(&self, place: u128) -> Option<Name> {
        self.read(place).order.get(place)
    }

    /// The file that stands in a place; counts a use.
    pub(super) fn take_use(&self, place: u128) -> Option<Name> {
        self.read(place).order.take_use(place)
    }

    /// Notes that a write begins; without this note it will not be taken in. False when that version or a newer one is there.
    pub(super) fn begin(&self, version: Version, spooled: bool) -> bool {
        self.highest.fetch_max(version.generation, Ordering::Relaxed);
        let mut shard = self.write(version.place);
        let newest = shard.order.get(version.place).map(|name| name.version.generation);
        let pending = shard.pending.iter().any(|pending| pending.version == version);
        if pending || newest.is_some_and(|newest| newest >= version.generation) {
            return false;
        }
        shard.pending.push(Pending { version, spooled, head: None });
        true
    }

    /// Complete objects that wait to be written.
    pub(super) fn waiting(&self) -> Vec<Version> {
        let of = |shard: &RwLock<Shard>| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.pending.iter().filter(|pending| !pending.spooled).map(|pending| pending.version).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of).collect()
    }

    /// Whether a write is still wanted.
    pub(super) fn is_wanted(&self, version: Version) -> bool {
        self.read(version.place).pending.iter().any(|pending| pending.version == version)
    }

    /// Forgets a write that is not wanted any more.
    pub(super) fn abandon(&self, version: Version) {
        self.write(version.place).pending.retain(|pending| pending.version != version);
    }

    /// Gives a write that is on its way a newer head; gives it back when there is no such write.
    pub(super) fn rehead_pending(&self, version: Version, head: Vec<u8>) -> Result<(), Vec<u8>> {
        let mut shard = self.write(version.place);
        match shard.pending.iter_mut().find(|pending| pending.version == version) {
            Some(pending) => {
                pending.head = Some(head);
                Ok(())
            }
            None => Err(head),
        }
    }

    /// The newer head that came for a write since it was queued.
    pub(super) fn take_newer_head(&self, version: Version) -> Option<Vec<u8>> {
        let mut shard = self.write(version.place);
        shard.pending.iter_mut().find(|pending| pending.version == version)?.head.take()
    }

    /// Takes in a file that has its name. Its cost has been charged. `None` when it was removed meanwhile or a newer one stands
    /// there: then the file is to go.
    pub(super) fn land(&self, name: Name) -> Option<Landed> {
        let mut shard = self.write(name.version.place);
        let at = shard.pending.iter().position(|pending| pending.version == name.version)?;
        let head = shard.pending.swap_remove(at).head;
        let replaced = match shard.order.insert(name) {
            Inserted::New => None,
            Inserted::Replaced(old) => Some(old),
            Inserted::Same | Inserted::Refused => return None,
        };
        self.count(replaced);
        Some(Landed { replaced, head })
    }

    /// Counts one object more, or the one that it stands for less. Called under the shard's lock, so that whoever evicts the object
    /// takes off what is there.
    fn count(&self, replaced: Option<Name>) {
        match replaced {
            Some(old) => self.release(old.cost()),
            None => _ = self.objects.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Takes in an object from the index file; its file has not been seen.
    pub(super) fn restore(&self, standing: Standing) {
        let name = standing.name;
        self.highest.fetch_max(name.version.generation, Ordering::Relaxed);
        let mut shard = self.write(name.version.place);
        if let inserted @ (Inserted::New | Inserted::Replaced(_)) = shard.order.restore(standing, false) {
            self.used.fetch_add(name.cost(), Ordering::AcqRel);
            self.count(if let Inserted::Replaced(old) = inserted { Some(old) } else { None });
        }
    }

    /// Takes in a file that a scan found.
    pub(super) fn found(&self, name: Name) -> Found {
        let version = name.version;
        self.highest.fetch_max(version.generation, Ordering::Relaxed);
        let mut shard = self.write(version.place);
        if shard.pending.iter().any(|pending| pending.version == version) {
            return Found::Kept;
        }
        if shard.order.get(version.place).is_none() && shard.is_gone(version) {
            return Found::Unwanted;
        }
        // What has outlived its time on probation, for all that is known.
        let standing = Standing { name, in_main: true, uses: 0 };
        let found = match shard.order.restore(standing, true) {
            Inserted::Same => {
                shard.order.mark_seen(version.place);
                return Found::Kept;
            }
            Inserted::Refused => return Found::Unwanted,
            Inserted::New => Found::Kept,
            Inserted::Replaced(old) => Found::Instead(old),
        };
        self.used.fetch_add(name.cost(), Ordering::AcqRel);
        self.count(if let Found::Instead(old) = found { Some(old) } else { None });
        found
    }

    /// Whether a file is of use: in the index, or about to be.
    pub(super) fn knows(&self, name: Name) -> bool {
        let shard = self.read(name.version.place);
        shard.order.get(name.version.place) == Some(name)
            || shard.pending.iter().any(|pending| pending.version == name.version)
    }

    /// From here on, places that are emptied are noted: the scan must not take them in again.
    pub(super) fn begin_scan(&self) {
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).emptied = Emptied::These(HashMap::default());
        }
    }

    /// Ends the notes of [`Index::begin_scan`]. A complete scan takes out what it has not seen.
    pub(super) fn end_scan(&self, complete: bool) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.emptied = Emptied::Idle;
            let unseen = if complete { shard.order.drop_unseen() } else { Vec::new() };
            for name in unseen {
                self.release(name.cost());
                self.objects.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Takes an object out, with a generation only that one, and calls off writes to its place. The file is to go.
    pub(super) fn remove(&self, place: u128, generation: Option<u64>) -> Removed {
        let wanted = |version: Version| {
            version.place == place && generation.is_none_or(|generation| generation == version.generation)
        };
        let mut shard = self.write(place);
        let pending = shard.pending.len();
        shard.pending.retain(|pending| !wanted(pending.version));
        let called_off = shard.pending.len() < pending;
        let name = shard.order.remove(place, generation);
        shard.note_gone(place, generation.unwrap_or(u64::MAX));
        if let Some(name) = name {
            self.release(name.cost());
            self.objects.fetch_sub(1, Ordering::Relaxed);
        }
        Removed { name, called_off }
    }

    /// Takes an object out that is older than a generation, and calls off older writes to its place. The file is to go.
    pub(super) fn remove_older(&self, place: u128, generation: u64) -> Option<Name> {
        let mut shard = self.write(place);
        let older = |version: Version| version.place == place && version.generation < generation;
        shard.pending.retain(|pending| !older(pending.version));
        let old = shard.order.get(place).filter(|name| older(name.version))?;
        let name = shard.order.remove(place, Some(old.version.generation))?;
        shard.note_gone(place, old.version.generation);
        self.release(name.cost());
        self.objects.fetch_sub(1, Ordering::Relaxed);
        Some(name)
    }

    /// Takes out exactly this file; true when it was there.
    pub(super) fn forget(&self, name: Name) -> bool {
        self.remove(name.version.place, Some(name.version.generation)).name.is_some()
    }

    /// Charges bytes to the budget, evicting for them. False when there is no room; then nothing is charged.
    pub(super) fn charge(&self, bytes: u64, evicted: &mut Vec<Name>) -> bool {
        self.used.fetch_add(bytes, Ordering::AcqRel);
        if self.evict_to(self.budget().min(self.ceiling.load(Ordering::Relaxed)), evicted) {
            return true;
        }
        self.release(bytes);
        false
    }

    /// Gives back bytes of the budget.
    pub(super) fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Keeps from here on to so many bytes less than are used now, but to so many at least, and evicts what is above.
    pub(super) fn lower_ceiling(&self, bytes: u64, evicted: &mut Vec<Name>) {
        let ceiling = self.used().saturating_sub(bytes).max(bytes);
        self.ceiling.fetch_min(ceiling, Ordering::Relaxed);
        self.evict_to(ceiling, evicted);
    }

    /// Whether less than the budget is used because the disk was full before.
    pub(super) fn is_lowered(&self) -> bool {
        self.ceiling.load(Ordering::Relaxed) < self.budget()
    }

    /// Uses up to so many bytes again, if that is more than now.
    pub(super) fn raise_ceiling(&self, bytes: u64) {
        self.ceiling.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Evicts until at most `bytes` are used. One shard is locked at a time, for one step.
    pub(super) fn evict_to(&self, bytes: u64, evicted: &mut Vec<Name>) -> bool {
        let mut empty = 0;
        for _ in 0..MOST_STEPS {
            if self.used() <= bytes {
                return true;
            }
            let number = self.hand.fetch_add(1, Ordering::Relaxed);
            let mut shard = self.shard(number).write().unwrap_or_else(PoisonError::into_inner);
            match shard.order.step() {
                Step::Empty => empty += 1,
                Step::Moved => empty = 0,
                Step::Evicted(name) => {
                    empty = 0;
                    self.release(name.cost());
                    self.objects.fetch_sub(1, Ordering::Relaxed);
                    self.evictions.fetch_add(1, Ordering::Relaxed);
                    evicted.push(name);
                }
            }
            drop(shard);
            if empty >= self.shards.len() {
                break;
            }
        }
        self.used() <= bytes
    }

    /// Objects of one shard in their order, `None` beyond the last shard.
    pub(super) fn standings(&self, shard: usize) -> Option<Vec<Standing>> {
        let shard = self.shards.get(shard)?.read().unwrap_or_else(PoisonError::into_inner);
        let mut standings = Vec::with_capacity(shard.order.len());
        standings.extend(shard.order.standings().map(|(standing, _)| standing));
        Some(standings)
    }
}

/// What [`Index::remove`] took out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Removed {
    pub(super) name: Option<Name>,
    pub(super) called_off: bool,
}
