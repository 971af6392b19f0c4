//! `origins`, and those that policies name.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::geo::Filters;
use super::server::not_zero;
use super::sites::Hosts;
use super::{backup, names, probe, servers, shield, tls};
use crate::gather::{Found, Gathered};
use crate::ready::{Origin, Platform, Server, Timeouts};
use crate::report::{At, Report};
use crate::written;

/// Origins of one platform.
const MAX_ORIGINS: usize = 100;
/// Characters of a directory.
const MAX_DIRECTORY: usize = 64;

/// Every origin, and how to find one.
#[derive(Default)]
pub(super) struct Origins {
    pub(super) all: Vec<Arc<Origin>>,
    by_directory: HashMap<(Platform, String), Arc<Origin>>,
    pub(super) by_server: HashMap<String, Arc<Origin>>,
    /// Backups of `backup`, by the hosts of their servers.
    pub(super) by_backup: HashMap<String, Arc<Origin>>,
    /// Those that only policies name, by their keys.
    pub(super) by_policy: HashMap<u64, Vec<Arc<Origin>>>,
}

pub(super) fn origins(
    report: &Report,
    gathered: &Gathered,
    hosts: &Hosts,
    server: &Server,
    filters: &Filters,
) -> Origins {
    let mut origins = Origins::default();
    let mut first: HashMap<(Platform, &str), &At> = HashMap::new();
    let mut count: HashMap<Platform, usize> = HashMap::new();
    for Found { at, value } in &gathered.origins {
        let mut origin = origin(report, at, value, hosts, server);
        let Some(directory) = value.directory.as_deref() else {
            continue;
        };
        origin.countries = filters.of(value.platform, directory);
        match first.get(&(value.platform, directory)) {
            Some(other) => {
                report
                    .error(
                        &at.key("directory"),
                        format!("the directory `{directory}` is there twice on `{}`", value.platform.name()),
                    )
                    .hint(format!("the first one is at {}", report.mention(&other.key("directory"))));
            }
            None => {
                first.insert((value.platform, directory), at);
            }
        }
        let count = count.entry(value.platform).or_default();
        *count += 1;
        if *count == MAX_ORIGINS + 1 {
            report.error(
                at,
                format!(
                    "this is origin {count} of the platform `{}`, which may have {MAX_ORIGINS}",
                    value.platform.name()
                ),
            );
        }
        origins.add(directory, origin);
    }
    origins
}

impl Origins {
    fn add(&mut self, directory: &str, origin: Origin) {
        let origin = Arc::new(origin);
        for servers in [&origin.http, &origin.https].into_iter().flatten() {
            for server in &servers.servers {
                self.by_server.entry(server.host.clone()).or_insert_with(|| Arc::clone(&origin));
            }
        }
        if let Some(backup) = &origin.backup {
            for server in backup.origin.http.iter().flat_map(|list| &list.servers) {
                self.by_backup.entry(server.host.clone()).or_insert_with(|| Arc::clone(&backup.origin));
            }
        }
        self.by_directory.entry((origin.platform, directory.to_owned())).or_insert_with(|| Arc::clone(&origin));
        self.all.push(origin);
    }

    /// The origins of that directory, on that platform or on any.
    pub(super) fn named(&self, directory: &str, platform: Option<Platform>) -> Vec<&Arc<Origin>> {
        Platform::ALL
            .into_iter()
            .filter(|one| platform.is_none_or(|wanted| wanted == *one))
            .filter_map(|one| self.by_directory.get(&(one, directory.to_owned())))
            .collect()
    }

    /// Every directory, for suggestions.
    pub(super) fn directories(&self) -> impl Iterator<Item = &str> {
        self.all.iter().filter_map(|origin| origin.directory.as_deref())
    }
}

