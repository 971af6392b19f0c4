//! The form of a scenario file.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_yaml::{Mapping, Value};

use super::crowd::Budget;
use super::dns::{DnsSetup, Questions};
use super::expect::{Expect, Seen, Want};
use super::fill::{self, Named};
use super::purge::Purge;
use crate::dns::Entry;
use crate::origin::{Headers, Script};
use crate::size::Size;
use crate::wait::Span;

/// A law, a stage to show it on, and what happens there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The law that holds, as a sentence.
    pub law: String,
    /// Servers behind the edge, by name. `${origin.NAME}` is the address of one.
    #[serde(default)]
    pub origins: BTreeMap<String, OriginSetup>,
    /// Certificates of the edge, by file name under `tls/`; the first name given here makes the TLS listener.
    #[serde(default)]
    pub certificates: BTreeMap<String, Vec<String>>,
    /// A DNS server, which the edge asks for names. `${dns}` is its address.
    pub dns: Option<DnsSetup>,
    /// Further files beside the configuration.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Databases of places beside the configuration: where each network is, a country or a whole record.
    #[serde(default)]
    pub databases: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    /// The configuration. Listeners, admin address and access log are added where it has none.
    pub edge: Mapping,
    /// What happens.
    pub steps: Vec<Written>,
}

/// From so many clients at once on, a scenario is played alone.
const CROWD: u64 = 50;

impl Scenario {
    /// Whether playing it loads the machine: a crowd, or asking for a time.
    pub(super) fn is_heavy(&self) -> bool {
        self.steps.iter().any(|step| is_heavy(&step.0))
    }
}

fn is_heavy(step: &Value) -> bool {
    let asks: &[Value] = step.get("together").and_then(Value::as_sequence).map_or(&[], Vec::as_slice);
    let crowd = step.get("clients").and_then(Value::as_u64).is_some_and(|clients| clients >= CROWD);
    crowd || step.get("for").is_some() || asks.iter().any(is_heavy)
}

/// One server behind the edge: paths (`/a`, `*`) and a few options in one map.
#[derive(Debug, Clone, Default)]
pub struct OriginSetup {
    /// What it answers.
    pub script: Script,
    /// Names of its certificate; it speaks TLS then.
    pub tls: Vec<String>,
    /// It asks its clients for a certificate of the test authority.
    pub client_ca: bool,
    /// Where it listens: 127.0.0.1 unless told otherwise.
    pub address: Option<IpAddr>,
    /// Any port unless told otherwise. A scenario whose port may not be bound is skipped.
    pub port: u16,
    /// It has the port of this origin, at another address.
    pub beside: Option<String>,
    /// It is not started.
    pub stopped: bool,
    /// Connecting to it times out.
    pub deaf: bool,
}

impl<'de> Deserialize<'de> for OriginSetup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Options {
            #[serde(default)]
            tls: Vec<String>,
            #[serde(default)]
            client_ca: bool,
            address: Option<IpAddr>,
            #[serde(default)]
            port: u16,
            beside: Option<String>,
            #[serde(default)]
            stopped: bool,
            #[serde(default)]
            deaf: bool,
        }
        let (mut paths, mut options) = (Mapping::new(), Mapping::new());
        for (key, value) in Mapping::deserialize(deserializer)? {
            let is_path = key.as_str().is_some_and(|key| key == "*" || key.starts_with('/'));
            if is_path { &mut paths } else { &mut options }.insert(key, value);
        }
        let script = from(paths)?;
        let Options { tls, client_ca, address, port, beside, stopped, deaf } = from(options)?;
        Ok(Self { script, tls, client_ca, address, port, beside, stopped, deaf })
    }
}

/// A step as written, with names that only the stage knows, such as `${origin.main}`.
#[derive(Debug, Clone)]
pub struct Written(Value);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        // Read now, so that a mistake is found whether or not it is ever played.
        serde_yaml::from_value::<Step>(value.clone()).map_err(D::Error::custom)?;
        Ok(Self(value))
    }
}

impl Written {
    /// The step with these names replaced.
    ///
    /// # Panics
    /// When it is no step with them.
    pub(super) fn step(&self, names: &[Named]) -> Step {
        let value = fill::fill(&self.0, names);
        serde_yaml::from_value(value).unwrap_or_else(|error| panic!("{:?}: {error}", self.0))
    }
}

/// One step. The first key says which.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A client asks the edge, or many do.
    Ask(Box<Asked>),
    /// Several kinds of clients at once, and what happens meanwhile.
    Together(Together),
    /// The state of the origins as the admin listener tells it.
    Origins(Value),
    /// An origin's connections time out from now on.
    Deafen(String),
    /// What an origin was asked so far.
    Origin(Box<OriginCheck>),
    /// An origin stops: connections are refused from now on.
    Stop(String),
    /// A stopped origin starts again.
    Start(String),
    /// An origin gets another script.
    Play(Play),
    /// An origin's gate opens.
    Open(Open),
    /// The DNS server says something else of these names.
    Dns(BTreeMap<String, Entry>),
    /// What the DNS server was asked.
    Questions(Questions),
    /// What is stored is purged.
    Purge(Box<Purge>),
    /// The configuration changes.
    Reload(Reload),
    /// An entry of the access log.
    Log(Value),
    /// Metrics, by name or `name{label="value"}`.
    Metrics(BTreeMap<String, Want>),
    /// Time passes, where nothing can be waited for: an object grows old.
    Wait(Span),
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Mapping::deserialize(deserializer)?;
        let verb = map.keys().next().and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(match verb.as_str() {
            "ask" | "raw" => Self::Ask(from(map)?),
            "together" => Self::Together(from(map)?),
            "origins" => Self::Origins(only(map)?),
            "deafen" => Self::Deafen(only(map)?),
            "origin" => Self::Origin(from(map)?),
            "stop" => Self::Stop(only(map)?),
            "start" => Self::Start(only(map)?),
            "play" => Self::Play(from(map)?),
            "open" => Self::Open(from(map)?),
            "dns" => Self::Dns(only(map)?),
            "questions" => Self::Questions(from(map)?),
            "purge" => Self::Purge(from(map)?),
            "reload" => Self::Reload(from(map)?),
            "log" => Self::Log(only(map)?),
            "metrics" => Self::Metrics(only(map)?),
            "wait" => Self::Wait(only(map)?),
            other => {
                let verbs = "ask, raw, together, origin, origins, stop, start, deafen, play, open, dns, questions, purge, reload, \
                             log, metrics, wait";
                return Err(D::Error::custom(format!("a step begins with one of {verbs}, not {other:?}")));
            }
        })
    }
}

