//! What a stored answer says about being served after its time, or at all, without the origin's word (RFC 9111 sections 4.2.4
//! and 5.2.2.4, RFC 5861).

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::PRAGMA;
use pingora_cache::CacheMeta;

use super::directives::{Directives, Source};

/// Until when an answer is fresh that is confirmed before every use: no step of the clock makes it so.
pub(super) const NEVER_FRESH: SystemTime = SystemTime::UNIX_EPOCH;

/// How far a clock is set back in the course of its duty.
const CORRECTION: Duration = Duration::from_secs(1);

/// Whether a stored answer must be confirmed by the origin once its time is over, whatever happens to the origin.
#[must_use]
pub fn must_revalidate(meta: &CacheMeta) -> bool {
    Directives::of(meta.headers()).0.is_strict()
}

/// Whether a stored answer is not of this time: the clock was set back since, and nobody knows how old it is. It would be fresh until
/// the clock is there again, which may be years.
#[must_use]
pub fn is_of_the_future(stored: SystemTime, now: SystemTime) -> bool {
    stored.duration_since(now).is_ok_and(|ahead| ahead > CORRECTION)
}

/// Whether a stored answer itself allows to be served when the origin answers with an error.
#[must_use]
pub fn allows_stale_if_error(meta: &CacheMeta) -> bool {
    let (directives, _) = Directives::of(meta.headers());
    directives.stale_if_error.is_some_and(|seconds| seconds > 0)
}

/// Whether a stored answer is confirmed by the origin before every use, whatever anybody asks for (`no-cache`).
pub(super) fn is_validated(meta: &CacheMeta) -> bool {
    meta.fresh_until() == NEVER_FRESH
}

/// Whether every use of a stored answer waits for the origin's word: it was out of date when it came, as answers with
/// `no-cache` or `max-age=0` are. Requests for it have nothing to gain from waiting for each other.
#[must_use]
pub fn validates_always(meta: &CacheMeta) -> bool {
    meta.fresh_until() <= meta.updated() && !meta.serve_stale_while_revalidate(meta.updated())
}

/// `no-cache`, or its ancestor where there is no `Cache-Control` at all (RFC 9111 section 5.4).
pub(super) fn says_no_cache(directives: &Directives, source: Source, headers: &HeaderMap) -> bool {
    let pragma = || headers.get_all(PRAGMA).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache"));
    directives.no_cache || source == Source::General && !directives.present && pragma()
}
