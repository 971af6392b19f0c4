//! Which rules apply, and which of their settings win: for each behaviour the one of the last applicable rule.
//! Source: policy-language 2.

use smallvec::SmallVec;

use crate::behaviors::{SINGLE_SLOTS, Setting, Slot};
use crate::compile::{Placed, Policy, Rule};
use crate::facts::Facts;

/// The winning settings for one request. Belongs to the policy that gave it and to no other; owns nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    /// For each behaviour the winner's number plus one; 0: none.
    winners: [u32; SINGLE_SLOTS],
    /// Winning header edits in the order of their rules.
    headers: SmallVec<[u32; 8]>,
}

/// Watches an evaluation.
pub(crate) trait Recorder {
    /// Whether rules are tried that cannot change the outcome any more.
    const EVERY_CANDIDATE: bool;
    fn tried(&mut self, rule: u32, applies: bool);
}

/// Watches nothing and costs nothing.
pub(crate) struct NoRecorder;

impl Recorder for NoRecorder {
    const EVERY_CANDIDATE: bool = false;
    #[inline]
    fn tried(&mut self, _: u32, _: bool) {}
}

impl Policy {
    /// Finds the winning settings for a request. Does not allocate unless a request has more than eight header edits.
    #[must_use]
    pub fn evaluate(&self, facts: &Facts<'_>) -> Effective {
        self.evaluate_with(facts, &mut NoRecorder)
    }

    #[inline]
    pub(crate) fn evaluate_with<R: Recorder>(&self, facts: &Facts<'_>, recorder: &mut R) -> Effective {
        let mut winners = [0; SINGLE_SLOTS];
        let mut headers: SmallVec<[(u32, u32); 8]> = SmallVec::new();
        self.index.candidates(facts, |list| {
            // Backwards: once a later rule has won everything an earlier one sets, the earlier one need not be tried.
            for number in list.iter().rev() {
                let Some(rule) = self.rules.get(*number as usize) else { continue };
                if !R::EVERY_CANDIDATE && !self.could_win(rule, &winners) {
                    continue;
                }
                let applies = rule.applies(facts);
                recorder.tried(*number, applies);
                if applies {
                    self.enter(rule, &mut winners, &mut headers);
                }
            }
        });
        Effective { winners, headers: last_of_each(headers) }
    }

    fn slots_of(&self, rule: &Rule) -> impl Iterator<Item = (u32, u32)> {
        let slots = self.slots.get(rule.settings.start as usize..rule.settings.end as usize).unwrap_or(&[]);
        rule.settings.clone().zip(slots.iter().copied())
    }

    #[inline]
    fn could_win(&self, rule: &Rule, winners: &[u32; SINGLE_SLOTS]) -> bool {
        self.slots_of(rule).any(|(setting, slot)| winners.get(slot as usize).is_none_or(|winner| *winner < setting + 1))
    }

    #[inline]
    fn enter(&self, rule: &Rule, winners: &mut [u32; SINGLE_SLOTS], headers: &mut SmallVec<[(u32, u32); 8]>) {
        for (setting, slot) in self.slots_of(rule) {
            match winners.get_mut(slot as usize) {
                Some(winner) => *winner = (*winner).max(setting + 1),
                None => headers.push((slot, setting)),
            }
        }
    }
}

/// For each header the last setting; then in the order of the rules.
fn last_of_each(mut headers: SmallVec<[(u32, u32); 8]>) -> SmallVec<[u32; 8]> {
    if headers.len() > 1 {
        headers.sort_unstable();
    }
    let mut kept: SmallVec<[u32; 8]> = SmallVec::new();
    for (at, (slot, setting)) in headers.iter().enumerate() {
        if headers.get(at + 1).is_none_or(|(next, _)| next != slot) {
            kept.push(*setting);
        }
    }
    kept.sort_unstable();
    kept
}

impl Rule {
    #[inline]
    pub(crate) fn applies(&self, facts: &Facts<'_>) -> bool {
        self.tests.iter().all(|test| test.holds(facts))
    }
}

impl Effective {
    /// The winner of a behaviour.
    #[inline]
    pub(crate) fn setting<'p>(&self, policy: &'p Policy, slot: Slot) -> Option<&'p Setting> {
        self.placed(policy, slot).map(|placed| &placed.setting)
    }

    pub(crate) fn placed<'p>(&self, policy: &'p Policy, slot: Slot) -> Option<&'p Placed> {
        let number = self.winners.get(slot as usize)?.checked_sub(1)?;
        policy.settings.get(number as usize)
    }

    /// The winning header edits of both behaviours.
    pub(crate) fn headers<'p>(&self, policy: &'p Policy) -> impl Iterator<Item = &'p Placed> {
        self.headers.iter().filter_map(|number| policy.settings.get(*number as usize))
    }

    /// Every winner, in the order of the behaviours.
    pub(crate) fn all<'p>(&self, policy: &'p Policy) -> impl Iterator<Item = &'p Placed> {
        self.winners
            .iter()
            .filter_map(|winner| policy.settings.get(winner.checked_sub(1)? as usize))
            .chain(self.headers(policy))
    }
}