fn from<T: DeserializeOwned, E: Error>(map: Mapping) -> Result<T, E> {
    serde_yaml::from_value(Value::Mapping(map)).map_err(E::custom)
}

fn only<T: DeserializeOwned, E: Error>(mut map: Mapping) -> Result<T, E> {
    let key = map.keys().next().cloned().unwrap_or_default();
    let value = map.remove(&key).unwrap_or_default();
    match map.keys().next() {
        None => serde_yaml::from_value(value).map_err(E::custom),
        Some(more) => Err(E::custom(format!("a step {key:?} has nothing else in it, found {more:?}"))),
    }
}

/// A request, and the text it was read from: each of many clients reads it again with its own number.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// As written.
    pub ask: Ask,
    source: Value,
    numbered: bool,
}

impl<'de> Deserialize<'de> for Asked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = Value::deserialize(deserializer)?;
        let ask = serde_yaml::from_value(source.clone()).map_err(D::Error::custom)?;
        let numbered = fill::uses(&source, "n}") || fill::uses(&source, "n%");
        Ok(Self { ask, source, numbered })
    }
}

impl Asked {
    /// What the client of this number asks.
    ///
    /// # Panics
    /// When it is no request with a number in it.
    pub(super) fn number(&self, n: usize) -> Ask {
        if !self.numbered {
            return self.ask.clone();
        }
        let source = fill::number(&self.source, n);
        serde_yaml::from_value(source).unwrap_or_else(|error| panic!("{:?}: {error}", self.source))
    }
}

/// Several kinds of clients at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Together {
    /// Each is a crowd.
    pub together: Vec<Asked>,
    /// Steps that are done, in order, while they ask.
    #[serde(default)]
    pub meanwhile: Vec<Step>,
}

/// A request of a client and what it must get.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// `GET http://www.example.com/a?b`; `https` goes to the TLS listener with this host as server name.
    #[serde(default)]
    pub ask: String,
    /// Bytes instead of a request.
    pub raw: Option<String>,
    /// Further fields; a `Host` here replaces the URL's.
    #[serde(default)]
    pub with: Headers,
    /// The body.
    pub body: Option<String>,
    /// A generated body of so many bytes instead.
    pub send: Option<Size>,
    /// The body is sent in chunks.
    #[serde(default)]
    pub chunked: bool,
    /// So many clients at once, each on a connection of its own; all are connected before the first asks.
    pub clients: Option<usize>,
    /// Every client asks again and again for so long, instead of `times`.
    #[serde(rename = "for")]
    pub span: Option<Span>,
    /// A client rests for so long between two requests.
    pub pace: Option<Span>,
    /// So many answers of all may be wrong.
    #[serde(default)]
    pub errors: Budget,
    /// No client waits longer, whatever it gets.
    pub longest: Option<Span>,
    /// So many answers there must be.
    pub at_least: Option<usize>,
    /// The answer is kept under this name, to be compared with later ones.
    #[serde(rename = "as")]
    pub name: Option<String>,
    /// The name of a connection that is kept for later steps.
    pub on: Option<String>,
    /// HTTP/2, for `https`.
    #[serde(default)]
    pub http2: bool,
    /// So many times, each with the same expectation.
    #[serde(default = "once")]
    pub times: usize,
    /// Asked again until the expectation is met, for as long.
    pub eventually: Option<Span>,
    /// The client leaves after so long without an answer.
    pub patience: Option<Span>,
    /// What must come back.
    pub expect: Expect,
}

fn once() -> usize {
    1
}

/// What an origin was asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OriginCheck {
    /// Its name.
    pub origin: String,
    /// How many requests it got since the scenario began.
    pub requests: Option<Want>,
    /// How many different targets they had.
    pub targets: Option<Want>,
    /// How many requests each of these targets got.
    pub per_target: Option<Want>,
    /// How many connections.
    pub connections: Option<Want>,
    /// How many bytes of bodies it sent.
    pub sent: Option<Want>,
    /// Its last request.
    pub last: Option<Seen>,
    /// Every one of its requests, if there are any.
    pub all: Option<Seen>,
}

/// A new script for an origin.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Play {
    /// Its name.
    pub play: String,
    /// What it answers from now on.
    pub script: Script,
}

/// A gate to open.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Open {
    /// The gate.
    pub open: String,
    /// The origin that has it.
    pub at: String,
}

/// A new configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reload {
    /// The configuration, or text that is none.
    pub reload: Value,
    /// Whether the edge takes it.
    #[serde(default = "yes")]
    pub accepted: bool,
}

fn yes() -> bool {
    true
}
