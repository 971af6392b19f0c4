//! A tree to written types, tolerantly: what is wrong is reported and taken out, and the rest is read, so that one mistake does not
//! hide the next. The serde types alone decide what is valid.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Deserializer, Segment, Track};

use crate::diagnostic::nearest;
use crate::report::{At, Report};
use crate::tree::Step;

/// Reads a value; of a broken one, what is left without its mistakes. None: nothing is left.
pub(crate) fn read<T: DeserializeOwned>(report: &Report, at: &At, mut value: Value) -> Option<T> {
    loop {
        let mut track = Track::new();
        let error = match T::deserialize(Deserializer::new(&value, &mut track)) {
            Ok(read) => return Some(read),
            Err(error) => error.to_string(),
        };
        let path: Vec<Step> = track.path().iter().map_while(step).collect();
        let wrong = path
            .iter()
            .fold(at.clone(), |at, step| at.step(step.clone()));
        say(report, &wrong, &error);
        if report.is_full() {
            return None;
        }
        report.prune(&wrong);
        if !remove(&mut value, &path) {
            return None;
        }
    }
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// Takes the value at a path out of a tree. False: there is none, or it is the whole tree.
fn remove(value: &mut Value, path: &[Step]) -> bool {
    match (value, path) {
        (Value::Object(map), [Step::Key(key)]) => map.shift_remove(key).is_some(),
        (Value::Array(list), [Step::Index(index)]) if *index < list.len() => {
            list.remove(*index);
            true
        }
        (Value::Object(map), [Step::Key(key), rest @ ..]) => {
            map.get_mut(key).is_some_and(|value| remove(value, rest))
        }
        (Value::Array(list), [Step::Index(index), rest @ ..]) => list
            .get_mut(*index)
            .is_some_and(|value| remove(value, rest)),
        _ => false,
    }
}

/// Reports what serde says, in the words of the file.
fn say(report: &Report, at: &At, error: &str) {
    let name = match at.path.iter().rev().find_map(|step| {
        if let Step::Key(key) = step {
            Some(key)
        } else {
            None
        }
    }) {
        Some(key) if matches!(at.path.last(), Some(Step::Index(_))) => {
            format!("an element of `{key}`")
        }
        Some(key) => format!("`{key}`"),
        None => "the file".to_owned(),
    };
    let mut quoted = error.split('`').skip(1).step_by(2);
    if error.starts_with("unknown field") {
        unknown_key(
            report,
            at,
            quoted.next().unwrap_or_default(),
            &quoted.collect::<Vec<_>>(),
        );
    } else if error.starts_with("unknown variant") {
        let word = quoted.next().unwrap_or_default();
        let known: Vec<&str> = quoted.collect();
        report
            .error(at, format!("{name} cannot be `{word}`"))
            .hint(suggestion(word, &known));
    } else if let Some((found, expected)) = mismatch(error) {
        let hint = type_hint(found, expected);
        let added = report.error(at, format!("{name} must be {expected}, not {found}"));
        if let Some(hint) = hint {
            added.hint(hint);
        }
    } else {
        report.error(at, error);
    }
}

/// A key that nothing knows.
pub(crate) fn unknown_key(report: &Report, at: &At, key: &str, known: &[&str]) {
    report
        .error_at_key(at, format!("unknown key `{key}`"))
        .hint(suggestion(key, known));
}

/// The word that was probably meant, else all of them.
pub(crate) fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => "nothing is known here".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// What kind of value this is, with its article.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// `invalid type: string "x", expected u32` -> (`text "x"`, `a whole number`), in the file's words.
fn mismatch(error: &str) -> Option<(&str, &str)> {
    let rest = error
        .strip_prefix("invalid type: ")
        .or_else(|| error.strip_prefix("invalid value: "))?;
    rest.rsplit_once(", expected ")
}

fn type_hint(found: &str, expected: &str) -> Option<String> {
    if expected.starts_with("a duration")
        && (found.starts_with("integer") || found.starts_with("floating"))
    {
        return Some("a duration has a unit: `10s`".to_owned());
    }
    if expected.starts_with("a size") && found.starts_with("integer") {
        return Some("a size has a unit: `64KiB`, or `512B` for bytes".to_owned());
    }
    if expected == "a string"
        && (found.starts_with("integer")
            || found.starts_with("floating")
            || found.starts_with("boolean"))
    {
        let text = found.split('`').nth(1).unwrap_or_default();
        return Some(format!("put it in quotes: \"{text}\""));
    }
    None
}
