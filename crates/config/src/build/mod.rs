//! Written to ready: every check that needs more than one value, and the snapshot.

mod backup;
mod cache;
mod geo;
mod limits;
mod names;
mod origins;
mod policies;
mod policy_origins;
mod probe;
mod server;
mod servers;
mod shield;
mod sites;
mod tls;
mod tokens;
mod waf;

use std::collections::HashMap;

pub use policies::MAX_POLICY;

use crate::gather::Gathered;
use crate::ready::{Directories, Platform, Snapshot};
use crate::report::Report;

/// Digits or letters of an account number.
const ACCOUNT: std::ops::RangeInclusive<usize> = 4..=16;

/// The snapshot, if nothing forbids it. Everything is checked either way.
pub(crate) fn snapshot(report: &Report, gathered: &Gathered) -> Option<Snapshot> {
    let main = &gathered.main;
    let root = &gathered.root;
    let account = main.account.clone();
    if !ACCOUNT.contains(&account.len()) || !account.bytes().all(|b| b.is_ascii_alphanumeric()) {
        report.error(&root.key("account"), format!("`{account}` is not an account number")).hint(format!(
            "{} to {} letters or digits, such as \"0001\"",
            ACCOUNT.start(),
            ACCOUNT.end()
        ));
    }
    let cdn_hosts = cdn_hosts(report, gathered);
    let server = server::server(report, &root.key("server"), &main.server);
    let admin = server::admin(report, &root.key("admin"), &main.admin, &server);
    let log = server::log(report, &root.key("log"), &main.log);
    let cache = cache::cache(report, &root.key("cache"), &main.cache);
    let addresses = server::addresses(report, &root.key("addresses"), &main.addresses, &main.server.trusted_proxies);
    let dns = server::dns(report, &root.key("dns"), &main.dns);
    let debug = server::debug(report, &root.key("debug"), &main.debug);
    let hosts = sites::hosts(report, gathered, &cdn_hosts);
    let geo = geo::database(report, &root.key("geo"), &main.geo);
    let filters = geo::filters(report, gathered);
    let limits = limits::limits(report, gathered, &hosts, main.geo.database.is_some());
    let mut origins = origins::origins(report, gathered, &hosts, &server, &filters);
    let guards = waf::guards(report, gathered);
    let tokens = tokens::tokens(report, gathered, &origins);
    let shared = sites::Shared { cache: &cache, guards: &guards.sites, tokens: tokens.as_ref(), limits: &limits };
    let sites = sites::sites(report, gathered, &hosts, &mut origins, &shared);
    if report.has_errors() {
        return None;
    }
    let mut directories = Directories::default();
    origins.all.iter().for_each(|origin| directories.insert(origin));
    let (admin, origins) = (admin?, origins.all);
    let generation = 0;
    Some(Snapshot {
        generation,
        account,
        cdn_hosts,
        server,
        admin,
        log,
        cache,
        origins,
        directories,
        sites,
        tokens,
        addresses,
        dns,
        debug,
        waf: guards.shared,
        guard: guards.default,
        geo,
        rate_limits: limits.into_iter().filter(|limit| limit.site.is_none()).collect(),
    })
}

fn cdn_hosts(report: &Report, gathered: &Gathered) -> HashMap<String, Platform> {
    let at = gathered.root.key("cdn_hosts");
    let mut hosts = HashMap::new();
    for (written, platform) in &gathered.main.cdn_hosts {
        match names::host(written) {
            Ok(host) => {
                if hosts.insert(host, *platform).is_some() {
                    report
                        .error_at_key(&at.key(written), format!("the host `{written}` is given twice"))
                        .hint("upper and lower case are the same in host names");
                }
            }
            Err(reason) => {
                report.error_at_key(&at.key(written), format!("`{written}` is not a host name: {reason}"));
            }
        }
    }
    hosts
}
