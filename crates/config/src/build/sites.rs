//! `sites`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use leeward_rules::decide::Way;

use super::cache::failover_order;
use super::names;
use super::origins::Origins;
use super::policies;
use crate::gather::Gathered;
use crate::read::suggestion;
use crate::ready::{Cache, Guard, Origin, OriginServer, Platform, QueryString, RateLimit, Site, Sites, Tokens};
use crate::report::{At, Report};
use crate::written;

/// Characters of a site's `path`.
const MAX_PATH: usize = 1024;

/// The hosts that this edge answers for.
pub(super) struct Hosts {
    exact: HashSet<String>,
    /// Without `*.`.
    wildcard: HashSet<String>,
    cdn: HashSet<String>,
    /// The host of each site, by its place in `Gathered::sites`; absent: wrong.
    by_site: Vec<Option<String>>,
}

/// Checks the hosts of all sites: each a host, each once, none a CDN host.
pub(super) fn hosts(report: &Report, gathered: &Gathered, cdn_hosts: &HashMap<String, Platform>) -> Hosts {
    let mut hosts = Hosts {
        exact: HashSet::new(),
        wildcard: HashSet::new(),
        cdn: cdn_hosts.keys().cloned().collect(),
        by_site: Vec::new(),
    };
    let mut first: HashMap<String, At> = HashMap::new();
    for found in &gathered.sites {
        let at = found.at.key("host");
        let host = match found.value.host.as_deref().map(names::site_host) {
            None => {
                report.missing(&found.at, "host").hint("such as `www.example.com`, `*.example.com` or `*`");
                None
            }
            Some(Err(reason)) => {
                report.error(
                    &at,
                    format!(
                        "`{}` is not the host of a site: {reason}",
                        found.value.host.as_deref().unwrap_or_default()
                    ),
                );
                None
            }
            Some(Ok(host)) => Some(host),
        };
        if let Some(host) = &host {
            if let Some(other) = first.get(host) {
                report
                    .error(&at, format!("the host `{host}` has a site already"))
                    .hint(format!("the first one is at {}", report.mention(other)));
            } else if hosts.cdn.contains(host) {
                report
                    .error(&at, format!("the host `{host}` is in `cdn_hosts` already"))
                    .hint("a host answers CDN URLs or is a site, not both");
            } else {
                first.insert(host.clone(), at);
            }
            match host.strip_prefix("*.") {
                Some(rest) => hosts.wildcard.insert(rest.to_owned()),
                None => hosts.exact.insert(host.clone()),
            };
        }
        hosts.by_site.push(host);
    }
    hosts
}

impl Hosts {
    /// Whether a site here has the host, by its name or by a wildcard; the default site does not count.
    pub(super) fn known(&self, host: &str) -> bool {
        self.exact.contains(host) || self.by_wildcard(host)
    }

    /// Whether that is what a site here has as its host.
    pub(super) fn is_site(&self, host: &str) -> bool {
        self.by_site.iter().flatten().any(|site| site == host)
    }

    fn by_wildcard(&self, host: &str) -> bool {
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            if self.wildcard.contains(parent) {
                return true;
            }
            rest = parent;
        }
        false
    }

    /// A server that is this edge itself would be asked again and again.
    pub(super) fn refuse_loop(&self, report: &Report, at: &At, server: &OriginServer) {
        let host = server.host.as_str();
        if self.cdn.contains(host) {
            report.error(
                at,
                format!("the server `{host}` is a CDN host of this edge: requests would go round in a loop"),
            );
        } else if self.exact.contains(host) {
            report
                .error(at, format!("the server `{host}` is a site of this edge: requests would go round in a loop"))
                .hint("give the origin server a name of its own");
        } else if self.by_wildcard(host) {
            report.warning(at, format!("the server `{host}` falls under a wildcard site of this edge: if its name leads here, requests go round in a loop"));
        }
    }
}

/// What sites share.
pub(super) struct Shared<'a> {
    pub(super) cache: &'a Cache,
    /// For each site.
    pub(super) guards: &'a [Option<Arc<Guard>>],
    pub(super) tokens: Option<&'a Tokens>,
    pub(super) limits: &'a [Arc<RateLimit>],
}

