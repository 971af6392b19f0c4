//! What an answer to a request that changes things makes of stored ones (RFC 9111 section 4.4).

use http::header::{CONTENT_LOCATION, HOST, LOCATION};
use http::{HeaderName, Method, Uri};
use leeward_cache::key;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_cache::CacheKey;
use pingora_cache::key::CacheHashKey as _;
use pingora_proxy::Session;
use url::Url;

use crate::cache_parts::CacheParts;
use crate::context::{Context, Route};
use crate::phase::{lookup, request};

/// Methods that change nothing (IANA registry of methods). Of others that is not known.
const SAFE: [&str; 8] = ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "REPORT", "SEARCH"];
/// Fields whose URLs are outdated too.
const NAMED: [HeaderName; 2] = [LOCATION, CONTENT_LOCATION];

/// Removes what is stored for the target of a request that changed something, and for what `Location` and `Content-Location`
/// name on the same host. Variants go with it.
pub(crate) async fn invalidate(parts: &CacheParts, session: &Session, response: &ResponseHeader, ctx: &Context) {
    let request = session.req_header();
    let successful = response.status.is_success() || response.status.is_redirection();
    if !successful || SAFE.contains(&request.method.as_str()) || ctx.websocket {
        return;
    }
    let Some(route) = &ctx.route else { return };
    let mut keys: Vec<CacheKey> = key_of(request, &request.uri, ctx).into_iter().collect();
    if let Some(base) = base(request, route, ctx) {
        for name in &NAMED {
            let named = response.headers.get(name).and_then(|value| elsewhere(&base, value.to_str().ok()?));
            keys.extend(named.and_then(|uri| key_of(request, &uri, ctx)));
        }
    }
    for key in &keys {
        // the next range finds out what the object is now; slices of another version are not asked for any more
        parts.sliced.forget(&key.primary_bin());
        parts.store.invalidate(key).await;
    }
}

/// The client's URL.
fn base(request: &RequestHeader, route: &Route, ctx: &Context) -> Option<Url> {
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
    Url::parse(&format!("{}://{}{target}", ctx.client.scheme.as_str(), route.normal_authority(ctx.client.scheme))).ok()
}

/// The path and query that a reference names, if it is one to the same origin: an answer says nothing about others' content.
fn elsewhere(base: &Url, reference: &str) -> Option<Uri> {
    let url = base.join(reference).ok().filter(|url| url.origin() == base.origin())?;
    url[url::Position::BeforePath..url::Position::AfterQuery].parse().ok()
}

/// The key that a GET for this target has, by its own rules.
fn key_of(request: &RequestHeader, target: &Uri, ctx: &Context) -> Option<CacheKey> {
    let mut get = RequestHeader::build(Method::GET, b"/", None).ok()?;
    get.set_uri(target.clone());
    get.insert_header(HOST, request.headers.get(HOST)?).ok()?;
    let mut other = Context::new(std::sync::Arc::clone(&ctx.snapshot));
    other.client = ctx.client.clone();
    request::route(&get, &mut other).ok()?;
    let route = other.route.as_ref()?;
    Some(key::build(&lookup::key_parts(&get, &other, route).as_parts()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_the_same_origin_is_outdated() {
        let base = Url::parse("http://www.example.com/a/b?c").unwrap();
        for (reference, want) in [
            ("/x", Some("/x")),
            ("x", Some("/a/x")),
            ("../x?y=1#z", Some("/x?y=1")),
            ("", Some("/a/b?c")),
            ("http://www.example.com/x", Some("/x")),
            ("HTTP://WWW.EXAMPLE.COM:80/x", Some("/x")),
            ("//www.example.com/x", Some("/x")),
            ("https://www.example.com/x", None),
            ("http://www.example.com:8080/x", None),
            ("http://example.com/x", None),
            ("//other.example/x", None),
            ("mailto:a@example.com", None),
        ] {
            let got = elsewhere(&base, reference).map(|uri| uri.to_string());
            assert_eq!(got.as_deref(), want, "{reference}");
        }
    }
}
