//! Who is let in with which token.

use super::*;
use crate::fixture::Request;
use crate::token::NONCE;

const NOW: u64 = crate::fixture::PUBLISHED_AT;

/// Tokens of tests need not be secret: the nonce is always the same.
fn token(key: &str, plaintext: &str) -> String {
    Key::new(key.as_bytes()).encrypt(plaintext, [7; NONCE]).unwrap()
}

fn keys(primary: Option<&str>, backup: Option<&str>) -> Keys {
    let key = |text: &str| Key::new(text.as_bytes());
    Keys::new(primary.map(key), backup.map(key))
}

fn judge_as(plaintext: &str, request: &Request, ignore_case: bool) -> Code {
    let keys = keys(Some("k"), None);
    let mut request = request.clone();
    request.query = Some(token("k", plaintext));
    Asked { keys: &keys, place: Place::Start, ignore_case }.judge(&request.facts())
}

fn judge(plaintext: &str, request: &Request) -> Code {
    judge_as(plaintext, request, false)
}

fn get(url: &str) -> Request {
    Request::get(url)
}

#[test]
fn a_token_is_good_up_to_the_second_it_names() {
    for (value, want) in [
        (format!("ec_expire={}", NOW + 1), Code::Allow),
        (format!("ec_expire={NOW}"), Code::Allow),
        (format!("ec_expire={}", NOW - 1), Code::Expire),
        ("ec_expire=0".to_owned(), Code::Allow),
        ("steak".to_owned(), Code::Allow),
        ("ec_expire=".to_owned(), Code::Expire),
        ("ec_expire".to_owned(), Code::Expire),
        ("ec_expire=+4102444800".to_owned(), Code::Expire),
        ("ec_expire=never".to_owned(), Code::Expire),
        ("ec_expire=99999999999999999999".to_owned(), Code::Expire),
        (format!("ec_expire={}&ec_expire={}", NOW + 1, NOW - 1), Code::Expire),
        ("ec_secure=33".to_owned(), Code::Allow),
    ] {
        assert_eq!(judge(&value, &get("/")), want, "{value}");
    }
}

#[test]
fn paths_are_compared_by_their_beginnings_as_requested() {
    let cdn = "/800001/photos/";
    for (value, path, want) in [
        ("/pictures", "/pictures.png", true),
        ("/pictures", "/picturesnew/x", true),
        ("/pictures", "/pictures", true),
        ("/pictures/", "/pictures.png", false),
        ("/pictures/", "/pictures/a", true),
        ("/pictures/", "/Pictures/a", false),
        ("/a,/b", "/b/c", true),
        ("/a,/b", "/c", false),
        ("/a, /b", "/b/c", false),
        ("/a,", "/b", false),
        ("", "/a", false),
        (cdn, "/800001/photos/a.jpg?x=1", true),
        (cdn, "/photos/a.jpg", false),
        ("/a b/", "/a%20b/c", true),
        ("/a%20b/", "/a%20b/c", true),
        ("/%7euser/", "/~user/c", true),
        ("/videos/", "/videos/../paid/x", false),
        ("/paid", "/videos/%2e%2e/paid/x", true),
    ] {
        let want = if want { Code::Allow } else { Code::UrlAllow };
        assert_eq!(judge(&format!("ec_url_allow={value}"), &get(path)), want, "{value} {path}");
    }
    for (value, path, ignored) in [("/Pictures/", "/pictures/a", Code::Allow), ("/Pictures/", "/b", Code::UrlAllow)] {
        let text = format!("ec_url_allow={value}");
        assert_eq!(judge_as(&text, &get(path), true), ignored, "{value} {path}");
        assert_eq!(judge_as(&text, &get(path), false), Code::UrlAllow, "{value} {path}");
    }
}

#[test]
fn hosts_are_in_a_list_or_not_and_the_other_list_is_its_complement() {
    let list = "www.server1.com,data.server1.com,*.server2.com";
    for (host, listed) in [
        ("www.server1.com", true),
        ("data.server1.com", true),
        ("secure.server2.com", true),
        ("en.secure.server2.com", true),
        ("secure.server1.com", false),
        ("server2.com", false),
        ("WWW.Server1.COM:8080", true),
        ("www.server1.com.evil.net", false),
        ("evilserver2.com", false),
    ] {
        let mut request = get(&format!("http://{host}/"));
        request.host = request.host.to_ascii_lowercase();
        let (allow, deny) = if listed { (Code::Allow, Code::HostDeny) } else { (Code::HostAllow, Code::Allow) };
        assert_eq!(judge(&format!("ec_host_allow={list}"), &request), allow, "{host}");
        assert_eq!(judge(&format!("ec_host_deny={list}"), &request), deny, "{host}");
    }
    for (value, want) in [
        ("WWW.SERVER1.com:443", Code::Allow),
        ("www.*.com", Code::HostAllow),
        ("*", Code::Allow),
        ("", Code::HostAllow),
    ] {
        assert_eq!(judge(&format!("ec_host_allow={value}"), &get("http://www.server1.com/")), want, "{value}");
    }
}

