use http::{HeaderName, Method};

use super::*;

fn request(method: Method, lines: &[(&str, &str)]) -> RequestHeader {
    let mut request = RequestHeader::build(method, b"/", None).unwrap();
    for (name, value) in lines {
        request.append_header(HeaderName::from_bytes(name.as_bytes()).unwrap(), *value).unwrap();
    }
    request
}

fn response(length: usize) -> ResponseHeader {
    let mut response = ResponseHeader::build(200, None).unwrap();
    response.insert_header("content-length", length).unwrap();
    response.insert_header("content-type", "text/plain").unwrap();
    response.insert_header("date", "Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
    response
}

fn any(request: &RequestHeader, response: &mut ResponseHeader) -> RangeType {
    filter(request, response, Order::Any)
}

/// `whole`, `416`, or the ranges as `first-last` joined by commas.
fn told(chosen: &RangeType) -> String {
    match chosen {
        RangeType::None => "whole".to_owned(),
        RangeType::Invalid => "416".to_owned(),
        RangeType::Single(range) => format!("{}-{}", range.start, range.end - 1),
        RangeType::Multi(parts) => {
            let each: Vec<String> =
                parts.ranges.iter().map(|range| format!("{}-{}", range.start, range.end - 1)).collect();
            each.join(",")
        }
    }
}

#[test]
fn the_bytes_of_a_range_are_those_of_the_rfc() {
    for (length, range, expected) in [
        (10, "bytes=0-0", "0-0"),
        (10, "bytes=0-4", "0-4"),
        (10, "bytes=5-", "5-9"),
        (10, "bytes=9-", "9-9"),
        (10, "bytes=0-99", "0-9"),
        (10, "bytes=-3", "7-9"),
        (10, "bytes=-10", "0-9"),
        (10, "bytes=-99", "0-9"),
        (10, "bytes=0-99999999999999999999999", "0-9"),
        (10, "BYTES=1-2", "1-2"),
        (10, "bytes= 1-2 ", "1-2"),
        (10, "bytes=10-", "416"),
        (10, "bytes=10-20", "416"),
        (10, "bytes=99999999999999999999999-", "416"),
        (10, "bytes=-0", "416"),
        (10, "bytes=-0, 20-", "416"),
        (0, "bytes=0-", "416"),
        (0, "bytes=0-0", "416"),
        (0, "bytes=-0", "416"),
        (0, "bytes=-5", "whole"),
        (10, "bytes=4-1", "whole"),
        (10, "bytes=", "whole"),
        (10, "bytes=-", "whole"),
        (10, "bytes=,", "whole"),
        (10, "bytes=a-b", "whole"),
        (10, "bytes=1 -2", "whole"),
        (10, "bytes=+1-2", "whole"),
        (10, "bytes=1-2-3", "whole"),
        (10, "bytes 1-2", "whole"),
        (10, "seconds=1-2", "whole"),
        (10, "1-2", "whole"),
        (10, "bytes=0-0,2-2", "0-0,2-2"),
        (10, "bytes=0-0,-1", "0-0,9-9"),
        (10, "bytes=0-1,2-3", "0-1,2-3"),
        (10, "bytes=0-0,,2-2,", "0-0,2-2"),
        (10, "bytes=0-0,20-30", "0-0"),
        (10, "bytes=0-0,2-2,4-4,6-6,8-8", "0-0,2-2,4-4,6-6,8-8"),
        (10, "bytes=0-0,2-2,4-4,6-6,8-8,9-9", "whole"),
        (10, "bytes=0-0,20-,21-,22-,23-,24-", "whole"),
        (10, "bytes=2-2,0-0", "2-2,0-0"),
        (10, "bytes=-1,0-0,4-5", "9-9,0-0,4-5"),
        (10, "bytes=5-9,0-4", "5-9,0-4"),
        (10, "bytes=20-,2-2,0-0", "2-2,0-0"),
        (10, "bytes=0-5,3-8", "whole"),
        (10, "bytes=3-8,0-5", "whole"),
        (10, "bytes=3-4,0-9", "whole"),
        (10, "bytes=0-9,3-4", "whole"),
        (10, "bytes=1-1,1-1", "whole"),
        (10, "bytes=0-,0-,0-,0-,0-", "whole"),
        (10, "bytes=-5,-5", "whole"),
        (10, "bytes=0-0,x", "whole"),
    ] {
        let chosen = any(&request(Method::GET, &[("range", range)]), &mut response(length));
        assert_eq!(told(&chosen), expected, "{range} of {length}");
    }
}

#[test]
fn a_body_that_passes_once_is_cut_in_its_own_order() {
    for (range, expected) in
        [("bytes=0-0,2-2", "0-0,2-2"), ("bytes=2-2,0-0", "whole"), ("bytes=20-,2-2", "2-2"), ("bytes=0-1,1-2", "whole")]
    {
        let chosen = filter(&request(Method::GET, &[("range", range)]), &mut response(10), Order::Ascending);
        assert_eq!(told(&chosen), expected, "{range}");
    }
}

#[test]
fn a_range_counts_only_in_a_get_with_one_range_field_and_for_a_200_of_known_length() {
    let ask = [("range", "bytes=0-0")];
    for (method, lines, expected) in [
        (Method::GET, &ask[..], "0-0"),
        (Method::HEAD, &ask[..], "whole"),
        (Method::POST, &ask[..], "whole"),
        (Method::GET, &[][..], "whole"),
        (Method::GET, &[("range", "bytes=0-0"), ("range", "bytes=1-1")][..], "whole"),
    ] {
        let mut answer = response(10);
        assert_eq!(told(&any(&request(method.clone(), lines), &mut answer)), expected, "{method} {lines:?}");
        assert_eq!(answer.headers.contains_key("accept-ranges"), expected == "whole", "{method} {lines:?}");
    }
    for status in [201, 206, 404] {
        let mut answer = response(10);
        answer.set_status(status).unwrap();
        assert_eq!(told(&any(&request(Method::GET, &ask), &mut answer)), "whole", "{status}");
        assert!(!answer.headers.contains_key("accept-ranges"), "{status}");
    }
    let mut unknown = response(10);
    unknown.remove_header("content-length");
    assert_eq!(told(&any(&request(Method::GET, &ask), &mut unknown)), "whole");
}

#[test]
fn if_range_compares_strongly() {
    let (modified, close) = ("Sun, 06 Nov 1994 08:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 GMT");
    for (etag, last_modified, condition, expected) in [
        ("\"a\"", "", "\"a\"", "0-0"),
        ("\"a\"", "", "\"b\"", "whole"),
        ("W/\"a\"", "", "W/\"a\"", "whole"),
        ("W/\"a\"", "", "\"a\"", "whole"),
        ("\"a\"", "", "W/\"a\"", "whole"),
        ("", "", "\"a\"", "whole"),
        ("", modified, modified, "0-0"),
        ("", modified, "Sunday, 06-Nov-94 08:00:00 GMT", "0-0"),
        ("", modified, close, "whole"),
        ("", close, close, "whole"),
        ("", modified, "yesterday", "whole"),
        ("\"a\"", modified, "a", "whole"),
    ] {
        let mut answer = response(10);
        for (name, value) in [("etag", etag), ("last-modified", last_modified)] {
            if !value.is_empty() {
                answer.insert_header(name, value).unwrap();
            }
        }
        let ask = request(Method::GET, &[("range", "bytes=0-0"), ("if-range", condition)]);
        assert_eq!(
            told(&any(&ask, &mut answer)),
            expected,
            "etag {etag}, modified {last_modified}, If-Range {condition}"
        );
    }
}

#[test]
fn the_header_says_what_is_sent() {
    let header = |range: &str| {
        let mut answer = response(10);
        let chosen = any(&request(Method::GET, &[("range", range)]), &mut answer);
        let field = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        (chosen, answer.status.as_u16(), field("content-length"), field("content-range"), field("content-type"))
    };
    let text = |value: &str| Some(value.to_owned());

    let (_, status, length, range, kind) = header("bytes=2-4");
    assert_eq!((status, length, range, kind), (206, text("3"), text("bytes 2-4/10"), text("text/plain")));

    let (_, status, length, range, kind) = header("bytes=10-");
    assert_eq!((status, length, range, kind), (416, text("0"), text("bytes */10"), None));

    let (chosen, status, length, range, kind) = header("bytes=0-0,5-6");
    let RangeType::Multi(parts) = chosen else { panic!("not several parts") };
    let mut body = String::new();
    for (at, data) in [("0-0", "0"), ("5-6", "56")] {
        body += &format!(
            "\r\n--{}\r\nContent-Type: text/plain\r\nContent-Range: bytes {at}/10\r\n\r\n{data}",
            parts.boundary
        );
    }
    body += &format!("\r\n--{}--\r\n", parts.boundary);
    assert_eq!((status, length, range), (206, text(&body.len().to_string()), None));
    assert_eq!(kind, Some(format!("multipart/byteranges; boundary={}", parts.boundary)));
}
