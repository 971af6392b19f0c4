//! How the origins are: for `GET /v1/origins` and for the metrics.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use leeward_config::Snapshot;
use leeward_config::ready::{Origin, OriginServer, Servers, Shield};
use leeward_origin::health::{AddressState, Addresses, Condition, ServerState, overview};
use leeward_origin::tiers::Seen;
use leeward_origin::{Health, Resolver, Tiers};
use leeward_telemetry::Metrics;
use serde_json::{Value, json};

/// What is known of the origins of the running configuration.
#[derive(Debug, Clone)]
pub struct Origins {
    /// The running configuration.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Which addresses answer.
    pub health: Arc<Health>,
    /// What the names' addresses are.
    pub resolver: Arc<Resolver>,
    /// Which shields and gateways are asked.
    pub tiers: Arc<Tiers>,
}

impl Origins {
    /// Every origin with its servers, their addresses and how these are; JSON.
    #[must_use]
    pub fn describe(&self) -> Value {
        let snapshot = self.snapshot.load();
        let clock = Clock { now: Instant::now(), time: SystemTime::now() };
        let about = |origin: &Arc<Origin>| {
            let backup = origin.backup.as_ref().map(|backup| self.servers(&backup.origin, &clock));
            json!({
                "name": origin.name,
                "directory": origin.directory,
                "platform": origin.platform.name(),
                "ip_version": origin.ip_version,
                "servers": self.servers(origin, &clock),
                "backup": backup,
                "tier": origin.shield.as_ref().map(|shield| self.tier(shield, &clock)),
            })
        };
        let origins: Vec<_> = snapshot.origins.iter().map(about).collect();
        json!({ "generation": snapshot.generation, "origins": origins })
    }

    /// A shield or the gateways: what is asked first, how it was chosen, and how its servers are.
    fn tier(&self, shield: &Shield, clock: &Clock) -> Value {
        let kind = if matches!(shield, Shield::Gateways(_)) { "gateways" } else { "shield" };
        // each POP has its nodes, each gateway is one
        let mut servers: Vec<Vec<Value>> = shield.groups().map(|group| self.servers(group, clock)).collect();
        if matches!(shield, Shield::Gateways(_)) {
            servers = servers.into_iter().flatten().map(|server| vec![server]).collect();
        }
        let about = |(seen, servers): (Seen, Vec<Value>)| {
            let took = seen.took;
            json!({
                "name": seen.name,
                "rank": seen.rank,
                "seconds": took.and_then(|took| took.seconds()),
                "error": took.and_then(|took| took.error()),
                "measured": took.map(|took| clock.past(took.at)),
                "servers": servers,
            })
        };
        let members: Vec<Value> = self.tiers.list(shield).into_iter().zip(servers).map(about).collect();
        json!({ "kind": kind, "members": members })
    }

    /// Brings `leeward_origin_available` up to date.
    pub fn measure(&self, metrics: &Metrics) {
        let snapshot = self.snapshot.load();
        let servers = snapshot.all_origins().flat_map(|origin| {
            let states = self.states(origin).into_iter();
            states.map(|state| (origin.name.as_str(), state.server.to_string(), state.available()))
        });
        metrics.available(servers);
    }

    fn states(&self, origin: &Origin) -> Vec<ServerState> {
        overview(&self.health, origin, |host, question| self.resolver.known(host, question))
    }

    fn servers(&self, origin: &Origin, clock: &Clock) -> Vec<Value> {
        let about = |state: ServerState| {
            let (addresses, error) = match &state.addresses {
                Addresses::Known(all) => (all.iter().map(|one| clock.address(one)).collect(), None),
                Addresses::Failed(error) => (Vec::new(), Some(error)),
                Addresses::NotYet => (Vec::new(), None),
            };
            json!({
                "server": state.server.to_string(),
                "for": clients(origin, &state.server),
                "available": state.available(),
                "addresses": addresses,
                "error": error,
            })
        };
        self.states(origin).into_iter().map(about).collect()
    }
}

/// The client schemes that a server is for.
fn clients(origin: &Origin, server: &OriginServer) -> Vec<&'static str> {
    let has = |list: &Option<Servers>| list.as_ref().is_some_and(|list| list.servers.contains(server));
    let lists = [("http", has(&origin.http)), ("https", has(&origin.https))];
    lists.into_iter().filter_map(|(scheme, has)| has.then_some(scheme)).collect()
}

