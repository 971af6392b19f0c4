//! Playing a scenario: origins and edge are started, then each step is done and judged.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use serde_yaml::{Mapping, Value};

use super::expect::Got;
use super::file::{Ask, OriginCheck, OriginSetup, Scenario, Step};
use crate::certificates::Leaf;
use crate::client::{Connection, Request, h2};
use crate::edge::{Edge, Setup};
use crate::origin::Origin;
use crate::wait::{self, PATIENCE};
use crate::wire::Lost;

/// How long a metric or a log entry may lag behind the answer it tells of.
const LAG: Duration = Duration::from_secs(5);
/// How long a connection must stay open to count as kept.
const KEPT: Duration = Duration::from_millis(100);

/// The origins and the edge of one scenario.
pub(super) struct Stage {
    name: String,
    /// None: the scenario needs a port that may not be bound here.
    edge: Option<Edge>,
    origins: BTreeMap<String, Origin>,
    connections: BTreeMap<String, Connection>,
}

impl Stage {
    pub(super) fn open(name: &str, scenario: &Scenario) -> Self {
        let mut stage =
            Self { name: name.to_owned(), edge: None, origins: BTreeMap::new(), connections: BTreeMap::new() };
        let mut names = Vec::new();
        for (name, setup) in &scenario.origins {
            let Some(origin) = start_origin(setup) else {
                eprintln!("skipped: port {} may not be bound here", setup.port);
                return stage;
            };
            names.push((format!("origin.{name}"), origin.address().to_string()));
            names.push((format!("origin.{name}.port"), origin.address().port().to_string()));
            names.push((format!("origin.{name}.host"), origin.address().ip().to_string()));
            stage.origins.insert(name.clone(), origin);
        }
        let certificates: Vec<(String, Vec<String>)> = scenario.certificates.clone().into_iter().collect();
        let setup = Setup {
            config: config(&scenario.edge, &scenario.certificates),
            files: scenario.files.clone().into_iter().collect(),
            certificates,
            names,
            environment: Vec::new(),
        };
        stage.edge = Some(Edge::start(&setup));
        stage
    }

    pub(super) fn play(mut self, scenario: &Scenario) {
        if self.edge.is_none() {
            return;
        }
        for (index, step) in scenario.steps.iter().enumerate() {
            let misses = self.step(step, scenario);
            if !misses.is_empty() {
                panic!(
                    "\nscenarios/{}.yaml, step {} of {} ({}):\n  law: {}\n    - {}\n",
                    self.name,
                    index + 1,
                    scenario.steps.len(),
                    title(step),
                    scenario.law,
                    misses.join("\n    - ")
                );
            }
        }
    }

    fn edge(&self) -> &Edge {
        self.edge.as_ref().unwrap()
    }

    fn origin(&mut self, name: &str) -> &mut Origin {
        let known: Vec<String> = self.origins.keys().cloned().collect();
        self.origins.get_mut(name).unwrap_or_else(|| panic!("no origin {name:?} on this stage, only {known:?}"))
    }

    /// Does one step; everything that is wrong afterwards.
    fn step(&mut self, step: &Step, scenario: &Scenario) -> Vec<String> {
        match step {
            Step::Ask(ask) => return self.ask_all(ask),
            Step::Origin(check) => return self.check_origin(check),
            Step::Log(fields) => return self.check_log(fields),
            Step::Metrics(metrics) => return self.check_metrics(metrics),
            Step::Stop(name) => self.origin(name).stop(),
            Step::Start(name) => self.origin(name).resume(),
            Step::Play(play) => self.origin(&play.play).play(play.script.clone()),
            Step::Open(open) => self.origin(&open.at).open(&open.open),
            Step::Wait(span) => wait::pause(span.0),
            Step::Reload(reload) => {
                match &reload.reload {
                    Value::Mapping(map) => self.edge().write_config(&config(map, &scenario.certificates)),
                    Value::String(text) => self.edge().write_config(text),
                    _ => {}
                }
                let accepted = self.edge().reload();
                if accepted != reload.accepted {
                    return vec![format!(
                        "reload\n      expected: accepted: {}\n      got:      accepted: {accepted}",
                        reload.accepted
                    )];
                }
            }
        }
        Vec::new()
    }

    fn ask_all(&mut self, ask: &Ask) -> Vec<String> {
        let deadline = ask.eventually.map(|span| Instant::now() + span.0);
        let mut done = 0;
        while done < ask.times {
            let misses = match self.ask(ask) {
                Ok(got) => ask.expect.0.misses(Ok(&got)),
                Err(lost) => ask.expect.0.misses(Err(&lost)),
            };
            if misses.is_empty() {
                done += 1;
            } else if deadline.is_none_or(|deadline| Instant::now() > deadline) {
                return misses;
            } else {
                wait::pause(Duration::from_millis(50));
            }
        }
        Vec::new()
    }