pub(super) fn sites(
    report: &Report,
    gathered: &Gathered,
    hosts: &Hosts,
    origins: &mut Origins,
    shared: &Shared<'_>,
) -> Sites {
    let Shared { cache, guards, tokens, limits } = *shared;
    let mut sites = Sites::default();
    let mut documents = policies::Documents::default();
    for ((found, host), guard) in gathered.sites.iter().zip(&hosts.by_site).zip(guards) {
        let (at, written) = (&found.at, &found.value);
        let own = origin(report, at, written, origins);
        let path = written.path.as_deref().map(|path| prefix(report, &at.key("path"), path)).unwrap_or_default();
        let Some(host) = host else { continue };
        if written.policy.is_some() && written.rules.is_some() {
            report.error(&at.key("rules"), "a site has `policy` or `rules`, not both");
        }
        let has_policy = written.policy.is_some() || written.rules.is_some();
        if own.is_none() && written.origin.is_none() && !has_policy && !report.any_wrong(at) {
            report.missing(at, "origin").hint("the directory of an origin: `origin: photos`");
        }
        let access_mode = written.access_mode.or(gathered.main.access_mode).map(Into::into);
        let around = policies::Surroundings {
            report,
            hosts,
            host,
            own: own.as_ref(),
            has_origin: written.origin.is_some(),
            tokens,
            has_geo: gathered.main.geo.database.is_some() || report.any_wrong(&gathered.root.key("geo")),
            access_mode,
        };
        let (policy, policy_origins) = policies::of_site(&around, &mut documents, at, written, origins);
        let query_string =
            written.query_string.unwrap_or(if has_policy { QueryString::Unique } else { cache.query_string });
        let failover_order = match &written.failover_order {
            Some(order) => failover_order(report, &at.key("failover_order"), order),
            None => cache.failover_order.clone(),
        };
        let order_at = match &written.failover_order {
            Some(_) => at.key("failover_order"),
            None => gathered.root.key("cache").key("failover_order"),
        };
        ways_left_out(report, &order_at, &failover_order, own.as_deref(), &policy);
        sites.insert(Arc::new(Site {
            host: host.clone(),
            origin: own,
            path,
            policy,
            query_string,
            policy_origins,
            failover_order,
            guard: guard.clone(),
            access_mode: access_mode.unwrap_or_default(),
            rate_limits: limits.iter().filter(|limit| limit.is_for(host)).cloned().collect(),
        }));
    }
    sites
}

/// Warns of what is configured and never asked because the order leaves it out.
fn ways_left_out(report: &Report, at: &At, order: &[Way], own: Option<&Origin>, policy: &leeward_rules::Policy) {
    let left_out = |way: Way| !order.contains(&way) && !order.is_empty() && !report.any_wrong(at);
    if let Some(own) = own.filter(|own| own.backup.is_some() && left_out(Way::Backup)) {
        report.warning(at, format!("this order leaves out `backup`: that of the origin `{}` is never asked", own.name));
    }
    if left_out(Way::Backup) && policy.backups().next().is_some() {
        report.warning(at, "this order leaves out `backup`: that of `origin-failover` is never asked");
    }
    if left_out(Way::SiteFailover) && policy.has_site_failover() {
        report.warning(at, "this order leaves out `site_failover`: the policy has one, which never applies");
    }
}

/// The origin that a site names.
fn origin(report: &Report, at: &At, written: &written::Site, origins: &Origins) -> Option<Arc<Origin>> {
    let name = written.origin.as_deref()?;
    let at = at.key("origin");
    match origins.named(name, written.platform).as_slice() {
        [origin] => Some(Arc::clone(origin)),
        [] if origins.all.is_empty() => None,
        [] => {
            let elsewhere = origins.named(name, None);
            // after a reload, what is missing was deleted or renamed: then it counts who still needs it
            let site = written.host.as_ref().map(|host| format!(" for the site `{host}`")).unwrap_or_default();
            let message = match written.platform {
                Some(platform) if !elsewhere.is_empty() => {
                    format!("there is no origin `{name}` on `{}`{site}", platform.name())
                }
                _ => format!("there is no origin `{name}`{site}"),
            };
            let mut known: Vec<&str> = origins.directories().collect();
            known.truncate(20);
            let hint = match elsewhere.first() {
                Some(origin) => format!("there is one on `{}`", origin.platform.name()),
                None => suggestion(name, &known),
            };
            report.error(&at, message).hint(hint);
            None
        }
        several => {
            let platforms: Vec<&str> = several.iter().map(|origin| origin.platform.name()).collect();
            report
                .error(&at, format!("there is an origin `{name}` on {}", platforms.join(" and on ")))
                .hint(format!("say which: `platform: {}`", platforms.first().unwrap_or(&"")));
            None
        }
    }
}

/// A path prefix, without the slash at its end.
pub(super) fn prefix(report: &Report, at: &At, path: &str) -> String {
    let reason = if !path.starts_with('/') {
        Some("it does not begin with `/`")
    } else if path.contains(['?', '#']) {
        Some("a query or a fragment is not part of it")
    } else if path.contains("//") || path.split('/').any(|part| part == "." || part == "..") {
        Some("it has an empty part, `.` or `..`")
    } else if path.len() > MAX_PATH {
        Some("it is too long")
    } else if path.bytes().any(|b| !b.is_ascii_graphic()) {
        Some("spaces, control characters and other than ASCII are written as `%20` and so on")
    } else {
        None
    };
    if let Some(reason) = reason {
        let added = report.error(at, format!("`{path}` is not a path: {reason}"));
        if !path.starts_with('/') && !path.contains("://") {
            added.hint(format!("`/{path}`"));
        }
    }
    path.trim_end_matches('/').to_owned()
}
