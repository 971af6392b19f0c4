//! Warnings about rules that can be used but probably do not do what their author wants.

use foldhash::fast::RandomState;
use std::collections::HashMap;

use super::rule::Read;
use crate::behaviors::failover::FailoverKind;
use crate::behaviors::{Setting, Slot};
use crate::grammar::StatusSet;
use crate::matches::{self, Test};
use crate::reading::Context;
use crate::reading::report::Report;

/// Comparisons of two rules before the search for hidden rules gives up: it must not make a reload slow.
const MAX_COMPARISONS: usize = 2_000_000;

/// Reports below `rules`; every rule must be whole.
pub(super) fn policy(rules: &[Read], context: &Context<'_>, report: &mut Report) {
    for (index, rule) in rules.iter().enumerate() {
        report.within(index, |report| {
            impossible(rule, report);
            twice(rule, report);
            lists_in_one_rule(rule, report);
            redirected_posts(rule, report);
            client_errors(rule, report);
        });
    }
    if context.access_mode.is_none() {
        exemptions(rules, report);
    }
    hidden(rules, report);
}

fn tests(rule: &Read) -> impl Iterator<Item = &Test> {
    rule.tests.iter().flatten()
}

fn settings(rule: &Read) -> impl Iterator<Item = &(Slot, Setting)> {
    rule.settings.iter().flatten()
}

fn has(rule: &Read, slot: Slot) -> bool {
    settings(rule).any(|(other, _)| *other == slot)
}

fn impossible(rule: &Read, report: &mut Report) {
    let tests: Vec<&Test> = tests(rule).collect();
    for (later, test) in tests.iter().enumerate() {
        if test.is_impossible() {
            report.within("matches", |report| {
                report.within(later, |report| report.warn("this match can never hold: its negation always does"));
            });
            return;
        }
        // The wildcard `/*` is how a rule for every request is written; any other way of saying it is probably a mistake.
        if test.is_universal() && test.name == "url-scheme" {
            report.within("matches", |report| {
                report.within(later, |report| {
                    report.within("value", |report| {
                        report.warn_hint(
                            "both schemes together are always true",
                            "leave this match out, or name one scheme",
                        );
                    });
                });
            });
        }
        if let Some(earlier) = tests.iter().take(later).position(|other| test.contradicts(other)) {
            report.within("matches", |report| {
                report.within(later, |report| {
                    report.warn_hint(
                        format!("this rule can never apply: its matches {earlier} and {later} contradict each other"),
                        "all matches of a rule must hold; list alternatives in one value",
                    );
                });
            });
            return;
        }
    }
}

/// What a winner is chosen for: a behaviour, and for header edits also the header.
fn key(slot: Slot, setting: &Setting) -> (Slot, Option<&str>) {
    match setting {
        Setting::Header(edit) => (slot, Some(edit.name.as_str())),
        _ => (slot, None),
    }
}

fn twice(rule: &Read, report: &mut Report) {
    let settings: Vec<_> = settings(rule).map(|(slot, setting)| key(*slot, setting)).collect();
    for (later, wanted) in settings.iter().enumerate() {
        if settings.iter().take(later).any(|other| other == wanted) {
            let what = wanted
                .1
                .map_or_else(|| wanted.0.name().to_owned(), |header| format!("{} of {header}", wanted.0.name()));
            report.within("behaviors", |report| {
                report.within(later, |report| {
                    report.warn_hint(
                        format!("{what} is set twice in this rule: the later one wins"),
                        "remove one of them",
                    );
                });
            });
        }
    }
}

fn lists_in_one_rule(rule: &Read, report: &mut Report) {
    if has(rule, Slot::IpWhitelist) && has(rule, Slot::IpBlacklist) {
        report.within("behaviors", |report| {
            report.warn_hint(
                "ip-whitelist and ip-blacklist in one rule: an address in both is refused",
                "remove the ip-blacklist: whoever is not in the whitelist is refused anyway",
            );
        });
    }
}

