//! What a decision may know about a request. There is no clock and no I/O here: whoever calls brings the facts.

use std::net::IpAddr;

use http::HeaderMap;

use crate::path::Path;
use crate::place::Place;

/// The scheme of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS or QUIC.
    Https,
}

impl Scheme {
    /// The scheme as it stands in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Everything a decision may know about one request.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The request method, case-sensitive.
    pub method: &'a str,
    /// What the client used.
    pub scheme: Scheme,
    /// Lower case, no port, no trailing dot; an IPv6 address without its brackets.
    pub host: &'a str,
    /// The host with the port that the client wrote; goes into URLs that keep the requested host.
    pub authority: &'a str,
    /// The request path, normalised once by [`Path::normalise`].
    pub path: &'a Path,
    /// The query as sent, without `?`.
    pub query: Option<&'a str>,
    /// The request's header fields.
    pub headers: &'a HeaderMap,
    /// The client's address: the peer, or what trusted proxies say.
    pub client_ip: IpAddr,
    /// Where the client is, when that is known.
    pub place: Option<&'a Place>,
    /// Unix time in seconds.
    pub now: u64,
}
