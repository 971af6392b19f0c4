//! From a tree to the written types. Tolerant: one mistake never hides another.

use serde_json::{Map, Value};

use super::rule::Read;
use super::{MAX_BEHAVIORS, MAX_GEOGRAPHY, MAX_MATCHES, MAX_RULES, lint};
use crate::behaviors::{self, Setting, Slot};
use crate::matches::Test;
use crate::reading::report::Report;
use crate::reading::{Context, Form, MAX_LIST, MAX_VALUE, as_text, kind, nearest};
use crate::written;

pub(super) fn policy(
    document: &Value,
    form: Form,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<written::Policy> {
    if document.is_array() {
        report.error_hint("a policy is a mapping, not a list", "write { \"rules\": [ ... ] }");
        return None;
    }
    let document = Entries::read(mapping(document, "a policy", report)?, &["rules"], report);
    let Some((key, rules)) = document.get("rules") else {
        report.error_hint("a policy needs rules", "write { \"rules\": [ ... ] }");
        return None;
    };
    let mut written = written::Policy::default();
    let mut read = Vec::new();
    report.within(key, |report| {
        let Some(rules) = list(rules, "rules", report) else { return };
        if rules.len() > MAX_RULES {
            report.error(format!("{} rules are more than {MAX_RULES}", rules.len()));
            return;
        }
        let mut geography = 0;
        for (index, value) in rules.iter().enumerate() {
            report.within(index, |report| {
                if let Some((rule, parts)) = rule(value, form, context, &mut geography, report) {
                    written.rules.push(rule);
                    read.push(parts);
                }
            });
        }
        let complete = read.len() == rules.len();
        if complete && !rules.is_empty() && !context.has_default_origin && !may_name_origin(&written) {
            report.error_hint(
                "no rule names an origin, and the site has no default origin",
                "add an origin behavior under url-wildcard \"/*\"",
            );
        }
        if complete && read.iter().all(Read::is_whole) {
            lint::policy(&read, context, report);
        }
    });
    Some(written)
}

/// The tests of a list of matches that stands outside of a policy.
pub(super) fn matches(list: &[Value], form: Form, report: &mut Report) -> Option<Vec<Test>> {
    if list.len() > MAX_MATCHES {
        report.error(format!("{} matches are more than {MAX_MATCHES}", list.len()));
        return None;
    }
    let mut geography = 0;
    let read = |(index, item)| {
        report.within(index, |report: &mut Report| {
            one_match(item, form, &mut geography, report).and_then(|(_, test)| test)
        })
    };
    // every one is read before the first that is wrong ends it
    let tests: Vec<Option<Test>> = list.iter().enumerate().map(read).collect();
    tests.into_iter().collect()
}

/// Whether some rule names an origin, or could not be read and may have been meant to.
fn may_name_origin(policy: &written::Policy) -> bool {
    let known = |name: &str| behaviors::NAMES.iter().any(|(legal, _)| *legal == name);
    policy.rules.iter().any(|rule| {
        let mut names = rule.behaviors.iter().map(|behavior| behavior.name.as_str());
        rule.behaviors.is_empty() || names.any(|name| name == Slot::Origin.name() || !known(name))
    })
}

fn rule(
    value: &Value,
    form: Form,
    context: &Context<'_>,
    geography: &mut usize,
    report: &mut Report,
) -> Option<(written::Rule, Read)> {
    let value = mapping(value, "a rule", report)?;
    let value = Entries::read(value, &["matches", "behaviors", "comment", "description"], report);
    let remark = |key: &'static str, report: &mut Report| match value.get(key) {
        None => None,
        Some((_, Value::String(text))) => Some(text.clone()),
        Some((key, other)) => {
            report.within(key, |report| report.error(format!("a {key} is a string, not {}", kind(other))));
            None
        }
    };
    let mut rule = written::Rule {
        comment: remark("comment", report),
        description: remark("description", report),
        ..Default::default()
    };
    let mut read = Read { tests: Vec::new(), settings: Vec::new() };
    elements(&value, "matches", MAX_MATCHES, report, |value, report| {
        let (written, test) = one_match(value, form, geography, report).unwrap_or_default();
        rule.matches.push(written);
        read.tests.push(test);
    });
    elements(&value, "behaviors", MAX_BEHAVIORS, report, |value, report| {
        let (written, setting) = one_behavior(value, form, context, report).unwrap_or_default();
        rule.behaviors.push(written);
        read.settings.push(setting);
    });
    Some((rule, read))
}

fn elements(
    rule: &Entries<'_>,
    key: &'static str,
    most: usize,
    report: &mut Report,
    mut each: impl FnMut(&Value, &mut Report),
) {
    let Some((written, value)) = rule.get(key) else {
        report.error(format!("a rule needs {key}"));
        return;
    };
    report.within(written, |report| {
        let Some(items) = list(value, key, report) else { return };
        if items.is_empty() {
            let hint = if key == "matches" {
                "for every request, write url-wildcard \"/*\""
            } else {
                "a rule without behaviors does nothing"
            };
            report.error_hint(format!("{key} is empty"), hint);
        }
        if items.len() > most {
            report.error(format!("{} {key} are more than {most}", items.len()));
            return;
        }
        for (index, item) in items.iter().enumerate() {
            report.within(index, |report| each(item, report));
        }
    });
}