#[test]
fn a_referer_begins_with_an_item_or_is_missing() {
    // item list, Referer, whether it is in the list
    for (value, referer, listed) in [
        ("www.example.com", Some("https://www.example.com/page"), true),
        ("www.example.com", Some("HTTP://www.example.com/page"), true),
        ("www.example.com", Some("www.example.com/page"), true),
        ("www.example.com/a/", Some("https://www.example.com/a/b"), true),
        ("www.example.com/a/", Some("https://www.example.com/b"), false),
        ("www.example.com", Some("https://shop.example.com/"), false),
        ("https://www.example.com", Some("http://www.example.com/"), true),
        ("*.example.com", Some("https://shop.example.com/x"), true),
        ("*.example.com", Some("https://example.com/x"), false),
        ("*example.com", Some("https://example.com/x"), true),
        ("*.example.com", Some("https://evil.net/www.example.com"), false),
        ("*.example.com", Some("https://evil.net?www.example.com"), false),
        ("*.example.com", Some("https://evil.net#www.example.com"), false),
        ("*.example.com/a", Some("https://shop.example.com/a"), true),
        ("*.example.com/a", Some("https://shop.example.com/b"), false),
        ("a.com,www.example.com", Some("https://www.example.com/"), true),
        ("a.com, www.example.com", Some("https://www.example.com/"), false),
        ("WWW.example.com", Some("https://www.example.com/"), false),
        ("www.example.com", None, false),
        ("www.example.com,missing", None, true),
        ("MISSING", None, true),
        ("www.example.com,", None, true),
        ("", None, true),
        ("missing", Some("https://missing/"), false),
        ("www.example.com,", Some("https://other.example.com/"), false),
        ("", Some("https://other.example.com/"), false),
        ("www.example.com,missing", Some("  "), true),
    ] {
        let request = match referer {
            Some(referer) => get("/").header("referer", referer),
            None => get("/"),
        };
        let (allow, deny) = if listed { (Code::Allow, Code::RefDeny) } else { (Code::RefAllow, Code::Allow) };
        assert_eq!(judge(&format!("ec_ref_allow={value}"), &request), allow, "{value} {referer:?}");
        assert_eq!(judge(&format!("ec_ref_deny={value}"), &request), deny, "{value} {referer:?}");
        let old = if listed { Code::Allow } else { Code::Ref };
        assert_eq!(judge(&format!("ec_ref={value}"), &request), old, "{value} {referer:?}");
    }
    let shouting = get("/").header("referer", "https://WWW.Example.com/A");
    assert_eq!(judge_as("ec_ref_allow=www.example.com/a", &shouting, true), Code::Allow);
    assert_eq!(judge_as("ec_ref_allow=www.example.com/a", &shouting, false), Code::RefAllow);
    let two = get("/").header("referer", "https://a.com/").header("referer", "https://b.com/");
    assert_eq!(judge("ec_ref_allow=a.com", &two), Code::RefAllow);
    assert_eq!(judge("ec_ref_deny=b.com", &two), Code::RefDeny);
}

#[test]
fn countries_schemes_and_addresses() {
    let us = get("https://www.example.com/").place("NA US").ip("192.0.2.9");
    let unknown = get("http://www.example.com/").ip("2001:db8::9");
    for (text, known, nowhere) in [
        ("ec_country_allow=US,CA", Code::Allow, Code::CountryAllow),
        ("ec_country_allow=us", Code::Allow, Code::CountryAllow),
        ("ec_country_allow=CA, US", Code::CountryAllow, Code::CountryAllow),
        ("ec_country_allow=", Code::CountryAllow, Code::CountryAllow),
        ("ec_country_deny=US", Code::CountryDeny, Code::Allow),
        ("ec_country_deny=CA", Code::Allow, Code::Allow),
        ("ec_country=US", Code::Allow, Code::Country),
        ("ec_proto_allow=https", Code::Allow, Code::ProtoAllow),
        ("ec_proto_allow=HTTPS", Code::ProtoAllow, Code::ProtoAllow),
        ("ec_proto_allow=http,https", Code::Allow, Code::Allow),
        ("ec_proto_deny=http", Code::Allow, Code::ProtoDeny),
        ("ec_proto_deny=HTTP", Code::Allow, Code::Allow),
        ("ec_clientip=192.0.2.9", Code::Allow, Code::ClientIp),
        ("ec_clientip=192.0.2.77/24", Code::Allow, Code::ClientIp),
        ("ec_clientip=10.0.0.1,192.0.2.9", Code::Allow, Code::ClientIp),
        ("ec_clientip=2001:db8::/32", Code::ClientIp, Code::Allow),
        ("ec_clientip=nonsense", Code::ClientIp, Code::ClientIp),
        ("ec_clientip=", Code::ClientIp, Code::ClientIp),
    ] {
        assert_eq!((judge(text, &us), judge(text, &unknown)), (known, nowhere), "{text}");
    }
    for (ip, want) in [
        ("11.22.31.255", Code::ClientIp),
        ("11.22.32.1", Code::Allow),
        ("11.22.35.254", Code::Allow),
        ("11.22.36.0", Code::ClientIp),
        ("::ffff:11.22.33.1", Code::Allow),
    ] {
        assert_eq!(judge("ec_clientip=11.22.33.0/22", &get("/").ip(ip)), want, "{ip}");
    }
}

