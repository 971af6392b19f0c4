//! What the contract has and this version does not enforce yet. One line for each; delete it with the issue that enforces it.

use serde_json::{Map, Value};

use crate::report::{At, Report};
use crate::tree::Step;

/// Which values of a key are not supported.
enum When {
    /// `true`.
    True,
}

use When::True;

/// Keys of the configuration, `*` for every element of a list.
const KEYS: &[(&str, When)] = &[("server.listen.*.tls.http3", True)];

/// Matches of the policy language.
const MATCHES: &[&str] = &[];

/// Behaviours of the policy language.
const BEHAVIORS: &[&str] = &["content-compression"];

impl When {
    fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (True, Value::Bool(value)) => *value,
            _ => false,
        }
    }
}

/// Reports every key of a file that is not supported yet.
pub(crate) fn keys(report: &Report, root: &At, sections: &Map<String, Value>) {
    for (pattern, when) in KEYS {
        let Some((section, rest)) = pattern.split_once('.').or(Some((pattern, ""))) else {
            continue;
        };
        if let Some(value) = sections.get(section) {
            look(report, &root.key(section), value, rest, when);
        }
    }
}

fn look(report: &Report, at: &At, value: &Value, pattern: &str, when: &When) {
    let (step, rest) = pattern.split_once('.').unwrap_or((pattern, ""));
    match (step, value) {
        ("", value) if when.holds(value) => say(report, at, value),
        ("*", Value::Array(list)) => {
            for (i, value) in list.iter().enumerate() {
                look(report, &at.index(i), value, rest, when);
            }
        }
        (key, Value::Object(map)) => {
            if let Some(value) = map.get(key) {
                look(report, &at.key(key), value, rest, when);
            }
        }
        _ => {}
    }
}

/// `cache.disk is not supported yet`, at the key.
fn say(report: &Report, at: &At, value: &Value) {
    let keys: Vec<&str> =
        at.path.iter().filter_map(|step| if let Step::Key(key) = step { Some(key.as_str()) } else { None }).collect();
    let value = match value {
        Value::Bool(_) | Value::String(_) | Value::Number(_) if keys.last() != Some(&"database") => {
            format!(": {}", value.to_string().trim_matches('"'))
        }
        _ => String::new(),
    };
    report.error_at_key(at, format!("`{}{value}` is not supported yet", keys.join(".")));
}

/// Reports every match and behaviour of a policy that is not supported yet.
pub(crate) fn names(report: &Report, root: &At, policy: &Value) {
    let rules = policy.get("rules").and_then(Value::as_array).into_iter().flatten();
    for (i, rule) in rules.enumerate() {
        for (list, what, names) in [("matches", "match", MATCHES), ("behaviors", "behavior", BEHAVIORS)] {
            let entries = rule.get(list).and_then(Value::as_array).into_iter().flatten();
            for (j, entry) in entries.enumerate() {
                if let Some(name) = entry.get("name").and_then(Value::as_str).filter(|name| names.contains(name)) {
                    let at = root.key("rules").index(i).key(list).index(j).key("name");
                    report.error(&at, format!("the {what} `{name}` is not supported yet"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::KEYS;

    /// Every key of the schema below a value, as the table writes it; not into what the table names, nor into policies.
    fn keys(schema: &Value, defs: &Value, path: &str, out: &mut Vec<String>) {
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.rsplit('/').next());
        if let Some(name) = reference.filter(|name| !["Secret", "Rule", "Match"].contains(name)) {
            keys(&defs[name], defs, path, out);
        }
        for alternative in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
            keys(alternative, defs, path, out);
        }
        if let Some(items) = schema.get("items") {
            keys(items, defs, &format!("{path}.*"), out);
        }
        for (key, below) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = format!("{path}.{key}").trim_start_matches('.').to_owned();
            if !KEYS.iter().any(|(pattern, _)| *pattern == path) {
                keys(below, defs, &path, out);
            }
            out.push(path);
        }
    }

    fn all() -> Vec<String> {
        let schema = crate::schema();
        let mut out = Vec::new();
        keys(&schema, &schema["$defs"], "", &mut out);
        out
    }

    #[test]
    fn every_key_of_the_table_is_a_key_of_the_configuration() {
        let all = all();
        for (pattern, _) in KEYS {
            assert!(all.iter().any(|key| key == pattern), "{pattern} is not among {all:#?}");
        }
    }

    #[test]
    fn the_commented_configuration_shows_every_supported_key_and_no_other() {
        let text = include_str!("../../../conf/leeward.yaml");
        let shown = |key: &str| {
            let name = format!("{}:", key.rsplit('.').next().unwrap_or(key));
            text.match_indices(&name)
                .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        };
        for key in all() {
            let entry = KEYS.iter().find(|(pattern, _)| *pattern == key).map(|(_, when)| when);
            let unsupported = entry.is_some();
            assert_eq!(shown(&key), !unsupported, "{key}");
        }
    }
}