fn one_match(
    value: &Value,
    form: Form,
    geography: &mut usize,
    report: &mut Report,
) -> Option<(written::Match, Option<Test>)> {
    let value = mapping(value, "a match", report)?;
    let value = Entries::read(value, &["name", "value", "negated"], report);
    let negated = match value.get("negated") {
        None => Some(false),
        Some((_, Value::Bool(negated))) => Some(*negated),
        Some((key, other)) => {
            report.within(key, |report| {
                report.error_hint(
                    format!("negated is a boolean, not {}", kind(other)),
                    "write true or false without quotes",
                );
            });
            None
        }
    };
    let name = required_text(&value, "name", "a match", Form::Json, MAX_VALUE, report);
    let most = longest_value(name.as_deref());
    let text = required_text(&value, "value", "a match", form, most, report);
    let (name, text) = (name?, text?);
    if name == "geography" {
        *geography += 1;
        if *geography > MAX_GEOGRAPHY {
            report.error(format!("a policy has at most {MAX_GEOGRAPHY} geography matches"));
        }
    }
    let test = Test::parse(&name, &text, negated.unwrap_or(false), report).filter(|_| negated.is_some());
    Some((written::Match { name, value: text, negated: negated.unwrap_or(false) }, test))
}

fn one_behavior(
    value: &Value,
    form: Form,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<(written::Behavior, Option<(Slot, Setting)>)> {
    let value = mapping(value, "a behavior", report)?;
    let value = Entries::read(value, &["name", "type", "value", "params"], report);
    let name = required_text(&value, "name", "a behavior", Form::Json, MAX_VALUE, report);
    let kind_given = optional_text(&value, "type", form, MAX_VALUE, report);
    let text = optional_text(&value, "value", form, longest_value(name.as_deref()), report);
    let params = match value.get("params") {
        None => Ok(Map::new()),
        Some((_, Value::Object(params))) => Ok(params.clone()),
        Some((key, other)) => {
            report.within(key, |report| report.error(format!("params is a mapping, not {}", kind(other))));
            Err(())
        }
    };
    let (name, kind_given, text, params) = (name?, kind_given.ok()?, text.ok()?, params.ok()?);
    let behavior = written::Behavior { name, kind: kind_given, value: text, params };
    let setting = behaviors::parse(&behavior, form, context, report);
    Some((behavior, setting))
}

/// Bytes of the longest value of this match or behavior. One entry more costs a list of addresses, places or referrers nothing.
fn longest_value(name: Option<&str>) -> usize {
    match name {
        Some("client-ip" | "ip-blacklist" | "ip-whitelist" | "referer-blacklist" | "referer-whitelist") => MAX_LIST,
        Some("geo-blacklist" | "geo-whitelist") => MAX_LIST,
        _ => MAX_VALUE,
    }
}

/// A string that must be there and not be empty.
fn required_text(
    value: &Entries<'_>,
    key: &'static str,
    of: &str,
    form: Form,
    most: usize,
    report: &mut Report,
) -> Option<String> {
    match optional_text(value, key, form, most, report) {
        Ok(None) => {
            report.error(format!("{of} needs a {key}"));
            None
        }
        Ok(Some(text)) if text.trim_ascii().is_empty() => {
            report.within(value.written(key), |report| report.error(format!("the {key} of {of} is empty")));
            None
        }
        Ok(text) => text,
        Err(()) => None,
    }
}

fn optional_text(
    value: &Entries<'_>,
    key: &'static str,
    form: Form,
    most: usize,
    report: &mut Report,
) -> Result<Option<String>, ()> {
    let Some((written, value)) = value.get(key) else { return Ok(None) };
    as_text(value, form, most)
        .map(|text| Some(text.into_owned()))
        .map_err(|invalid| report.within(written, |report| report.invalid(invalid)))
}

fn mapping<'a>(value: &'a Value, what: &str, report: &mut Report) -> Option<&'a Map<String, Value>> {
    let mapping = value.as_object();
    if mapping.is_none() {
        report.error(format!("{what} is a mapping, not {}", kind(value)));
    }
    mapping
}

fn list<'a>(value: &'a Value, what: &str, report: &mut Report) -> Option<&'a [Value]> {
    let list = value.as_array();
    if list.is_none() {
        report.error(format!("{what} is a list, not {}", kind(value)));
    }
    list.map(Vec::as_slice)
}

/// The entries of a mapping. A key that is misspelt is reported, and read as the key that it was meant to be: what is wrong
/// below it is found in the same run, and that the right key is missing is not said as well.
struct Entries<'a> {
    map: &'a Map<String, Value>,
    /// The key that is meant, and how it is written.
    misspelt: Vec<(&'static str, &'a str)>,
}

impl<'a> Entries<'a> {
    fn read(map: &'a Map<String, Value>, legal: &[&'static str], report: &mut Report) -> Self {
        let mut misspelt: Vec<(&'static str, &'a str)> = Vec::new();
        for key in map.keys().filter(|key| !legal.contains(&key.as_str())) {
            let near = nearest(key, legal.iter().copied());
            let meant = near.and_then(|near| legal.iter().copied().find(|legal| *legal == near));
            let hint = meant.map_or_else(
                || format!("legal keys: {}", legal.join(", ")),
                |meant| format!("did you mean {meant:?}?"),
            );
            report.within(key.as_str(), |report| report.error_hint(format!("unknown key {key:?}"), hint));
            misspelt.extend(meant.map(|meant| (meant, key.as_str())));
        }
        Self { map, misspelt }
    }

    /// How the key is written.
    fn written(&self, key: &'static str) -> &'a str {
        let misspelt = || self.misspelt.iter().find(|(meant, _)| *meant == key).map(|(_, written)| *written);
        if self.map.contains_key(key) { key } else { misspelt().unwrap_or(key) }
    }

    /// The key as it is written, and its value.
    fn get(&self, key: &'static str) -> Option<(&'a str, &'a Value)> {
        let written = self.written(key);
        self.map.get(written).map(|value| (written, value))
    }
}