fn origin(report: &Report, at: &At, written: &written::Origin, hosts: &Hosts, server: &Server) -> Origin {
    let name = written.directory.clone().unwrap_or_default();
    match &written.directory {
        None => report.missing(at, "directory").hint("its name in CDN URLs and in `sites`: `directory: photos`"),
        Some(name) if is_directory(name) => {}
        Some(name) => {
            let added = report.error(&at.key("directory"), format!("`{name}` is not a directory name"));
            added.hint(format!("1 to {MAX_DIRECTORY} letters and digits"));
        }
    }
    let list = |key: &str, list: &Option<written::Servers>, tls: bool| {
        list.as_ref().map(|list| servers::list(report, &at.key(key), list, tls, hosts))
    };
    let http = list("http", &written.http, false);
    let https = list("https", &written.https, true);
    if http.is_none() && https.is_none() && !report.any_wrong(&at.key("http")) && !report.any_wrong(&at.key("https")) {
        report
            .error(at, "this origin has neither `http` nor `https`")
            .hint("`http: { servers: [\"http://10.0.0.1:80\"] }`");
    }
    let host_header = host_header(report, at, written.host_header.as_ref());
    let health_check = written.health_check.as_ref();
    let mut origin = Origin {
        name,
        directory: written.directory.clone(),
        platform: written.platform,
        http,
        https,
        host_header,
        ip_version: written.ip_version,
        allow_private: written.allow_private,
        timeouts: timeouts(report, &at.key("timeouts"), &written.timeouts),
        unavailable: probe::unavailable(report, &at.key("unavailable"), &written.unavailable),
        backup: None,
        tls: tls::origin(report, &at.key("tls"), &written.tls),
        websocket: written.websocket,
        follow_redirects: written.follow_redirects,
        validation: None,
        health_check: health_check.map(|check| probe::health_check(report, &at.key("health_check"), check)),
        shield: None,
        countries: None,
        group_key: 0,
    };
    if origin.follow_redirects && matches!(origin.platform, Platform::Adn | Platform::Can) {
        let platform = origin.platform.name();
        let message = format!("`follow_redirects` has no effect on requests of the platform `{platform}`");
        report.warning(&at.key("follow_redirects"), message);
    }
    let validation = written.validation_path.as_ref();
    origin.validation = validation.and_then(|url| probe::validation(report, &at.key("validation_path"), url, &origin));
    origin.backup =
        written.backup.as_ref().and_then(|written| backup::backup(report, &at.key("backup"), written, &origin, hosts));
    let validated = written.validation_path.is_some();
    origin.shield = shield::shield(report, &at.key("shield"), &written.shield, &origin, validated, hosts, server);
    keyed(origin)
}

/// Host towards an origin or its backup, as written.
pub(super) fn host_header(report: &Report, at: &At, written: Option<&String>) -> Option<String> {
    let host = written?;
    if let Err(reason) = names::authority(host) {
        report.error(&at.key("host_header"), format!("`{host}` is not a host: {reason}"));
    }
    Some(host.clone())
}

fn timeouts(report: &Report, at: &At, written: &written::Timeouts) -> Timeouts {
    for (key, span) in
        [("connect", written.connect), ("first_byte", written.first_byte), ("between_bytes", written.between_bytes)]
    {
        not_zero(report, at, key, span);
    }
    Timeouts::from(written)
}

fn is_directory(name: &str) -> bool {
    (1..=MAX_DIRECTORY).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Fills in the key that connections, turns and parsed authorities are kept under: everything that makes the origin what it is, so that
/// it stays the same over reloads that do not touch the origin, and no two origins share it. What does not change a connection is no part
/// of it: timeouts, the rest of an unavailable server, the choice of addresses, checks. A backup has a key of its own.
pub(super) fn keyed(mut origin: Origin) -> Origin {
    let mut hasher = DefaultHasher::new();
    (&origin.name, origin.platform, &origin.host_header).hash(&mut hasher);
    for list in [&origin.http, &origin.https] {
        list.as_ref().map(|list| (&list.servers, list.balance)).hash(&mut hasher);
    }
    (origin.tls.verify, &origin.tls.sni, &origin.tls.ca).hash(&mut hasher);
    origin.tls.client.as_ref().map(|client| (&client.chain, client.key.expose())).hash(&mut hasher);
    origin.group_key = hasher.finish();
    origin
}