#[test]
fn where_both_lists_are_given_the_list_of_what_is_allowed_decides() {
    let request = get("https://www.example.com/").place("NA US").header("referer", "https://a.com/");
    for (text, want) in [
        ("ec_country_allow=US,CA&ec_country_deny=US", Code::Allow),
        ("ec_country_deny=US&ec_country_allow=US,CA", Code::Allow),
        ("ec_country_allow=CA&ec_country_deny=FR", Code::CountryAllow),
        ("ec_ref_deny=a.com&ec_ref_allow=a.com", Code::Allow),
        ("ec_proto_deny=https&ec_proto_allow=https", Code::Allow),
        ("ec_host_deny=www.example.com&ec_host_allow=www.example.com", Code::Allow),
        // of one thing only
        ("ec_host_deny=www.example.com&ec_ref_allow=a.com", Code::HostDeny),
    ] {
        assert_eq!(judge(text, &request), want, "{text}");
    }
}

#[test]
fn every_requirement_must_hold() {
    let all = format!("ec_expire={NOW}&ec_proto_allow=http&ec_url_allow=/a&ec_clientip=203.0.113.7&ec_rate=100&x");
    assert_eq!(judge(&all, &get("/a")), Code::Allow);
    assert_eq!(judge(&all, &get("/b")), Code::UrlAllow);
    assert_eq!(judge(&all, &get("https://www.example.com/a")), Code::ProtoAllow);
    assert_eq!(judge(&all, &get("/a").ip("203.0.113.8")), Code::ClientIp);
}

#[test]
fn keys_change_without_a_gap() {
    let (old, new) = (token("oldkey", "ec_expire=0"), token("newkey", "ec_expire=0"));
    let table = [
        (keys(Some("oldkey"), None), Code::Allow, Code::Decrypt),
        (keys(Some("oldkey"), Some("newkey")), Code::Allow, Code::Allow),
        (keys(Some("newkey"), Some("oldkey")), Code::Allow, Code::Allow),
        (keys(Some("newkey"), None), Code::Decrypt, Code::Allow),
        (keys(None, None), Code::NoKey, Code::NoKey),
    ];
    for (number, (keys, of_old, of_new)) in table.iter().enumerate() {
        let asked = Asked { keys, place: Place::Start, ignore_case: false };
        for (token, want) in [(&old, of_old), (&new, of_new)] {
            let mut request = get("/");
            request.query = Some(token.clone());
            assert_eq!(asked.judge(&request.facts()), *want, "{number}");
        }
    }
}

#[test]
fn a_token_stands_where_it_is_asked_for() {
    let keys = keys(Some("k"), None);
    let token = token("k", "ec_expire=0");
    let longer = format!("{token}{}", "A".repeat(513 - token.len()));
    for (place, query, want) in [
        (Place::Start, token.clone(), Code::Allow),
        (Place::Start, format!("{token}&a=1"), Code::Allow),
        (Place::Start, format!("a=1&{token}"), Code::NoToken),
        (Place::Start, format!("{token}=x"), Code::NoToken),
        (Place::Start, String::new(), Code::NoToken),
        (Place::Start, "nonsense".to_owned(), Code::Decrypt),
        (Place::Start, longer, Code::Decrypt),
        (Place::Parameter("t"), format!("a=1&t={token}"), Code::Allow),
        (Place::Parameter("t"), token.clone(), Code::NoToken),
        (Place::Parameter("t"), "t=".to_owned(), Code::NoToken),
        (Place::Parameter("t"), "t=nonsense".to_owned(), Code::Decrypt),
        (Place::Parameter("t"), format!("t=nonsense&t={token}"), Code::Decrypt),
    ] {
        let mut request = get("/");
        request.query = Some(query.clone());
        let asked = Asked { keys: &keys, place, ignore_case: false };
        assert_eq!(asked.judge(&request.facts()), want, "{place:?} {query}");
    }
    assert_eq!(Asked { keys: &keys, place: Place::Start, ignore_case: false }.judge(&get("/").facts()), Code::NoToken);
}

#[test]
fn whoever_makes_a_token_is_told_what_will_not_do() {
    for (text, says) in [
        ("ec_expire=1700000000&ec_url_allow=/a,/b", None),
        ("ec_secure=33", Some("ec_secure is not known and requires nothing")),
        ("ec_rate=100", Some("ec_rate is not enforced")),
        ("ec_ref_allow=a.com, b.com", Some("ec_ref_allow: an item that begins with a space does not count")),
        ("ec_expire=soon", Some("ec_expire is not in Unix seconds: the token is over from the beginning")),
    ] {
        let found = crate::token::remarks(text);
        assert_eq!(found.first().map(String::as_str), says, "{text}");
    }
    for (text, at) in [("ec_expire=12&ec_expire=9", Some(9)), ("ec_expire=0", None), ("ec_url_allow=/", None)] {
        assert_eq!(crate::token::expires_at(text), at, "{text}");
    }
}
