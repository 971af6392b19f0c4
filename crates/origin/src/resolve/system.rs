//! Asking: the hosts file, then the DNS servers. Runs on the names' own thread, so that reading a small file there holds up
//! no request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};
use leeward_config::ready::Dns;

use super::families::{Families, Family, Outcome};

/// DNS servers that are asked one after the other.
const MAX_SERVERS: usize = 8;
/// Search domains of `resolv.conf` that are tried.
const MAX_SEARCH: usize = 6;
/// Addresses of one name that are used.
const MAX_ADDRESSES: usize = 64;
/// The default port of a DNS server.
const DNS_PORT: u16 = 53;

/// Where the system says how names become addresses.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) hosts: PathBuf,
    pub(super) resolv_conf: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Self { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into() }
    }
}

/// A file and what was read from it, read again when the file changes.
#[derive(Debug)]
struct Watched<T> {
    path: PathBuf,
    read: Mutex<Read<T>>,
}

/// What was read, and when the file changed last and how long it was then.
#[derive(Debug)]
struct Read<T> {
    mark: Option<(SystemTime, u64)>,
    said: Option<Arc<T>>,
}

impl<T> Watched<T> {
    const fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::new(Read { mark: None, said: None }) }
    }

    /// What the file says now. A file that became unreadable says what it said before.
    fn get(&self, parse: impl FnOnce(&[u8]) -> Option<T>) -> Option<Arc<T>> {
        let mark = std::fs::metadata(&self.path).ok().and_then(|file| Some((file.modified().ok()?, file.len())));
        let mut read = self.read.lock().ok()?;
        if mark.is_some()
            && read.mark != mark
            && let Ok(bytes) = std::fs::read(&self.path)
        {
            read.mark = mark;
            match parse(&bytes) {
                Some(parsed) => read.said = Some(Arc::new(parsed)),
                None => log::warn!("{}: not understood, the last good version counts", self.path.display()),
            }
        }
        read.said.clone()
    }
}

/// Servers, and how an unqualified name is completed.
struct Servers {
    /// One per server: which one is asked after an error is decided here, since hickory's pool believes the first error code
    /// that any of its servers gives.
    resolvers: Vec<(SocketAddr, TokioResolver)>,
    /// The one that answered last: a dead first server costs its timeout once, not at every question.
    last_good: AtomicUsize,
    search: Vec<Name>,
    ndots: usize,
    timeout: Duration,
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.resolvers.iter().map(|(address, _)| address)).finish()
    }
}

/// The ways to ask for a name, as one configuration says.
#[derive(Debug)]
pub(super) struct System {
    dns: Dns,
    configured: Option<Arc<Servers>>,
    hosts: Watched<Hosts>,
    resolv_conf: Watched<Servers>,
}

impl System {
    pub(super) fn new(dns: &Dns, files: Files) -> Self {
        let configured =
            (!dns.servers.is_empty()).then(|| Arc::new(Servers::new(&dns.servers, Vec::new(), 1, dns.timeout)));
        Self {
            dns: dns.clone(),
            configured,
            hosts: Watched::new(files.hosts),
            resolv_conf: Watched::new(files.resolv_conf),
        }
    }

    /// Whether this is what a configuration says.
    pub(super) fn is(&self, dns: &Dns) -> bool {
        self.dns == *dns
    }

    /// The addresses of a name, of the families that its origin's setting allows.
    pub(super) async fn resolve(&self, host: &str, families: Families) -> Outcome {
        let (first, second) = families.order();
        match (self.ask(host, first).await, second) {
            (Outcome::NoRecord(_), Some(second)) => self.ask(host, second).await,
            (outcome, _) => outcome,
        }
    }

    /// The addresses of one family. The hosts file is the whole truth about the names in it, for both families: an entry there
    /// is meant to replace what DNS says.
    async fn ask(&self, host: &str, family: Family) -> Outcome {
        let name = match Name::from_str(host) {
            Ok(name) => name,
            Err(error) => return Outcome::NoRecord(format!("not a name: {error}")),
        };
        if let Some(outcome) = self.in_hosts(&name, family) {
            return outcome;
        }
        match self.servers() {
            Some(servers) => servers.ask(name, family).await,
            None => Outcome::Failed("no DNS server is configured on this machine".to_owned()),
        }
    }

