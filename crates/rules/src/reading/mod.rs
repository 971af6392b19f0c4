//! What all readers of written values share: their form, what they may be checked against, and how they say what is wrong.

pub(crate) mod nearest;
pub(crate) mod report;

use std::borrow::Cow;

use serde_json::Value;

pub use nearest::nearest;

use crate::grammar::Invalid;
pub use crate::grammar::list::{MAX_LIST, MAX_VALUE};

/// Which form a document has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Canonical and strict: what the policy language documents.
    Json,
    /// A list of strings may stand for a string with spaces, and a bare whole number for a numeric string.
    Yaml,
}

/// What a policy may be checked against beside itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The hosts of the site that the policy belongs to, lower case.
    pub property_hosts: &'a [String],
    /// Whether a host is a site here.
    pub known_host: &'a dyn Fn(&str) -> bool,
    /// Whether requests have an origin when no rule names one.
    pub has_default_origin: bool,
    /// What an address list and a country list mean together, where the configuration says it.
    pub access_mode: Option<AccessMode>,
    /// When the policy took effect, Unix seconds; `content-refresh` is measured against it.
    pub published_at: u64,
    /// Whether the policy is being published: an instant in the past is a mistake then. A policy that runs already keeps its
    /// instants when they have come (policy-language 4.4).
    pub publishing: bool,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("property_hosts", &self.property_hosts)
            .field("has_default_origin", &self.has_default_origin)
            .field("published_at", &self.published_at)
            .finish_non_exhaustive()
    }
}

/// What an address list and a country list mean together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessMode {
    /// Both must let the client pass.
    Strict,
    /// A listed address is exempt from the country list.
    #[default]
    Exempt,
}

/// A value that the language has as a string of so many bytes at most. Reads the sugar of YAML too.
pub(crate) fn as_text(value: &Value, form: Form, most: usize) -> Result<Cow<'_, str>, Invalid> {
    let text = match (value, form) {
        // A block of YAML (`|`, `>`) ends with a line break that nobody means.
        (Value::String(text), Form::Yaml) => Cow::Borrowed(text.trim_end_matches('\n')),
        (Value::String(text), Form::Json) => Cow::Borrowed(text.as_str()),
        (Value::Number(number), Form::Yaml) if number.is_i64() || number.is_u64() => Cow::Owned(number.to_string()),
        (Value::Array(items), Form::Yaml) => Cow::Owned(join(items)?),
        (other, _) => {
            let invalid = Invalid::new(format!("a string is needed here, not {}", kind(other)));
            return Err(match (other, form) {
                (Value::Array(_), _) => invalid.hint("write one string; spaces separate its words"),
                (Value::Number(_) | Value::Bool(_), _) => invalid.hint(format!("put it in quotes: \"{other}\"")),
                _ => invalid,
            });
        }
    };
    if text.len() > most {
        return Err(Invalid::new(format!("the value is longer than {most} bytes")).hint("spread it over several rules"));
    }
    Ok(text)
}

fn join(items: &[Value]) -> Result<String, Invalid> {
    let mut tokens = Vec::with_capacity(items.len());
    for item in items {
        match item {
            // A header's first item holds its name: `Name: pattern`.
            Value::String(text) if text.contains([' ', '\t', '\n']) && !(tokens.is_empty() && text.contains(": ")) => {
                return Err(Invalid::new(format!("the list item {text:?} contains a space"))
                    .hint("a space inside a token is written %20"));
            }
            Value::String(text) if !text.is_empty() => tokens.push(text.clone()),
            Value::Number(number) if number.is_i64() || number.is_u64() => tokens.push(number.to_string()),
            other => return Err(Invalid::new(format!("a list holds non-empty strings, not {}", kind(other)))),
        }
    }
    Ok(tokens.join(" "))
}

/// What a value is, as a phrase.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty string",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
