//! May this answer be stored, and until when is it fresh (RFC 9111 sections 3 and 4.2, with the rules' `caching`).

mod directives;
mod fields;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap};
use http::{HeaderName, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora_cache::CacheMeta;

use directives::{Directives, MOST_SECONDS, Source};
mod stale;

pub use fields::{merge_304, strip_hop_by_hop};
use leeward_rules::Caching;
pub use stale::{allows_stale_if_error, must_revalidate};

/// The field that tells a shared cache of this kind what it may do (RFC 9213).
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// What becomes of answers with `Set-Cookie`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SetCookie {
    /// Not stored.
    #[default]
    Refuse,
    /// Stored without the cookies.
    Strip,
    /// Stored with the cookies.
    Store,
}

/// A request and the answer of the origin to it.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// Method of the client's request.
    pub request_method: &'a Method,
    /// Fields of the client's request.
    pub request_headers: &'a HeaderMap,
    /// The answer; for a revalidation the stored header merged with the 304 ([`merge_304`]).
    pub response: &'a ResponseHeader,
    /// When the request was sent to the origin.
    pub request_time: SystemTime,
    /// When the head of the answer had arrived.
    pub response_time: SystemTime,
    /// The time of the decision.
    pub now: SystemTime,
}

/// What the configuration and the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The winning `caching` behaviour; absent: `honor` with `default_max_age`.
    pub caching: Option<Caching>,
    /// Lifetime of a 200 whose origin says nothing; zero: not stored.
    pub default_max_age: Duration,
    /// Answers with `Set-Cookie` and explicit freshness.
    pub set_cookie: SetCookie,
    /// How long after expiry an answer may stand in for an origin that fails, unless the answer itself says.
    pub max_stale: Duration,
    /// Largest body that is stored, in bytes; see [`crate::Store::max_object`].
    pub max_object: u64,
}

/// Whether an answer is stored.
#[derive(Debug)]
pub enum Verdict {
    /// It is, with this header, freshness and stale windows.
    Store(CacheMeta),
    /// It is not.
    Refuse(Refusal),
}

/// Why an answer is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The method is neither GET nor HEAD.
    Method,
    /// No status that may be stored.
    Status,
    /// Part of a representation.
    Partial,
    /// The rules say so.
    Policy,
    /// `no-store`.
    NoStore,
    /// `no-cache`.
    NoCache,
    /// `private`.
    Private,
    /// The request carried `Authorization` and the answer does not allow it.
    Authorization,
    /// The answer sets cookies.
    SetCookie,
    /// `Vary: *`.
    Vary,
    /// Nothing says how long, and no default applies.
    NoFreshness,
    /// Stale on arrival and nothing to validate it with.
    Stale,
    /// The body is larger than what is stored.
    TooLarge,
}

impl Refusal {
    /// The word for logs and `Cache-Status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::Partial => "partial",
            Self::Policy => "policy",
            Self::NoStore => "no_store",
            Self::NoCache => "no_cache",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set_cookie",
            Self::Vary => "vary",
            Self::NoFreshness => "no_freshness",
            Self::Stale => "stale",
            Self::TooLarge => "too_large",
        }
    }
}

/// Statuses that may be stored without a lifetime from the origin, by `fixed` or the fallback of `honor` (policy language 4.2).
const STORABLE: [u16; 8] = [200, 203, 204, 300, 301, 308, 404, 410];

/// Statuses whose caching requirements are understood, for `must-understand` (RFC 9111 section 5.2.2.3).
const UNDERSTOOD: [u16; 19] =
    [200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 500, 502, 503, 504];

/// Decides whether an answer is stored and for how long. Pure.
#[must_use]
pub fn judge(exchange: &Exchange<'_>, policy: &Policy) -> Verdict {
    match weigh(exchange, policy) {
        Ok(meta) => Verdict::Store(meta),
        Err(refusal) => Verdict::Refuse(refusal),
    }
}

/// Whether a stored object was stored or last validated before `since` (Unix seconds), so that it must be refreshed
/// (`content-refresh`, policy language 4.4).
#[must_use]
pub fn must_refresh(meta: &CacheMeta, since: u64) -> bool {
    let validated = meta.updated().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    validated.as_secs() < since
}