    fn ask(&mut self, ask: &Ask) -> Result<Got, Lost> {
        let (request, secure_host) = request(ask);
        if ask.http2 {
            return self.ask_http2(ask);
        }
        let target = match &secure_host {
            None => self.edge().http(),
            Some(host) => self.edge().https(host),
        };
        let kept = ask.on.as_ref().and_then(|name| self.connections.remove(name));
        let mut connection = kept.map_or_else(|| target.connect(), Ok)?;
        connection.within(PATIENCE);
        let started = Instant::now();
        match &ask.raw {
            None => connection.send(&request.bytes())?,
            Some(bytes) => connection.send(bytes.as_bytes())?,
        }
        let response = connection.read(&request.method)?;
        let took = started.elapsed();
        let end = ask.expect.0.closed.map(|closed| connection.end(if closed { PATIENCE } else { KEPT }).1);
        // A server that announces the end of a connection is believed; one that does not is held to it.
        let ends = response.field("connection").is_some_and(|field| field.eq_ignore_ascii_case("close"));
        if let Some(name) = ask.on.as_ref().filter(|_| !ends) {
            self.connections.insert(name.clone(), connection);
        }
        Ok(Got {
            status: response.status(),
            fields: response.head.fields,
            body: response.body,
            cut: response.cut.map(|cut| format!("{cut:?}")),
            end,
            took,
        })
    }

    fn ask_http2(&self, ask: &Ask) -> Result<Got, Lost> {
        let (method, url) = ask.ask.split_once(' ').expect("`ask` is METHOD URL");
        let (_, host, _) = split(url);
        let started = Instant::now();
        let connection = h2::Connection::open(self.edge().https_address(), host.split(':').next().unwrap_or_default());
        let request = h2::Request {
            method: method.to_owned(),
            url: url.to_owned(),
            fields: ask.with.0.clone(),
            body: ask.body.clone().unwrap_or_default().into(),
        };
        let response = connection.ask(&request).map_err(Lost::Other)?;
        let fields = response
            .fields
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        Ok(Got {
            status: response.status,
            fields: fields.collect(),
            body: response.body.to_vec(),
            cut: response.cut,
            end: None,
            took: started.elapsed(),
        })
    }

    fn check_origin(&mut self, check: &OriginCheck) -> Vec<String> {
        let origin = self.origin(&check.origin);
        let received = origin.received();
        let mut misses = Vec::new();
        let lines: Vec<&str> = received.iter().map(|request| request.head.start.as_str()).collect();
        if let Some(requests) = check.requests
            && requests != received.len()
        {
            misses.push(format!(
                "requests at {}\n      expected: {requests}\n      got:      {}: {lines:?}",
                check.origin,
                received.len()
            ));
        }
        if let Some(connections) = check.connections
            && connections != origin.connections()
        {
            misses.push(format!(
                "connections at {}\n      expected: {connections}\n      got:      {}",
                check.origin,
                origin.connections()
            ));
        }
        match (&check.last, received.last()) {
            (Some(seen), Some(last)) => misses.extend(seen.misses(last)),
            (Some(_), None) => {
                misses
                    .push(format!("requests at {}\n      expected: at least one\n      got:      none", check.origin));
            }
            (None, _) => {}
        }
        misses
    }

    fn check_log(&self, fields: &Value) -> Vec<String> {
        let wanted: Json = serde_json::to_value(fields).unwrap();
        let (found, all) = self.edge().output().wait_for_access(LAG, |entry| covers(entry, &wanted));
        if found.is_some() {
            return Vec::new();
        }
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        vec![format!(
            "access log\n      expected: an entry with {wanted}\n      got:      {}",
            all.join("\n                ")
        )]
    }

    fn check_metrics(&self, wanted: &BTreeMap<String, f64>) -> Vec<String> {
        let deadline = Instant::now() + LAG;
        loop {
            let metrics = self.edge().metrics();
            let wrong =
                wanted.iter().filter(|(selector, value)| (metrics.sum_of(selector) - **value).abs() > f64::EPSILON);
            let wrong: Vec<String> = wrong
                .map(|(selector, value)| {
                    format!("{selector}\n      expected: {value}\n      got:      {}", metrics.sum_of(selector))
                })
                .collect();
            if wrong.is_empty() || Instant::now() > deadline {
                return wrong;
            }
            wait::pause(Duration::from_millis(20));
        }
    }
}

