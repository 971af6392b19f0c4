//! A tree to written types, tolerantly: what is wrong is reported and taken out, and the rest is read, so that one mistake does not
//! hide the next. The serde types alone decide what is valid.

use leeward_rules::nearest;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Deserializer, Segment, Track};

use crate::report::{At, Report};
use crate::strict::Strict;
use crate::tree::Step;

/// Mistakes that are looked for in one value (a list's element, or the sections that are no lists): each one means reading it anew.
const MAX_MISTAKES: usize = 200;

/// Reads a value; of a broken one, what is left without its mistakes. None: nothing is left.
pub(crate) fn read<T: DeserializeOwned>(report: &Report, at: &At, mut value: Value) -> Option<T> {
    for _ in 0..MAX_MISTAKES {
        let mut track = Track::new();
        let error = match T::deserialize(Deserializer::new(Strict(&value), &mut track)) {
            Ok(read) => return Some(read),
            Err(error) => error.to_string(),
        };
        let path: Vec<Step> = track.path().iter().map_while(step).collect();
        let wrong = path.iter().fold(at.clone(), |at, step| at.step(step.clone()));
        say(report, &wrong, &error);
        if report.is_full() {
            return None;
        }
        report.prune(&wrong);
        if !remove(&mut value, &path) {
            return None;
        }
    }
    report.error(at, format!("more than {MAX_MISTAKES} mistakes are in here"));
    report.prune(at);
    None
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
        (Value::Object(map), [Step::Key(key), rest @ ..]) => map.get_mut(key).is_some_and(|value| remove(value, rest)),
        (Value::Array(list), [Step::Index(index), rest @ ..]) => {
            list.get_mut(*index).is_some_and(|value| remove(value, rest))
        }
        _ => false,
    }
}

/// Reports what serde says, in the words of the file.
fn say(report: &Report, at: &At, error: &str) {
    let name = name(at);
    if error.starts_with("unknown field") {
        let Some(Step::Key(key)) = at.path.last() else { return };
        unknown_key(report, at, key, &known(error));
    } else if let Some(rest) = error.strip_prefix("unknown variant `") {
        let word = rest.rsplit_once("`, expected").map_or(rest, |(word, _)| word);
        report.error(at, format!("{name} cannot be `{}`", short(word))).hint(suggestion(word, &known(error)));
    } else if let Some((found, expected)) = mismatch(error) {
        let added = report.error(at, format!("{name} must be {}, not {}", in_words(expected), short(&in_words(found))));
        if let Some(hint) = type_hint(found, expected) {
            added.hint(hint);
        }
    } else if !report.any_wrong(at) {
        // Otherwise it may only say that what was just taken out is missing.
        report.error(at, format!("{name}: {error}"));
    }
}

/// What a value is called in a message.
fn name(at: &At) -> String {
    let key = at.path.iter().rev().find_map(|step| if let Step::Key(key) = step { Some(key) } else { None });
    match (key, at.path.last()) {
        (Some(key), Some(Step::Index(_))) => format!("each of `{key}`"),
        (Some(key), _) => format!("`{key}`"),
        (None, _) => "the file".to_owned(),
    }
}

/// The words that serde lists as expected: "expected one of `a`, `b`".
fn known(error: &str) -> Vec<&str> {
    error.rsplit_once("expected ").map(|(_, list)| list.split('`').skip(1).step_by(2).collect()).unwrap_or_default()
}

/// A key that nothing knows. The key that was probably meant then counts as given.
pub(crate) fn unknown_key(report: &Report, at: &At, key: &str, known: &[&str]) {
    report.error_at_key(at, format!("unknown key `{key}`")).hint(suggestion(key, known));
    if let (Some(meant), Some((_, parent))) = (nearest(key, known.iter().copied()), at.path.split_last()) {
        report.prune(&At { file: at.file, path: parent.to_vec() }.key(meant));
    }
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

/// `invalid type: string "x", expected u32` in its two parts.
fn mismatch(error: &str) -> Option<(&str, &str)> {
    let rest = error.strip_prefix("invalid type: ").or_else(|| error.strip_prefix("invalid value: "))?;
    rest.rsplit_once(", expected ")
}

/// Serde's names of types in the words of the reference.
fn in_words(serde: &str) -> String {
    let exact = match serde {
        "unit value" => "nothing",
        "map" | "a map" => "a mapping",
        "sequence" | "a sequence" => "a list",
        "a string" => "text",
        "a boolean" => "true or false",
        "string or map" => "a word",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" => "a whole number from 0",
        "f64" => "a number",
        other if other.starts_with("struct ") => "a mapping",
        "" => "something else",
        other => {
            for (serde, words) in [
                ("string ", "the text "),
                ("integer ", "the number "),
                ("floating point ", "the number "),
                ("boolean ", ""),
            ] {
                if let Some(value) = other.strip_prefix(serde) {
                    return format!("{words}{value}");
                }
            }
            other
        }
    };
    exact.to_owned()
}

/// Characters of a value that a message repeats.
const REPEATED: usize = 60;

fn short(text: &str) -> String {
    if text.chars().count() <= REPEATED {
        return text.to_owned();
    }
    text.chars().take(REPEATED).chain("...".chars()).collect()
}

fn type_hint(found: &str, expected: &str) -> Option<String> {
    if found.starts_with("string ") {
        let units = [("a duration", "`ms`, `s`, `m`, `h`, `d`"), ("a size", "`B`, `KiB`, `MiB`, `GiB`, `TiB`")];
        let (what, units) = units.iter().find(|(what, _)| expected.starts_with(what))?;
        return Some(format!("{what} is a whole number and one of {units}, without a space"));
    }
    let number =
        ["integer `", "floating point `"].iter().find_map(|prefix| found.strip_prefix(prefix))?.trim_end_matches('`');
    if expected.starts_with("a duration") {
        return Some(format!("a duration has a unit: `{number}s`"));
    }
    if expected.starts_with("a size") {
        return Some(format!("a size has a unit: `{number}B` for bytes, `{number}KiB`"));
    }
    (expected == "a string").then(|| format!("put it in quotes: \"{number}\""))
}
