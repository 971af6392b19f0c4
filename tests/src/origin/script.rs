//! What an origin is told to do: one answer, or a sequence of answers, per path.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::size::Size;
use crate::wait::Span;

/// Answers by path (without the query); `*` stands for every other path. The last answer of a sequence repeats.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Script {
    paths: BTreeMap<String, Answers>,
}

/// Written as one answer, as a list of them, or as a list that begins again at its end: `cycle: [...]`.
#[derive(Debug, Clone, Default)]
struct Answers {
    list: Vec<Answer>,
    cycle: bool,
}

impl<'de> Deserialize<'de> for Answers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not an untagged enum: its errors do not say which key is wrong.
        match serde_yaml::Value::deserialize(deserializer)? {
            list @ serde_yaml::Value::Sequence(_) => {
                serde_yaml::from_value(list).map(|list| Self { list, cycle: false })
            }
            serde_yaml::Value::Mapping(mut map) if map.len() == 1 && map.contains_key("cycle") => {
                let list = map.remove("cycle").unwrap_or_default();
                serde_yaml::from_value(list).map(|list| Self { list, cycle: true })
            }
            one => serde_yaml::from_value(one).map(|answer| Self { list: vec![answer], cycle: false }),
        }
        .map_err(serde::de::Error::custom)
    }
}

impl Script {
    /// A script that gives this answer to everything.
    #[must_use]
    pub fn always(answer: Answer) -> Self {
        Self::default().on("*", [answer])
    }
    /// Adds the answers of a path.
    #[must_use]
    pub fn on(mut self, path: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.paths.insert(path.to_owned(), Answers { list: answers.into_iter().collect(), cycle: false });
        self
    }

    /// Adds the answers of a path, which begin again at their end. For `*` all paths share one turn.
    #[must_use]
    pub fn cycle(mut self, path: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.paths.insert(path.to_owned(), Answers { list: answers.into_iter().collect(), cycle: true });
        self
    }

    /// What the turns of a path are counted by: its own name, or that of the cycle it belongs to.
    pub(super) fn turn<'a>(&'a self, path: &'a str) -> &'a str {
        match self.entry(path) {
            Some((name, answers)) if answers.cycle => name,
            _ => path,
        }
    }

    /// The answer to the request number `turn` (from 0) for a path.
    pub(super) fn answer(&self, path: &str, turn: usize) -> Answer {
        let answer = self.entry(path).and_then(|(_, answers)| {
            let last = answers.list.len().checked_sub(1)?;
            let index = if answers.cycle { turn % answers.list.len() } else { turn.min(last) };
            answers.list.get(index).cloned()
        });
        answer.unwrap_or_else(|| Answer {
            // Loud on purpose: no test expects this status.
            status: 599,
            body: Some(format!("this origin has no answer for {path}")),
            ..Answer::default()
        })
    }

    fn entry(&self, path: &str) -> Option<(&str, &Answers)> {
        let (name, answers) = self.paths.get_key_value(path).or_else(|| self.paths.get_key_value("*"))?;
        Some((name.as_str(), answers))
    }
}

/// One answer. What is left out is what an ordinary web server would do.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// Status of the response.
    pub status: u16,
    /// Reason phrase.
    pub reason: String,
    /// Fields, in order; `Date` and the framing fields are added.
    pub headers: Headers,
    /// The body.
    pub body: Option<String>,
    /// A generated body of so many bytes instead.
    pub size: Option<Size>,
    /// The body is the head of the request, as received.
    pub echo: bool,
    /// The answer begins before the request's body was read; the body counts as received afterwards.
    pub early: bool,
    /// `Content-Length` says this, whatever is sent.
    pub length: Option<usize>,
    /// How the end of the body is marked.
    pub framing: Shape,
    /// A `Date` field is sent.
    pub date: bool,
    /// An `If-None-Match` that names the answer's `ETag`, or an `If-Modified-Since` equal to its `Last-Modified`, gets a 304.
    pub validates: bool,
    /// A `Range` of one range is answered with a part (unless its `If-Range` names another `ETag`), and a generated body is made
    /// while it is sent, so that it can be of any size.
    pub ranges: bool,
    /// Interim answers sent first.
    pub interim: Vec<u16>,
    /// Time before the first byte.
    pub wait: Option<Span>,
    /// Gate to pass before the first byte.
    pub gate: Option<String>,
    /// A stop within the body.
    pub pause: Option<Pause>,
    /// Time between two bytes of the body.
    pub trickle: Option<Span>,
    /// Only so many bytes of the body are sent.
    pub cut: Option<usize>,
    /// What happens to the connection afterwards.
    pub then: Ending,
    /// Bytes instead of everything above, except `wait`, `gate` and `then`.
    #[serde(with = "serde_yaml::with::singleton_map_recursive")]
    pub raw: Option<Vec<Raw>>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            reason: String::new(),
            headers: Headers::default(),
            body: None,
            size: None,
            echo: false,
            early: false,
            length: None,
            framing: Shape::Length,
            date: true,
            validates: false,
            ranges: false,
            interim: Vec::new(),
            wait: None,
            gate: None,
            pause: None,
            trickle: None,
            cut: None,
            then: Ending::Keep,
            raw: None,
        }
    }
}

