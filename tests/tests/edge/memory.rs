//! The memory tier: more than it holds passes through, and what it says of itself stays within its limit.

use leeward_tests::client::CacheUse;
use leeward_tests::origin::{Answer, Origin, Script, pattern};
use leeward_tests::wait::{self, PATIENCE};

use crate::stage;

const LIMIT: f64 = 16.0 * 1024.0 * 1024.0;
const OBJECT: usize = 1_000_000;
const OBJECTS: usize = 40;

#[test]
fn older_objects_make_room_and_the_limit_holds() {
    let origin = Origin::start(Script::always(Answer::sized(OBJECT).with("Cache-Control", "max-age=60")));
    let edge = stage::edge(&origin, "cache: { store_on_hit: 1, memory: 16MiB }");
    let wanted = pattern(OBJECT);
    for index in 0..OBJECTS {
        let response = edge.http().get("www.example.com", &format!("/{index}"));
        assert!(response.body == wanted, "object {index}: {} bytes, not the right ones", response.body.len());
        let bytes = edge.metrics().sum("leeward_cache_bytes", &[]);
        assert!(bytes <= LIMIT, "{bytes} bytes stored after object {index}, the limit is {LIMIT}");
    }
    let last = edge.http().get("www.example.com", &format!("/{}", OBJECTS - 1));
    assert_eq!(last.cache(), CacheUse::Hit, "the newest object");
    wait::until("evictions to be counted", PATIENCE, || {
        (edge.metrics().sum("leeward_cache_evictions_total", &[]) >= 20.0).then_some(())
    });
}