fn start_origin(setup: &OriginSetup) -> Option<Origin> {
    let address = SocketAddr::new(setup.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), setup.port);
    let tls = (!setup.tls.is_empty()).then(|| Leaf::new(&setup.tls).server());
    let mut origin = match Origin::try_start_at(address, tls, setup.script.clone()) {
        Ok(origin) => origin,
        Err(error) if setup.port != 0 && matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::AddrInUse) => {
            return None;
        }
        Err(error) => panic!("an origin on {address}: {error}"),
    };
    if setup.stopped {
        origin.stop();
    }
    Some(origin)
}

/// The configuration with what every scenario needs: listeners, admin address, access log.
pub(super) fn config(edge: &Mapping, certificates: &BTreeMap<String, Vec<String>>) -> String {
    let mut edge = edge.clone();
    let server = edge
        .entry("server".into())
        .or_insert_with(|| Value::Mapping(Mapping::new()))
        .as_mapping_mut()
        .expect("`server` is a map");
    server.entry("threads".into()).or_insert_with(|| 2.into());
    let mut listen = "[{ address: \"${listen}\" }".to_owned();
    if !certificates.is_empty() {
        let files: Vec<String> =
            certificates.keys().map(|name| format!("{{ chain: tls/{name}.pem, key: tls/{name}.key }}")).collect();
        listen = format!(
            "{listen}, {{ address: \"${{listen.tls}}\", tls: {{ certificates: [{}], http2: true }} }}",
            files.join(", ")
        );
    }
    server.entry("listen".into()).or_insert_with(|| serde_yaml::from_str(&format!("{listen}]")).unwrap());
    edge.entry("admin".into()).or_insert_with(|| serde_yaml::from_str("{ address: \"${admin}\" }").unwrap());
    edge.entry("log".into()).or_insert_with(|| serde_yaml::from_str("{ access: stdout }").unwrap());
    serde_yaml::to_string(&edge).unwrap()
}

/// The request that a step writes, and the server name when it goes over TLS.
fn request(ask: &Ask) -> (Request, Option<String>) {
    if ask.raw.is_some() {
        return (Request::get("", "/"), None);
    }
    let (method, url) = ask.ask.split_once(' ').expect("`ask` is METHOD URL");
    let (secure, host, target) = split(url);
    let own_host = ask.with.0.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let fields = ask.with.0.iter().cloned();
    let mut request = Request::new(method, host, target);
    if own_host {
        request.fields.clear();
    }
    request.fields.extend(fields);
    request.body = ask.body.clone().map(String::into_bytes);
    let name = host.split(':').next().unwrap_or_default();
    (request, secure.then(|| name.to_owned()))
}

/// Whether a URL is secure, its authority, its path with query.
fn split(url: &str) -> (bool, &str, &str) {
    let (scheme, rest) = url.split_once("://").expect("`ask` has a whole URL");
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, target) = rest.split_at(at);
    (scheme == "https", host, if target.is_empty() { "/" } else { target })
}

/// Whether an entry has every wanted field with its value; `"*"` is any value, null is none.
pub(super) fn covers(entry: &Json, wanted: &Json) -> bool {
    match (entry, wanted) {
        (Json::Null, Json::String(any)) if any == "*" => false,
        (_, Json::String(any)) if any == "*" => true,
        (Json::Object(entry), Json::Object(wanted)) => {
            wanted.iter().all(|(key, value)| covers(entry.get(key).unwrap_or(&Json::Null), value))
        }
        (Json::Array(entry), Json::Array(wanted)) => {
            entry.len() == wanted.len() && entry.iter().zip(wanted).all(|(e, w)| covers(e, w))
        }
        _ => entry == wanted,
    }
}

fn title(step: &Step) -> String {
    match step {
        Step::Ask(ask) => ask.raw.as_ref().map_or_else(|| ask.ask.clone(), |raw| format!("{raw:?}")),
        Step::Origin(check) => format!("origin {}", check.origin),
        Step::Stop(name) => format!("stop {name}"),
        Step::Start(name) => format!("start {name}"),
        Step::Play(play) => format!("play {}", play.play),
        Step::Open(open) => format!("open {}", open.open),
        Step::Reload(_) => "reload".to_owned(),
        Step::Log(_) => "log".to_owned(),
        Step::Metrics(_) => "metrics".to_owned(),
        Step::Wait(span) => format!("wait {:?}", span.0),
    }
}
