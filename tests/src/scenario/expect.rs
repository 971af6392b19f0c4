//! What a scenario expects, and the words for what came instead.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_yaml::Value;

use super::parts::{Parts, Span};
use crate::client::CacheUse;
use crate::origin::{Received, pattern};
use crate::size::Size;
use crate::wait::Span as Time;
use crate::wire::Lost;

/// What a client must get. A bare number is the status.
#[derive(Debug, Clone, Default)]
pub(super) struct Expect(pub Wanted);

/// Every part that is written must be so.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    /// Status code.
    pub status: Option<Want>,
    /// Fields by name.
    pub headers: BTreeMap<String, Want>,
    /// The body as text.
    pub body: Option<Want>,
    /// The body is the generated one of so many bytes.
    pub size: Option<Size>,
    /// The body is these bytes of a generated one, `first-last`.
    pub bytes: Option<Span>,
    /// The body is a multipart one of exactly these parts.
    pub parts: Option<Parts>,
    /// The same answer as the one kept under this name, byte for byte but for its time and age: status, fields in their order, body.
    pub like: Option<String>,
    /// What `Cache-Status` says: hit, stale, stored, miss, expired, bypass, other, unsaid.
    pub cache: Option<String>,
    /// Whether the edge ends the connection after the answer.
    pub closed: Option<bool>,
    /// The body ends before it is whole.
    pub incomplete: bool,
    /// The body may be whole or not.
    pub may_break: bool,
    /// No response at all: the connection just ends.
    pub nothing: bool,
    /// The whole answer is there within this time.
    pub within: Option<Time>,
    /// The answer is not there before this time.
    pub after: Option<Time>,
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(status) => {
                Ok(Self(Wanted { status: Some(Want::Is(status.to_string())), ..Wanted::default() }))
            }
            map => serde_yaml::from_value(map).map(Self).map_err(D::Error::custom),
        }
    }
}

/// What a text must be: `null` absent, text exactly that, or one or more conditions in a map.
#[derive(Debug, Clone)]
pub(super) enum Want {
    /// It is not there.
    Absent,
    /// Exactly this.
    Is(String),
    /// All of these.
    Meets(Conditions),
}

/// Conditions on a text that is there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Conditions {
    /// It is there, whatever it is.
    pub present: bool,
    /// It contains this.
    pub has: Option<String>,
    /// It does not contain this (being absent is fine).
    pub lacks: Option<String>,
    /// It is a number of at least this.
    pub from: Option<i64>,
    /// It is a number of at most this.
    pub to: Option<i64>,
}

impl<'de> Deserialize<'de> for Want {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Null => Self::Absent,
            Value::String(text) => Self::Is(text),
            Value::Number(number) => Self::Is(number.to_string()),
            map @ Value::Mapping(_) => Self::Meets(serde_yaml::from_value(map).map_err(D::Error::custom)?),
            other => {
                return Err(D::Error::custom(format!("{other:?} is no expectation of a text")));
            }
        })
    }
}

impl Want {
    /// What is wrong with a text, in words; nothing when it fits.
    pub(super) fn miss(&self, what: &str, got: Option<&str>) -> Option<String> {
        let fits = match (self, got) {
            (Self::Absent, None) => true,
            (Self::Is(text), Some(got)) => text == got,
            (Self::Meets(conditions), got) => conditions.met(got),
            (Self::Absent, Some(_)) | (Self::Is(_), None) => false,
        };
        let shown = got.map_or_else(|| "nothing".to_owned(), |got| format!("{:?}", shorten(got)));
        (!fits).then(|| match self {
            Self::Absent => format!("{what}\n      expected: nothing\n      got:      {shown}"),
            Self::Is(text) => format!("{what}\n      expected: {:?}\n      got:      {shown}", shorten(text)),
            Self::Meets(conditions) => {
                format!("{what}\n      expected: {}\n      got:      {shown}", conditions.words())
            }
        })
    }
}

