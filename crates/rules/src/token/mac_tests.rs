//! `token-auth`, both ways.

use super::*;
use crate::fixture::Request;

const KEY: &str = "0123456789abcdef0123456789abcdef";
const UNTIL: u64 = 1_893_456_000;
const SINCE: u64 = 1_700_000_000;

fn key(algorithm: Algorithm) -> Key {
    Key::from_hex(algorithm, KEY).unwrap()
}

fn settings(algorithm: Algorithm, shape: &Shape) -> TokenAuth {
    TokenAuth::new("hdnts", algorithm, key(algorithm), None, shape.clone(), false).unwrap()
}

fn plain() -> Shape {
    Shape::default()
}

fn escaped() -> Shape {
    Shape { escape: true, ..plain() }
}

fn salted() -> Shape {
    Shape { salt: Some(Salt("pepper".into())), ..plain() }
}

fn acl<'a>(patterns: &'a [&'a str]) -> Claims<'a> {
    Claims { expires: UNTIL, what: What::Acl(patterns), ..Claims::default() }
}

fn url(url: &str) -> Claims<'_> {
    Claims { expires: UNTIL, start: Some(SINCE), what: What::Url(url), ..Claims::default() }
}

fn signed(shape: &Shape, claims: &Claims<'_>) -> String {
    sign(&key(Algorithm::Sha256), shape, claims).unwrap()
}

fn verified(shape: &Shape, token: &str, request: &Request) -> Code {
    settings(Algorithm::Sha256, shape).verify(token, &request.facts())
}

fn get(url: &str) -> Request {
    Request::get(url)
}

#[test]
fn every_published_token_is_made_and_verified() {
    let video = acl(&["/video/*"]);
    let two = Claims { ip: Some("198.18.48.211".parse().unwrap()), ..acl(&["/a/*", "/b/*"]) };
    let named = Claims { id: Some("u1"), data: Some("x"), ..acl(&["/*"]) };
    let spaced = url("/a b/c.mp4");
    let table = [
        (
            Algorithm::Sha256,
            plain(),
            &video,
            "/video/x.mp4",
            "exp=1893456000~acl=/video/*~hmac=5f71e787b0bbaa0737d72f4838bc0eefe60599aa72f8e9ede8ea0bc21ac13a29",
        ),
        (
            Algorithm::Sha256,
            plain(),
            &spaced,
            "/a%20b/c.mp4",
            "st=1700000000~exp=1893456000~hmac=e16237b48b94824ca1a91a6cfdbe73335f9c6a901e85d78a4e7484f8881b3b49",
        ),
        (
            Algorithm::Sha256,
            escaped(),
            &spaced,
            "/a%20b/c.mp4",
            "st=1700000000~exp=1893456000~hmac=5c7474fc9fe71f97c9558ee7aeed3dd53ef0eb859811f773371f0a571fe0669d",
        ),
        (
            Algorithm::Sha1,
            plain(),
            &two,
            "/b/x",
            "ip=198.18.48.211~exp=1893456000~acl=/a/*!/b/*~hmac=3d4bdbe90b7835d6e62855364dbd23243e4aa02f",
        ),
        (
            Algorithm::Md5,
            salted(),
            &named,
            "/",
            "exp=1893456000~acl=/*~id=u1~data=x~hmac=e68348f757f516a3512d5bcba2981ecc",
        ),
    ];
    for (algorithm, shape, claims, path, token) in &table {
        assert_eq!(sign(&key(*algorithm), shape, claims).as_deref(), Ok(*token), "{path}");
        let request = get(path).ip("198.18.48.211");
        let auth = settings(*algorithm, shape);
        assert_eq!(auth.verify(token, &request.facts()), Code::Allow, "{token}");
        for at in (0..token.len()).filter(|at| !token[*at..].starts_with('~') || *at > 0) {
            let mut bytes = token.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let text = String::from_utf8(bytes).unwrap();
            assert_ne!(auth.verify(&text, &request.facts()), Code::Allow, "{text}");
        }
        let upper = token.rsplit_once('=').map(|(front, mac)| format!("{front}={}", mac.to_uppercase())).unwrap();
        assert_eq!(auth.verify(&upper, &request.facts()), Code::Allow, "{upper}");
        for other in Algorithm::ALL.iter().filter(|(_, other)| other != algorithm) {
            assert_eq!(settings(other.1, shape).verify(token, &request.facts()), Code::Decrypt, "{token} {other:?}");
        }
    }
}

