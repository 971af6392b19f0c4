use pingora_cache::key::CacheHashKey as _;
use proptest::prelude::*;

use super::*;

fn key(scheme: &str, host: &str, path: &str, query: &[u8]) -> CacheKey {
    build(&Parts { scheme, host_component: host, path, query })
}

#[test]
fn moving_a_byte_between_parts_changes_the_key() {
    let reference = key("http", "a.example", "/b", b"c=1");
    for (name, other) in [
        ("scheme", key("https", "a.example", "/b", b"c=1")),
        ("scheme into host", key("htt", "pa.example", "/b", b"c=1")),
        ("host into path", key("http", "a.exampl", "e/b", b"c=1")),
        ("path into query", key("http", "a.example", "/", b"bc=1")),
        ("query into path", key("http", "a.example", "/bc=1", b"")),
        ("order of the query", key("http", "a.example", "/b", b"1=c")),
    ] {
        assert_ne!(reference.primary_key(), other.primary_key(), "{name}");
        assert_ne!(reference.primary_bin(), other.primary_bin(), "{name}");
    }
}

#[test]
fn equal_parts_give_equal_keys_and_hashes() {
    let (one, two) = (key("http", "h", "/p", b"q"), key("http", "h", "/p", b"q"));
    assert_eq!(one.primary_key(), two.primary_key());
    assert_eq!(one.primary_bin(), two.primary_bin());
    assert_eq!(one.primary_bin(), keyed_hash(one.primary_key()));
}

proptest! {
    #[test]
    fn keys_are_equal_exactly_when_the_parts_are(
        a in ("[ab:/]{0,4}", "[ab:/]{0,4}", "[ab:/]{0,4}", prop::collection::vec(0u8..4, 0..4)),
        b in ("[ab:/]{0,4}", "[ab:/]{0,4}", "[ab:/]{0,4}", prop::collection::vec(0u8..4, 0..4)),
    ) {
        let (one, two) = (key(&a.0, &a.1, &a.2, &a.3), key(&b.0, &b.1, &b.2, &b.3));
        prop_assert_eq!(one.primary_key() == two.primary_key(), a == b);
        prop_assert_eq!(one.primary_bin() == two.primary_bin(), a == b);
    }
}
