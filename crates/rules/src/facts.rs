//! What a decision may know about a request. There is no clock and no I/O here: whoever calls brings the facts.

use std::net::IpAddr;

use http::HeaderMap;

use crate::continents;
use crate::path::Path;

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

/// Where a client is. Every part may be unknown; an unknown part equals no code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// Continent, such as `EU`.
    pub continent: Option<Code>,
    /// ISO 3166-1 country, such as `US`.
    pub country: Option<Code>,
    /// ISO 3166-2 subdivision without its country, such as `WA`.
    pub region: Option<Code>,
    /// Designated market area (United States).
    pub dma: Option<u16>,
}

impl Place {
    /// A country and the continent that it is on.
    #[must_use]
    pub fn of_country(country: Code) -> Self {
        Self { country: Some(country), continent: continents::of(country), ..Self::default() }
    }
}

/// One to three upper-case letters or digits: a continent, country or region.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code([u8; 3]);

impl Code {
    /// The code, or nothing when the text is not one to three ASCII letters or digits. Lower case is folded.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > 3 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let mut code = [0; 3];
        for (slot, byte) in code.iter_mut().zip(text.bytes()) {
            *slot = byte.to_ascii_uppercase();
        }
        Some(Self(code))
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(3);
        self.0.get(..end).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