#[test]
fn a_token_is_over_in_the_second_it_names_and_good_from_the_one_it_begins() {
    let now = get("/").facts().now;
    for (start, expires, want) in [
        (None, now + 1, Code::Allow),
        (None, now, Code::Expire),
        (None, now - 1, Code::Expire),
        (Some(now), now + 1, Code::Allow),
        (Some(now + 1), now + 2, Code::Start),
        (Some(now - 1), now + 1, Code::Allow),
    ] {
        let token = signed(&plain(), &Claims { start, expires, ..acl(&["/*"]) });
        assert_eq!(verified(&plain(), &token, &get("/")), want, "{token}");
    }
}

#[test]
fn an_acl_is_a_list_of_patterns_over_the_path() {
    for (patterns, path, good) in [
        (&["/video/*"][..], "/video/a/b.mp4?x=1", true),
        (&["/video/*"], "/audio/a", false),
        (&["/video/*"], "/video/../audio/a", false),
        (&["/a/*", "/b/?.mp4"], "/b/1.mp4", true),
        (&["/a/*", "/b/?.mp4"], "/b/12.mp4", false),
        (&["/a b/*"], "/a%20b/c", true),
        (&["/a%20b/*"], "/a%20b/c", true),
        (&[""], "/", false),
    ] {
        let want = if good { Code::Allow } else { Code::UrlAllow };
        assert_eq!(verified(&plain(), &signed(&plain(), &acl(patterns)), &get(path)), want, "{patterns:?} {path}");
    }
}

#[test]
fn a_url_token_is_for_one_url() {
    let auth = |ignore| TokenAuth::new("t", Algorithm::Sha256, key(Algorithm::Sha256), None, plain(), ignore).unwrap();
    for (ignore, made_for, asked, good) in [
        (false, "/a.mp4", "/a.mp4", true),
        (false, "/a.mp4", "/b.mp4", false),
        (false, "/a.mp4", "/a.mp4?x=1", false),
        (false, "/a.mp4?x=1", "/a.mp4?x=1", true),
        (false, "/a.mp4?x=1", "/a.mp4?x=2", false),
        (true, "/a.mp4", "/a.mp4?x=1", true),
        (true, "/a.mp4?x=1", "/a.mp4?x=1", false),
    ] {
        let token = signed(&plain(), &url(made_for));
        let mut request = get(asked);
        request.query = Some(match &request.query {
            Some(query) => format!("{query}&t={token}"),
            None => format!("t={token}"),
        });
        let want = if good { Code::Allow } else { Code::Decrypt };
        assert_eq!(auth(ignore).judge(&request.facts()), want, "{made_for} {asked} {ignore}");
    }
}

#[test]
fn a_token_for_an_address_is_for_that_client() {
    for (shape, ip, client, want) in [
        (plain(), "198.51.100.7", "198.51.100.7", Code::Allow),
        (plain(), "198.51.100.7", "198.51.100.8", Code::ClientIp),
        (escaped(), "2001:db8::1", "2001:db8::1", Code::Allow),
        (plain(), "198.51.100.7", "::ffff:198.51.100.7", Code::Allow),
    ] {
        let token = signed(&shape, &Claims { ip: Some(ip.parse().unwrap()), ..acl(&["/*"]) });
        assert_eq!(verified(&shape, &token, &get("/").ip(client)), want, "{token} {client}");
    }
}

#[test]
fn a_token_is_looked_for_in_query_cookies_and_header() {
    let auth = settings(Algorithm::Sha256, &plain());
    let good = signed(&plain(), &acl(&["/*"]));
    let bad = "exp=1~hmac=00";
    let with = |query: Option<&str>, cookie: Option<&str>, field: Option<&str>| {
        let mut request = get("/");
        request.query = query.map(|token| format!("a=1&hdnts={token}"));
        if let Some(token) = cookie {
            request = request.header("cookie", &format!("a=1; hdnts={token}; b=2"));
        }
        field.map_or(request.clone(), |token| request.header("HDNTS", token))
    };
    for (request, want) in [
        (with(Some(&good), None, None), Code::Allow),
        (with(None, Some(&good), None), Code::Allow),
        (with(None, None, Some(&good)), Code::Allow),
        (with(None, None, None), Code::NoToken),
        (with(Some(bad), Some(&good), Some(&good)), Code::Decrypt),
        (with(None, Some(bad), Some(&good)), Code::Decrypt),
        (with(Some(""), Some(&good), None), Code::Allow),
        (get("/").header("cookie", "a=1").header("cookie", &format!("hdnts={good}")), Code::Allow),
        (get("/").header("cookie", &format!("Hdnts={good}")), Code::NoToken),
        // escaped once more on its way
        (with(Some(&good.replace('~', "%7E").replace('=', "%3D").replace('/', "%2F")), None, None), Code::Allow),
    ] {
        assert_eq!(auth.judge(&request.facts()), want, "{request:?}");
    }
    for (line, rest) in [
        ("a=1; hdnts=x; b=2", Some("a=1; b=2")),
        ("hdnts=x", Some("")),
        ("hdnts=x;a=1;hdnts=y", Some("a=1")),
        ("a=1; b=hdnts=x", None),
        ("Hdnts=x", None),
    ] {
        assert_eq!(without_cookie("hdnts", line).as_deref(), rest, "{line}");
    }
}

