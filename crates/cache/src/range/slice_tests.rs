use std::time::{Duration, Instant};

use pingora_cache::key::CacheHashKey as _;

use super::*;

fn head(status: u16, lines: &[(&str, &str)]) -> ResponseHeader {
    let mut head = ResponseHeader::build(status, None).unwrap();
    for (name, value) in lines {
        head.append_header(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), *value).unwrap();
    }
    head
}

fn version(total: u64, etag: &str) -> Version {
    let length = total.to_string();
    Version::of_whole(&head(200, &[("content-length", &length), ("etag", etag)])).unwrap()
}

const DATE_LINE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

#[test]
fn an_object_has_slices_when_its_head_tells_versions_apart() {
    let modified = ("last-modified", "Sun, 06 Nov 1994 08:00:00 GMT");
    for (status, lines, wanted) in [
        (200, &[("content-length", "10"), ("etag", "\"a\"")][..], true),
        (200, &[("content-length", "10"), modified, DATE_LINE], true),
        (200, &[("content-length", "10"), modified], true),
        (200, &[("content-length", "10"), ("etag", "W/\"a\""), modified, DATE_LINE], true),
        (200, &[("content-length", "10"), ("etag", "W/\"a\"")], false),
        (200, &[("content-length", "10"), ("last-modified", DATE_LINE.1), DATE_LINE], false),
        (200, &[("content-length", "10"), ("last-modified", "yesterday"), DATE_LINE], false),
        (200, &[("content-length", "10")], false),
        (200, &[("etag", "\"a\"")], false),
        (200, &[("transfer-encoding", "chunked"), ("content-length", "10"), ("etag", "\"a\"")], false),
        (200, &[("content-length", "10"), ("etag", "\"a\""), ("accept-ranges", "bytes")], true),
        (200, &[("content-length", "10"), ("etag", "\"a\""), ("accept-ranges", "None")], false),
        (203, &[("content-length", "10"), ("etag", "\"a\"")], false),
        (404, &[("content-length", "10"), ("etag", "\"a\"")], false),
    ] {
        assert_eq!(Version::of_whole(&head(status, lines)).is_some(), wanted, "{status} {lines:?}");
    }
}

#[test]
fn a_part_is_of_the_version_that_its_head_says() {
    let of_part =
        |place: &str, etag: &str| Version::of_part(&head(206, &[("content-range", place), ("etag", etag)]).headers);
    for (place, etag, wanted) in [
        ("bytes 2-4/10", "\"a\"", Some((2..5, true))),
        ("bytes 0-9/10", "\"a\"", Some((0..10, true))),
        ("Bytes 9-9/10", "\"a\"", Some((9..10, true))),
        ("bytes 2-4/10", "\"b\"", Some((2..5, false))),
        ("bytes 2-4/11", "\"a\"", Some((2..5, false))),
        ("bytes 2-4/*", "\"a\"", None),
        ("bytes */10", "\"a\"", None),
        ("bytes 4-2/10", "\"a\"", None),
        ("bytes 2-10/10", "\"a\"", None),
        ("bytes +2-4/10", "\"a\"", None),
        ("bytes=2-4/10", "\"a\"", None),
        ("lines 2-4/10", "\"a\"", None),
        ("bytes 2-4/10", "W/\"a\"", None),
        ("bytes 2-99999999999999999999999/99999999999999999999999", "\"a\"", None),
    ] {
        let got = of_part(place, etag).map(|(bytes, part)| (bytes, part == version(10, "\"a\"")));
        assert_eq!(got, wanted, "{place} {etag}");
    }
    let twice = head(206, &[("content-range", "bytes 0-1/10"), ("content-range", "bytes 2-3/10"), ("etag", "\"a\"")]);
    assert_eq!(Version::of_part(&twice.headers), None);
}

#[test]
fn pieces_cover_a_range_exactly_and_lie_in_one_slice_each() {
    for (range, total, size, wanted) in [
        (0..1, 10, 4, vec![(0, 0..4, 0..1)]),
        (3..5, 10, 4, vec![(0, 0..4, 3..4), (1, 4..8, 4..5)]),
        (4..8, 10, 4, vec![(1, 4..8, 4..8)]),
        (0..10, 10, 4, vec![(0, 0..4, 0..4), (1, 4..8, 4..8), (2, 8..10, 8..10)]),
        (9..10, 10, 4, vec![(2, 8..10, 9..10)]),
        (9..99, 10, 4, vec![(2, 8..10, 9..10)]),
        (7..8, 8, 4, vec![(1, 4..8, 7..8)]),
        (5..5, 10, 4, vec![]),
        (10..12, 10, 4, vec![]),
        (0..0, 0, 4, vec![]),
    ] {
        let got: Vec<_> = pieces(range.clone(), total, size).map(|one| (one.index, one.slice, one.wanted)).collect();
        assert_eq!(got, wanted, "{range:?} of {total} in slices of {size}");
    }
    let last = pieces(u64::MAX - 1..u64::MAX, u64::MAX, 4 << 20).last().unwrap();
    assert_eq!(last.wanted, u64::MAX - 1..u64::MAX);
}