impl Answer {
    /// A 200 with this body.
    #[must_use]
    pub fn ok(body: &str) -> Self {
        Self { body: Some(body.to_owned()), ..Self::default() }
    }
    /// A 200 with a generated body.
    #[must_use]
    pub fn sized(bytes: usize) -> Self {
        Self { size: Some(Size(bytes)), ..Self::default() }
    }
    /// The same with a field more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.0.push((name.to_owned(), value.to_owned()));
        self
    }
    /// The body's bytes.
    pub(super) fn content(&self) -> Vec<u8> {
        match (&self.body, self.size) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(size)) => pattern(size.0),
            (None, None) => Vec::new(),
        }
    }
}

/// How the end of a body is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `Content-Length`.
    #[default]
    Length,
    /// Chunks of at most 1 KiB.
    Chunked,
    /// By closing.
    Close,
    /// Chunks, the second of which (or the first after a pause) has no valid size.
    BrokenChunks,
}

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It waits for the next request.
    #[default]
    Keep,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
    /// Nothing more happens until the other side gives up.
    Hang,
}

/// A stop within the body.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// After so many bytes.
    pub after: usize,
    /// For this long.
    #[serde(default)]
    pub wait: Option<Span>,
    /// Until this gate opens.
    #[serde(default)]
    pub gate: Option<String>,
}

/// One step of a raw answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Raw {
    /// These bytes.
    Send(String),
    /// Nothing for this long.
    Wait(Span),
    /// Nothing until this gate opens.
    Gate(String),
}

/// Fields in order: a map, or a list of pairs where one name comes twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_yaml::Value::deserialize(deserializer)?;
        let text = |value: &serde_yaml::Value| match value {
            serde_yaml::Value::String(text) => Ok(text.clone()),
            serde_yaml::Value::Number(number) => Ok(number.to_string()),
            other => Err(serde::de::Error::custom(format!("a field's name and value are text, not {other:?}"))),
        };
        let mut fields = Vec::new();
        match &value {
            serde_yaml::Value::Mapping(map) => {
                for (name, value) in map {
                    fields.push((text(name)?, text(value)?));
                }
            }
            serde_yaml::Value::Sequence(pairs) => {
                for pair in pairs {
                    match pair.as_sequence().map(Vec::as_slice) {
                        Some([name, value]) => fields.push((text(name)?, text(value)?)),
                        _ => {
                            return Err(serde::de::Error::custom("a list of fields is a list of [name, value]"));
                        }
                    }
                }
            }
            _ => {
                return Err(serde::de::Error::custom("fields are a map or a list of [name, value]"));
            }
        }
        Ok(Self(fields))
    }
}

/// The bytes of a generated body from one offset to another.
#[must_use]
pub fn pattern_of(bytes: std::ops::Range<u64>) -> Vec<u8> {
    const LINE: u64 = 15;
    let (first, before) = (bytes.start / LINE, (bytes.start % LINE) as usize);
    let wanted = usize::try_from(bytes.end.saturating_sub(bytes.start)).unwrap_or(usize::MAX);
    (first..).flat_map(|line| format!("{line:014}\n").into_bytes()).skip(before).take(wanted).collect()
}

/// A body in which every position has its own neighbourhood, so that a byte lost, doubled or moved is seen.
#[must_use]
pub fn pattern(bytes: usize) -> Vec<u8> {
    (0..).flat_map(|line: u64| format!("{line:014}\n").into_bytes()).take(bytes).collect()
}
