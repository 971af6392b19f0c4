//! The ready form of a policy.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;
use http::HeaderName;

use crate::behaviors::key_query::KeyQuery;
use crate::behaviors::origin::Name;
use crate::behaviors::{self, SINGLE_SLOTS, Setting, Slot};
use crate::decide::{Backup, OriginChoice};
use crate::index::Index;
use crate::matches::Test;
use crate::reading::report::Report;
use crate::reading::report::Step;
use crate::reading::{Context, Form};
use crate::written;

/// A policy ready for requests: parsed, indexed, immutable.
#[derive(Debug)]
pub struct Policy {
    pub(crate) rules: Vec<Rule>,
    /// In the order of the rules: of two settings the one with the greater number is the later.
    pub(crate) settings: Vec<Placed>,
    /// The winner slot of each setting, beside the settings to be near when rules are tried.
    pub(crate) slots: Vec<u32>,
    pub(crate) index: Index,
    asks_place: bool,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) tests: Box<[Test]>,
    pub(crate) settings: Range<u32>,
}

/// A setting and where it stands.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) slot: Slot,
    pub(crate) setting: Setting,
    pub(crate) rule: u32,
    pub(crate) behavior: u32,
}

impl Placed {
    /// The place of the behavior in the document.
    fn place(&self) -> Vec<Step> {
        vec![
            Step::from("rules"),
            Step::from(self.rule as usize),
            Step::from("behaviors"),
            Step::from(self.behavior as usize),
        ]
    }
}

/// What a name in a policy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// A match.
    Match,
    /// A behavior.
    Behavior,
}