#[test]
fn both_keys_are_accepted_while_they_change() {
    let other = "ff".repeat(32);
    let read = |digits: &str| Key::from_hex(Algorithm::Sha256, digits).unwrap();
    let old = sign(&read(KEY), &plain(), &acl(&["/*"])).unwrap();
    let new = sign(&read(&other), &plain(), &acl(&["/*"])).unwrap();
    for (current, transition, of_old, of_new) in [
        (KEY, None, Code::Allow, Code::Decrypt),
        (KEY, Some(&*other), Code::Allow, Code::Allow),
        (&*other, Some(KEY), Code::Allow, Code::Allow),
        (&*other, None, Code::Decrypt, Code::Allow),
    ] {
        let auth = TokenAuth::new("t", Algorithm::Sha256, read(current), transition.map(read), plain(), true).unwrap();
        let got = [&old, &new].map(|token| auth.verify(token, &get("/").facts()));
        assert_eq!(got, [of_old, of_new], "{current} {transition:?}");
        assert!(!format!("{auth:?}").contains(current), "{auth:?}");
    }
}

#[test]
fn the_border_between_a_token_and_what_is_only_signed_cannot_be_moved() {
    let key = key(Algorithm::Sha256);
    let mac = |text: &str| {
        let digits: String = key.digest(&[text.as_bytes()]).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{text}~hmac={digits}")
    };
    for (text, want) in [
        // the maker of a URL token signed a URL that a client chose
        ("exp=1893456000~url=/x~acl=/*", Code::Decrypt),
        ("exp=1893456000~acl=/*~salt=pepper", Code::Decrypt),
        ("exp=1~acl=/*~exp=1893456000", Code::Decrypt),
        ("exp=1893456000~acl=/a~acl=/*", Code::Decrypt),
        ("acl=/*", Code::Expire),
        ("exp=~acl=/*", Code::Expire),
        ("exp=+1893456000~acl=/*", Code::Expire),
        ("exp=1893456000~acl=/*~st=soon", Code::Start),
        ("exp=1893456000~acl=/*~ip=nonsense", Code::ClientIp),
        ("exp=1893456000~acl=/*~other=x", Code::Allow),
        ("exp=1893456000~acl=/*~other", Code::Decrypt),
    ] {
        assert_eq!(verified(&plain(), &mac(text), &get("/")), want, "{text}");
    }
    let url = Claims { expires: UNTIL, what: What::Url("/x~acl=/*"), ..Claims::default() };
    assert!(sign(&key, &plain(), &url).is_err());
    assert!(sign(&key, &plain(), &Claims { data: Some("a~exp=9"), ..acl(&["/*"]) }).is_err());
    for token in [
        "",
        "~hmac=",
        "hmac=00",
        "exp=1893456000~acl=/*",
        "exp=1893456000~acl=/*~hmac=",
        "exp=1893456000~acl=/*~hmac=0g",
    ] {
        assert_eq!(verified(&plain(), token, &get("/")), Code::Decrypt, "{token}");
    }
    let long = format!("exp=1893456000~acl={}", "/".repeat(MAX_TOKEN));
    assert_eq!(verified(&plain(), &mac(&long), &get("/")), Code::Decrypt);
}

#[test]
fn a_key_is_hexadecimal_and_is_never_shown() {
    for (digits, good) in [
        ("ab", true),
        (KEY, true),
        (&*"ab".repeat(32), true),
        (&*"ab".repeat(33), false),
        ("abc", false),
        ("xy", false),
        ("", false),
        ("é", false),
    ] {
        let read = Key::from_hex(Algorithm::Sha256, digits);
        assert_eq!(read.is_ok(), good, "{digits}");
        match read {
            Ok(key) => assert_eq!(format!("{key:?}"), "[secret]"),
            Err(invalid) => assert!(digits.is_empty() || !invalid.message.contains(digits), "{invalid:?}"),
        }
    }
}
