//! The purges in force, as hits see them: immutable, replaced as a whole, sharing what did not change.

use std::sync::Arc;

use super::journal::Record;
use super::trie::Trie;
use super::{Kind, Labels, Rule, Sequence, Side, name};

/// Up to when a rule holds. Zero: never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// What was asked for up to here is gone.
    pub(super) hard: Sequence,
    /// What was asked for up to here is stale.
    pub(super) soft: Sequence,
    pub(super) kind: Kind,
    /// Bytes of a prefix; 0 for the other kinds.
    pub(super) length: u32,
}

impl Marks {
    pub(super) fn merge(&mut self, other: &Self) {
        self.reach(other.hard, other.soft);
        (self.kind, self.length) = (other.kind, other.length);
    }

    fn reach(&mut self, hard: Sequence, soft: Sequence) {
        self.hard = self.hard.max(hard);
        self.soft = self.soft.max(soft);
    }

    pub(super) fn latest(&self) -> Sequence {
        self.hard.max(self.soft)
    }
}

/// All rules.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    named: Trie,
    everything: Marks,
    /// The youngest of all rules by tag: for objects with more tags than are kept.
    any_tag: Marks,
    /// Different lengths of prefixes, sorted.
    lengths: Arc<[u32]>,
    latest: Sequence,
}

impl Rules {
    /// Rules, as the limit counts them.
    pub(super) fn len(&self) -> usize {
        self.named.len() + usize::from(self.everything.latest() > 0)
    }

    /// The youngest purge.
    pub(super) fn latest(&self) -> Sequence {
        self.latest
    }

    /// Puts a rule in force, and says what the journal has to say.
    pub(super) fn add(&mut self, rule: &Rule, soft: bool, sequence: Sequence) -> Record {
        let (name, kind, length) = rule.named();
        let (hard, soft) = if soft { (0, sequence) } else { (sequence, 0) };
        let record = Record { name, marks: Marks { hard, soft, kind, length } };
        self.put(record.name, record.marks);
        record
    }

    /// Puts a rule in force by its name.
    pub(super) fn put(&mut self, name: u128, marks: Marks) {
        self.latest = self.latest.max(marks.latest());
        match marks.kind {
            Kind::Everything => {
                self.everything.merge(&marks);
                if marks.hard >= self.latest {
                    // nothing older can say more than this
                    *self = Self { everything: self.everything, latest: self.latest, ..Self::default() };
                }
                return;
            }
            Kind::Tag => self.any_tag.merge(&marks),
            Kind::Prefix => {
                if let Err(place) = self.lengths.binary_search(&marks.length) {
                    let mut lengths = self.lengths.to_vec();
                    lengths.insert(place, marks.length);
                    self.lengths = lengths.into();
                }
            }
            Kind::Url | Kind::Query | Kind::Host => {}
        }
        self.named.merge(name, marks);
    }

    /// The same rules with other marks; a rule without any is no more.
    pub(super) fn map(&self, mut change: impl FnMut(Marks) -> Marks) -> Self {
        let mut rules = Self::default();
        self.for_each(|name, marks| {
            let marks = change(*marks);
            if marks.latest() > 0 {
                rules.put(name, marks);
            }
        });
        rules
    }

    /// Every rule by its name, "everything" first.
    pub(super) fn for_each(&self, mut each: impl FnMut(u128, &Marks)) {
        if self.everything.latest() > 0 {
            each(0, &self.everything);
        }
        self.named.for_each(each);
    }

    /// What holds for an object: the youngest hard and the youngest soft purge that names it.
    pub(super) fn marks(&self, labels: &Labels) -> Marks {
        let mut found = self.everything;
        if self.named.len() == 0 {
            return found;
        }
        let mut look = |name: u128| {
            if let Some(marks) = self.named.get(name) {
                found.reach(marks.hard, marks.soft);
            }
        };
        let sides = [
            (Side::Key, labels.key_host(), labels.key_path()),
            (Side::Client, labels.client_host(), labels.client_path()),
        ];
        for (side, host, path) in sides {
            look(name::url(side, host, path, None));
            look(name::url(side, host, path, Some(labels.query())));
            look(name::host(side, host));
            let mut prefixes = name::Prefixes::new(side, host, path);
            for length in &*self.lengths {
                let Some(name) = usize::try_from(*length).ok().and_then(|length| prefixes.upto(length)) else { break };
                look(name);
            }
        }
        if self.any_tag.latest() > 0 {
            labels.tags().for_each(look);
        }
        if labels.every_tag() {
            found.reach(self.any_tag.hard, self.any_tag.soft);
        }
        found
    }
}
