//! Text to a tree of values: the only place that knows which parsers decide what is valid.
//!
//! The result is bounded whatever the text is: aliases are expanded under a budget of nodes and bytes, and flow collections
//! may not nest deeper than the deserialiser goes, which is checked before the parser sees the text.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Values in one file after aliases are expanded.
const MAX_NODES: usize = 1_000_000;
/// Bytes of text in one file after aliases are expanded.
const MAX_TEXT: usize = 32 << 20;
/// Open brackets at one place of the text.
const MAX_NESTING: usize = 500;

/// One step from a value to a value within it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The value of a key.
    Key(String),
    /// An element of a list.
    Index(usize),
}

impl From<leeward_rules::Step> for Step {
    fn from(step: leeward_rules::Step) -> Self {
        match step {
            leeward_rules::Step::Key(key) => Self::Key(key),
            leeward_rules::Step::Index(index) => Self::Index(index),
        }
    }
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// JSON: file names ending in `.json`.
    Json,
    /// YAML 1.2, with merge keys.
    Yaml,
}

impl Form {
    /// By the end of the file's name.
    pub(crate) fn of(path: &std::path::Path) -> Self {
        if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json")) { Self::Json } else { Self::Yaml }
    }
}

/// A file's values, and what is wrong with it as a tree.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) value: Value,
    /// Keys given twice in one mapping; the first one counts.
    pub(crate) duplicates: Vec<Vec<Step>>,
}

/// Text that is not a tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<&'static str>,
}

/// Reads a file's text.
pub(crate) fn parse(text: &str, form: Form) -> Result<Tree, Broken> {
    if form == Form::Yaml {
        control(text)?;
        nesting(text)?;
    }
    let walk = Walk {
        form,
        nodes: Cell::new(0),
        text: Cell::new(0),
        path: RefCell::default(),
        duplicates: RefCell::default(),
    };
    let value =
        match form {
            Form::Json => {
                let mut reader = serde_json::Deserializer::from_str(text);
                Node(&walk).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value)).map_err(|e| {
                    Broken { line: e.line(), column: e.column(), message: without_place(&e.to_string()), hint: None }
                })
            }
            Form::Yaml => Node(&walk)
                .deserialize(serde_yaml::Deserializer::from_str(text))
                .map_err(|error| not_yaml(&error, text)),
        };
    value.map(|value| Tree { value, duplicates: walk.duplicates.take() })
}

/// Parsers end their messages with `at line 1 column 2`; the diagnostic begins with it.
fn without_place(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(end) => message.get(..end).unwrap_or(message).to_owned(),
        None => message.to_owned(),
    }
}

fn not_yaml(error: &serde_yaml::Error, text: &str) -> Broken {
    let message = error.to_string();
    let Some(place) = error.location() else {
        let marks = text.lines().enumerate().filter(|(_, line)| *line == "---" || line.starts_with("--- "));
        return match marks.last() {
            Some((line, _)) if message.contains("more than one document") => {
                Broken { line: line + 1, column: 1, message: "a second document begins here".to_owned(), hint: None }
            }
            _ => Broken { line: 1, column: 1, message, hint: None },
        };
    };
    // What is left of the message may name a second place: where the thing that is broken begins.
    let (line, column) = (place.line(), place.column());
    let tab = text.lines().nth(line.saturating_sub(1)).and_then(|line| line.chars().nth(column.saturating_sub(1)));
    let hint = if tab == Some('\t') {
        Some("indent with spaces: YAML takes no tab here")
    } else if message.contains("block sequence entries are not allowed") {
        Some("a lone `-` begins a list; the text is written `\"-\"`")
    } else {
        None
    };
    Broken { line, column, message: message.replacen(&format!(" at line {line} column {column}"), "", 1), hint }
}

