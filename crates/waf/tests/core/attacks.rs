//! Bodies: what is refused because it cannot be parsed, and what is found in a body of which only the beginning is there. (Attacks
//! and ordinary requests by the hundred are sent through the edge: tests/tests/edge/waf.)

use super::*;

const JSON: &str = "application/json";
const XML: &str = "text/xml";
const MULTIPART: &str = "multipart/form-data; boundary=xx";

#[test]
fn a_body_that_cannot_be_parsed_is_refused() {
    let deep = ["[".repeat(40), "]".repeat(40)].concat();
    let many: String = (0..300).map(|n| format!("a{n}=1&")).collect();
    for (content_type, body, refuse) in [
        (JSON, r#"{"a":1}"#, false),
        (JSON, r#"{"a":1,,}"#, true),
        (JSON, r#"{"a":"#, true),
        ("application/problem+json; charset=utf-8", r#"{"a"}"#, true),
        (JSON, deep.as_str(), true),
        (XML, "<a><b>c</b></a>", false),
        (XML, "<a><b>c</a>", true),
        ("application/soap+xml", "<a>", true),
        (MULTIPART, "--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--xx--\r\n", false),
        (MULTIPART, "--xx\r\nbroken\r\n\r\n--xx--\r\n", true),
        (MULTIPART, "--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n", true),
        ("multipart/form-data", "--xx\r\n", true),
        (FORM, "a=1&b=2", false),
        (FORM, many.as_str(), true),
    ] {
        let got = judge(&post(content_type, body.as_bytes()));
        assert_eq!(got.refuse, refuse, "{content_type} {body}: {got:?}");
    }
}

#[test]
fn a_body_of_which_only_the_beginning_is_there_is_judged_by_it_and_not_for_its_missing_end() {
    const SQL: &str = "1' union select password from users-- -";
    let part =
        |name: &str, value: &str| format!("--xx\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}");
    for (content_type, body, refuse) in [
        (JSON, r#"{"a":["b",{"c":"d"#.to_owned(), false),
        (JSON, format!(r#"{{"a":["b",{{"c":"{SQL}"#), true),
        (JSON, format!(r#"{{"a":"{SQL}","b":"\u00"#), true),
        (XML, "<a><b>c</b><d>e".to_owned(), false),
        (XML, format!("<a><b>{SQL}</b><d>e"), true),
        (MULTIPART, part("a", "b"), false),
        (MULTIPART, part("a", SQL), true),
        (FORM, "a=b&c=d".to_owned(), false),
        (FORM, format!("a=b&c={SQL}"), true),
    ] {
        let got = judge(&Request { cut: true, ..post(content_type, body.as_bytes()) });
        assert_eq!(got.refuse, refuse, "{content_type} {body}: {got:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_judged_like_others() {
    for (target, refuse) in [
        (&b"/?id=%ff%fe%27%20or%201=1--%20-"[..], true),
        (b"/?id=\xff\xfe'%20union%20select%201%20from%20users--%20-", true),
        (b"/\xc3\xa4?q=\xc3\xb6", false),
    ] {
        let got = judge(&Request { target: target.to_vec(), ..get("/") });
        assert_eq!(got.refuse, refuse, "{}: {got:?}", String::from_utf8_lossy(target));
    }
    let mut request = get("/");
    request.fields.push((b"X-Name".to_vec(), b"J\xf6rg \xff".to_vec()));
    assert!(!judge(&request).refuse);
    request.target = b"/\0".to_vec();
    assert!(rules().inspect(&request).is_err());
}
