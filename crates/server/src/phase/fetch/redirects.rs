//! `follow_redirects`: a redirect of the origin is fetched by the edge and its target's answer given as the answer to the
//! client's own URL. Only hosts that the configuration names are asked: an origin must not be able to make the edge connect
//! to whatever it writes into a header.

use std::sync::Arc;
use std::time::Instant;

use http::Uri;
use http::header::LOCATION;
use leeward_config::ready::{Origin, Platform, Servers};
use leeward_origin::Question;
use leeward_origin::walk::Leg;
use leeward_rules::decide::Way;
use pingora::http::{RequestHeader, ResponseHeader};

use super::plan::is_plain;
use super::request::{as_host, host_for};
use crate::context::{Context, Route};
use crate::proxy::Leeward;

/// Redirects followed for one request; browsers stop at 20, chains of honest origins at two or three.
const MAX_REDIRECTS: u8 = 5;

/// Where a redirect led.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    origin: Arc<Origin>,
    https: bool,
    /// `Host` of the request.
    pub(crate) host: String,
    /// Path and query.
    pub(crate) target: String,
    count: u8,
    /// Not asked yet.
    pending: bool,
}

/// An absolute URL, host in lower case.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    https: bool,
    host: String,
    port: u16,
    target: String,
}

impl Place {
    /// As `Host` has it.
    fn authority(&self) -> String {
        let host = as_host(&self.host);
        match self.port {
            443 if self.https => host.into_owned(),
            80 if !self.https => host.into_owned(),
            port => format!("{host}:{port}"),
        }
    }
}

/// Follows the redirect, if this is one that may be followed. Returns whether the request goes there.
pub(super) fn follow(request: &RequestHeader, response: &ResponseHeader, ctx: &mut Context) -> bool {
    let Some(followed) = next(request, response, ctx) else { return false };
    ctx.fetch.followed = Some(followed);
    true
}

fn next(request: &RequestHeader, response: &ResponseHeader, ctx: &Context) -> Option<Followed> {
    let walk = ctx.fetch.walk.as_ref().filter(|walk| walk.way == Way::Servers)?;
    let (route, current) = (ctx.route.as_ref()?, ctx.fetch.current.as_ref()?);
    let count = ctx.fetch.followed.as_ref().map_or(0, |followed| followed.count) + 1;
    let redirect = matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    // on the dynamic platforms the key is about the probe that chooses gateways only (delivery spec 1.1)
    let dynamic = matches!(walk.origin.platform, Platform::Adn | Platform::Can);
    if !redirect || dynamic || !walk.origin.follow_redirects || count > MAX_REDIRECTS || !is_plain(request) {
        return None;
    }
    let sent = ctx.fetch.followed.as_ref().map_or(route.origin_path.as_str(), |followed| &followed.target);
    let host = host_for(route, ctx);
    let base = format!("{}://{host}{sent}", if current.target.server.tls { "https" } else { "http" });
    let place = resolve(&base, response.headers.get(LOCATION)?.to_str().ok()?)?;
    let (origin, target) = configured(ctx, route, &walk.origin, &place)?;
    let authority = place.authority();
    Some(Followed { origin, https: place.https, host: authority, target, count, pending: true })
}

/// The servers to walk for a redirect that was just decided on.
pub(super) fn take(edge: &Leeward, ctx: &mut Context) -> bool {
    let Some(followed) = ctx.fetch.followed.as_mut().filter(|followed| followed.pending) else { return false };
    followed.pending = false;
    let (origin, https) = (Arc::clone(&followed.origin), followed.https);
    let Some(walk) = &mut ctx.fetch.walk else { return false };
    let others_behind = walk.others_behind();
    let leg =
        Leg { way: Way::Servers, timeouts: origin.timeouts.clone(), origin, servers: None, extra: 0, others_behind };
    let (resolver, question) = (&edge.resolver, Question::from(&*leg.origin));
    walk.enter(leg, https, &edge.turns, &|server| resolver.known(&server.host, question), Instant::now())
}

/// RFC 3986 5.2, as far as `Location` needs it. A fragment is the client's business.
fn resolve(base: &str, location: &str) -> Option<Place> {
    let url = url::Url::parse(base).ok()?.join(location).ok()?;
    let https = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    target.parse::<Uri>().ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some(Place { https, host, port: url.port_or_known_default()?, target })
}

/// The origin that the configuration has for a place, and the path there: the site that the client asked for, a server, or
/// an origin's Host.
fn configured(ctx: &Context, route: &Route, own: &Arc<Origin>, place: &Place) -> Option<(Arc<Origin>, String)> {
    let list = |origin: &Origin| if place.https { origin.https.is_some() } else { origin.http.is_some() };
    let default = if place.https { 443 } else { 80 };
    if place.host == route.host && own.host_header.is_some() {
        // the public name of the site: its paths are without the prefix
        let prefix = route.site.as_ref().map_or("", |site| &site.path);
        return list(own).then(|| (Arc::clone(own), format!("{prefix}{}", place.target)));
    }
    let serves = |origin: &Origin| {
        let servers = if place.https { &origin.https } else { &origin.http };
        let listed = |Servers { servers, .. }: &Servers| {
            servers.iter().any(|server| server.host == place.host && server.port == place.port)
        };
        let named = origin.host_header.as_deref().is_some_and(|host| {
            let (name, port) =
                host.rsplit_once(':').map_or((host, default), |(name, port)| (name, port.parse().unwrap_or(default)));
            name.eq_ignore_ascii_case(&place.host) && port == place.port
        });
        servers.as_ref().is_some_and(listed) || (named && list(origin))
    };
    let same_host = place.host == route.host && own.host_header.is_none();
    let origin = if (same_host && list(own)) || serves(own) {
        own
    } else {
        ctx.snapshot.origins.iter().find(|origin| serves(origin))?
    };
    Some((Arc::clone(origin), place.target.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_place_has_its_port_unless_it_is_the_schemes_own() {
        for (location, want) in [
            ("http://a.example/", "a.example"),
            ("https://a.example/", "a.example"),
            ("http://a.example:443/", "a.example:443"),
            ("http://[::1]/", "[::1]"),
            ("http://[::1]:81/", "[::1]:81"),
        ] {
            let place = resolve("http://origin.example.net/", location).unwrap();
            assert_eq!(place.authority(), want, "{location}");
        }
    }

    #[test]
    fn a_location_is_resolved_against_what_was_asked() {
        let place = |https, host: &str, port, target: &str| {
            Some(Place { https, host: host.to_owned(), port, target: target.to_owned() })
        };
        let base = "http://origin.example.net:8080/a/b?x=1";
        let table = [
            ("/new", place(false, "origin.example.net", 8080, "/new")),
            ("new?y=2", place(false, "origin.example.net", 8080, "/a/new?y=2")),
            ("../up", place(false, "origin.example.net", 8080, "/up")),
            ("?y", place(false, "origin.example.net", 8080, "/a/b?y")),
            ("//Other.example.net/c", place(false, "other.example.net", 80, "/c")),
            ("https://origin.example.net/c#part", place(true, "origin.example.net", 443, "/c")),
            ("http://[::1]:81/", place(false, "::1", 81, "/")),
            ("ftp://origin.example.net/", None),
            ("javascript:alert(1)", None),
            ("http://", None),
        ];
        for (location, want) in table {
            assert_eq!(resolve(base, location), want, "{location}");
        }
    }
}
