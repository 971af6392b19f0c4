//! What a stored answer says about being served after its time (RFC 9111 section 4.2.4, RFC 5861).

use pingora_cache::CacheMeta;

use super::directives::Directives;

/// Whether a stored answer must be confirmed by the origin once its time is over, whatever happens to the origin.
#[must_use]
pub fn must_revalidate(meta: &CacheMeta) -> bool {
    let (directives, _) = Directives::of(&meta.response_header().headers);
    directives.must_revalidate || directives.proxy_revalidate || directives.s_maxage.is_some()
}

/// Whether a stored answer itself allows to be served when the origin answers with an error.
#[must_use]
pub fn allows_stale_if_error(meta: &CacheMeta) -> bool {
    let (directives, _) = Directives::of(&meta.response_header().headers);
    directives.stale_if_error.is_some_and(|seconds| seconds > 0)
}