#[test]
fn a_slice_shares_its_key_with_no_other_slice_and_no_object() {
    let object =
        |path: &str| crate::key::build(&crate::key::Parts { scheme: "http", host_component: "h", path, query: b"" });
    let (a, b) = (version(10, "\"a\""), version(10, "\"b\""));
    let keys = [
        object("/a"),
        object("/b"),
        slice_key(&object("/a"), &a, 4, 0),
        slice_key(&object("/a"), &a, 4, 1),
        slice_key(&object("/a"), &a, 8, 0),
        slice_key(&object("/a"), &b, 4, 0),
        slice_key(&object("/a"), &version(11, "\"a\""), 4, 0),
        slice_key(&object("/b"), &a, 4, 0),
    ];
    for (i, one) in keys.iter().enumerate() {
        for (j, other) in keys.iter().enumerate() {
            assert_eq!(one.primary_bin() == other.primary_bin(), i == j, "hashes {i} {j}");
            assert_eq!(one.primary_key() == other.primary_key(), i == j, "keys {i} {j}");
        }
    }
    assert_eq!(slice_key(&object("/a"), &a, 4, 0).primary_bin(), keys[2].primary_bin());
}

#[test]
fn what_is_known_of_an_object_follows_what_its_origin_says() {
    let (sliced, now, object) = (Sliced::default(), Instant::now(), [7; 16]);
    assert_eq!(sliced.get(&object, now), None);
    assert!(sliced.learn(&object, &version(10, "\"a\""), false, now));
    let slices = |etag, admitted| Some(Known::Slices { version: version(10, etag).into(), admitted });
    assert_eq!(sliced.get(&object, now), slices("\"a\"", false));
    assert!(sliced.learn(&object, &version(10, "\"a\""), true, now));
    assert!(sliced.learn(&object, &version(10, "\"b\""), false, now), "another version");
    assert_eq!(sliced.get(&object, now), slices("\"b\"", true), "admitted once is admitted");
    sliced.is_whole(&object, 10, now);
    assert_eq!(sliced.get(&object, now), Some(Known::Whole { total: 10 }));
    assert!(!sliced.learn(&object, &version(10, "\"b\""), true, now), "its origin ignores ranges");
    sliced.forget(&object);
    assert_eq!(sliced.get(&object, now), Some(Known::Whole { total: 10 }), "that is not forgotten with its slices");
    let later = now + Duration::from_secs(601);
    assert_eq!(sliced.get(&object, later), None);
    assert!(sliced.learn(&object, &version(10, "\"c\""), false, later), "asked again");
    assert_eq!(sliced.get(&object, later), slices("\"c\"", false));
    sliced.forget(&object);
    assert_eq!(sliced.get(&object, later), None);
}

#[test]
fn an_object_that_changes_all_the_time_is_not_had_in_slices() {
    for (pause, wanted) in [(1, false), (61, true)] {
        let (sliced, start, object) = (Sliced::default(), Instant::now(), [1; 16]);
        let learned = (0..40).all(|n| {
            let now = start + Duration::from_secs(n * pause);
            sliced.learn(&object, &version(10, &format!("\"{n}\"")), true, now)
        });
        assert_eq!(learned, wanted, "a change every {pause} s");
    }
}

#[test]
fn the_memory_of_sliced_objects_is_bounded_and_forgets_the_oldest() {
    let (sliced, now) = (Sliced::default(), Instant::now());
    let object = |n: u32| {
        let mut object = [0; 16];
        object[..4].copy_from_slice(&n.to_le_bytes());
        object
    };
    let all = 4 * 16 * 1024;
    for n in 0..all {
        assert!(sliced.learn(&object(n), &version(10, "\"a\""), true, now));
    }
    let known: Vec<u32> = (0..all).filter(|n| sliced.get(&object(*n), now).is_some()).collect();
    assert_eq!(known.len(), 16 * 1024);
    assert_eq!(known.first(), Some(&(all - 16 * 1024)));
}

#[test]
fn a_multipart_body_is_as_long_as_its_head_says() {
    for (range, kind) in [("bytes=0-0,5-6", Some("text/plain")), ("bytes=9-9,0-3,5-5", None)] {
        let mut answer = head(200, &[("content-length", "10")]);
        if let Some(kind) = kind {
            answer.insert_header("content-type", kind).unwrap();
        }
        let mut request = RequestHeader::build(Method::GET, b"/", None).unwrap();
        request.insert_header("range", range).unwrap();
        let RangeType::Multi(parts) = filter(&request, &mut answer, Order::Any) else { panic!("not several parts") };
        let heads: usize = parts.ranges.iter().map(|range| part_head(&parts, range, 10).len() + range.len()).sum();
        let length = (heads + parts_end(&parts).len()).to_string();
        assert_eq!(answer.headers.get("content-length").unwrap().to_str().unwrap(), length, "{range}");
    }
}
