//! Laws that hold for any text.

use proptest::prelude::*;

use super::mac::{Algorithm, Claims, Shape, What};
use super::*;
use crate::fixture::Request;

fn text(length: usize) -> impl Strategy<Value = String> {
    let digits = proptest::char::ranges(vec!['A'..='Z', 'a'..='z', '0'..='9', '+'..='/', '='..='=', '_'..='_'].into());
    prop_oneof![
        proptest::collection::vec(digits, 0..length),
        proptest::collection::vec(proptest::char::range(' ', '~'), 0..length),
        proptest::collection::vec(any::<char>(), 0..length),
    ]
    .prop_map(|all| all.into_iter().collect())
}

/// Requirements, more or less well written.
fn plaintext() -> impl Strategy<Value = String> {
    let name = "(ec_(expire|clientip|country|ref|rate)|ec_(country|ref|host|proto|url)_(allow|deny)|x)?";
    let value = "[ -~]{0,20}|[0-9]{1,12}|[0-9./]{1,15}(,[0-9a-f:/]{1,10})?|\\*?[a-z./]{1,10}(,missing|,)?";
    let term = (name, value).prop_map(|(name, value)| format!("{name}={value}"));
    proptest::collection::vec(term, 0..6).prop_map(|terms| terms.join("&"))
}

proptest! {
    #[test]
    fn reading_any_text_never_panics(token in text(700), key in "[a-z]{0,8}") {
        prop_assert!(Key::new(key.as_bytes()).decrypt(&token).is_none());
    }

    #[test]
    fn what_was_sealed_is_read_again_with_its_key_and_no_other(
        text in "[ -~]{1,356}",
        nonce: [u8; NONCE],
        key in "[a-zA-Z0-9]{1,250}",
    ) {
        let sealed = Key::new(key.as_bytes()).encrypt(&text, nonce).unwrap();
        prop_assert!(sealed.len() <= MAX_TOKEN);
        let read = Key::new(key.as_bytes()).decrypt(&sealed).unwrap();
        prop_assert_eq!(&*read, text.as_bytes());
        let other = key + "x";
        prop_assert!(Key::new(other.as_bytes()).decrypt(&sealed).is_none());
    }

    #[test]
    fn any_requirement_is_judged(text in plaintext(), referer in "[ -~]{0,40}", path in "/[a-z/%2]{0,10}", now: u64) {
        let Ok(path) = crate::Path::normalise(&path) else { return Ok(()) };
        let request = Request::get("/").header("referer", &referer);
        let facts = crate::Facts { now, path: &path, ..request.facts() };
        let judged = requirements::check(&text, false, &facts);
        if !judged.is_allow() {
            prop_assert!(text.contains("ec_"), "{judged} {text}");
        }
        let _ = remarks(&text);
    }

    #[test]
    fn any_text_is_no_signed_token(token in text(300), query in text(60), cookie in "[ -~]{0,60}") {
        let key = mac::Key::from_hex(Algorithm::Sha1, "abcdef").unwrap();
        let auth = TokenAuth::new("t", Algorithm::Sha1, key, None, Shape::default(), false).unwrap();
        let mut request = Request::get("/a").header("cookie", &cookie);
        request.query = Some(query);
        prop_assert_eq!(auth.verify(&token, &request.facts()), Code::Decrypt);
        prop_assert!(!auth.judge(&request.facts()).is_allow());
    }

    #[test]
    fn a_signed_token_is_good_for_its_url(path in "(/[a-zA-Z0-9 !*'();@&+$,\\[\\]é-]{1,8}){1,4}", escape: bool) {
        let key = mac::Key::from_hex(Algorithm::Sha256, "abcdef").unwrap();
        let shape = Shape { escape, ..Shape::default() };
        let claims = Claims { expires: u64::MAX, what: What::Url(&path), ..Claims::default() };
        let token = mac::sign(&key, &shape, &claims).unwrap();
        let auth = TokenAuth::new("t", Algorithm::Sha256, key, None, shape, false).unwrap();
        let encoded: String = path.bytes().map(|byte| match byte {
            b'/' => "/".to_owned(),
            byte => format!("%{byte:02x}"),
        }).collect();
        let mut request = Request::get(&encoded);
        request.query = Some(format!("t={token}"));
        prop_assert_eq!(auth.judge(&request.facts()), Code::Allow);
        request.path = crate::Path::normalise(&format!("{encoded}x")).unwrap();
        prop_assert_eq!(auth.judge(&request.facts()), Code::Decrypt);
    }
}
