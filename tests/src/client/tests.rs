//! What the client makes of a field.

use super::CacheUse;

#[test]
fn cache_status_is_read_by_its_first_member() {
    let cases = [
        (None, CacheUse::Unsaid),
        (Some("leeward; hit; ttl=30"), CacheUse::Hit),
        (Some("leeward; fwd=uri-miss"), CacheUse::Miss),
        (Some("leeward; fwd=uri-miss; stored"), CacheUse::Stored),
        (Some("leeward; hit; detail=stale; ttl=-5"), CacheUse::Stale),
        (Some("leeward; fwd=stale; fwd-status=304"), CacheUse::Expired),
        (Some("leeward; fwd=bypass"), CacheUse::Bypass),
        (Some("leeward; fwd=method"), CacheUse::Other),
        (Some("leeward; fwd=uri-miss, other; hit"), CacheUse::Miss),
    ];
    for (field, wanted) in cases {
        assert_eq!(CacheUse::of(field), wanted, "{field:?}");
    }
}
