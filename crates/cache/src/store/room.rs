//! The accounts of the memory tier: who has taken how much of the limit, and making room.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::Store;
use super::entry::{Entry, Place};
use super::shard::Step;

/// The part of the limit that fills may take together, as a divisor: what arrives must not push out everything that is there.
const FILL_SHARE: u64 = 2;

/// Looks of the eviction at objects, for each shard, before it gives up for now.
const STEPS_PER_SHARD: usize = 64 * 1024;

/// The part of the limit that the index of the disk tier takes at most, as a divisor. Beyond it memory is over its limit, and the
/// disk tier is too large for it.
const INDEX_SHARE: u64 = 2;

impl Store {
    /// Takes bytes of the limit for a fill, evicting for them. False when there is no room; then nothing is taken.
    pub(super) fn charge(&self, bytes: u64) -> bool {
        let filling = self.filling.fetch_add(bytes, Ordering::AcqRel) + bytes;
        self.used.fetch_add(bytes, Ordering::AcqRel);
        if filling <= self.limit.load(Ordering::Relaxed) / FILL_SHARE && self.make_room() {
            return true;
        }
        self.uncharge(bytes);
        false
    }

    pub(super) fn uncharge(&self, bytes: u64) {
        self.filling.fetch_sub(bytes, Ordering::AcqRel);
        self.release(bytes);
    }

    /// Corrects what a fill has taken to what it holds.
    pub(super) fn recharge(&self, charged: &mut u64, held: u64) {
        self.filling.fetch_add(held, Ordering::AcqRel);
        self.used.fetch_add(held, Ordering::AcqRel);
        self.uncharge(std::mem::replace(charged, held));
    }

    pub(super) fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Bytes that objects and fills may take: the limit without the index of the disk tier.
    fn room(&self) -> u64 {
        let limit = self.limit.load(Ordering::Relaxed);
        limit - self.index.load(Ordering::Relaxed).min(limit / INDEX_SHARE)
    }

    /// Takes the size of the disk tier's index into the account.
    pub(super) fn measure_index(&self) {
        if let Some(disk) = &self.disk {
            self.index.store(disk.index_bytes(), Ordering::Relaxed);
        }
    }

    /// Evicts until the limit holds. One shard is locked at a time, for one step.
    pub(super) fn make_room(&self) -> bool {
        let room = self.room();
        let over = || self.used.load(Ordering::Acquire) > room;
        let mut empty = 0;
        for _ in 0..STEPS_PER_SHARD * self.shards.len() {
            if !over() {
                return true;
            }
            let number = self.hand.fetch_add(1, Ordering::Relaxed);
            let step = self.shard(number).write().unwrap_or_else(PoisonError::into_inner).step();
            match step {
                Step::Empty => empty += 1,
                Step::Moved => empty = 0,
                Step::Kept(place) => {
                    empty = 0;
                    // what is asked for here is asked for, although the disk does not see it
                    if let Some(disk) = &self.disk {
                        disk.touch(place.number());
                    }
                }
                Step::Evicted(bytes) => {
                    empty = 0;
                    self.release(bytes);
                    self.objects.fetch_sub(1, Ordering::Relaxed);
                    self.evictions.fetch_add(1, Ordering::Relaxed);
                }
            }
            if empty >= self.shards.len() {
                break;
            }
        }
        !over()
    }

    /// Replaces the head of an object in memory; the new entry when there is one that `replace` accepts.
    pub(super) fn rehead(&self, place: Place, replace: impl FnOnce(&Entry) -> Option<Entry>) -> Option<Arc<Entry>> {
        let mut shard = self.write(place);
        let reheaded = shard.rehead(place, replace)?;
        self.used.fetch_add(reheaded.new_cost, Ordering::AcqRel);
        self.release(reheaded.old_cost);
        drop(shard);
        self.make_room();
        Some(reheaded.entry)
    }
}