fn weigh(exchange: &Exchange<'_>, policy: &Policy) -> Result<CacheMeta, Refusal> {
    let caching = policy.caching.unwrap_or(Caching::Honor(whole_seconds(policy.default_max_age)));
    if matches!(caching, Caching::NoStore | Caching::Bypass) {
        return Err(Refusal::Policy);
    }
    check_message(exchange, policy)?;
    let headers = &exchange.response.headers;
    let (directives, source) = Directives::of(headers);
    let fixed = matches!(caching, Caching::Fixed(_));
    if !fixed {
        check_directives(&directives, source, headers, exchange.response.status, caching)?;
    }
    if exchange.request_headers.contains_key(header::AUTHORIZATION) && !allows_authorized(&directives) {
        return Err(Refusal::Authorization);
    }
    let lifetime = lifetime(exchange, &directives, source, caching, policy)?;
    let strip_cookies = match policy.set_cookie {
        _ if !headers.contains_key(header::SET_COOKIE) => false,
        _ if fixed => true,
        _ if !lifetime.explicit => return Err(Refusal::SetCookie),
        SetCookie::Refuse => return Err(Refusal::SetCookie),
        SetCookie::Strip => true,
        SetCookie::Store => false,
    };
    let validator = headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED);
    if lifetime.seconds == 0 && !validator {
        return Err(Refusal::Stale);
    }

    let mut stored = exchange.response.clone();
    strip_hop_by_hop(&mut stored);
    if strip_cookies {
        stored.remove_header(&header::SET_COOKIE);
    }
    Ok(meta(exchange, policy, &directives, lifetime, fixed, stored))
}

fn check_message(exchange: &Exchange<'_>, policy: &Policy) -> Result<(), Refusal> {
    let response = exchange.response;
    if exchange.request_method != Method::GET && exchange.request_method != Method::HEAD {
        return Err(Refusal::Method);
    }
    if response.status == StatusCode::PARTIAL_CONTENT || response.headers.contains_key(header::CONTENT_RANGE) {
        return Err(Refusal::Partial);
    }
    if response.status.is_informational() || response.status == StatusCode::NOT_MODIFIED {
        return Err(Refusal::Status);
    }
    let any_star =
        |value: &http::HeaderValue| value.as_bytes().split(|byte| *byte == b',').any(|name| name.trim_ascii() == b"*");
    if response.headers.get_all(header::VARY).iter().any(any_star) {
        return Err(Refusal::Vary);
    }
    let declared =
        response.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > policy.max_object) {
        return Err(Refusal::TooLarge);
    }
    Ok(())
}

fn check_directives(
    directives: &Directives,
    source: Source,
    headers: &HeaderMap,
    status: StatusCode,
    caching: Caching,
) -> Result<(), Refusal> {
    if directives.must_understand && !UNDERSTOOD.contains(&status.as_u16()) {
        return Err(Refusal::Status);
    }
    // must-understand replaces no-store for caches that understand the status.
    if directives.no_store && !directives.must_understand {
        return Err(Refusal::NoStore);
    }
    if directives.private {
        return Err(Refusal::Private);
    }
    if matches!(caching, Caching::HonorExpires(_)) {
        return Ok(());
    }
    if directives.no_cache {
        return Err(Refusal::NoCache);
    }
    // The ancestor of Cache-Control counts only where that is absent.
    let pragma = headers.get_all(header::PRAGMA).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache"));
    if source == Source::General && !directives.present && pragma {
        return Err(Refusal::NoCache);
    }
    Ok(())
}

/// RFC 9111 section 3.5.
fn allows_authorized(directives: &Directives) -> bool {
    directives.public || directives.must_revalidate || directives.s_maxage.is_some()
}

#[derive(Debug, Clone, Copy)]
struct Lifetime {
    seconds: u32,
    /// The origin set it.
    explicit: bool,
}

