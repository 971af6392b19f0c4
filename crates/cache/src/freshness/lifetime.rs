//! How long an answer is fresh, and how old it is already (RFC 9111 section 4.2).

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap};
use leeward_rules::Caching;

use super::directives::{self, Directives, MOST_SECONDS, Source};
use super::{Exchange, Policy, Refusal, date};

/// Statuses that may be stored without a lifetime from the origin, by `fixed` or the fallback of `honor` (policy language 4.2).
const STORABLE: [u16; 8] = [200, 203, 204, 300, 301, 308, 404, 410];

/// Statuses for which a lifetime may be guessed, others only with `public` (RFC 9110 section 15.1).
const HEURISTIC: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];
/// The part of the time since the last change that is guessed, as a divisor.
const HEURISTIC_SHARE: u64 = 10;
/// The most that is guessed, in seconds: one day.
const MOST_HEURISTIC: u64 = 24 * 60 * 60;

/// How long an answer is fresh.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    pub seconds: u32,
    /// The origin set it.
    pub explicit: bool,
    /// Every use is validated first, whatever happens to the origin.
    pub validated: bool,
}

impl Lifetime {
    const fn explicit(seconds: u32) -> Self {
        Self { seconds, explicit: true, validated: false }
    }
    const fn assumed(seconds: u32) -> Self {
        Self { seconds, explicit: false, validated: false }
    }
}

/// That of an answer whose every use is validated first. A status that is stored only with explicit freshness needs that.
pub(super) fn always_validated(
    exchange: &Exchange<'_>,
    directives: &Directives,
    source: Source,
) -> Result<Lifetime, Refusal> {
    let explicit = said(exchange, directives, source).is_some();
    let storable = explicit || directives.public || STORABLE.contains(&exchange.response.status.as_u16());
    storable.then_some(Lifetime { seconds: 0, explicit: true, validated: true }).ok_or(Refusal::NoCache)
}

pub(super) fn of(
    exchange: &Exchange<'_>,
    directives: &Directives,
    source: Source,
    caching: Caching,
    policy: &Policy,
) -> Result<Lifetime, Refusal> {
    let status = exchange.response.status.as_u16();
    let explicit = match caching {
        Caching::HonorCc(_) => by_directives(directives),
        Caching::HonorExpires(_) => {
            let expires = by_expires(exchange);
            if expires == Some(0) {
                return Err(Refusal::Stale);
            }
            expires
        }
        _ => said(exchange, directives, source),
    };
    if let Caching::Fixed(seconds) = caching {
        let redirect = matches!(status, 302 | 307) && explicit.is_some();
        return if redirect || STORABLE.contains(&status) {
            Ok(Lifetime::assumed(seconds))
        } else {
            Err(Refusal::Status)
        };
    }
    if let Some(seconds) = explicit {
        return Ok(Lifetime::explicit(seconds));
    }
    if policy.heuristic
        && policy.caching.is_none()
        && let Some(seconds) = guessed(exchange, directives)
    {
        return Ok(Lifetime::assumed(seconds));
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
    Ok(Lifetime::assumed(fallback))
}

/// What the origin says. The targeted field speaks alone, without `Expires` beside it (RFC 9213 section 2.2).
fn said(exchange: &Exchange<'_>, directives: &Directives, source: Source) -> Option<u32> {
    let expires = || if source == Source::Targeted { None } else { by_expires(exchange) };
    by_directives(directives).or_else(expires)
}

fn by_directives(directives: &Directives) -> Option<u32> {
    directives.s_maxage.or(directives.max_age)
}

/// `Expires` minus `Date`; what is no date, and more than one, means stale (RFC 9111 sections 4.2.1 and 5.3).
fn by_expires(exchange: &Exchange<'_>) -> Option<u32> {
    let headers = &exchange.response.headers;
    let mut values = headers.get_all(header::EXPIRES).iter();
    let first = values.next()?;
    if values.any(|value| value != first) {
        return Some(0);
    }
    let Some(expires) = date::parse(first, exchange.now) else {
        return Some(0);
    };
    Some(expires.duration_since(sent(exchange)).map_or(0, whole_seconds))
}

/// A tenth of the time for which the answer has not changed (RFC 9111 section 4.2.2).
fn guessed(exchange: &Exchange<'_>, directives: &Directives) -> Option<u32> {
    let response = exchange.response;
    if !directives.public && !HEURISTIC.contains(&response.status.as_u16()) {
        return None;
    }
    let changed = date::parse(response.headers.get(header::LAST_MODIFIED)?, exchange.now)?;
    let unchanged = sent(exchange).duration_since(changed).ok()?;
    Some(whole_seconds(Duration::from_secs((unchanged.as_secs() / HEURISTIC_SHARE).min(MOST_HEURISTIC))))
}

/// The default lifetime is for a 200 to a request without `Authorization`, and not at all when it is zero.
fn check_default(exchange: &Exchange<'_>, seconds: u32) -> Result<(), Refusal> {
    if exchange.response.headers.contains_key(header::SET_COOKIE) {
        return Err(Refusal::SetCookie);
    }
    if exchange.request_headers.contains_key(header::AUTHORIZATION) {
        return Err(Refusal::Authorization);
    }
    if exchange.response.status != http::StatusCode::OK || seconds == 0 {
        return Err(Refusal::NoFreshness);
    }
    Ok(())
}

/// When the answer was sent, as far as it says.
fn sent(exchange: &Exchange<'_>) -> SystemTime {
    said_date(exchange).unwrap_or(exchange.response_time)
}

fn said_date(exchange: &Exchange<'_>) -> Option<SystemTime> {
    date::parse(exchange.response.headers.get(header::DATE)?, exchange.now)
}

/// How old the answer already is (RFC 9111 section 4.2.3).
pub(super) fn current_age(exchange: &Exchange<'_>) -> Duration {
    let since = |later: SystemTime, earlier: SystemTime| later.duration_since(earlier).unwrap_or_default();
    let apparent = said_date(exchange)
        .map_or(Duration::ZERO, |date| Duration::from_secs(since(exchange.response_time, date).as_secs()));
    let delay = since(exchange.response_time, exchange.request_time);
    let corrected = age_value(&exchange.response.headers) + delay;
    apparent.max(corrected) + since(exchange.now, exchange.response_time)
}

/// The first `Age`; what is no number does not count (RFC 9111 section 5.1).
fn age_value(headers: &HeaderMap) -> Duration {
    let first = headers.get(header::AGE).and_then(|value| value.as_bytes().split(|byte| *byte == b',').next());
    Duration::from_secs(first.map_or(0, |digits| u64::from(directives::seconds(digits.trim_ascii()))))
}

/// Whole seconds, at most [`MOST_SECONDS`].
pub(super) fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).map_or(MOST_SECONDS, |seconds| seconds.min(MOST_SECONDS))
}
