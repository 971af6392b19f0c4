//! Bodies: what is refused because it cannot be parsed, and what is found in a body of which only the beginning is there. (Attacks
//! and ordinary requests by the hundred are sent through the edge: tests/tests/edge/waf.)

use super::*;
use leeward_waf::modsecurity::ARGUMENT;

const SQL: &str = "1' union select password from users-- -";
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

/// Whatever is behind the limit, the part before it is one of its type, or nobody has looked into it.
#[test]
fn the_beginning_of_a_body_that_cannot_be_parsed_is_refused_as_the_whole_is() {
    let multipart = part("name=\"a\"", "b");
    let bare = "--xx\nContent-Disposition: form-data; name=\"a\"\n\nb\n".to_owned();
    for (content_type, body) in [
        (JSON, "\u{feff}{\"a\":\"b".to_owned()),
        (JSON, "{\"a\":1,,\"b\":\"c".to_owned()),
        (JSON, "{'a':'b".to_owned()),
        (JSON, "// a\n{\"a\":\"b".to_owned()),
        (JSON, "{\"a\":1} {\"b\":".to_owned()),
        (JSON, "[".repeat(40)),
        (XML, "<a><b></c><d>".to_owned()),
        (XML, "a<b>".to_owned()),
        (XML, format!("<!--{}", "a".repeat(100))),
        ("multipart/form-data; BOUNDARY=xx", multipart.clone()),
        ("multipart/form-data; boundary=yy", multipart.clone()),
        ("multipart/form-data", multipart.clone()),
        (MULTIPART, bare),
        (MULTIPART, format!("a\r\n{multipart}")),
        (MULTIPART, "--xx\r\nbroken\r\n\r\nb".to_owned()),
        (MULTIPART, "--xx\r\nContent-Disposition: form-data; name=\"a\"".to_owned()),
    ] {
        let got = judge(&Request { cut: true, ..post(content_type, body.as_bytes()) });
        assert!(got.refuse, "{content_type} {body}: {got:?}");
    }
}