impl Conditions {
    fn met(&self, got: Option<&str>) -> bool {
        let Some(got) = got else {
            return !self.present && self.has.is_none() && self.from.is_none() && self.to.is_none();
        };
        let number = got.parse::<i64>().ok();
        self.has.as_ref().is_none_or(|text| got.contains(text.as_str()))
            && self.lacks.as_ref().is_none_or(|text| !got.contains(text.as_str()))
            && self.from.is_none_or(|from| number.is_some_and(|number| number >= from))
            && self.to.is_none_or(|to| number.is_some_and(|number| number <= to))
    }
    fn words(&self) -> String {
        let mut words = Vec::new();
        if self.present {
            words.push("anything".to_owned());
        }
        words.extend(self.has.iter().map(|text| format!("with {text:?} in it")));
        words.extend(self.lacks.iter().map(|text| format!("without {text:?} in it")));
        words.extend(self.from.iter().map(|from| format!("at least {from}")));
        words.extend(self.to.iter().map(|to| format!("at most {to}")));
        words.join(", ")
    }
}

/// What a client got, whatever the protocol.
#[derive(Debug, Clone)]
pub(super) struct Got {
    /// Status code.
    pub status: u16,
    /// Fields.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Why the body is not whole.
    pub cut: Option<String>,
    /// How the connection ended afterwards, where that was asked.
    pub end: Option<Lost>,
    /// From the request to the end of the answer.
    pub took: Duration,
}

