//! The request as the origin sees it.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderValue, Uri};
use leeward_rules::decide::{self, HostHeader, Way};
use leeward_telemetry::status_fields::NAME;
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType};

use super::redirects::Followed;
use super::{parents, unkeyed};
use crate::context::{Context, Route};
use crate::phase::debug;
use crate::{header_edits, node};

/// Makes the client's request the origin's: path, Host, what the edge adds (delivery spec 1.10), what rules change.
///
/// # Errors
/// When the path that rules made is no path; configuration checks exclude it.
pub(crate) fn prepare(request: &mut RequestHeader, ctx: &Context) -> pingora::Result<()> {
    let Some(route) = &ctx.route else { return Ok(()) };
    if parents::asked(ctx) {
        debug::strip(request);
        return parents::prepare(request, route, ctx);
    }
    let fetch = route
        .rules()
        .map(|(policy, effective)| decide::fetch(policy, effective, &ctx.facts(route, request), &route.origin_path));
    let path = fetch.as_ref().and_then(|fetch| fetch.path.as_deref()).unwrap_or(&route.origin_path);
    // `OPTIONS *` asks about the server, which has no path (RFC 9112 3.2.4)
    let path = if request.uri.path() == "*" { "*" } else { path };
    match followed(ctx) {
        Some(followed) => request.set_uri(target(&followed.target, None)?),
        None => request.set_uri(target(path, ctx.query_for_origin(request))?),
    }
    request.insert_header("Host", &*host_for(route, ctx))?;
    unkeyed::strip(request);
    add_own(request, route, ctx)?;
    if let Some(fetch) = &fetch {
        header_edits::apply(request, &fetch.headers)?;
    }
    Ok(())
}

/// What the edge adds for an origin and for a parent.
pub(super) fn add_own(request: &mut RequestHeader, route: &Route, ctx: &Context) -> pingora::Result<()> {
    request.insert_header("X-Forwarded-For", address(ctx.client.address))?;
    request.insert_header("X-Forwarded-Proto", ctx.client.scheme.as_str())?;
    request.insert_header("X-Host", &*route.normal_authority(ctx.client.scheme))?;
    append(request, "Via", &[ctx.client.protocol.trim_start_matches("HTTP/"), " ", NAME].concat())?;
    append(request, "CDN-Loop", &node::member(&ctx.snapshot))
}

/// A request target. A `?` with nothing behind it is left out, as it is in the cache key: what is stored under one key was asked
/// for in one way.
pub(super) fn target(path: &str, query: Option<&str>) -> pingora::Result<Uri> {
    let query = query.filter(|query| !query.is_empty());
    let text = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    text.parse().map_err(|_| Error::explain(ErrorType::InternalError, "the path for the origin is no path"))
}

/// `Host` towards the origin: what the rule says, else what the origin's configuration says, else the client's. A backup
/// origin has its own.
pub(super) fn host_for<'r>(route: &'r Route, ctx: &'r Context) -> Cow<'r, str> {
    let own = || route.normal_authority(ctx.client.scheme);
    if let Some(walk) = ctx.fetch.walk.as_ref().filter(|walk| walk.way == Way::Backup) {
        return walk.origin.host_header.as_deref().map_or_else(own, Cow::Borrowed);
    }
    if let Some(followed) = followed(ctx) {
        return followed.host.as_str().into();
    }
    match route.chosen_origin() {
        Some((_, Some(choice))) => match choice.host_header {
            HostHeader::Property => own(),
            HostHeader::Origin => as_host(choice.domain),
            HostHeader::Fixed(host) => host.into(),
        },
        Some((origin, None)) => origin.host_header.as_deref().map_or_else(own, Cow::Borrowed),
        None => own(),
    }
}

/// A name or address as `Host` has it: IPv6 in brackets (RFC 3986 3.2.2).
pub(super) fn as_host(name: &str) -> Cow<'_, str> {
    if name.contains(':') { format!("[{name}]").into() } else { name.into() }
}

/// The redirect that is followed, while the servers are asked: a backup origin is asked for what the client wants.
fn followed(ctx: &Context) -> Option<&Followed> {
    let at_servers = ctx.fetch.walk.as_ref().is_some_and(|walk| walk.way == Way::Servers);
    ctx.fetch.followed.as_ref().filter(|_| at_servers)
}

/// An address in its usual form. Written by hand where it is four small numbers: this is done for every request.
fn address(ip: IpAddr) -> String {
    let IpAddr::V4(ip) = ip else { return ip.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (i, part) in ip.octets().into_iter().enumerate() {
        if i > 0 {
            text.push('.');
        }
        let digit = |digit: u8| char::from(b'0' + digit % 10);
        if part >= 100 {
            text.push(digit(part / 100));
        }
        if part >= 10 {
            text.push(digit(part / 10));
        }
        text.push(digit(part));
    }
    text
}

/// Adds a member to a list field, behind what the client sent.
fn append(request: &mut RequestHeader, name: &'static str, member: &str) -> pingora::Result<()> {
    let mut list = String::new();
    for old in request.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()) {
        list.push_str(old);
        list.push_str(", ");
    }
    list.push_str(member);
    let value = HeaderValue::try_from(list)
        .map_err(|_| Error::explain(ErrorType::InvalidHTTPHeader, "a list field that is no text"))?;
    request.insert_header(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_everybody_writes_it() {
        for ip in ["0.0.0.0", "1.20.255.100", "10.9.99.101", "255.255.255.255", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert_eq!(address(ip.parse().unwrap()), ip.parse::<IpAddr>().unwrap().to_string());
        }
    }

    #[test]
    fn an_ipv6_address_is_in_brackets_where_a_port_could_follow() {
        for (name, want) in [("www.example.com", "www.example.com"), ("192.0.2.1", "192.0.2.1"), ("::1", "[::1]")] {
            assert_eq!(as_host(name), want, "{name}");
        }
    }
}