fn redirected_posts(rule: &Read, report: &mut Report) {
    let safe = tests(rule).any(Test::allows_only_get_and_head);
    for (index, (_, setting)) in settings(rule).enumerate() {
        let redirects = matches!(setting, Setting::Failover(plan) if matches!(plan.kind, FailoverKind::Redirect(_)));
        if redirects && !safe {
            report.within("behaviors", |report| {
                report.within(index, |report| {
                    report.warn_hint(
                        "this redirect answers every method: browsers turn a redirected POST into a GET",
                        "add a match http-method \"GET HEAD\"",
                    );
                });
            });
        }
    }
}

/// What the first origin says of the client, the backup would say as well: the client only waits longer, and a flood of bad requests
/// reaches both origins. 404 alone may be meant: a copy of what the first one has lost.
fn client_errors(rule: &Read, report: &mut Report) {
    for (index, (_, setting)) in settings(rule).enumerate() {
        let Setting::Backup(plan) = setting else { continue };
        let left = StatusSet::client_errors().without(plan.exclude);
        if left.iter().any(|status| status != 404) {
            report.within("behaviors", |report| {
                report.within(index, |report| {
                    report.warn_hint(
                        format!("client errors are not excluded: the backup is also asked after {left}"),
                        "name them in excludeStatus: 40x, or 4* for all of them",
                    );
                });
            });
        }
    }
}

/// A listed address passes a country list: right for an office in a refused country, surprising for who expects both to hold.
fn exemptions(rules: &[Read], report: &mut Report) {
    let geo = rules.iter().any(|rule| has(rule, Slot::GeoBlacklist) || has(rule, Slot::GeoWhitelist));
    let Some(rule) = rules.iter().position(|rule| has(rule, Slot::IpWhitelist)).filter(|_| geo) else { return };
    report.within(rule, |report| {
        report.within("behaviors", |report| {
            report.warn_hint(
                "an ip-whitelist beside a country list exempts its addresses: either of the two lets a client in",
                "say which is meant: `access_mode: exempt`, or `strict`, which demands both",
            );
        });
    });
}

/// Kinds of matches as a bit set: a rule can follow from another only when its kinds are among the other's.
fn kinds(rule: &Read) -> u32 {
    tests(rule)
        .filter(|test| !test.is_universal())
        .filter_map(|test| matches::NAMES.iter().position(|name| *name == test.name))
        .fold(0, |bits, at| bits | 1 << at)
}

/// Rules whose behaviour a later, wider rule always replaces.
fn hidden(rules: &[Read], report: &mut Report) {
    let mut setters: HashMap<(Slot, Option<&str>), Vec<usize>, RandomState> = HashMap::default();
    for (index, rule) in rules.iter().enumerate() {
        for (slot, setting) in settings(rule) {
            setters.entry(key(*slot, setting)).or_default().push(index);
        }
    }
    let kinds: Vec<u32> = rules.iter().map(kinds).collect();
    let kinds_of = |index: usize| kinds.get(index).copied().unwrap_or(0);
    let mut left = MAX_COMPARISONS;
    for (index, rule) in rules.iter().enumerate() {
        for (at, (slot, setting)) in settings(rule).enumerate() {
            let Some(all) = setters.get(&key(*slot, setting)) else { continue };
            let later = all.iter().copied().filter(|other| *other > index && kinds_of(*other) & !kinds_of(index) == 0);
            let mut hider = None;
            for other in later {
                let Some(budget) = left.checked_sub(1) else { return };
                left = budget;
                if rules.get(other).is_some_and(|wider| follows(wider, rule)) {
                    hider = Some(other);
                    break;
                }
            }
            if let Some(other) = hider {
                report.within(index, |report| {
                    report.within("behaviors", |report| {
                        report.within(at, |report| {
                            report.warn_hint(format!("{} never has effect: rule {other} applies whenever this rule does and sets it again", slot.name()), "put general rules first and specific rules last");
                        });
                    });
                });
            }
        }
    }
}

/// Whether `wider` is known to apply wherever `rule` does.
fn follows(wider: &Read, rule: &Read) -> bool {
    tests(wider).all(|test| tests(rule).any(|given| test.follows_from(given)) || test.is_universal())
}
