//! May this answer be stored, and until when is it fresh (RFC 9111 sections 3 and 4.2, with the rules' `caching`).

mod date;
mod directives;
mod fields;
mod lifetime;
mod request;
mod stale;
mod structured;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora_cache::CacheMeta;

use directives::Directives;
use leeward_rules::Caching;
use lifetime::{Lifetime, whole_seconds};

pub use fields::{merge_304, strip_hop_by_hop};
pub use request::{Use, Wishes};
pub use stale::{allows_stale_if_error, is_of_the_future, must_revalidate, validates_always};

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
    /// Whether a lifetime is guessed from `Last-Modified` where neither origin nor rules say one (RFC 9111 section 4.2.2).
    pub heuristic: bool,
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
    /// It is.
    Store(Stored),
    /// It is not.
    Refuse(Refusal),
}

/// An answer as it is stored.
#[derive(Debug)]
pub struct Stored {
    /// Its header, freshness and stale windows.
    pub meta: CacheMeta,
    /// Fields that `no-cache` or `private` names: for the request that was answered, and nobody else.
    pub withheld: Vec<(HeaderName, HeaderValue)>,
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
    /// `no-cache`, and nothing to validate it with.
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

/// Statuses whose caching requirements are understood, for `must-understand` (RFC 9111 section 5.2.2.3).
const UNDERSTOOD: [u16; 20] =
    [200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 500, 501, 502, 503, 504];

/// Decides whether an answer is stored and for how long. Pure.
#[must_use]
pub fn judge(exchange: &Exchange<'_>, policy: &Policy) -> Verdict {
    match weigh(exchange, policy) {
        Ok(stored) => Verdict::Store(stored),
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

fn weigh(exchange: &Exchange<'_>, policy: &Policy) -> Result<Stored, Refusal> {
    let caching = policy.caching.unwrap_or(Caching::Honor(whole_seconds(policy.default_max_age)));
    if matches!(caching, Caching::NoStore | Caching::Bypass) {
        return Err(Refusal::Policy);
    }
    check_message(exchange, policy)?;
    let headers = &exchange.response.headers;
    let (directives, source) = Directives::of(headers);
    let fixed = matches!(caching, Caching::Fixed(_));
    if !fixed {
        check_directives(&directives, exchange.response.status)?;
    }
    if exchange.request_headers.contains_key(header::AUTHORIZATION) && !allows_authorized(&directives) {
        return Err(Refusal::Authorization);
    }
    let validate =
        !fixed && !matches!(caching, Caching::HonorExpires(_)) && stale::says_no_cache(&directives, source, headers);
    let lifetime = if validate {
        lifetime::always_validated(exchange, &directives, source)?
    } else {
        lifetime::of(exchange, &directives, source, caching, policy)?
    };
    let strip_cookies = match policy.set_cookie {
        _ if !headers.contains_key(header::SET_COOKIE) => false,
        _ if directives.withheld.contains(&header::SET_COOKIE) => false,
        _ if fixed => true,
        _ if !lifetime.explicit => return Err(Refusal::SetCookie),
        SetCookie::Refuse => return Err(Refusal::SetCookie),
        SetCookie::Strip => true,
        SetCookie::Store => false,
    };
    let validator = headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED);
    if lifetime.seconds == 0 && !validator {
        return Err(if validate { Refusal::NoCache } else { Refusal::Stale });
    }

    let mut stored = exchange.response.clone();
    strip_hop_by_hop(&mut stored);
    if strip_cookies {
        stored.remove_header(&header::SET_COOKIE);
    }
    let withheld = if fixed { Vec::new() } else { fields::withhold(&mut stored, &directives.withheld) };
    Ok(Stored { meta: meta(exchange, policy, &directives, lifetime, fixed, stored), withheld })
}

fn check_message(exchange: &Exchange<'_>, policy: &Policy) -> Result<(), Refusal> {
    let response = exchange.response;
    if exchange.request_method != Method::GET && exchange.request_method != Method::HEAD {
        return Err(Refusal::Method);
    }
    // outside of a 206 the field means nothing (RFC 9110 section 14.4), but an origin that was asked for a range may mean it
    let in_part = response.headers.contains_key(header::CONTENT_RANGE)
        && (!response.status.is_success() || exchange.request_headers.contains_key(header::RANGE));
    if response.status == StatusCode::PARTIAL_CONTENT || in_part {
        return Err(Refusal::Partial);
    }
    let about_the_request = matches!(response.status, StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE);
    if response.status.is_informational() || about_the_request {
        return Err(Refusal::Status);
    }
    let any_star =
        |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b',').any(|name| name.trim_ascii() == b"*");
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

fn check_directives(directives: &Directives, status: StatusCode) -> Result<(), Refusal> {
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
    Ok(())
}

/// RFC 9111 section 3.5.
fn allows_authorized(directives: &Directives) -> bool {
    directives.public || directives.must_revalidate || directives.s_maxage.is_some()
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
    let age = lifetime::current_age(exchange);
    // no store can write down a time before that
    let epoch = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH);
    let counted_from = if fixed { now } else { epoch };
    let fresh_until = if lifetime.validated {
        stale::NEVER_FRESH
    } else {
        counted_from.checked_add(Duration::from_secs(lifetime.seconds.into())).unwrap_or(now)
    };
    let (while_revalidate, if_error) = if directives.is_strict() || lifetime.validated {
        (0, 0)
    } else {
        let if_error = directives.stale_if_error.unwrap_or_else(|| whole_seconds(policy.max_stale));
        (directives.stale_while_revalidate.unwrap_or(0), if_error)
    };
    let mut meta = CacheMeta::new(fresh_until, now, while_revalidate, if_error, stored);
    meta.set_epoch_override(epoch);
    meta
}
