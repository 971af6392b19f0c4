//! `${name}` in a scenario: addresses, the cells of a table, numbers of clients.

use serde_yaml::Value;

/// What stands for a name.
pub(super) type Named = (String, Value);

/// The same value with every known `${name}` replaced, in keys too; what is unknown stays for somebody else.
/// A text that is nothing but one name becomes the named value itself: a number, a list, null.
pub(super) fn fill(value: &Value, names: &[Named]) -> Value {
    match value {
        Value::String(text) => whole(text, names).unwrap_or_else(|| Value::String(fill_text(text, names))),
        Value::Sequence(list) => Value::Sequence(list.iter().map(|item| fill(item, names)).collect()),
        Value::Mapping(map) => {
            Value::Mapping(map.iter().map(|(key, value)| (fill(key, names), fill(value, names))).collect())
        }
        Value::Tagged(tagged) => fill(&tagged.value, names),
        other => other.clone(),
    }
}

/// Whether a name is used anywhere in a value.
pub(super) fn uses(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => text.contains(&format!("${{{name}")),
        Value::Sequence(list) => list.iter().any(|item| uses(item, name)),
        Value::Mapping(map) => map.iter().any(|(key, value)| uses(key, name) || uses(value, name)),
        Value::Tagged(tagged) => uses(&tagged.value, name),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The names of a client's number: `${n}`, and `${n%8}` for the rest of a division.
pub(super) fn number(value: &Value, n: usize) -> Value {
    let mut names = vec![("n".to_owned(), Value::from(n))];
    collect_divisions(value, n, &mut names);
    fill(value, &names)
}

fn collect_divisions(value: &Value, n: usize, names: &mut Vec<Named>) {
    match value {
        Value::String(text) => {
            for part in text.split("${n%").skip(1) {
                let divisor = part.split('}').next().unwrap_or_default();
                let by: usize = divisor.parse().unwrap_or_else(|_| panic!("{divisor:?} in {text:?} is no number"));
                names.push((format!("n%{divisor}"), Value::from(n % by)));
            }
        }
        Value::Sequence(list) => list.iter().for_each(|item| collect_divisions(item, n, names)),
        Value::Mapping(map) => map.values().for_each(|value| collect_divisions(value, n, names)),
        _ => {}
    }
}

fn whole(text: &str, names: &[Named]) -> Option<Value> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    names.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

fn fill_text(text: &str, names: &[Named]) -> String {
    let mut text = text.to_owned();
    for (name, value) in names {
        let pattern = format!("${{{name}}}");
        if text.contains(&pattern) {
            text = text.replace(&pattern, &plain(value));
        }
    }
    text
}

/// A value as part of a longer text.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}
