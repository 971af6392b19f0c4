//! Playing a scenario: origins and edge are started, then each step is done and judged.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use serde_yaml::{Mapping, Value};

use super::ask::Client;
use super::expect::{Got, Want, unlike_answers, unlike_requests};
use super::file::{Ask, Asked, OriginCheck, OriginSetup, Scenario, Step, Together};
use super::fill::Named;
use super::{crowd, dns};
use crate::certificates::Leaf;
use crate::client::Connection;
use crate::dns::Dns;
use crate::edge::{Edge, Setup};
use crate::origin::Origin;
use crate::wait;

/// How long a metric or a log entry may lag behind the answer it tells of.
const LAG: Duration = Duration::from_secs(5);
/// How long the edge may take to tell of what just failed.
const TOLD_LATE: Duration = Duration::from_millis(500);
/// Requests shown of an origin that got too many or too few.
const LINES: usize = 20;

/// The origins and the edge of one scenario.
pub(super) struct Stage {
    name: String,
    /// None: the scenario needs a port that may not be bound here.
    edge: Option<Edge>,
    origins: BTreeMap<String, Origin>,
    dns: Option<Dns>,
    connections: BTreeMap<String, Connection>,
    /// Answers kept to be compared.
    answers: BTreeMap<String, Got>,
    /// What `${name}` stands for in the steps.
    names: Vec<Named>,
}

impl Stage {
    pub(super) fn open(name: &str, scenario: &Scenario) -> Self {
        let mut stage = Self {
            name: name.to_owned(),
            edge: None,
            origins: BTreeMap::new(),
            dns: scenario.dns.as_ref().map(|dns| Dns::start(dns.names.clone())),
            connections: BTreeMap::new(),
            answers: BTreeMap::new(),
            names: Vec::new(),
        };
        let mut names: Vec<_> = stage.dns.iter().map(|dns| ("dns".to_owned(), dns.address().to_string())).collect();
        let (beside, free): (Vec<_>, Vec<_>) = scenario.origins.iter().partition(|(_, setup)| setup.beside.is_some());
        for (name, setup) in free.into_iter().chain(beside) {
            let port = setup.beside.as_ref().map(|main| stage.origin(main).address().port());
            let Some(origin) = start_origin(setup, port.unwrap_or(setup.port)) else {
                eprintln!("skipped: the address of {name}, port {}, may not be bound here", setup.port);
                return stage;
            };
            names.push((format!("origin.{name}"), origin.address().to_string()));
            names.push((format!("origin.{name}.port"), origin.address().port().to_string()));
            names.push((format!("origin.{name}.host"), origin.address().ip().to_string()));
            stage.origins.insert(name.clone(), origin);
        }
        stage.names = names.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect();
        let certificates: Vec<(String, Vec<String>)> = scenario.certificates.clone().into_iter().collect();
        let setup = Setup {
            under: Vec::new(),
            config: config(&scenario.edge, scenario),
            files: scenario.files.clone().into_iter().collect(),
            databases: scenario.databases.iter().map(|(name, networks)| (name.clone(), places(networks))).collect(),
            certificates,
            names,
            environment: Vec::new(),
        };
        stage.edge = Some(Edge::start(&setup));
        stage
    }

    /// Does all steps.
    ///
    /// # Errors
    /// When the law does not hold: where, what was expected and what came, and what the edge said.
    pub(super) fn play(mut self, scenario: &Scenario) -> Result<(), String> {
        if self.edge.is_none() {
            return Ok(());
        }
        for (index, written) in scenario.steps.iter().enumerate() {
            let step = written.step(&self.names);
            let misses = self.step(&step, scenario);
            if !misses.is_empty() {
                wait::pause(TOLD_LATE);
                return Err(format!(
                    "{}\nscenarios/{}.yaml, step {} of {} ({}):\n  law: {}\n    - {}\n",
                    self.edge().story(),
                    self.name,
                    index + 1,
                    scenario.steps.len(),
                    title(&step),
                    scenario.law,
                    misses.join("\n    - ")
                ));
            }
        }
        Ok(())
    }

    fn edge(&self) -> &Edge {
        self.edge.as_ref().unwrap()
    }

    fn origin(&mut self, name: &str) -> &mut Origin {
        let known: Vec<String> = self.origins.keys().cloned().collect();
        self.origins.get_mut(name).unwrap_or_else(|| panic!("no origin {name:?} on this stage, only {known:?}"))
    }

    fn dns(&self) -> &Dns {
        self.dns.as_ref().expect("no `dns` on this stage")
    }

