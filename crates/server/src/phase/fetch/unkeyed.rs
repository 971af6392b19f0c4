//! Fields by which a client could tell an origin another host, URL, address or method than the one its answer is stored under:
//! an origin that believes one of them would answer everybody with what one client wrote. They are not in the cache key, and no
//! client needs to send them. `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Host` are overwritten instead, with what is true.

use http::{HeaderName, Method};
use pingora::http::RequestHeader;

use crate::phase::failover::has_body;

/// Never passed on. Sorted.
const FIELDS: [&str; 50] = [
    "base-url",
    "cf-connecting-ip",
    "client-ip",
    "cluster-client-ip",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "forwarded-for-ip",
    "front-end-https",
    "request-uri",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-ec-debug",
    "x-envoy-external-address",
    "x-envoy-original-path",
    "x-forward-for",
    "x-forwarded",
    "x-forwarded-by",
    "x-forwarded-host",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-forwarded-url",
    "x-host-override",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-leeward-debug",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-path",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-originating-url",
    "x-override-url",
    "x-proxy-url",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
];

/// Not passed on with requests whose answers may be stored; with others they have their use. Sorted.
const OF_OTHERS: [&str; 4] = ["expect", "x-http-method", "x-http-method-override", "x-method-override"];

/// What the names in both lists begin with: most fields are known by it not to be in one.
const INITIALS: &[u8] = b"bcefrtx";

/// Takes them off a request to an origin.
pub(super) fn strip(request: &mut RequestHeader) {
    let storable = || (request.method == Method::GET || request.method == Method::HEAD) && !has_body(request);
    let found = |name: &&HeaderName| {
        let name = name.as_str();
        name.as_bytes().first().is_some_and(|initial| INITIALS.contains(initial))
            && (FIELDS.binary_search(&name).is_ok() || OF_OTHERS.binary_search(&name).is_ok() && storable())
    };
    // hardly any request has one: nothing is allocated then
    let found: Vec<HeaderName> = request.headers.keys().filter(found).cloned().collect();
    for name in &found {
        request.remove_header(name);
    }
}

/// Whether a request has a field that concerns its connection only: what the framework takes away on the way to an origin,
/// and `Connection`, which names more of them.
pub(super) fn of_connection(request: &RequestHeader) -> bool {
    let is_one = |name: &HeaderName| {
        matches!(
            name.as_str(),
            "connection"
                | "http2-settings"
                | "keep-alive"
                | "proxy-authenticate"
                | "proxy-authorization"
                | "proxy-connection"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        )
    };
    request.headers.keys().any(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_names_with_known_initials() {
        for list in [&FIELDS[..], &OF_OTHERS[..]] {
            assert!(list.is_sorted(), "{list:?}");
            list.iter().for_each(|name| _ = HeaderName::from_static(name));
            assert!(list.iter().all(|name| INITIALS.contains(&name.as_bytes()[0])), "{list:?}");
        }
    }

    #[test]
    fn every_field_goes_and_only_what_others_than_a_plain_get_need_stays() {
        let all = OF_OTHERS.len();
        for (method, length, stays) in
            [("GET", "0", 0), ("HEAD", "0", 0), ("GET", "5", all), ("POST", "5", all), ("DELETE", "0", all)]
        {
            let mut request = RequestHeader::build(method, b"/", None).unwrap();
            request.insert_header("Content-Length", length).unwrap();
            for name in FIELDS.iter().chain(&OF_OTHERS) {
                request.append_header(*name, "canary").unwrap();
                request.append_header(*name, "canary").unwrap();
            }
            request.append_header("X-Public", "kept").unwrap();
            strip(&mut request);
            assert_eq!(request.headers.keys().count(), stays + 2, "{method} {length}: {:?}", request.headers);
        }
    }

    #[test]
    fn a_request_with_any_field_of_its_connection_is_known() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.insert_header("Host", "www.example.com").unwrap();
        request.insert_header("Cookie", "te=trailers").unwrap();
        assert!(!of_connection(&request));
        // what the framework takes away, and what it looks for names in
        for name in [
            "Connection",
            "HTTP2-Settings",
            "Keep-Alive",
            "Proxy-Authenticate",
            "Proxy-Authorization",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
        ] {
            let mut request = request.clone();
            request.insert_header(name, "x").unwrap();
            assert!(of_connection(&request), "{name}");
        }
    }
}
