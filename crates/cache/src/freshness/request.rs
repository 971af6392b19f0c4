//! What a request asks of a cache (RFC 9111 section 5.2.1).

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};
use pingora_cache::CacheMeta;

use super::directives::{self, MOST_SECONDS};
use super::must_revalidate;
use super::stale::is_validated;

/// The cache directives of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `no-cache`, or `Pragma: no-cache` where there is no `Cache-Control`.
    pub no_cache: bool,
    /// `no-store`: the answer to this request is not stored.
    pub no_store: bool,
    /// `only-if-cached`: nothing but a stored answer is wanted.
    pub only_if_cached: bool,
    max_age: Option<u32>,
    min_fresh: Option<u32>,
    max_stale: Option<u32>,
}

/// What may be done with a stored answer for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// What its own freshness says.
    ByFreshness,
    /// It is used although its time is over.
    Anyway,
    /// It is confirmed by the origin first.
    Confirmed,
}

impl Wishes {
    /// Reads the directives of a request. A number that cannot be read is 0, the strictest; `max-stale` without one is as long
    /// as can be.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut wishes = Self::default();
        directives::each(headers, |name, argument| {
            let seconds = argument.map_or(0, directives::seconds);
            match name {
                "no-cache" => wishes.no_cache = true,
                "no-store" => wishes.no_store = true,
                "only-if-cached" => wishes.only_if_cached = true,
                "max-age" => wishes.max_age = Some(wishes.max_age.map_or(seconds, |old| old.min(seconds))),
                "min-fresh" => wishes.min_fresh = Some(wishes.min_fresh.map_or(seconds, |old| old.max(seconds))),
                "max-stale" => {
                    let most = argument.map_or(MOST_SECONDS, directives::seconds);
                    wishes.max_stale = Some(wishes.max_stale.map_or(most, |old| old.min(most)));
                }
                _ => {}
            }
        });
        let pragma = || headers.get_all(PRAGMA).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache"));
        if !headers.contains_key(CACHE_CONTROL) && pragma() {
            wishes.no_cache = true;
        }
        wishes
    }

    /// What they make of a stored answer.
    #[must_use]
    pub fn judge(&self, meta: &CacheMeta, now: SystemTime) -> Use {
        let age = now.duration_since(meta.epoch()).unwrap_or_default();
        let too_old = self.max_age.is_some_and(|most| age > seconds(most));
        let soon_over = self.min_fresh.is_some_and(|least| meta.fresh_until() < now + seconds(least));
        if self.no_cache || too_old || soon_over {
            return Use::Confirmed;
        }
        let over = now.duration_since(meta.fresh_until()).unwrap_or_default();
        let acceptable = self.max_stale.is_some_and(|most| over <= seconds(most));
        if !over.is_zero() && acceptable && !must_revalidate(meta) && !is_validated(meta) {
            return Use::Anyway;
        }
        Use::ByFreshness
    }
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use pingora::http::ResponseHeader;

    use super::*;

    fn wishes(lines: &[(&'static str, &'static str)]) -> Wishes {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Wishes::of(&lines.iter().map(pair).collect())
    }

    #[test]
    fn what_a_request_asks_for_is_done_unless_the_answer_forbids_it() {
        use Use::{Anyway, ByFreshness, Confirmed};
        let now = SystemTime::now();
        // the request's Cache-Control, the answer's, its age and lifetime in seconds
        let table = [
            ("", "", 50, 100, ByFreshness),
            ("no-cache", "", 0, 100, Confirmed),
            ("No-Cache", "", 0, 100, Confirmed),
            ("no-store", "", 50, 100, ByFreshness),
            ("max-age=60", "", 50, 100, ByFreshness),
            ("max-age=40", "", 50, 100, Confirmed),
            ("max-age=0", "", 50, 100, Confirmed),
            ("max-age=x", "", 50, 100, Confirmed),
            ("max-age=60, max-age=40", "", 50, 100, Confirmed),
            ("min-fresh=40", "", 50, 100, ByFreshness),
            ("min-fresh=60", "", 50, 100, Confirmed),
            ("max-stale", "", 150, 100, Anyway),
            ("max-stale=60", "", 150, 100, Anyway),
            ("max-stale=40", "", 150, 100, ByFreshness),
            ("max-stale=60", "", 50, 100, ByFreshness),
            ("max-stale", "max-age=100, must-revalidate", 150, 100, ByFreshness),
            ("max-stale", "s-maxage=100", 150, 100, ByFreshness),
            ("max-stale, max-age=100", "", 150, 100, Confirmed),
            ("max-stale", "no-cache", 1, 0, ByFreshness),
        ];
        for (request, response, age, lifetime, want) in table {
            let mut header = ResponseHeader::build(200, None).unwrap();
            header.insert_header("cache-control", response).unwrap();
            let stored = now - Duration::from_secs(age);
            let until = match response {
                "no-cache" => SystemTime::UNIX_EPOCH,
                _ => stored + Duration::from_secs(lifetime),
            };
            let mut meta = CacheMeta::new(until, stored, 0, 0, header);
            meta.set_epoch_override(stored);
            assert_eq!(wishes(&[("cache-control", request)]).judge(&meta, now), want, "{request} of {response}, {age}");
        }
    }

    #[test]
    fn pragma_counts_only_where_there_is_no_cache_control() {
        for (lines, want) in [
            (&[("pragma", "no-cache")][..], true),
            (&[("pragma", "No-Cache")], true),
            (&[("pragma", "foo")], false),
            (&[("pragma", "no-cache"), ("cache-control", "max-age=9")], false),
        ] {
            assert_eq!(wishes(lines).no_cache, want, "{lines:?}");
        }
    }
}