    /// Does one step; everything that is wrong afterwards.
    fn step(&mut self, step: &Step, scenario: &Scenario) -> Vec<String> {
        match step {
            Step::Ask(asked) => return self.ask_all(asked),
            Step::Together(together) => return self.together(together, scenario),
            Step::Origins(wanted) => return self.check_origins(wanted),
            Step::Deafen(name) => self.origin(name).deafen(),
            Step::Origin(check) => return self.check_origin(check),
            Step::Log(fields) => return self.check_log(fields),
            Step::Metrics(metrics) => return self.check_metrics(metrics),
            Step::Stop(name) => self.origin(name).stop(),
            Step::Start(name) => self.origin(name).resume(),
            Step::Play(play) => self.origin(&play.play).play(play.script.clone()),
            Step::Open(open) => self.origin(&open.at).open(&open.open),
            Step::Dns(names) => names.iter().for_each(|(name, entry)| self.dns().set(name, entry.clone())),
            Step::Questions(wanted) => return wanted.misses(self.dns()),
            Step::Purge(purge) => return purge.misses(self.edge()),
            Step::Wait(span) => wait::pause(span.0),
            Step::Reload(reload) => {
                match &reload.reload {
                    Value::Mapping(map) => self.edge().write_config(&config(map, scenario)),
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

    fn ask_all(&mut self, asked: &Asked) -> Vec<String> {
        let (ask, client) = (&asked.ask, Client::of(self.edge()));
        if ask.clients.is_some() || ask.span.is_some() {
            return crowd::play(&client, asked);
        }
        let deadline = ask.eventually.map(|span| Instant::now() + span.0);
        let (mut done, mut tries) = (0, 0);
        while done < ask.times {
            let misses = self.ask(&client, &asked.number(tries));
            tries += 1;
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

    fn ask(&mut self, client: &Client, ask: &Ask) -> Vec<String> {
        let mut kept = ask.on.as_ref().and_then(|name| self.connections.remove(name));
        let got = client.ask(ask, &mut kept);
        if let (Some(name), Some(connection)) = (&ask.on, kept) {
            self.connections.insert(name.clone(), connection);
        }
        let mut misses = ask.expect.0.misses(got.as_ref());
        if let Ok(got) = got {
            if let Some(like) = &ask.expect.0.like {
                let other = self.answers.get(like).unwrap_or_else(|| panic!("no answer was kept as {like:?}"));
                misses.extend(unlike_answers(&got, other));
            }
            if let Some(name) = &ask.name {
                self.answers.insert(name.clone(), got);
            }
        }
        misses
    }

    /// Several crowds at once; the steps in between are done while they ask.
    fn together(&mut self, together: &Together, scenario: &Scenario) -> Vec<String> {
        let client = Client::of(self.edge());
        let mut misses = Vec::new();
        std::thread::scope(|scope| {
            let crowds: Vec<_> =
                together.together.iter().map(|asked| scope.spawn(|| crowd::play(&client, asked))).collect();
            for step in &together.meanwhile {
                misses.extend(self.step(step, scenario));
            }
            for crowd in crowds {
                misses.extend(crowd.join().unwrap());
            }
        });
        misses
    }

    fn check_origin(&mut self, check: &OriginCheck) -> Vec<String> {
        let other = check.last.as_ref().and_then(|seen| seen.like.clone());
        let other = other.map(|name| self.origin(&name).received().last().cloned());
        let origin = self.origin(&check.origin);
        let (received, connections, sent) = (origin.received(), origin.connections(), origin.sent());
        let mut targets: BTreeMap<&str, usize> = BTreeMap::new();
        for request in &received {
            *targets.entry(request.target()).or_default() += 1;
        }
        let of = |what: &str| format!("{what} at {}", check.origin);
        let counted = [
            (&check.requests, of("requests"), received.len()),
            (&check.connections, of("connections"), connections),
            (&check.targets, of("targets"), targets.len()),
            (&check.sent, of("body bytes sent"), usize::try_from(sent).unwrap_or(usize::MAX)),
        ];
        let mut misses: Vec<String> = counted
            .into_iter()
            .filter_map(|(want, what, got)| want.as_ref()?.miss(&what, Some(&got.to_string())))
            .collect();
        if check.requests.is_some() && !misses.is_empty() {
            let lines: Vec<&str> =
                received.iter().rev().take(LINES).map(|request| request.head.start.as_str()).collect();
            misses.push(format!("the last requests there: {lines:?}"));
        }
        if let Some(want) = &check.per_target {
            misses.extend(
                targets.iter().filter_map(|(target, got)| {
                    want.miss(&of(&format!("requests for {target}")), Some(&got.to_string()))
                }),
            );
        }
        if let Some(seen) = &check.all {
            misses.extend(received.iter().flat_map(|request| seen.misses(request)));
        }
        match (&check.last, received.last()) {
            (Some(seen), Some(last)) => {
                misses.extend(seen.misses(last));
                misses.extend(
                    other
                        .map(|other| other.expect("a request to compare with"))
                        .and_then(|other| unlike_requests(last, &other)),
                );
            }
            (Some(_), None) => {
                misses.push(format!("{}\n      expected: at least one\n      got:      none", of("requests")));
            }
            (None, _) => {}
        }
        misses
    }

    /// What the admin listener says of the origins, once it says so.
    fn check_origins(&self, wanted: &Value) -> Vec<String> {
        let wanted: Json = serde_json::to_value(wanted).unwrap();
        let deadline = Instant::now() + LAG;
        loop {
            let said = self.edge().admin("GET", "/v1/origins", None).map(|answer| answer.text());
            let json = said.as_ref().ok().and_then(|text| serde_json::from_str::<Json>(text).ok());
            if json.is_some_and(|json| covers(&json, &wanted)) {
                return Vec::new();
            }
            if Instant::now() > deadline {
                return vec![format!("GET /v1/origins\n      expected: {wanted}\n      got:      {said:?}")];
            }
            wait::pause(Duration::from_millis(20));
        }
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

    fn check_metrics(&self, wanted: &BTreeMap<String, Want>) -> Vec<String> {
        let deadline = Instant::now() + LAG;
        loop {
            let metrics = self.edge().metrics();
            let wrong: Vec<String> = wanted
                .iter()
                .filter_map(|(selector, want)| want.miss(selector, Some(&metrics.sum_of(selector).to_string())))
                .collect();
            if wrong.is_empty() || Instant::now() > deadline {
                return wrong;
            }
            wait::pause(Duration::from_millis(20));
        }
    }
}

fn start_origin(setup: &OriginSetup, port: u16) -> Option<Origin> {
    let address = SocketAddr::new(setup.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port);
    let tls = (!setup.tls.is_empty()).then(|| {
        let leaf = Leaf::new(&setup.tls);
        if setup.client_ca { leaf.server_for_known_clients() } else { leaf.server() }
    });
    let mut origin = match Origin::try_start_at(address, tls, setup.script.clone()) {
        Ok(origin) => origin,
        Err(error) if setup.port != 0 && matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::AddrInUse) => {
            return None;
        }
        // A machine, or a container, without IPv6.
        Err(error) if address.is_ipv6() && error.kind() == ErrorKind::AddrNotAvailable => return None,
        Err(error) => panic!("an origin on {address}: {error}"),
    };
    if setup.stopped {
        origin.stop();
    }
    if setup.deaf {
        origin.deafen();
    }
    Some(origin)
}

/// A country alone stands for the record that has it.
fn places(networks: &BTreeMap<String, Json>) -> Vec<(String, Json)> {
    let record = |value: &Json| match value {
        Json::String(country) => serde_json::json!({ "country": { "iso_code": country } }),
        record => record.clone(),
    };
    networks.iter().map(|(network, value)| (network.clone(), record(value))).collect()
}

/// The configuration with what every scenario needs: listeners, admin address, access log.
pub(super) fn config(edge: &Mapping, scenario: &Scenario) -> String {
    let (mut edge, certificates) = (edge.clone(), &scenario.certificates);
    if scenario.dns.is_some() {
        dns::configure(&mut edge);
    }
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
        Step::Ask(asked) => asked.ask.raw.as_ref().map_or_else(|| asked.ask.ask.clone(), |raw| format!("{raw:?}")),
        Step::Together(together) => {
            let asked: Vec<&str> = together.together.iter().map(|asked| asked.ask.ask.as_str()).collect();
            format!("together {}", asked.join(", "))
        }
        Step::Origins(_) => "origins".to_owned(),
        Step::Deafen(name) => format!("deafen {name}"),
        Step::Origin(check) => format!("origin {}", check.origin),
        Step::Stop(name) => format!("stop {name}"),
        Step::Start(name) => format!("start {name}"),
        Step::Play(play) => format!("play {}", play.play),
        Step::Dns(names) => format!("dns {:?}", names.keys()),
        Step::Questions(wanted) => format!("questions {}", wanted.questions),
        Step::Open(open) => format!("open {}", open.open),
        Step::Purge(purge) => format!("purge {:?}", purge.purge),
        Step::Reload(_) => "reload".to_owned(),
        Step::Log(_) => "log".to_owned(),
        Step::Metrics(_) => "metrics".to_owned(),
        Step::Wait(span) => format!("wait {:?}", span.0),
    }
}