fn lifetime(
    exchange: &Exchange<'_>,
    directives: &Directives,
    source: Source,
    caching: Caching,
    policy: &Policy,
) -> Result<Lifetime, Refusal> {
    let response = exchange.response;
    let status = response.status.as_u16();
    let from_directives = || directives.s_maxage.or(directives.max_age);
    let from_expires = || expires_lifetime(&response.headers, exchange.response_time);
    let explicit = match caching {
        Caching::HonorCc(_) => from_directives(),
        Caching::HonorExpires(_) => {
            let expires = from_expires();
            if expires == Some(0) {
                return Err(Refusal::Stale);
            }
            expires
        }
        // The targeted field speaks alone, without Expires beside it (RFC 9213 section 2.2).
        _ if source == Source::Targeted => from_directives(),
        _ => from_directives().or_else(from_expires),
    };
    if let Caching::Fixed(seconds) = caching {
        let redirect = matches!(status, 302 | 307) && explicit.is_some();
        return if redirect || STORABLE.contains(&status) {
            Ok(Lifetime { seconds, explicit: false })
        } else {
            Err(Refusal::Status)
        };
    }
    if let Some(seconds) = explicit {
        return Ok(Lifetime { seconds, explicit: true });
    }
    let fallback = match caching {
        Caching::Honor(seconds) | Caching::HonorCc(seconds) | Caching::HonorExpires(seconds) => seconds,
        Caching::NoStore | Caching::Bypass | Caching::Fixed(_) => 0,
    };
    if !STORABLE.contains(&status) {
        return Err(Refusal::NoFreshness);
    }
    if policy.caching.is_none() {
        check_default(exchange, fallback)?;
    }
    Ok(Lifetime { seconds: fallback, explicit: false })
}

/// The default lifetime is for a 200 to a request without `Authorization`, and not at all when it is zero.
fn check_default(exchange: &Exchange<'_>, seconds: u32) -> Result<(), Refusal> {
    if exchange.response.headers.contains_key(header::SET_COOKIE) {
        return Err(Refusal::SetCookie);
    }
    if exchange.request_headers.contains_key(header::AUTHORIZATION) {
        return Err(Refusal::Authorization);
    }
    if exchange.response.status != StatusCode::OK || seconds == 0 {
        return Err(Refusal::NoFreshness);
    }
    Ok(())
}

/// `Expires` minus `Date`; what is no date, and more than one, means stale (RFC 9111 sections 4.2.1 and 5.3).
fn expires_lifetime(headers: &HeaderMap, response_time: SystemTime) -> Option<u32> {
    let mut values = headers.get_all(header::EXPIRES).iter();
    let first = values.next()?;
    if values.any(|value| value != first) {
        return Some(0);
    }
    let Some(expires) = http_date(first) else {
        return Some(0);
    };
    let date = headers.get(header::DATE).and_then(http_date).unwrap_or(response_time);
    Some(expires.duration_since(date).map_or(0, whole_seconds))
}

fn http_date(value: &http::HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// How old the answer already is (RFC 9111 section 4.2.3).
fn current_age(exchange: &Exchange<'_>) -> Duration {
    let headers = &exchange.response.headers;
    let since = |later: SystemTime, earlier: SystemTime| later.duration_since(earlier).unwrap_or_default();
    let date = headers.get(header::DATE).and_then(http_date);
    let apparent =
        date.map_or(Duration::ZERO, |date| Duration::from_secs(since(exchange.response_time, date).as_secs()));
    let delay = since(exchange.response_time, exchange.request_time);
    let corrected = age_value(headers) + delay;
    apparent.max(corrected) + since(exchange.now, exchange.response_time)
}

/// The first `Age`; what is no number does not count (RFC 9111 section 5.1).
fn age_value(headers: &HeaderMap) -> Duration {
    let first = headers.get(header::AGE).and_then(|value| value.as_bytes().split(|byte| *byte == b',').next());
    Duration::from_secs(first.map_or(0, |digits| u64::from(directives::seconds(digits.trim_ascii()))))
}

fn meta(
    exchange: &Exchange<'_>,
    policy: &Policy,
    directives: &Directives,
    lifetime: Lifetime,
    fixed: bool,
    stored: ResponseHeader,
) -> CacheMeta {
    let now = exchange.now;
    let age = current_age(exchange);
    let epoch = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
    let counted_from = if fixed { now } else { epoch };
    let fresh_until = counted_from.checked_add(Duration::from_secs(lifetime.seconds.into())).unwrap_or(now);
    let strict = directives.must_revalidate || directives.proxy_revalidate || directives.s_maxage.is_some();
    let (while_revalidate, if_error) = if strict {
        (0, 0)
    } else {
        let if_error = directives.stale_if_error.unwrap_or_else(|| whole_seconds(policy.max_stale));
        (directives.stale_while_revalidate.unwrap_or(0), if_error)
    };
    let mut meta = CacheMeta::new(fresh_until, now, while_revalidate, if_error, stored);
    meta.set_epoch_override(epoch);
    meta
}

/// Whole seconds, at most [`MOST_SECONDS`].
fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).map_or(MOST_SECONDS, |seconds| seconds.min(MOST_SECONDS))
}
