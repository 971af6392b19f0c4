//! The form of a scenario file.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_yaml::{Mapping, Value};

use super::expect::{Expect, Seen};
use crate::origin::{Headers, Script};
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
    /// Further files beside the configuration.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The configuration. Listeners, admin address and access log are added where it has none.
    pub edge: Mapping,
    /// What happens.
    pub steps: Vec<Step>,
}

/// One server behind the edge: paths (`/a`, `*`) and a few options in one map.
#[derive(Debug, Clone, Default)]
pub struct OriginSetup {
    /// What it answers.
    pub script: Script,
    /// Names of its certificate; it speaks TLS then.
    pub tls: Vec<String>,
    /// Where it listens: 127.0.0.1 unless told otherwise.
    pub address: Option<IpAddr>,
    /// Any port unless told otherwise. A scenario whose port may not be bound is skipped.
    pub port: u16,
    /// It is not started.
    pub stopped: bool,
}

impl<'de> Deserialize<'de> for OriginSetup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Options {
            #[serde(default)]
            tls: Vec<String>,
            address: Option<IpAddr>,
            #[serde(default)]
            port: u16,
            #[serde(default)]
            stopped: bool,
        }
        let (mut paths, mut options) = (Mapping::new(), Mapping::new());
        for (key, value) in Mapping::deserialize(deserializer)? {
            let is_path = key.as_str().is_some_and(|key| key == "*" || key.starts_with('/'));
            if is_path { &mut paths } else { &mut options }.insert(key, value);
        }
        let script = from(paths)?;
        let Options { tls, address, port, stopped } = from(options)?;
        Ok(Self { script, tls, address, port, stopped })
    }
}

/// One step. The first key says which.
#[derive(Debug, Clone)]
pub enum Step {
    /// A client asks the edge.
    Ask(Box<Ask>),
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
    /// The configuration changes.
    Reload(Reload),
    /// An entry of the access log.
    Log(Value),
    /// Metrics, by name or `name{label="value"}`.
    Metrics(BTreeMap<String, f64>),
    /// Time passes, where nothing can be waited for: an object grows old.
    Wait(Span),
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Mapping::deserialize(deserializer)?;
        let verb = map.keys().next().and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(match verb.as_str() {
            "ask" | "raw" => Self::Ask(from(map)?),
            "origin" => Self::Origin(from(map)?),
            "stop" => Self::Stop(only(map)?),
            "start" => Self::Start(only(map)?),
            "play" => Self::Play(from(map)?),
            "open" => Self::Open(from(map)?),
            "reload" => Self::Reload(from(map)?),
            "log" => Self::Log(only(map)?),
            "metrics" => Self::Metrics(only(map)?),
            "wait" => Self::Wait(only(map)?),
            other => {
                let verbs = "ask, raw, origin, stop, start, play, open, reload, log, metrics, wait";
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

/// A request of a client and what it must get.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
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
    /// What must come back.
    pub expect: Expect,
}

fn once() -> usize {
    1
}

/// What an origin was asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginCheck {
    /// Its name.
    pub origin: String,
    /// How many requests it got since the scenario began.
    pub requests: Option<usize>,
    /// How many connections.
    pub connections: Option<usize>,
    /// Its last request.
    pub last: Option<Seen>,
}

/// A new script for an origin.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Play {
    /// Its name.
    pub play: String,
    /// What it answers from now on.
    pub script: Script,
}

/// A gate to open.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// The gate.
    pub open: String,
    /// The origin that has it.
    pub at: String,
}

/// A new configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reload {
    /// The configuration, or text that is none.
    pub reload: Value,
    /// Whether the edge takes it.
    #[serde(default = "yes")]
    pub accepted: bool,
}

fn yes() -> bool {
    true
}
