//! `Cache-Status` (RFC 9211) and `Proxy-Status` (RFC 9209) as structured fields.

use std::fmt::Write;

use http::HeaderValue;

use crate::words::{CacheState, Reason};

/// The name under which the edge speaks in both fields, in `Via` and in `CDN-Loop`.
pub const NAME: &str = "leeward";

/// What `Cache-Status` says of one answer.
#[derive(Debug, Clone, Copy)]
pub struct CacheStatus {
    /// How the cache took part.
    pub state: CacheState,
    /// Seconds until the stored answer expires, negative when it has.
    pub ttl: Option<i64>,
    /// Status the origin sent, where it differs from the client's.
    pub fwd_status: Option<u16>,
    /// Whether another request's fetch was waited for.
    pub collapsed: bool,
}

impl CacheStatus {
    /// The value that says nothing else: made when the edge is compiled.
    const fn state_alone(&self) -> HeaderValue {
        match self.state {
            CacheState::Hit => const { HeaderValue::from_static("leeward; hit") },
            CacheState::Stale => const { HeaderValue::from_static("leeward; hit; detail=stale") },
            CacheState::Miss => const { HeaderValue::from_static("leeward; fwd=uri-miss; stored") },
            CacheState::Deferred => const { HeaderValue::from_static("leeward; fwd=uri-miss; detail=deferred") },
            CacheState::Uncacheable => const { HeaderValue::from_static("leeward; fwd=uri-miss; detail=uncacheable") },
            CacheState::Expired => const { HeaderValue::from_static("leeward; fwd=stale; stored") },
            CacheState::Revalidated => const { HeaderValue::from_static("leeward; fwd=stale; fwd-status=304") },
            CacheState::Bypass => const { HeaderValue::from_static("leeward; fwd=bypass") },
            CacheState::None => const { HeaderValue::from_static("leeward; detail=generated") },
        }
    }

    /// The field's value, RFC 9211 section 2.
    #[must_use]
    pub fn value(&self) -> HeaderValue {
        let state = self.state_alone();
        if self.ttl.is_none() && self.fwd_status.is_none() && !self.collapsed {
            return state;
        }
        let mut out = String::with_capacity(64);
        out.push_str(state.to_str().unwrap_or(NAME));
        if let Some(status) = self.fwd_status {
            let _ = write!(out, "; fwd-status={status}");
        }
        if let Some(ttl) = self.ttl {
            let _ = write!(out, "; ttl={ttl}");
        }
        if self.collapsed {
            out.push_str("; collapsed");
        }
        HeaderValue::try_from(out).unwrap_or_else(|_| HeaderValue::from_static(NAME))
    }
}

/// The value of `Proxy-Status` for an answer that the edge generated, RFC 9209 section 2.3; absent where no registered
/// error type says it better than the status code.
#[must_use]
pub fn proxy_status(reason: Reason) -> Option<HeaderValue> {
    let value = match reason {
        Reason::Dns => "leeward; error=dns_error",
        Reason::ConnectRefused => "leeward; error=connection_refused",
        Reason::ConnectTimeout => "leeward; error=connection_timeout",
        Reason::ConnectError | Reason::Unavailable => "leeward; error=destination_unavailable",
        Reason::Tls => "leeward; error=tls_protocol_error",
        Reason::ReadTimeout | Reason::Deadline => "leeward; error=http_response_timeout",
        Reason::WriteTimeout => "leeward; error=connection_write_timeout",
        Reason::Closed => "leeward; error=http_response_incomplete",
        Reason::BadAnswer => "leeward; error=http_protocol_error",
        Reason::Loop => "leeward; error=proxy_loop_detected",
        Reason::Malformed => "leeward; error=http_request_error",
        Reason::UnknownSite | Reason::NoOrigin => "leeward; error=destination_not_found",
        Reason::Country
        | Reason::Ectoken
        | Reason::TokenAuth
        | Reason::IpBlacklist
        | Reason::IpWhitelist
        | Reason::GeoBlacklist
        | Reason::GeoWhitelist
        | Reason::RefererBlacklist
        | Reason::RefererWhitelist
        | Reason::DenyAccess
        | Reason::RateLimit
        | Reason::Waf
        | Reason::WafBody => "leeward; error=http_request_denied",
        Reason::Internal => "leeward; error=proxy_internal_error",
        Reason::UriTooLong
        | Reason::HeadersTooLarge
        | Reason::BodyTooLarge
        | Reason::Method
        | Reason::Misdirected
        | Reason::UrlRedirect
        | Reason::Validation
        | Reason::Status
        | Reason::Redirected
        | Reason::NotStored
        | Reason::WafOverload
        | Reason::Client => return None,
    };
    Some(HeaderValue::from_static(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_status_says_how_the_cache_took_part() {
        let of = |state, ttl, fwd_status, collapsed| {
            CacheStatus { state, ttl, fwd_status, collapsed }.value().to_str().unwrap().to_owned()
        };
        let cases = [
            (of(CacheState::Hit, Some(30), None, false), "leeward; hit; ttl=30"),
            (of(CacheState::Hit, None, None, false), "leeward; hit"),
            (of(CacheState::Stale, Some(-5), None, false), "leeward; hit; detail=stale; ttl=-5"),
            (of(CacheState::Miss, None, None, false), "leeward; fwd=uri-miss; stored"),
            (of(CacheState::Miss, None, None, true), "leeward; fwd=uri-miss; stored; collapsed"),
            (of(CacheState::Deferred, None, None, false), "leeward; fwd=uri-miss; detail=deferred"),
            (of(CacheState::Revalidated, Some(60), None, false), "leeward; fwd=stale; fwd-status=304; ttl=60"),
            (of(CacheState::Bypass, None, Some(503), false), "leeward; fwd=bypass; fwd-status=503"),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }

    #[test]
    fn an_error_of_the_edge_has_the_type_that_is_registered_for_it() {
        for (reason, want) in [
            (Reason::Dns, Some("leeward; error=dns_error")),
            (Reason::ConnectError, Some("leeward; error=destination_unavailable")),
            (Reason::ReadTimeout, Some("leeward; error=http_response_timeout")),
            (Reason::Closed, Some("leeward; error=http_response_incomplete")),
            (Reason::Loop, Some("leeward; error=proxy_loop_detected")),
            (Reason::Status, None),
        ] {
            let got = proxy_status(reason);
            assert_eq!(got.as_ref().map(|value| value.to_str().unwrap()), want, "{reason}");
        }
    }

    #[test]
    fn every_word_is_used_once() {
        let mut words: Vec<_> = Reason::ALL.iter().map(|r| r.word()).collect();
        words.sort_unstable();
        let all = words.len();
        words.dedup();
        assert_eq!(words.len(), all, "{words:?}");
    }
}