    fn in_hosts(&self, name: &Name, family: Family) -> Option<Outcome> {
        let hosts = self.hosts.get(|bytes| {
            let mut hosts = Hosts::default();
            hosts.read_hosts_conf(bytes).ok().map(|()| hosts)
        })?;
        let of = |family: Family| hosts.lookup_static_host(&Query::query(name.clone(), family.record_type()));
        match (of(Family::V4), of(Family::V6)) {
            (None, None) => None,
            (v4, v6) => {
                let entry = match family {
                    Family::V4 => v4,
                    Family::V6 => v6,
                };
                let addresses =
                    entry.iter().flat_map(|entry| entry.answers()).filter_map(|record| record.data.ip_addr());
                // The file is looked at again at the shortest pace: reading it costs no query.
                Some(usable(addresses, Duration::ZERO, "the hosts file has no such address"))
            }
        }
    }

    fn servers(&self) -> Option<Arc<Servers>> {
        if let Some(configured) = &self.configured {
            return Some(Arc::clone(configured));
        }
        let timeout = self.dns.timeout;
        self.resolv_conf.get(|bytes| {
            let (config, options) = system_conf::parse_resolv_conf(bytes).ok()?;
            let addresses: Vec<SocketAddr> =
                config.name_servers.iter().map(|server| SocketAddr::new(server.ip, DNS_PORT)).collect();
            let search = config.search.into_iter().take(MAX_SEARCH).collect();
            Some(Servers::new(&addresses, search, options.ndots, timeout))
        })
    }
}

impl Servers {
    fn new(addresses: &[SocketAddr], search: Vec<Name>, ndots: usize, timeout: Duration) -> Self {
        let built = addresses.iter().take(MAX_SERVERS).filter_map(|address| {
            let resolver = resolver(*address, timeout);
            let resolver = resolver.inspect_err(|error| log::warn!("the DNS server {address} is not used: {error}"));
            Some((*address, resolver.ok()?))
        });
        Self { resolvers: built.collect(), last_good: AtomicUsize::new(0), search, ndots, timeout }
    }

    /// A name with its endings: fully qualified ones, in the order in which they are tried (resolv.conf(5), `ndots`).
    fn candidates(&self, name: Name) -> Vec<Name> {
        if name.is_fqdn() {
            return vec![name];
        }
        let mut candidates: Vec<Name> =
            self.search.iter().filter_map(|search| name.clone().append_domain(search).ok()).collect();
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let mut as_written = name;
        as_written.set_fqdn(true);
        let at = if dots >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(at, as_written);
        for candidate in &mut candidates {
            candidate.set_fqdn(true);
        }
        candidates
    }

    /// The first candidate with records. There is no record only when that is said of every candidate: a server that failed on
    /// one of them may have had it.
    async fn ask(&self, name: Name, family: Family) -> Outcome {
        let mut worst = Outcome::NoRecord(format!("{name} is no name to ask for"));
        for candidate in self.candidates(name) {
            match (self.ask_all(&candidate, family).await, &worst) {
                (found @ Outcome::Found { .. }, _) => return found,
                (Outcome::NoRecord(_), Outcome::Failed(_)) => {}
                (outcome, _) => worst = outcome,
            }
        }
        worst
    }

