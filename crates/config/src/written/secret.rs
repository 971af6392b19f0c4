//! Secrets as people write them: where one is kept, or, with a warning, the text itself.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A secret: `{ file: path }`, `{ env: NAME }`, or the text itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The content of a file, one trailing line end removed.
    File(String),
    /// An environment variable.
    Env(String),
    /// The text itself: taken, with a warning.
    Text(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({path:?})"),
            Self::Env(name) => write!(f, "Env({name:?})"),
            Self::Text(_) => f.write_str("[secret]"),
        }
    }
}

const EXPECTED: &str = "`{ file: path }`, `{ env: NAME }` or text";

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Source {
    File,
    Env,
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Secret;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::Text(text.to_owned()))
    }
    // The wrong value is not repeated in the message: it may be the secret.
    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::custom("a secret that is a number must be put in quotes"))
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        self.visit_u64(0)
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        self.visit_u64(0)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let mut found = None;
        while let Some(source) = map.next_key::<Source>()? {
            if found.is_some() {
                return Err(A::Error::custom("a secret has one source: `file` or `env`"));
            }
            let name = map.next_value()?;
            found = Some(match source {
                Source::File => Secret::File(name),
                Source::Env => Secret::Env(name),
            });
        }
        found.ok_or_else(|| A::Error::custom(format_args!("a secret must be {EXPECTED}")))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (key, value) = match self {
            Self::File(path) => ("file", path),
            Self::Env(name) => ("env", name),
            Self::Text(_) => return serializer.serialize_str("[secret]"),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(key, value)?;
        map.end()
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A secret: where it is kept, or, with a warning, the text itself.",
            "anyOf": [
                { "type": "object", "properties": { "file": { "type": "string", "description": "A file that holds the secret; one line end at its end does not count." } }, "required": ["file"], "additionalProperties": false },
                { "type": "object", "properties": { "env": { "type": "string", "description": "An environment variable that holds the secret." } }, "required": ["env"], "additionalProperties": false },
                { "type": "string" }
            ]
        })
    }
}