impl Got {
    /// Status, fields and the size of the body.
    pub(super) fn summary(&self) -> String {
        let fields: Vec<String> = self.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{} [{}] {} bytes", self.status, fields.join("; "), self.body.len())
    }
    fn field(&self, name: &str) -> Option<String> {
        let fits = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let values: Vec<&str> = fits.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

impl Wanted {
    /// Everything that is wrong with an answer; empty when nothing is.
    pub(super) fn misses(&self, got: Result<&Got, &Lost>) -> Vec<String> {
        let got = match (got, self.nothing) {
            (Err(_), true) => return Vec::new(),
            (Err(lost), false) => {
                return vec![format!("a response\n      expected: {}\n      got:      none: {lost:?}", self.words())];
            }
            (Ok(got), true) => {
                return vec![format!(
                    "the connection\n      expected: to end without a response\n      got:      status {}",
                    got.status
                )];
            }
            (Ok(got), false) => got,
        };
        let mut misses = Vec::new();
        if let Some(miss) = self.status.as_ref().and_then(|want| want.miss("status", Some(&got.status.to_string()))) {
            let said = got.field("proxy-status").map(|said| format!(", Proxy-Status: {said}")).unwrap_or_default();
            misses.push(format!("{miss}{said}, body {:?}", shorten(&text(&got.body))));
        }
        misses.extend(
            self.headers
                .iter()
                .filter_map(|(name, want)| want.miss(&format!("field {name}"), got.field(name).as_deref())),
        );
        misses.extend(self.body.as_ref().and_then(|want| want.miss("body", Some(&text(&got.body)))));
        misses.extend(self.size.and_then(|size| wrong_bytes(size.0, &got.body, self.incomplete)));
        misses.extend(self.bytes.as_ref().and_then(|bytes| bytes.wrong(&got.body, self.incomplete)));
        misses
            .extend(self.parts.as_ref().and_then(|parts| parts.wrong(&got.body, got.field("content-type").as_deref())));
        misses.extend(self.cache.as_ref().and_then(|cache| wrong_cache(cache, got.field("cache-status").as_deref())));
        misses.extend(self.wrong_end(got));
        misses.extend(self.wrong_time(got.took));
        misses
    }

    fn wrong_end(&self, got: &Got) -> Vec<String> {
        let mut misses = Vec::new();
        match (&got.cut, self.incomplete) {
            _ if self.may_break => {}
            (None, true) => misses.push(format!(
                "body\n      expected: cut short\n      got:      a whole body of {} bytes",
                got.body.len()
            )),
            (Some(cut), false) => misses.push(format!(
                "body\n      expected: a whole body\n      got:      {} bytes, then {cut}",
                got.body.len()
            )),
            _ => {}
        }
        match (self.closed, &got.end) {
            (Some(true), Some(Lost::TimedOut)) => {
                misses.push("connection\n      expected: closed\n      got:      still open".to_owned());
            }
            (Some(false), Some(Lost::Closed | Lost::Reset)) => {
                misses.push("connection\n      expected: kept\n      got:      closed".to_owned());
            }
            _ => {}
        }
        misses
    }

    fn wrong_time(&self, took: Duration) -> Vec<String> {
        let late = self
            .within
            .filter(|span| took > span.0)
            .map(|span| format!("time\n      expected: within {:?}\n      got:      {took:?}", span.0));
        let early = self
            .after
            .filter(|span| took < span.0)
            .map(|span| format!("time\n      expected: not before {:?}\n      got:      {took:?}", span.0));
        late.into_iter().chain(early).collect()
    }

    fn words(&self) -> String {
        self.status.as_ref().map_or_else(|| "any".to_owned(), |status| format!("status {status:?}"))
    }
}

fn wrong_bytes(size: usize, body: &[u8], start_only: bool) -> Option<String> {
    let wanted = pattern(size);
    let right = if start_only { wanted.starts_with(body) } else { wanted == body };
    let same = wanted.iter().zip(body).take_while(|(a, b)| a == b).count();
    (!right).then(|| {
        format!(
            "body\n      expected: {size} generated bytes\n      got:      {} bytes, the first {same} of them right",
            body.len()
        )
    })
}

fn wrong_cache(wanted: &str, field: Option<&str>) -> Option<String> {
    let got = format!("{:?}", CacheUse::of(field)).to_lowercase();
    (got != wanted).then(|| format!("Cache-Status\n      expected: {wanted}\n      got:      {got}: {field:?}"))
}

/// What an origin must have been asked last.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Seen {
    /// Method.
    pub method: Option<String>,
    /// Target as on the wire.
    pub target: Option<String>,
    /// Fields by name.
    pub headers: BTreeMap<String, Want>,
    /// The body as text.
    pub body: Option<Want>,
    /// The body is the generated one of so many bytes, and it came to its end.
    pub size: Option<Size>,
    /// The same request as the last one of this origin, but for its `Host`.
    pub like: Option<String>,
}

impl Seen {
    /// Everything that is wrong with a request.
    pub(super) fn misses(&self, got: &Received) -> Vec<String> {
        let mut misses = Vec::new();
        let line = [("method", &self.method, got.method()), ("target", &self.target, got.target())];
        misses.extend(line.into_iter().filter_map(|(what, want, got)| Want::Is(want.clone()?).miss(what, Some(got))));
        misses.extend(
            self.headers
                .iter()
                .filter_map(|(name, want)| want.miss(&format!("field {name}"), got.head.value(name).as_deref())),
        );
        misses.extend(self.body.as_ref().and_then(|want| want.miss("body", Some(&text(&got.body)))));
        misses.extend(self.size.and_then(|size| wrong_bytes(size.0, &got.body, false)));
        if (self.body.is_some() || self.size.is_some()) && !got.whole {
            misses.push(format!("body\n      expected: whole\n      got:      cut after {} bytes", got.body.len()));
        }
        misses
    }
}

/// What differs between two requests besides the `Host`.
pub(super) fn unlike_requests(got: &Received, other: &Received) -> Option<String> {
    let shown = |request: &Received| {
        let host = |name: &str| name.eq_ignore_ascii_case("host");
        let fields = request.head.fields.iter().filter(|(name, _)| !host(name));
        let lines: Vec<String> = fields.map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{}\n        {}\n        {} bytes", request.head.start, lines.join("\n        "), request.body.len())
    };
    let same = shown(got) == shown(other) && got.body == other.body;
    (!same).then(|| format!("request\n      expected: {}\n      got:      {}", shown(other), shown(got)))
}

/// What differs between two answers.
pub(super) fn unlike_answers(got: &Got, other: &Got) -> Option<String> {
    let shown = |answer: &Got| {
        // When they were given, and so how old they are, is the one thing that two like answers do not share.
        let value = |name: &str, value: &str| match name.to_ascii_lowercase().as_str() {
            "date" => "(a time)".to_owned(),
            "age" if value.parse::<u64>().is_ok() => "(seconds)".to_owned(),
            "cache-status" => without_ttl(value),
            _ => value.to_owned(),
        };
        let lines: Vec<String> =
            answer.fields.iter().map(|(name, text)| format!("{name}: {}", value(name, text))).collect();
        format!("{}\n        {}\n        {} bytes", answer.status, lines.join("\n        "), answer.body.len())
    };
    let same = shown(got) == shown(other) && got.body == other.body;
    (!same).then(|| format!("answer\n      expected: {}\n      got:      {}", shown(other), shown(got)))
}

/// `leeward; hit; ttl=58` without the number.
fn without_ttl(value: &str) -> String {
    let parts = value.split("; ").map(|part| if part.starts_with("ttl=") { "ttl=(seconds)" } else { part });
    parts.collect::<Vec<_>>().join("; ")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Enough of a text for a reader.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 400;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}... ({} bytes)", &text[..at], text.len()),
    }
}
