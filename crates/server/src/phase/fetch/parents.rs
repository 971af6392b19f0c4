//! The tier before an origin's servers (delivery spec 1.8): a shield or gateways, other Leeward servers that decide as this
//! one does. A parent gets the client's own request and the client's name; its answer is the origin's.

use std::time::Duration;

use leeward_config::ready::{Origin, OriginServer, Shield, Timeouts};
use leeward_origin::connect::LEAST_READ;
use leeward_origin::walk::{Leg, budget};
use leeward_origin::{Tiers, tiers};
use leeward_rules::Caching;
use leeward_rules::decide::Way;
use leeward_telemetry::status_fields::NAME;
use pingora::http::{RequestHeader, ResponseHeader};

use super::plan;
use super::request::{add_own, target};
use crate::context::{Context, Route};
use crate::phase::lookup;

/// How the tier of this request is walked, if there is one. `own` is the walk of the servers behind it.
///
/// A request of another tier never goes to a third one, and a WebSocket goes to the origin itself: there is nothing to store.
pub(super) fn leg(tiers: &Tiers, request: &RequestHeader, ctx: &mut Context, own: &Leg) -> Option<Leg> {
    let shield = own.origin.shield.as_ref().filter(|_| !ctx.client.midgress && !ctx.websocket)?;
    // HTTP/1.0 without a Host: there is no name that a parent could find the site by
    let route = ctx.route.as_ref().filter(|route| !route.authority.is_empty())?;
    let key = lookup::key_parts(request, ctx, route).to_string();
    let (origin, servers) = tiers.order(shield, key.as_bytes());
    let gateways = matches!(shield, Shield::Gateways(_)).then(|| list(&servers));
    ctx.fetch.gateways = gateways;
    let timeouts = timeouts(&own.timeouts);
    Some(Leg { way: Way::Parents, origin, servers: Some(servers), timeouts, extra: 0, others_behind: true })
}

/// A parent has the time that all its own attempts may take.
fn timeouts(own: &Timeouts) -> Timeouts {
    Timeouts { first_byte: tiers::first_byte(own), ..own.clone() }
}

/// The longest time for all attempts of a request, and for the head of one that begins at the end of it.
pub(crate) fn longest(ctx: &Context, route: &Route) -> Duration {
    let of = |origin: &Origin| match &origin.shield {
        Some(_) if !ctx.client.midgress => budget(&timeouts(&plan::timeouts(route, origin))),
        _ => budget(&plan::timeouts(route, origin)),
    };
    route.chosen_origin().map_or(Duration::ZERO, |(origin, _)| of(origin) + LEAST_READ)
}

/// `X-Gateway-List`: the gateways in order, without their schemes.
fn list(servers: &[OriginServer]) -> String {
    let name = |server: &OriginServer| {
        let text = server.to_string();
        text.split_once("://").map_or(text.clone(), |(_, name)| name.to_owned())
    };
    servers.iter().map(name).collect::<Vec<_>>().join(",")
}

/// Whether a parent is asked.
pub(super) fn asked(ctx: &Context) -> bool {
    ctx.fetch.walk.as_ref().is_some_and(|walk| walk.way == Way::Parents)
}

/// Makes the client's request a parent's: as it came, with the client's name. What rules change is changed by the parent, which
/// has the same rules and must see what they match on.
pub(super) fn prepare(request: &mut RequestHeader, route: &Route, ctx: &Context) -> pingora::Result<()> {
    let uri = target(request.uri.path(), ctx.query_for_origin(request))?;
    request.set_uri(uri);
    request.insert_header("Host", route.authority.as_str())?;
    add_own(request, route, ctx)?;
    request.insert_header("X-Midgress", "1")?;
    if let Some(gateways) = &ctx.fetch.gateways {
        request.insert_header("X-Gateway-List", gateways.as_str())?;
    }
    Ok(())
}

/// Whether a parent says that it got no answer: then a stored copy is as good as when the origin itself is not reached.
pub(super) fn failed(response: &ResponseHeader, ctx: &Context) -> bool {
    let says = |value: &http::HeaderValue| {
        let last = value.to_str().ok().and_then(|value| value.rsplit(',').next()).unwrap_or_default().trim();
        last.strip_prefix(NAME).is_some_and(|rest| rest.starts_with("; error="))
    };
    asked(ctx) && response.status.is_server_error() && response.headers.get_all("proxy-status").iter().any(says)
}

/// A lifetime that a rule fixes begins when the origin answers, once for all tiers: what a parent has stored already is kept
/// for what is left of it.
pub(crate) fn fixed_lifetime(caching: Caching, response: &ResponseHeader, ctx: &Context) -> Caching {
    let confirmed = ctx.lookup.not_modified.as_deref();
    match (caching, left(confirmed.unwrap_or(response))) {
        (Caching::Fixed(seconds), Some(left)) if asked(ctx) => Caching::Fixed(seconds.min(left)),
        (caching, _) => caching,
    }
}

/// The seconds that a parent's stored answer is still fresh for, by the last member of `Cache-Status` (RFC 9211 2.2).
fn left(response: &ResponseHeader) -> Option<u32> {
    let last = response.headers.get_all("cache-status").iter().next_back()?.to_str().ok()?.rsplit(',').next()?;
    let mut parts = last.split(';').map(str::trim);
    if parts.next() != Some(NAME) || parts.next() != Some("hit") {
        return None;
    }
    let ttl = parts.find_map(|part| part.strip_prefix("ttl="))?.parse::<i64>().ok()?;
    Some(u32::try_from(ttl.max(0)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_lifetime_is_what_the_last_cache_says() {
        for (fields, want) in [
            (&["leeward; hit; ttl=30"][..], Some(30)),
            (&["leeward; fwd=uri-miss; stored, leeward; hit; ttl=7"], Some(7)),
            (&["other; hit; ttl=9", "leeward; hit; ttl=5"], Some(5)),
            (&["leeward; hit; detail=stale; ttl=-5"], Some(0)),
            (&["leeward; fwd=uri-miss; stored"], None),
            (&["leeward; hit; ttl=30, other; hit; ttl=9"], None),
            (&[], None),
        ] {
            let mut response = ResponseHeader::build(200, None).unwrap();
            for field in fields {
                response.append_header("Cache-Status", *field).unwrap();
            }
            assert_eq!(left(&response), want, "{fields:?}");
        }
    }

    #[test]
    fn gateways_are_named_in_their_order_without_schemes() {
        let server = |tls, host: &str, port| OriginServer { tls, host: host.to_owned(), port };
        let servers = [server(false, "10.2.0.1", 8080), server(true, "2001:db8::1", 443)];
        assert_eq!(list(&servers), "10.2.0.1:8080,[2001:db8::1]:443");
    }
}