/// Refuses control characters, for which the parser has no place.
fn control(text: &str) -> Result<(), Broken> {
    let bad = |c: &char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    for (at, line) in text.lines().enumerate() {
        if let Some((column, c)) = line.chars().enumerate().find(|(_, c)| bad(c)) {
            return Err(Broken {
                line: at + 1,
                column: column + 1,
                message: format!("there is a control character (U+{:04X}) here", u32::from(c)),
                hint: (c == '\0').then_some("if the file is UTF-16, save it as UTF-8"),
            });
        }
    }
    Ok(())
}

/// Refuses text with too many brackets open at once: the parser's time grows with their square. Brackets in quotes and
/// comments count as well, which no honest file comes near.
fn nesting(text: &str) -> Result<(), Broken> {
    let mut depth = 0_usize;
    for (at, line) in text.lines().enumerate() {
        for (column, c) in line.chars().enumerate() {
            match c {
                '[' | '{' => depth += 1,
                ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_NESTING {
                return Err(Broken {
                    line: at + 1,
                    column: column + 1,
                    message: format!("more than {MAX_NESTING} brackets are open here"),
                    hint: None,
                });
            }
        }
    }
    Ok(())
}

/// What one parse has used so far, and where it is.
struct Walk {
    form: Form,
    nodes: Cell<usize>,
    text: Cell<usize>,
    path: RefCell<Vec<Step>>,
    duplicates: RefCell<Vec<Vec<Step>>>,
}

impl Walk {
    fn spend<E: Error>(&self, text: usize) -> Result<(), E> {
        self.nodes.set(self.nodes.get() + 1);
        self.text.set(self.text.get() + text);
        if self.nodes.get() > MAX_NODES || self.text.get() > MAX_TEXT {
            return Err(E::custom("too much: aliases repeat more than a configuration can need"));
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Node<'w>(&'w Walk);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping, a list, text, a number, true, false or null")
    }
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.0.spend(0).map(|()| Value::Null)
    }
    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.0.spend(0).map(|()| value.into())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.0.spend(0).map(|()| value.into())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.0.spend(0).map(|()| value.into())
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.0.spend(0)?;
        serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("this number is not finite"))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.0.spend(text.len()).map(|()| text.into())
    }
    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(A::Error::custom("tags (`!name`) are not used here"))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        self.0.spend(0)?;
        let mut values = Vec::new();
        loop {
            self.0.path.borrow_mut().push(Step::Index(values.len()));
            let next = list.next_element_seed(self)?;
            self.0.path.borrow_mut().pop();
            match next {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.0.spend(0)?;
        let mut values = Map::new();
        let mut merged = Vec::new();
        while let Some(key) = map.next_key_seed(Key(self.0))? {
            self.0.path.borrow_mut().push(Step::Key(key.clone()));
            let value = map.next_value_seed(self)?;
            if values.contains_key(&key) || (!merged.is_empty() && key == MERGE) {
                self.0.duplicates.borrow_mut().push(self.0.path.borrow().clone());
            } else if key == MERGE && self.0.form == Form::Yaml && mergeable(&value) {
                merged = if let Value::Array(list) = value { list } else { vec![value] };
            } else {
                values.insert(key, value);
            }
            self.0.path.borrow_mut().pop();
        }
        for (key, value) in merged.into_iter().filter_map(into_map).flatten() {
            values.entry(key).or_insert(value);
        }
        Ok(Value::Object(values))
    }
}

/// The merge key of YAML 1.1.
pub(crate) const MERGE: &str = "<<";

/// A mapping, or a list of mappings. Anything else under `<<` stays, as an unknown key.
fn mergeable(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(list) => list.iter().all(Value::is_object),
        _ => false,
    }
}

fn into_map(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(map) = value { Some(map) } else { None }
}

/// A key: text; numbers, booleans and null are taken as the text they print as, so that they are reported as unknown keys.
struct Key<'w>(&'w Walk);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text as a key")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        self.0.spend(text.len()).map(|()| text.to_owned())
    }
    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Ok("null".to_owned())
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<String, E> {
        Ok(value.to_string())
    }
}