/// The moment that is described, on both clocks.
struct Clock {
    now: Instant,
    time: SystemTime,
}

impl Clock {
    fn address(&self, state: &AddressState) -> Value {
        let name = match state.condition {
            Condition::Available => "available",
            Condition::Excluded { .. } => "excluded",
            Condition::Trial { .. } => "trial",
        };
        json!({
            "address": state.address,
            "state": name,
            "failures": state.failures,
            "last_error": state.last_error.map(|last| json!({ "reason": last.reason, "at": self.past(last.at) })),
            "next_trial": state.next_trial.map(|next| {
                let left = next.saturating_duration_since(self.now);
                json!({ "at": date(self.time + left), "seconds": seconds(left) })
            }),
            "checked": state.checked.map(|checked| {
                json!({ "failed": checked.failed, "failures": checked.failures, "at": self.past(checked.at) })
            }),
        })
    }

    fn past(&self, at: Instant) -> String {
        let ago = self.now.saturating_duration_since(at);
        date(self.time.checked_sub(ago).unwrap_or(self.time))
    }
}

fn date(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// To a tenth: more is of no use to anyone.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use leeward_telemetry::Reason;

    use super::*;

    const WRITTEN: &str = r#"
origins:
  - directory: photos
    http: { servers: ["http://192.0.2.1", "http://192.0.2.2:8080"] }
    https: { servers: ["https://192.0.2.1"] }
sites:
  - { host: www.example.com, origin: photos }
"#;

    fn origins() -> Origins {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("leeward.yaml");
        std::fs::write(&file, WRITTEN).unwrap();
        let loaded = leeward_config::load(&file);
        let snapshot = loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let resolver = Arc::new(Resolver::new(&snapshot.dns));
        resolver.follow(&snapshot);
        Origins {
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            health: Arc::default(),
            resolver,
            tiers: Arc::default(),
        }
    }

    #[test]
    fn an_excluded_address_is_seen_with_its_reason_and_its_next_trial() {
        let origins = origins();
        let photos = Arc::clone(&origins.snapshot.load().origins[0]);
        let server = &photos.http.as_ref().unwrap().servers[1];
        let address: SocketAddr = "192.0.2.2:8080".parse().unwrap();
        let now = Instant::now();
        origins.health.unreachable(&photos, server, address, Reason::ConnectRefused, now, now);
        let said = origins.describe();
        let cases = [
            ("/origins/0/name", json!("photos")),
            ("/origins/0/backup", json!(null)),
            ("/origins/0/servers/0/server", json!("http://192.0.2.1:80")),
            ("/origins/0/servers/0/for", json!(["http"])),
            ("/origins/0/servers/0/available", json!(true)),
            ("/origins/0/servers/0/addresses/0/address", json!("192.0.2.1:80")),
            ("/origins/0/servers/0/addresses/0/state", json!("available")),
            ("/origins/0/servers/0/addresses/0/next_trial", json!(null)),
            ("/origins/0/servers/1/available", json!(false)),
            ("/origins/0/servers/1/addresses/0/state", json!("excluded")),
            ("/origins/0/servers/1/addresses/0/failures", json!(1)),
            ("/origins/0/servers/1/addresses/0/last_error/reason", json!("connect_refused")),
            ("/origins/0/servers/2/server", json!("https://192.0.2.1:443")),
            ("/origins/0/servers/2/for", json!(["https"])),
        ];
        for (pointer, value) in cases {
            assert_eq!(said.pointer(pointer), Some(&value), "{pointer} in {said:#}");
        }
        let left = said.pointer("/origins/0/servers/1/addresses/0/next_trial/seconds").and_then(Value::as_f64).unwrap();
        assert!((3.0..=5.5).contains(&left), "{said:#}");

        let metrics = Metrics::new().unwrap();
        origins.measure(&metrics);
        let text = String::from_utf8(metrics.render()).unwrap();
        for (server, value) in [("http://192.0.2.1:80", 1), ("http://192.0.2.2:8080", 0), ("https://192.0.2.1:443", 1)]
        {
            let line = format!("leeward_origin_available{{origin=\"photos\",server=\"{server}\"}} {value}\n");
            assert!(text.contains(&line), "{line}not in\n{text}");
        }
    }
}
