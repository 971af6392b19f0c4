//! `origins`, and those that policies name.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::server::not_zero;
use super::sites::Hosts;
use super::{names, tls};
use crate::gather::{Found, Gathered};
use crate::ready::{Origin, OriginServer, OriginTls, Platform, Servers, Timeouts};
use crate::report::{At, Report};
use crate::written;

/// Origins of one platform.
const MAX_ORIGINS: usize = 100;
/// Servers of one list.
const MAX_SERVERS: usize = 64;
/// Characters of a directory.
const MAX_DIRECTORY: usize = 64;

/// Every origin, and how to find one.
#[derive(Default)]
pub(super) struct Origins {
    pub(super) all: Vec<Arc<Origin>>,
    by_directory: HashMap<(Platform, String), Arc<Origin>>,
    pub(super) by_server: HashMap<String, Arc<Origin>>,
    /// Those that only policies name, by their keys and timeouts.
    pub(super) by_policy: HashMap<(u64, Timeouts), Arc<Origin>>,
}

pub(super) fn origins(report: &Report, gathered: &Gathered, hosts: &Hosts) -> Origins {
    let mut origins = Origins::default();
    let mut first: HashMap<(Platform, &str), &At> = HashMap::new();
    let mut count: HashMap<Platform, usize> = HashMap::new();
    for Found { at, value } in &gathered.origins {
        let origin = origin(report, at, value, hosts);
        let Some(directory) = value.directory.as_deref() else {
            continue;
        };
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

fn origin(report: &Report, at: &At, written: &written::Origin, hosts: &Hosts) -> Origin {
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
        list.as_ref().map(|list| servers(report, &at.key(key), list, tls, hosts))
    };
    let http = list("http", &written.http, false);
    let https = list("https", &written.https, true);
    if http.is_none() && https.is_none() && !report.any_wrong(&at.key("http")) && !report.any_wrong(&at.key("https")) {
        report
            .error(at, "this origin has neither `http` nor `https`")
            .hint("`http: { servers: [\"http://10.0.0.1:80\"] }`");
    }
    let host_header = written.host_header.as_ref().map(|host| {
        if let Err(reason) = names::authority(host) {
            report.error(&at.key("host_header"), format!("`{host}` is not a host: {reason}"));
        }
        host.clone()
    });
    for (key, span) in [
        ("connect", written.timeouts.connect),
        ("first_byte", written.timeouts.first_byte),
        ("between_bytes", written.timeouts.between_bytes),
    ] {
        not_zero(report, &at.key("timeouts"), key, span);
    }
    let tls = origin_tls(report, &at.key("tls"), &written.tls);
    keyed(Origin {
        name,
        directory: written.directory.clone(),
        platform: written.platform,
        http,
        https,
        host_header,
        timeouts: Timeouts::from(&written.timeouts),
        tls,
        ..Origin::default()
    })
}

fn is_directory(name: &str) -> bool {
    (1..=MAX_DIRECTORY).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn origin_tls(report: &Report, at: &At, written: &written::OriginTls) -> OriginTls {
    if let Some(sni) = &written.sni
        && let Err(reason) = names::host(sni).and_then(|name| {
            if name.parse::<std::net::IpAddr>().is_ok() {
                Err("an address cannot be a server name".to_owned())
            } else {
                Ok(name)
            }
        })
    {
        report.error(&at.key("sni"), format!("`{sni}` is not a server name: {reason}"));
    }
    let ca = written
        .ca
        .as_ref()
        .map(|ca| tls::authorities(report, &at.key("ca"), &report.resolve(at.file, ca)))
        .unwrap_or_default();
    if !written.verify {
        if written.ca.is_some() {
            report.warning(&at.key("verify"), "`ca` has no effect with `verify: false`");
        } else {
            report
                .warning(&at.key("verify"), "the origin's certificate is not verified")
                .hint("name the authority that signed it: `ca: ca.pem`");
        }
    }
    OriginTls {
        verify: written.verify,
        sni: written.sni.as_ref().map(|sni| sni.to_ascii_lowercase()),
        ca,
        client: None,
    }
}

/// Fills in the key that connections, turns and parsed authorities are kept under: everything that makes the origin what it is, so that
/// it stays the same over reloads that do not touch the origin, and no two origins share it. Timeouts are not part of it.
pub(super) fn keyed(mut origin: Origin) -> Origin {
    let mut hasher = DefaultHasher::new();
    (&origin.name, origin.platform, &origin.host_header).hash(&mut hasher);
    for list in [&origin.http, &origin.https] {
        list.as_ref().map(|list| (&list.servers, list.balance)).hash(&mut hasher);
    }
    (origin.tls.verify, &origin.tls.sni, &origin.tls.ca).hash(&mut hasher);
    origin.group_key = hasher.finish();
    origin
}

fn servers(report: &Report, at: &At, written: &written::Servers, tls: bool, hosts: &Hosts) -> Servers {
    let list_at = at.key("servers");
    let list = written.servers.as_deref().unwrap_or_default();
    if written.servers.is_none() {
        report.missing(at, "servers");
    } else if list.is_empty() && !report.any_wrong(&list_at) {
        report.error(&list_at, "`servers` is empty");
    }
    if list.len() > MAX_SERVERS {
        report.error(&list_at, format!("{} servers are more than {MAX_SERVERS}", list.len()));
    }
    let mut servers: Vec<OriginServer> = Vec::new();
    for (i, text) in list.iter().enumerate() {
        let at = list_at.index(i);
        match server(text, tls) {
            Ok(server) if servers.contains(&server) => {
                report.error(&at, format!("the server `{text}` is there twice"));
            }
            Ok(server) => {
                hosts.refuse_loop(report, &at, &server);
                servers.push(server);
            }
            Err((message, hint)) => {
                report.error(&at, message).hint(hint);
            }
        }
    }
    Servers { servers, balance: written.balance }
}

/// A server of a list: `http://host`, `http://host:port`.
fn server(text: &str, tls: bool) -> Result<OriginServer, (String, String)> {
    let scheme = if tls { "https" } else { "http" };
    let form = format!("such as `{scheme}://10.0.0.1:{}`", if tls { 443 } else { 80 });
    let Some((given, rest)) = text.split_once("://") else {
        return Err((format!("`{text}` has no scheme"), format!("`{scheme}://{text}`")));
    };
    if !given.eq_ignore_ascii_case(scheme) {
        let other = if given.eq_ignore_ascii_case("http") || given.eq_ignore_ascii_case("https") {
            format!("`{}` servers belong under `{}:`", given.to_ascii_lowercase(), given.to_ascii_lowercase())
        } else {
            form
        };
        return Err((format!("`{text}` in the `{scheme}` list does not begin with `{scheme}://`"), other));
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return Err((
            format!("`{text}` is more than a host and a port"),
            "a path on the origin is the site's `path`".to_owned(),
        ));
    }
    match names::authority(authority) {
        Ok((host, port)) => {
            let host = host.trim_matches(['[', ']']).to_owned();
            Ok(OriginServer { tls, host, port: port.unwrap_or(if tls { 443 } else { 80 }) })
        }
        Err(reason) => Err((format!("`{text}` is not a server: {reason}"), form)),
    }
}