impl Policy {
    /// The policy without rules: it decides nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self { rules: Vec::new(), settings: Vec::new(), slots: Vec::new(), index: Index::default(), asks_place: false }
    }

    /// Makes the ready form of a policy that [`crate::read`] gave with the same context.
    ///
    /// A policy that would not have passed the checks becomes one that refuses every request: leaving out the rules that
    /// cannot be understood could open what they close.
    #[must_use]
    pub fn compile(written: &written::Policy, context: &Context<'_>) -> Self {
        let mut report = Report::default();
        match Self::try_compile(written, context, &mut report) {
            Some(policy) if !report.has_errors() => policy,
            _ => Self::refuse_everything(),
        }
    }

    fn try_compile(written: &written::Policy, context: &Context<'_>, report: &mut Report) -> Option<Self> {
        let mut policy = Self::empty();
        let mut headers: HashMap<(Slot, HeaderName), u32, RandomState> = HashMap::default();
        for (number, rule) in written.rules.iter().enumerate() {
            let tests = rule
                .matches
                .iter()
                .map(|one| Test::parse(&one.name, &one.value, one.negated, report))
                .collect::<Option<Box<[Test]>>>()?;
            if tests.is_empty() {
                return None;
            }
            let first = count(&policy.settings);
            for (at, behavior) in rule.behaviors.iter().enumerate() {
                let (slot, setting) = behaviors::parse(behavior, Form::Yaml, context, report)?;
                let winner = match &setting {
                    Setting::Header(edit) => {
                        let next = SINGLE_SLOTS + headers.len();
                        *headers
                            .entry((slot, edit.name.clone()))
                            .or_insert_with(|| u32::try_from(next).unwrap_or(u32::MAX))
                    }
                    _ => slot as u32,
                };
                policy.slots.push(winner);
                policy.settings.push(Placed {
                    slot,
                    setting,
                    rule: u32::try_from(number).ok()?,
                    behavior: u32::try_from(at).ok()?,
                });
            }
            policy.rules.push(Rule { tests, settings: first..count(&policy.settings) });
        }
        policy.index = Index::build(policy.rules.iter().map(|rule| &*rule.tests));
        let asks_place = policy.geographies().next().is_some();
        policy.asks_place = asks_place;
        Some(policy)
    }

    fn refuse_everything() -> Self {
        let mut policy = Self::empty();
        policy.settings.push(Placed { slot: Slot::DenyAccess, setting: Setting::Switch(true), rule: 0, behavior: 0 });
        policy.slots.push(Slot::DenyAccess as u32);
        policy.rules.push(Rule { tests: Box::default(), settings: 0..1 });
        policy.index = Index::build(policy.rules.iter().map(|rule| &*rule.tests));
        policy
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether the rules look at nothing of a request but its method and URL: then what they decide for one request holds for all with
    /// the same.
    #[must_use]
    pub fn looks_at_url_alone(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.tests).all(Test::looks_at_url_alone)
    }

    /// Every match and behavior name in use, with its place in the document.
    pub fn names_used(&self) -> impl Iterator<Item = (NameKind, &str, Vec<Step>)> {
        let place = |rule: usize, list: &str, at: usize| {
            vec![Step::from("rules"), Step::from(rule), Step::from(list), Step::from(at), Step::from("name")]
        };
        let matches = self.rules.iter().enumerate().flat_map(move |(rule, ready)| {
            ready
                .tests
                .iter()
                .enumerate()
                .map(move |(at, test)| (NameKind::Match, test.name, place(rule, "matches", at)))
        });
        let behaviors = self.settings.iter().map(move |placed| {
            (NameKind::Behavior, placed.slot.name(), place(placed.rule as usize, "behaviors", placed.behavior as usize))
        });
        matches.chain(behaviors)
    }

    /// Every origin that a rule names, with the place of its behavior in the document.
    pub fn origins(&self) -> impl Iterator<Item = (OriginChoice<'_>, Vec<Step>)> {
        self.settings.iter().filter_map(|placed| match &placed.setting {
            Setting::Origin(origin) => Some((OriginChoice::of(origin), placed.place())),
            _ => None,
        })
    }

    /// Every part of the query that a rule puts into the cache key.
    pub fn key_queries(&self) -> impl Iterator<Item = &KeyQuery> {
        self.settings.iter().filter_map(|placed| match &placed.setting {
            Setting::KeyQuery(choice) => Some(choice),
            _ => None,
        })
    }

    /// Every host that a rule puts into the cache key, in place of the site's.
    pub fn key_hosts(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().filter_map(|placed| match &placed.setting {
            Setting::Origin(origin) => match &origin.key_host {
                Name::Property => None,
                Name::Origin => Some(origin.domain.as_str()),
                Name::Fixed(name) => Some(name.as_str()),
            },
            _ => None,
        })
    }

    /// Every backup origin that a rule names, with the place of its behavior in the document.
    pub fn backups(&self) -> impl Iterator<Item = (Backup<'_>, Vec<Step>)> {
        self.settings.iter().filter_map(|placed| match &placed.setting {
            Setting::Backup(plan) => Some((Backup::of(plan), placed.place())),
            _ => None,
        })
    }

    /// The place of every rule that asks for an ectoken.
    pub fn ectokens(&self) -> impl Iterator<Item = Vec<Step>> {
        let asks = |placed: &&Placed| placed.slot == Slot::Ectoken && matches!(placed.setting, Setting::Switch(true));
        self.settings.iter().filter(asks).map(Placed::place)
    }

    /// Whether a rule asks where the client is. What no rule asks for need not be looked up.
    #[must_use]
    pub fn asks_place(&self) -> bool {
        self.asks_place
    }

    /// The place of every match and behavior that asks where the client is.
    pub fn geographies(&self) -> impl Iterator<Item = Vec<Step>> {
        let asks = |name: &str| matches!(name, "geography" | "geo-blacklist" | "geo-whitelist");
        self.names_used().filter(move |(_, name, _)| asks(name)).map(|(_, _, place)| place)
    }

    /// Whether a rule has a `site-failover`.
    #[must_use]
    pub fn has_site_failover(&self) -> bool {
        self.settings.iter().any(|placed| placed.slot == Slot::Failover)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::empty()
    }
}

fn count(settings: &[Placed]) -> u32 {
    u32::try_from(settings.len()).unwrap_or(u32::MAX)
}