#[test]
fn an_ordinary_body_passes_wherever_it_is_cut() {
    let json = r#" { "name" : "J\u00f6rg \"x\" \ud83d\ude00 ä€😀" , "n":[1,-2.5e+10,[],{},true,false,null, "\\"],"o":{"p":{"q":[[]]}} } "#;
    let xml = "<?xml version=\"1.0\"?><!-- a --><a:b xmlns:a=\"urn:a\" c='d &amp; e'>f &lt; g ä€😀<h/><![CDATA[ <i> ]]><?j k?><l>m</l></a:b>";
    let mut multipart = part("name=\"a\"", "b\r\nc") + &part("name=\"d\"; filename=\"e.txt\"", "\r\n--x\n\r\n-");
    multipart += &(part("name=\"f\"", "") + "--xx--\r\n");
    let form = "a=1&b=%C3%A4%E2%82%AC&c=d+e&f=";
    // before that there is no part, and no root: nothing that could be judged
    let head = multipart.find("\r\n\r\n").unwrap() + 4;
    let root = xml.find("<a:b ").unwrap() + 5;
    for (content_type, body, from) in
        [(JSON, json, 1), (XML, xml, root), (MULTIPART, &multipart, head), (FORM, form, 0)]
    {
        for cut in from..=body.len() {
            let beginning = &body.as_bytes()[..cut];
            let got = judge(&Request { cut: true, ..post(content_type, beginning) });
            assert!(!got.refuse, "{content_type} {}: {got:?}", String::from_utf8_lossy(beginning));
        }
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

/// One part of a form, `head` being what stands behind `form-data; `.
fn part(head: &str, content: &str) -> String {
    format!("--xx\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
}

#[test]
fn what_is_in_an_upload_is_left_alone_and_its_names_and_the_fields_beside_it_are_judged() {
    let content = format!("{SQL}\r\n<script>alert(1)</script>\r\n; cat /etc/passwd\r\n=").repeat(300);
    assert!(content.len() > 20 * 1024);
    let upload = |head: &str| part(head, &content);
    for (body, refuse) in [
        (upload("name=\"a\"; filename=\"a.txt\""), false),
        (upload("name=\"a\"; filename=\"photo (1) -- final & last 2024.jpg\""), false),
        (upload("name=\"photos[]\"; filename=\"r\u{e9}sum\u{e9} - select from the best, v1..2.pdf\""), false),
        (upload("name=\"a\"; filename=\"1 union select password from users-- -\""), true),
        (upload("name=\"a\"; filename=\"<script>alert(1)</script>\""), true),
        (upload("name=\"a\"; filename=\"..%2f..%2fetc%2fpasswd\""), true),
        (upload("name=\"a\"; filename=\"..\\..\\windows\\win.ini\""), true),
        (upload("name=\"a\"; filename=\"a.php\""), true),
        (upload("name=\"<script>alert(1)</script>\"; filename=\"a.txt\""), true),
        (upload(&format!("name=\"a\"; filename=\"{}.txt\"", "a".repeat(5000))), true),
        (upload("name=\"a\"; filename=\"a.txt\"") + &part("name=\"b\"", "an ordinary field"), false),
        (upload("name=\"a\"; filename=\"a.txt\"") + &part("name=\"b\"", SQL), true),
        // without a name of a file it is a field
        (part("name=\"a\"; filename=\"\"", SQL), true),
    ] {
        let body = body + "--xx--\r\n";
        let got = judge(&post(MULTIPART, body.as_bytes()));
        assert_eq!(got.refuse, refuse, "{}: {got:?}", &body[..100]);
    }
}

#[test]
fn an_xml_document_has_no_document_type_and_its_attributes_are_judged() {
    const LAUGHS: &str =
        "<!DOCTYPE a [<!ENTITY b \"bbbbbbbbbb\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;\">]><a>&c;</a>";
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (body, refuse) in [
        (b"<?xml version=\"1.0\" encoding=\"utf-8\"?><a b=\"it's 1 of 2\">c</a>".to_vec(), false),
        (b"<!-- <!DOCTYPE a> --><a>b</a>".to_vec(), false),
        (b"<!DOCTYPE a><a>b</a>".to_vec(), true),
        (b"<!-- a --><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/hostname\">]><a>&b;</a>".to_vec(), true),
        (LAUGHS.into(), true),
        (utf16("\u{feff}<!DOCTYPE a><a>b</a>"), true),
        (b"<?xml version=\"1.0\" encoding=\"UTF-7\"?>+ADw-a/+AD4-".to_vec(), true),
        (format!("<a><b c=\"{SQL}\"/></a>").into(), true),
        (format!("<a><![CDATA[{SQL}]]></a>").into(), true),
        (b"<a>&#60;script>alert(1)&#60;/script></a>".to_vec(), true),
    ] {
        let got = judge(&post(XML, &body));
        assert_eq!(got.refuse, refuse, "{}: {got:?}", String::from_utf8_lossy(&body));
    }
}

/// Nothing that a document names is opened: a pipe that is opened for reading would let its writer in.
#[test]
fn entities_are_not_fetched() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("entity");
    std::fs::write(&file, SQL).unwrap();
    let exclusion = leeward_waf::Exclusion { rule: 7_700_004, target: None };
    let set = load(&Plan { exclusions: vec![exclusion], ..plan() }).unwrap();
    let address = listener.local_addr().unwrap();
    for (what, refuse) in [
        (format!("<!DOCTYPE a SYSTEM \"http://{address}/a.dtd\"><a>b</a>"), false),
        (format!("<!DOCTYPE a [<!ENTITY b SYSTEM \"http://{address}/\">]><a>&b;</a>"), false),
        (format!("<!DOCTYPE a [<!ENTITY % b SYSTEM \"http://{address}/\"> %b;]><a>c</a>"), false),
        (format!("<!DOCTYPE a [<!ENTITY b SYSTEM \"{}\">]><a>&b;</a>", file.display()), false),
        // what it defines itself is seen
        (format!("<!DOCTYPE a [<!ENTITY b \"{SQL}\">]><a>&b;</a>"), true),
    ] {
        let request = Request { exclusions: vec![0], ..post(XML, what.as_bytes()) };
        let got = set.inspect(&request).unwrap();
        assert_eq!(got.refuse, refuse, "{what}: {got:?}");
        assert_eq!(listener.accept().err().unwrap().kind(), std::io::ErrorKind::WouldBlock, "{what}");
    }
}

#[test]
fn an_argument_over_the_limit_is_refused_whatever_is_in_it() {
    let long = "a ".repeat(2100);
    for (request, refuse) in [
        (post(FORM, format!("a={}", &long[..4096]).as_bytes()), false),
        (post(FORM, format!("a={}", &long[..4097]).as_bytes()), true),
        (post(FORM, format!("{}=a", "a".repeat(4097)).as_bytes()), true),
        (post(JSON, format!("[{{\"a\":\"{}\"}}]", &long[..4096]).as_bytes()), false),
        (post(JSON, format!("[{{\"a\":\"{}\"}}]", &long[..4097]).as_bytes()), true),
        (post(MULTIPART, (part("name=\"a\"", &long[..4097]) + "--xx--\r\n").as_bytes()), true),
        (get(&format!("/?a={}", "a".repeat(4097))), true),
    ] {
        let got = judge(&request);
        assert_eq!((got.refuse, got.rules.contains(&ARGUMENT)), (refuse, refuse), "{got:?}");
    }
    // one argument, or a site, may have more
    let set = load(&Plan {
        levels: vec![
            Level { paranoia: 1, threshold: 5, argument: 4096 },
            Level { paranoia: 1, threshold: 5, argument: 16 * 1024 },
        ],
        exclusions: vec![leeward_waf::Exclusion { rule: ARGUMENT, target: Some("ARGS:a".to_owned()) }],
        ..plan()
    })
    .unwrap();
    for (name, level, exclusions, refuse) in
        [("a", 0, vec![], true), ("a", 0, vec![0], false), ("b", 0, vec![0], true), ("b", 1, vec![], false)]
    {
        let body = format!("{name}={}", &long[..4097]);
        let got = set.inspect(&Request { level, exclusions, ..post(FORM, body.as_bytes()) }).unwrap();
        assert_eq!(got.refuse, refuse, "{name} at level {level}: {got:?}");
    }
    // and is judged whole then
    let body = format!("a={long}{SQL}");
    assert!(set.inspect(&Request { level: 1, ..post(FORM, body.as_bytes()) }).unwrap().refuse);
}

#[test]
fn a_body_is_looked_into_whatever_its_type_is_called_or_refused() {
    let form = |value: &str| format!("a={}", value.replace(' ', "+"));
    let json = |value: &str| format!("{{\"a\":\"{value}\"}}");
    let multipart = |value: &str| part("name=\"a\"", value) + "--xx--\r\n";
    let related = |value: &str| format!("--xx\r\nContent-Type: text/plain\r\n\r\n{value}\r\n--xx--\r\n");
    for (content_type, body, fine) in [
        (FORM, &form as &dyn Fn(&str) -> String, true),
        ("Application/X-WWW-Form-URLencoded;charset=UTF-8", &form, true),
        ("application/x-www-form-urlencoded; charset=utf-7", &form, false),
        (JSON, &json, true),
        ("APPLICATION/JSON;charset=utf-8", &json, true),
        ("application/json; charset=utf-16", &json, false),
        ("text/json", &json, false),
        ("text/plain", &json, false),
        ("", &json, false),
        (MULTIPART, &multipart, true),
        ("multipart/form-data; boundary=\"xx\"", &multipart, true),
        ("multipart/form-data; boundary=xx; boundary=yy", &multipart, false),
        ("multipart/form-data; BOUNDARY=xx", &multipart, false),
        ("multipart/form-data; boundary = xx", &multipart, false),
        ("multipart/form-data, application/json; boundary=xx", &multipart, false),
        ("multipart/related; boundary=xx", &related, false),
        ("multipart/mixed; boundary=xx", &multipart, false),
    ] {
        assert_eq!(!judge(&post(content_type, body("b").as_bytes())).refuse, fine, "{content_type}");
        assert!(judge(&post(content_type, body(SQL).as_bytes())).refuse, "{content_type}");
    }
    // none at all: as a form, whatever it is
    for (body, refuse) in [(json("b"), false), (form("b"), false), (json(SQL), true), (form(SQL), true)] {
        let mut request = post("", body.as_bytes());
        request.fields.retain(|(name, _)| name != b"Content-Type");
        assert_eq!(judge(&request).refuse, refuse, "{body}");
    }
    // two that differ
    for (one, other) in [(FORM, JSON), (JSON, FORM), ("text/plain", FORM), (FORM, MULTIPART), (MULTIPART, FORM)] {
        let mut request = post(one, b"a=b");
        request.fields.push((b"Content-Type".to_vec(), other.as_bytes().to_vec()));
        assert!(judge(&request).refuse, "{one} and {other}");
    }
}
