//! What this edge is called in `CDN-Loop` (RFC 8586): `leeward; node=<id>`. The product's name alone would make every tier of
//! Leeward servers look like a loop; the id tells whether a request was at this very one.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use leeward_config::Snapshot;
use leeward_telemetry::status_fields::NAME;

/// Where requests say which proxies they were at.
pub(crate) static CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
/// Other nodes that a request of another tier may have been at: an edge, and no more than this allows for what comes later.
const MAX_NODES: usize = 3;

/// This edge's id: `server.node`, else one drawn when the process began.
pub(crate) fn id(snapshot: &Snapshot) -> &str {
    static DRAWN: OnceLock<String> = OnceLock::new();
    let drawn = || DRAWN.get_or_init(|| format!("{:016x}", RandomState::new().build_hasher().finish()));
    snapshot.server.node.as_deref().unwrap_or_else(|| drawn())
}

/// This edge's member of `CDN-Loop`.
pub(crate) fn member(snapshot: &Snapshot) -> String {
    [NAME, "; node=", id(snapshot)].concat()
}

/// The same as the value of a field. Each worker keeps it, because it goes with every request to an origin.
pub(crate) fn member_value(snapshot: &Snapshot) -> HeaderValue {
    thread_local! { static KEPT: RefCell<Option<(String, HeaderValue)>> = const { RefCell::new(None) }; }
    let id = id(snapshot);
    KEPT.with_borrow_mut(|kept| match kept {
        Some((of, value)) if of == id => value.clone(),
        _ => {
            // the configuration takes no id that is no text
            let value = HeaderValue::try_from(member(snapshot)).unwrap_or(HeaderValue::from_static(NAME));
            *kept = Some((id.to_owned(), value.clone()));
            value
        }
    })
}

/// Whether a request may go round in a loop. Only another tier of this CDN may send one that was at other nodes, and not at
/// many; one that was here, or at a node without an id, is refused whoever sends it.
pub(crate) fn loops(headers: &HeaderMap, own: &str, midgress: bool) -> bool {
    let mut others = 0;
    for field in headers.get_all(&CDN_LOOP) {
        // what is no text may hide a name
        let Ok(field) = field.to_str() else { return true };
        for member in field.split(',') {
            let mut parts = member.split(';').map(str::trim);
            if !parts.next().is_some_and(|name| name.eq_ignore_ascii_case(NAME)) {
                continue;
            }
            let node = parts.find_map(|part| part.strip_prefix("node="));
            match node {
                Some(node) if !node.is_empty() && node != own => others += 1,
                _ => return true,
            }
        }
    }
    others > if midgress { MAX_NODES } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_was_here_before_is_a_loop_and_only_another_tier_may_send_one_that_was_elsewhere() {
        for (value, of_client, of_tier) in [
            ("leeward", true, true),
            ("other, leeward", true, true),
            ("other; leeward", false, false),
            ("LEEWARD; v=1 ,other", true, true),
            ("leeward2", false, false),
            ("", false, false),
            ("leeward; node=here", true, true),
            ("leeward; node=", true, true),
            ("leeward; node=there", true, false),
            ("other, leeward;node=there;v=1", true, false),
            ("leeward; node=a, leeward; node=b, leeward; node=c", true, false),
            ("leeward; node=a, leeward; node=here", true, true),
            ("leeward; node=a, leeward; node=b, leeward; node=c, leeward; node=d", true, true),
            ("leeward; node=a, leeward", true, true),
            ("other; node=here", false, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("cdn-loop", value.parse().unwrap());
            assert_eq!(loops(&headers, "here", false), of_client, "of a client: {value}");
            assert_eq!(loops(&headers, "here", true), of_tier, "of another tier: {value}");
        }
    }
}
