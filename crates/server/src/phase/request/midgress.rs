//! Requests of other tiers of this CDN: an edge asks its shield or gateway on behalf of a client (delivery spec 1.8). The tier
//! asked decides as the edge did, so that both come to the same key and origin; what the edge did for the client already is
//! not done again.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use leeward_config::ready::{Addresses, Limits};
use leeward_origin::tiers;
use leeward_rules::Scheme;
use leeward_rules::grammar::IpSet;
use leeward_telemetry::Reason;
use pingora_proxy::Session;
use tokio::sync::Semaphore;

use super::client;
use crate::answer::Answer;
use crate::context::Context;
use crate::proxy::Leeward;

/// Says that another tier asks.
const MIDGRESS: HeaderName = HeaderName::from_static("x-midgress");
/// What only another tier may say.
static OF_TIERS: [HeaderName; 3] =
    [MIDGRESS, HeaderName::from_static("x-gateway-list"), HeaderName::from_static(tiers::VALIDATE)];
/// Fields that an edge adds, at most, and their bytes.
const ADDED_FIELDS: usize = 8;
const ADDED_BYTES: u64 = 4 * 1024;
/// Edges that a gateway is measured for at once.
const VALIDATIONS: usize = 16;

/// Recognises a request of another tier: it says so, and comes from an address of this CDN. Anybody else's word is removed.
pub(super) fn recognise(session: &mut Session, ctx: &mut Context, peer: IpAddr) {
    if !says_any(&session.req_header().headers) {
        return;
    }
    let of_tier = session.req_header().headers.get(MIDGRESS).is_some_and(|value| value == "1")
        && is_known(peer, &ctx.snapshot.addresses, &ctx.snapshot.server.trusted_proxies);
    if !of_tier {
        return forget(session);
    }
    ctx.client.midgress = true;
    match session.req_header().headers.get("x-forwarded-proto").map(http::HeaderValue::as_bytes) {
        Some(b"https") => ctx.client.scheme = Scheme::Https,
        Some(b"http") => ctx.client.scheme = Scheme::Http,
        _ => {}
    }
}

/// Whether a request has a field that only another tier may send. One look at each that is there: hardly any begins like these.
fn says_any(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("x-") && OF_TIERS.contains(name))
}

/// Removes what only another tier may say.
pub(super) fn forget(session: &mut Session) {
    let request = session.req_header_mut();
    for name in &OF_TIERS {
        if request.headers.contains_key(name) {
            request.remove_header(name);
        }
    }
}

/// What an edge let through fits together with what it added.
pub(super) fn limits(own: &Limits) -> Limits {
    Limits {
        headers: own.headers.saturating_add(ADDED_BYTES),
        header_count: own.header_count.saturating_add(ADDED_FIELDS),
        ..own.clone()
    }
}

/// A proxy is none, whatever its address: it passes on what its clients write.
fn is_known(peer: IpAddr, addresses: &Addresses, proxies: &IpSet) -> bool {
    let peer = peer.to_canonical();
    let is_of = |net: &IpNet| net.contains(&peer);
    addresses.edge.iter().chain(&addresses.gateways).any(is_of) && !proxies.contains(peer)
}

/// The client that another tier asks for.
pub(super) fn client_of(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    client::parse(last.rsplit(',').next()?.trim())
}

/// Lets an edge find out how good a gateway this is: fetches an origin's validation object from each of its servers. `None`:
/// this is a request like others.
pub(crate) async fn validate(edge: &Leeward, session: &Session, ctx: &mut Context) -> Option<Answer> {
    static ROOM: Semaphore = Semaphore::const_new(VALIDATIONS);
    if !ctx.client.midgress || session.subrequest_ctx.is_some() {
        return None;
    }
    let asked = session.req_header().headers.get(tiers::VALIDATE)?;
    let snapshot = std::sync::Arc::clone(&ctx.snapshot);
    let named = asked.to_str().ok().and_then(|asked| asked.split_once('/'));
    let origin = named.and_then(|(platform, directory)| {
        let platform = leeward_config::ready::Platform::ALL.into_iter().find(|one| one.name() == platform)?;
        snapshot.directories.find(platform, directory).filter(|origin| origin.validation.is_some())
    });
    let Some(origin) = origin else { return Some(Answer::error(404, Reason::UnknownSite)) };
    let Ok(_turn) = ROOM.try_acquire() else { return Some(Answer::error(503, Reason::Validation)) };
    // boxed: every request carries the room for what this function waits for, and hardly any comes here
    let proved = tokio::time::timeout(tiers::PROVED_WITHIN, tiers::prove(&edge.probe, origin, &edge.resolver));
    let proved = Box::pin(proved).await;
    let wrong = proved.unwrap_or_else(|_| vec!["the servers take too long".to_owned()]);
    if wrong.is_empty() {
        return Some(Answer::error(200, Reason::Validation));
    }
    ctx.error = Some(leeward_telemetry::access_log::bounded(&wrong.join("; ")).to_owned());
    Some(Answer::error(502, Reason::Validation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_known_by_its_address() {
        let addresses = Addresses {
            edge: vec!["192.0.2.0/24".parse().unwrap()],
            gateways: vec!["2001:db8::/32".parse().unwrap()],
            reserved: vec!["198.51.100.0/24".parse().unwrap()],
        };
        let proxies = IpSet::parse("192.0.2.128/25").unwrap();
        for (peer, want) in [
            ("192.0.2.1", true),
            ("192.0.2.129", false),
            ("::ffff:192.0.2.129", false),
            ("::ffff:192.0.2.1", true),
            ("2001:db8::1", true),
            ("198.51.100.1", false),
            ("203.0.113.1", false),
        ] {
            assert_eq!(is_known(peer.parse().unwrap(), &addresses, &proxies), want, "{peer}");
        }
    }

    #[test]
    fn the_client_is_the_one_that_the_tier_names_last() {
        for (fields, want) in [
            (&["203.0.113.9"][..], Some("203.0.113.9")),
            (&["198.51.100.1, 203.0.113.9"], Some("203.0.113.9")),
            (&["198.51.100.1", "2001:db8::1"], Some("2001:db8::1")),
            (&["unknown"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append("x-forwarded-for", field.parse().unwrap());
            }
            assert_eq!(client_of(&headers).map(|ip| ip.to_string()).as_deref(), want, "{fields:?}");
        }
    }
}
