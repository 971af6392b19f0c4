//! Origins that policies name, by `originDomain` and by `backupDomain`.

use std::sync::Arc;

use leeward_rules::decide::{OriginChoice, OriginScheme};

use super::origins::{Origins, keyed};
use crate::ready::{Backup, Balance, Origin, OriginServer, PolicyOrigins, Servers};

impl Origins {
    /// The origin of an `origin` behaviour. A configured origin with such a server is taken as it is, the site's own first, then backups.
    /// Where the rule changes scheme or port, or where there is none, a new one is made: each once for the whole configuration.
    pub(super) fn of_policy(&mut self, choice: &OriginChoice<'_>, own: Option<&Arc<Origin>>) -> Arc<Origin> {
        let like = own
            .filter(|own| has_server(own, choice.domain))
            .or_else(|| own_backup(own, choice.domain))
            .or_else(|| self.configured(choice.domain))
            .cloned();
        if let Some(origin) = &like
            && choice.scheme == OriginScheme::Match
            && choice.port.is_none()
        {
            return Arc::clone(origin);
        }
        let (http, https) = (choice.scheme == OriginScheme::Https, choice.scheme != OriginScheme::Http);
        let mut made = Origin {
            name: PolicyOrigins::name(choice).into_owned(),
            http: Some(alone(choice.domain, http, choice.port)),
            https: Some(alone(choice.domain, https, choice.port)),
            ..settings(like.as_deref())
        };
        made.allow_private |= own.is_some_and(|own| own.allow_private);
        // A server is no backup of itself.
        if made.backup.as_ref().is_some_and(|backup| shares_server(&made, &backup.origin)) {
            made.backup = None;
        }
        self.made(made)
    }

    /// The origin of an `origin-failover` behaviour. A configured origin with such a server is taken as it is, unless it is the site's
    /// own, of which this one server is meant; any other is asked for its own name.
    pub(super) fn of_failover(&mut self, domain: &str, own: Option<&Arc<Origin>>) -> Arc<Origin> {
        let is_own = |origin: &&Arc<Origin>| own.is_some_and(|own| Arc::ptr_eq(own, origin));
        let other = own_backup(own, domain).or_else(|| self.configured(domain).filter(|origin| !is_own(origin)));
        if let Some(other) = other {
            return Arc::clone(other);
        }
        let like = own.filter(|own| has_server(own, domain));
        let of_own = |tls: bool| {
            let list = like.and_then(|own| if tls { own.https.as_ref() } else { own.http.as_ref() });
            let servers: Vec<OriginServer> =
                list.iter().flat_map(|list| &list.servers).filter(|server| server.host == domain).cloned().collect();
            if servers.is_empty() { alone(domain, tls, None) } else { Servers { servers, balance: Balance::default() } }
        };
        let mut made = Origin {
            name: domain.to_owned(),
            http: Some(of_own(false)),
            https: Some(of_own(true)),
            ..settings(like.map(Arc::as_ref))
        };
        made.allow_private |= own.is_some_and(|own| own.allow_private);
        made.backup = None;
        if like.is_none() {
            made.host_header = Some(if domain.contains(':') { format!("[{domain}]") } else { domain.to_owned() });
        }
        self.made(made)
    }

    /// The origin as written that has such a server, else the backup that is one.
    fn configured(&self, host: &str) -> Option<&Arc<Origin>> {
        self.by_server.get(host).or_else(|| self.by_backup.get(host))
    }

    /// The origin itself, or the same one made before. Two may have one key, and different timeouts.
    fn made(&mut self, made: Origin) -> Arc<Origin> {
        let made = keyed(made);
        let alike = self.by_policy.entry(made.group_key).or_default();
        if let Some(known) = alike.iter().find(|known| ***known == made) {
            return Arc::clone(known);
        }
        let made = Arc::new(made);
        alike.push(Arc::clone(&made));
        self.all.push(Arc::clone(&made));
        made
    }
}

/// Whether a backup has every server of an origin and no other host.
pub(super) fn is_all_of(backup: &Origin, own: &Origin) -> bool {
    servers(own).all(|server| servers(backup).any(|same| same == server))
        && servers(backup).all(|server| has_server(own, &server.host))
}

fn has_server(origin: &Origin, host: &str) -> bool {
    servers(origin).any(|server| server.host == host)
}

fn shares_server(one: &Origin, other: &Origin) -> bool {
    servers(one).any(|server| servers(other).any(|same| same == server))
}

fn servers(origin: &Origin) -> impl Iterator<Item = &OriginServer> {
    [&origin.http, &origin.https].into_iter().flatten().flat_map(|list| &list.servers)
}

/// The backup of the site's own origin, if it is that server.
fn own_backup<'o>(own: Option<&'o Arc<Origin>>, host: &str) -> Option<&'o Arc<Origin>> {
    let backup: &Backup = own?.backup.as_ref()?;
    has_server(&backup.origin, host).then_some(&backup.origin)
}

/// A list of one server, on the scheme's port unless another is given.
fn alone(host: &str, tls: bool, port: Option<u16>) -> Servers {
    let port = port.unwrap_or(if tls { 443 } else { 80 });
    Servers { servers: vec![OriginServer { tls, host: host.to_owned(), port }], balance: Balance::default() }
}

/// An origin without servers that has the settings of a configured one, or the defaults.
fn settings(like: Option<&Origin>) -> Origin {
    let Some(like) = like else { return Origin::default() };
    Origin {
        platform: like.platform,
        host_header: like.host_header.clone(),
        ip_version: like.ip_version,
        allow_private: like.allow_private,
        timeouts: like.timeouts.clone(),
        unavailable: like.unavailable,
        backup: like.backup.clone(),
        tls: like.tls.clone(),
        websocket: like.websocket,
        follow_redirects: like.follow_redirects,
        health_check: like.health_check.clone(),
        countries: like.countries.clone(),
        ..Origin::default()
    }
}
