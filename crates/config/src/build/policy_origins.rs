//! Origins that policies name by `originDomain`.

use std::sync::Arc;

use leeward_rules::decide::{OriginChoice, OriginScheme};

use super::origins::{Origins, keyed};
use crate::ready::{Balance, Origin, OriginServer, OriginTls, Platform, PolicyOrigins, Servers, Timeouts};

impl Origins {
    /// The origin a policy means. A configured origin with such a server is taken as it is, the site's own first. Where the rule changes
    /// scheme or port, or where there is none, a new one is made: each once for the whole configuration.
    pub(super) fn of_policy(&mut self, choice: &OriginChoice<'_>, own: Option<&Arc<Origin>>) -> Arc<Origin> {
        let like =
            own.filter(|own| has_server(own, choice.domain)).or_else(|| self.by_server.get(choice.domain)).cloned();
        if let Some(origin) = &like
            && choice.scheme == OriginScheme::Match
            && choice.port.is_none()
        {
            return Arc::clone(origin);
        }
        let made = Arc::new(make(choice, like.as_deref()));
        // Two configured origins may have such a server, and different settings.
        let known = self.by_policy.entry((made.group_key, made.timeouts.clone())).or_insert_with(|| {
            self.all.push(Arc::clone(&made));
            made
        });
        Arc::clone(known)
    }
}

fn has_server(origin: &Origin, host: &str) -> bool {
    [&origin.http, &origin.https]
        .into_iter()
        .flatten()
        .any(|list| list.servers.iter().any(|server| server.host == host))
}

/// An origin with one server; Host, timeouts and TLS are those of the configured origin with such a server, if there is one.
fn make(choice: &OriginChoice<'_>, like: Option<&Origin>) -> Origin {
    let servers = |tls: bool| {
        let port = choice.port.unwrap_or(if tls { 443 } else { 80 });
        Some(Servers {
            servers: vec![OriginServer { tls, host: choice.domain.to_owned(), port }],
            balance: Balance::default(),
        })
    };
    keyed(Origin {
        name: PolicyOrigins::name(choice).into_owned(),
        directory: None,
        platform: like.map_or_else(Platform::default, |like| like.platform),
        http: servers(choice.scheme == OriginScheme::Https),
        https: servers(choice.scheme != OriginScheme::Http),
        host_header: like.and_then(|like| like.host_header.clone()),
        timeouts: like.map_or_else(Timeouts::default, |like| like.timeouts.clone()),
        tls: like.map_or_else(OriginTls::default, |like| like.tls.clone()),
        ..Origin::default()
    })
}