    /// One server after the other, until one answers.
    async fn ask_all(&self, name: &Name, family: Family) -> Outcome {
        let first = self.last_good.load(Ordering::Relaxed);
        let mut failure = "no DNS server can be used".to_owned();
        for turn in 0..self.resolvers.len() {
            let at = (first + turn) % self.resolvers.len();
            let Some((address, resolver)) = self.resolvers.get(at) else { break };
            match self.ask_one(resolver, name, family).await {
                Outcome::Failed(why) => failure = format!("{address}: {why}"),
                answer => {
                    self.last_good.store(at, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Outcome::Failed(failure)
    }

    async fn ask_one(&self, resolver: &TokioResolver, name: &Name, family: Family) -> Outcome {
        // Twice: a truncated answer is asked for again over TCP, with the same time.
        let within = self.timeout.saturating_mul(2);
        let asked = resolver.lookup(name.clone(), family.record_type());
        match tokio::time::timeout(within, asked).await {
            Ok(Ok(answer)) => {
                let ttl = answer.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
                let addresses = answer.answers().iter().filter_map(|record| record.data.ip_addr());
                usable(addresses, Duration::from_secs(u64::from(ttl)), "no such record")
            }
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) => match none.response_code {
                ResponseCode::NXDomain => Outcome::NoRecord("no such name".to_owned()),
                ResponseCode::NoError => Outcome::NoRecord(format!("no {} record", family.record_type())),
                other => Outcome::Failed(other.to_string()),
            },
            Ok(Err(error)) => Outcome::Failed(error.to_string()),
            Err(_) => Outcome::Failed(format!("no answer within {within:?}")),
        }
    }
}

/// The addresses that a server can have, sorted.
///
/// Sorted, because resolvers rotate their answers: `primary_failover` must keep its primary over refreshes and restarts, and
/// every edge should choose the same one. The order of a record set means nothing (RFC 1034 3.6).
fn usable(answered: impl Iterator<Item = IpAddr>, ttl: Duration, none: &str) -> Outcome {
    let (mut some, mut addresses) = (false, Vec::new());
    for address in answered {
        some = true;
        // What blocking resolvers answer for "no": connecting there would reach this machine.
        let plain = address.to_canonical();
        let nobody = plain.is_unspecified() || plain.is_multicast() || plain == Ipv4Addr::BROADCAST;
        if !nobody {
            addresses.push(address);
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MAX_ADDRESSES);
    match (addresses.is_empty(), some) {
        (false, _) => Outcome::Found { addresses, ttl },
        (true, true) => Outcome::Failed("only addresses that no server has".to_owned()),
        (true, false) => Outcome::NoRecord(none.to_owned()),
    }
}

fn resolver(address: SocketAddr, timeout: Duration) -> Result<TokioResolver, NetError> {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    let server = NameServerConfig::new(address.ip(), true, connections.into());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut options = ResolverOpts::default();
    options.timeout = timeout;
    // A lost datagram is sent again within the timeout; repeating the whole is the pace's.
    options.attempts = 0;
    // The pace is the only clock: with a cache below it an answer would live for up to twice its time.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4Only;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build()
}

impl Family {
    const fn record_type(self) -> RecordType {
        match self {
            Self::V4 => RecordType::A,
            Self::V6 => RecordType::AAAA,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_completed_as_the_search_list_says() {
        let search = ["ns.svc.cluster.local", "example.net."].map(|search| Name::from_str(search).unwrap());
        let cases = [
            ("backend", 1, "backend.ns.svc.cluster.local. backend.example.net. backend."),
            ("backend.other", 1, "backend.other. backend.other.ns.svc.cluster.local. backend.other.example.net."),
            ("backend.other", 5, "backend.other.ns.svc.cluster.local. backend.other.example.net. backend.other."),
            ("www.example.com.", 5, "www.example.com."),
            ("my_backend.", 1, "my_backend."),
        ];
        for (name, ndots, want) in cases {
            let servers = Servers::new(&[], search.to_vec(), ndots, Duration::ZERO);
            let candidates = servers.candidates(Name::from_str(name).unwrap());
            let got: Vec<String> = candidates.iter().map(ToString::to_string).collect();
            assert_eq!(got.join(" "), want, "{name}, ndots {ndots}");
            assert!(candidates.iter().all(Name::is_fqdn), "{candidates:?}");
        }
    }

    #[test]
    fn resolv_conf_is_read_as_the_system_reads_it_and_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let resolv_conf = folder.path().join("resolv.conf");
        let dns = Dns { servers: Vec::new(), timeout: Duration::from_secs(1) };
        let files = Files { hosts: "/nonexistent".into(), resolv_conf: resolv_conf.clone() };
        let system = System::new(&dns, files);
        let servers = || {
            let servers = system.servers()?;
            let addresses: Vec<String> = servers.resolvers.iter().map(|(address, _)| address.to_string()).collect();
            Some((addresses.join(" "), servers.search.len(), servers.ndots))
        };
        let text = |text: &str, search, ndots| Some((text.to_owned(), search, ndots));
        assert_eq!(servers(), None);
        std::fs::write(&resolv_conf, "nameserver 192.0.2.53\n").unwrap();
        assert_eq!(servers(), text("192.0.2.53:53", 0, 1));
        let cluster = "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch a.local b.local\noptions ndots:5\n";
        std::fs::write(&resolv_conf, cluster).unwrap();
        assert_eq!(servers(), text("192.0.2.53:53 [2001:db8::53]:53", 2, 5));
        std::fs::remove_file(&resolv_conf).unwrap();
        assert_eq!(servers(), text("192.0.2.53:53 [2001:db8::53]:53", 2, 5), "the last good version counts");
    }
}
