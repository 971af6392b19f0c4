//! An origin that no configuration names: an alternate host of `site-failover` that is no site here.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use leeward_config::ready::{Balance, Origin, OriginServer, OriginTls, Servers, Timeouts};

/// The host itself, on the standard port of the client's scheme, verified by its own name.
#[must_use]
pub fn direct(host: &str, timeouts: &Timeouts) -> Arc<Origin> {
    let server = |tls, port| {
        let servers = vec![OriginServer { tls, host: host.to_owned(), port }];
        Some(Servers { servers, balance: Balance::PrimaryFailover })
    };
    Arc::new(Origin {
        name: host.to_owned(),
        http: server(false, 80),
        https: server(true, 443),
        host_header: Some(host.to_owned()),
        timeouts: timeouts.clone(),
        tls: OriginTls { sni: Some(host.to_owned()), ..OriginTls::default() },
        group_key: FixedState::default().hash_one(("direct", host)),
        ..Origin::default()
    })
}
