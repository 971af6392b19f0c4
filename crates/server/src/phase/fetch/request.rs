//! The request as the origin sees it.

use std::borrow::Cow;
use std::mem;
use std::net::IpAddr;

use http::header::{HOST, UPGRADE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, request};
use leeward_rules::decide::{self, HostHeader, Way};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType};

use super::redirects::Followed;
use super::{parents, unkeyed};
use crate::context::{Context, Route};
use crate::phase::debug;
use crate::{header_edits, node};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_HOST: HeaderName = HeaderName::from_static("x-host");

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
        None => {
            let query = ctx.query_for_origin(request);
            if !asks_for(request, path, query) {
                request.set_uri(target(path, query)?);
            }
        }
    }
    name_host(request, &host_for(route, ctx))?;
    unkeyed::strip(request);
    add_own(request, route, ctx)?;
    if let Some(fetch) = &fetch {
        header_edits::apply(request, &fetch.headers)?;
    }
    Ok(())
}

/// What the edge adds for an origin and for a parent. Names of fields leave in lower case, as HTTP/2 has them and other proxies write
/// them (RFC 9110 5.1: case means nothing), unless the connection is to become another protocol's.
pub(super) fn add_own(request: &mut RequestHeader, route: &Route, ctx: &Context) -> pingora::Result<()> {
    let host = route.normal_authority(ctx.client.scheme);
    // mostly it is what `Host` says, and shared with it
    let host = match request.headers.get(HOST).filter(|value| value.as_bytes() == host.as_bytes()) {
        Some(same) => same.clone(),
        None => HeaderValue::try_from(&*host).map_err(unwritable)?,
    };
    let own: [(&HeaderName, &'static str, HeaderValue); 5] = [
        (&X_FORWARDED_FOR, "X-Forwarded-For", address(ctx.client.address)),
        (&X_FORWARDED_PROTO, "X-Forwarded-Proto", HeaderValue::from_static(ctx.client.scheme.as_str())),
        (&X_HOST, "X-Host", host),
        (&VIA, "Via", appended(&request.headers, &VIA, via(ctx.client.protocol))?),
        (&node::CDN_LOOP, "CDN-Loop", appended(&request.headers, &node::CDN_LOOP, node::member_value(&ctx.snapshot))?),
    ];
    if request.headers.contains_key(UPGRADE) {
        // those who take connections over are less used to names in lower case
        return own.into_iter().try_for_each(|(_, written, value)| request.insert_header(written, value));
    }
    // a second map has how each name was written, and both would be built anew to have room for what is added
    let mut parts: request::Parts = mem::replace(request, hollow()).into();
    parts.headers.reserve(own.len());
    for (name, _, value) in own {
        parts.headers.insert(name.clone(), value);
    }
    *request = parts.into();
    Ok(())
}

/// No request at all.
fn hollow() -> RequestHeader {
    Request::new(()).into_parts().0.into()
}

/// The edge's member of `Via`: the protocol that the request came by, and the edge's name.
fn via(protocol: &str) -> HeaderValue {
    match protocol {
        "HTTP/1.0" => const { HeaderValue::from_static("1.0 leeward") },
        "HTTP/2" => const { HeaderValue::from_static("2 leeward") },
        "HTTP/3" => const { HeaderValue::from_static("3 leeward") },
        _ => const { HeaderValue::from_static("1.1 leeward") },
    }
}

/// Whether the request's target is this path with this query already, as [`target`] would make it.
fn asks_for(request: &RequestHeader, path: &str, query: Option<&str>) -> bool {
    let Some(rest) = request.raw_path().strip_prefix(path.as_bytes()) else { return false };
    match query.filter(|query| !query.is_empty()) {
        None => rest.is_empty(),
        Some(query) => rest.strip_prefix(b"?").is_some_and(|rest| rest == query.as_bytes()),
    }
}

/// Writes `Host`, unless it says that already.
fn name_host(request: &mut RequestHeader, host: &str) -> pingora::Result<()> {
    let mut said = request.headers.get_all(HOST).iter();
    match (said.next(), said.next()) {
        (Some(one), None) if one.as_bytes() == host.as_bytes() => Ok(()),
        _ => request.insert_header("Host", host),
    }
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
fn address(ip: IpAddr) -> HeaderValue {
    let unknown = |_| HeaderValue::from_static("unknown");
    let IpAddr::V4(ip) = ip else { return HeaderValue::try_from(ip.to_string()).unwrap_or_else(unknown) };
    let (mut text, mut length) = (*b"255.255.255.255", 0);
    let mut push = |byte| {
        if let Some(place) = text.get_mut(length) {
            *place = byte;
            length += 1;
        }
    };
    for (i, part) in ip.octets().into_iter().enumerate() {
        if i > 0 {
            push(b'.');
        }
        if part >= 100 {
            push(b'0' + part / 100);
        }
        if part >= 10 {
            push(b'0' + part / 10 % 10);
        }
        push(b'0' + part % 10);
    }
    HeaderValue::from_bytes(text.get(..length).unwrap_or_default()).unwrap_or_else(unknown)
}

/// A list field with one member more, behind what the client sent.
fn appended(headers: &HeaderMap, name: &HeaderName, member: HeaderValue) -> pingora::Result<HeaderValue> {
    let mut old = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).peekable();
    if old.peek().is_none() {
        return Ok(member);
    }
    let mut list = String::new();
    for old in old {
        list.push_str(old);
        list.push_str(", ");
    }
    list.push_str(member.to_str().unwrap_or_default());
    HeaderValue::try_from(list).map_err(unwritable)
}

fn unwritable(_: http::header::InvalidHeaderValue) -> Box<Error> {
    Error::explain(ErrorType::InvalidHTTPHeader, "a field that is no text")
}

#[cfg(test)]
mod tests {
    use leeward_telemetry::status_fields::NAME;

    use super::*;

    #[test]
    fn an_address_is_written_as_everybody_writes_it() {
        for ip in ["0.0.0.0", "1.20.255.100", "10.9.99.101", "255.255.255.255", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert_eq!(address(ip.parse().unwrap()), ip.parse::<IpAddr>().unwrap().to_string());
        }
    }

    #[test]
    fn via_names_the_protocol_and_the_edge() {
        for (protocol, version) in [("HTTP/1.0", "1.0"), ("HTTP/1.1", "1.1"), ("HTTP/2", "2"), ("HTTP/3", "3")] {
            assert_eq!(via(protocol), format!("{version} {NAME}"), "{protocol}");
        }
    }

    #[test]
    fn a_target_is_left_as_it_is_only_where_it_would_be_written_the_same() {
        for (sent, path, query, want) in [
            ("/a", "/a", None, true),
            ("/a?b", "/a", Some("b"), true),
            ("/a?b=/a?b", "/a", Some("b=/a?b"), true),
            ("/a?token=1&b", "/a", Some("b"), false),
            ("/a?token=1", "/a", None, false),
            ("/a?", "/a", Some(""), false),
            ("/a", "/", None, false),
            ("/ab", "/a", None, false),
            ("/a?b", "/a?b", Some("b"), false),
            ("/", "/prefix/", None, false),
            ("http://www.example.com/a", "/a", None, false),
            ("*", "*", None, true),
        ] {
            let request = RequestHeader::build("GET", sent.as_bytes(), None).unwrap();
            let same = target(path, query).unwrap().to_string().as_bytes() == request.raw_path();
            assert_eq!((asks_for(&request, path, query), same), (want, want), "{sent} for {path} {query:?}");
        }
    }

    #[test]
    fn host_is_written_once_whatever_was_there() {
        for (sent, want) in [
            (&["www.example.com"][..], "www.example.com"),
            (&["WWW.example.com"], "www.example.com"),
            (&["www.example.com", "www.example.com"], "www.example.com"),
            (&[], "www.example.com"),
        ] {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            for host in sent {
                request.append_header("Host", *host).unwrap();
            }
            name_host(&mut request, "www.example.com").unwrap();
            let hosts: Vec<_> = request.headers.get_all(HOST).iter().collect();
            assert_eq!(hosts, [want], "{sent:?}");
        }
    }

    #[test]
    fn a_member_is_behind_those_that_were_there() {
        for (sent, want) in [(&[][..], "b"), (&["a"], "a, b"), (&["a", "x, y"], "a, x, y, b")] {
            let mut headers = HeaderMap::new();
            for old in sent {
                headers.append(VIA, HeaderValue::from_static(old));
            }
            assert_eq!(appended(&headers, &VIA, HeaderValue::from_static("b")).unwrap(), want, "{sent:?}");
        }
    }

    #[test]
    fn an_ipv6_address_is_in_brackets_where_a_port_could_follow() {
        for (name, want) in [("www.example.com", "www.example.com"), ("192.0.2.1", "192.0.2.1"), ("::1", "[::1]")] {
            assert_eq!(as_host(name), want, "{name}");
        }
    }
}
