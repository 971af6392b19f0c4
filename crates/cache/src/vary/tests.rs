use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect()
}

#[test]
fn an_answer_that_varies_on_nothing_has_no_variance() {
    for vary in [&[][..], &[("vary", "")], &[("vary", " , ")]] {
        assert_eq!(of_headers(&headers(vary), &headers(&[("accept", "x")])), None, "{vary:?}");
    }
}

#[test]
fn equal_wishes_share_a_variant_and_different_ones_do_not() {
    type Lines = &'static [(&'static str, &'static str)];
    let table: &[(&str, Lines, Lines, bool)] = &[
        ("accept-encoding", &[("accept-encoding", "gzip, br")], &[("accept-encoding", "br,gzip")], true),
        ("accept-encoding", &[("accept-encoding", "GZIP")], &[("accept-encoding", "x-gzip;q=0.5")], true),
        ("accept-encoding", &[("accept-encoding", "gzip")], &[("accept-encoding", "gzip;q=0")], false),
        ("accept-encoding", &[("accept-encoding", "gzip;q=0.000")], &[("accept-encoding", "identity")], true),
        // without the field any coding will do (RFC 9110 section 12.5.3)
        ("accept-encoding", &[("accept-encoding", "identity")], &[], false),
        // what an origin may read in another way
        ("accept-encoding", &[("accept-encoding", "gzip;q=-1")], &[("accept-encoding", "identity")], false),
        ("accept-encoding", &[("accept-encoding", "gzip;q=0e0")], &[("accept-encoding", "identity")], false),
        ("accept-encoding", &[("accept-encoding", "gzip;x=y")], &[("accept-encoding", "gzip")], false),
        ("accept-encoding", &[("accept-encoding", "gzip;q=0, gzip")], &[("accept-encoding", "gzip")], false),
        ("accept-encoding", &[("accept-encoding", "gzip, gzip")], &[("accept-encoding", "gzip")], true),
        ("accept-encoding", &[("accept-encoding", "a, a;q=0")], &[("accept-encoding", "a")], false),
        ("accept-encoding", &[("accept-encoding", "*, a;q=0")], &[("accept-encoding", "*")], false),
        ("accept-encoding", &[("accept-encoding", "gzip, \u{e4}")], &[("accept-encoding", "identity")], false),
        ("accept-encoding", &[("accept-encoding", "gzip ; q=0.5 ,")], &[("accept-encoding", "gzip")], true),
        ("accept-encoding", &[("accept-encoding", "*")], &[("accept-encoding", "br, zstd, deflate, gzip")], true),
        ("accept-encoding", &[("accept-encoding", "gzip, sdch")], &[("accept-encoding", "gzip, sdch;q=0")], false),
        ("accept-encoding", &[("accept-encoding", "b, a")], &[("accept-encoding", "a;q=1,b")], true),
        ("accept-encoding", &[("accept-encoding", "*;q=0, gzip")], &[("accept-encoding", "gzip")], false),
        ("accept-encoding", &[("accept-encoding", "br")], &[("accept-encoding", "gzip")], false),
        ("Accept-Encoding", &[("accept-encoding", "")], &[("accept-encoding", "identity")], true),
        ("cookie\u{e4}, x-one", &[("x-one", "a")], &[("x-one", "b")], false),
        (
            "accept-language",
            &[("accept-language", "de,  en")],
            &[("accept-language", "de"), ("accept-language", "en")],
            true,
        ),
        ("accept-language", &[("accept-language", "de")], &[("accept-language", "en")], false),
        ("accept-language", &[("accept-language", "")], &[], false),
        ("accept-language", &[("accept-language", "EN-us, de")], &[("accept-language", " de ,en-US")], true),
        (
            "accept-language",
            &[("accept-language", "en;q=1.0, de;q=0.5")],
            &[("accept-language", "de; q=0.500,en")],
            true,
        ),
        ("accept-language", &[("accept-language", "en, de;q=0.5")], &[("accept-language", "de, en;q=0.5")], false),
        ("accept-language", &[("accept-language", "en, de;q=0.5")], &[("accept-language", "en, de;q=0.6")], false),
        ("accept-language", &[("accept-language", "en, de")], &[("accept-language", "en, de;q=0")], false),
        ("accept-language", &[("accept-language", "en;q=x")], &[("accept-language", "en;q=y")], false),
        ("accept-language", &[("accept-language", "en;q=x")], &[("accept-language", "en")], false),
        ("accept-language", &[("accept-language", "en;q=1.001")], &[("accept-language", "en")], false),
        ("accept-language", &[("accept-language", "en,,")], &[("accept-language", "en")], true),
        ("x-one, x-two", &[("x-one", "a"), ("x-two", "b")], &[("x-one", "b"), ("x-two", "a")], false),
        ("x-one, x-two", &[("x-one", "a")], &[("x-two", "a")], false),
        ("cookie", &[("cookie", "a=1"), ("accept", "x")], &[("cookie", "a=1"), ("accept", "y")], true),
    ];
    for (vary, one, two, same) in table {
        let response = headers(&[("vary", vary)]);
        let (left, right) = (of_headers(&response, &headers(one)), of_headers(&response, &headers(two)));
        assert!(left.is_some(), "{vary}");
        assert_eq!(left == right, *same, "vary {vary}: {one:?} and {two:?}");
    }
}

#[test]
fn the_order_and_case_of_the_names_do_not_matter() {
    let request = headers(&[("a", "1"), ("b", "2")]);
    let one = of_headers(&headers(&[("vary", "A, b")]), &request);
    assert_eq!(one, of_headers(&headers(&[("vary", "b"), ("vary", "a, B")]), &request));
}
