//! The published tokens of every implementation, both ways, and what is none.

use super::*;

/// Key, plaintext, token. From the tests and manuals of the reference in seven languages (delivery-and-security 4.5).
const PUBLISHED: &[(&str, &str, &str)] = &[
    (
        "testkey123",
        "ec_expire=1257642471&ec_secure=33",
        "bs4W7wyy0OjyBQMhAaahSVo2sG4gKEzuOegBf9kI-ZzG8Gz4FQuFud2ndvmuXkReeRnKFYXTJ7q5ynniGw",
    ),
    (
        "my-secret-key",
        "ec_expire=12345678&ec_clientip=1.2.3.4",
        "WWNONztpLdGM11awAYiFRuIIiIG1LOBQaO2cEtCXjT5PelAA-Tavv7eD9YtSeGM13uQsobIkL0xYf6DZLzM6iMbe",
    ),
    (
        "GF8PHCp3xy5ypSaJKmPMH2M4",
        "ec_expire=1257642471&ec_clientip=11.22.33.1",
        "yfuuiWuy8LMiNR1Au3b9-LSNln-X5W-enqvNBlhlpwQspOoLlMX4fIecVLTQJTLMGET14FtLxmp8U6zaDSq5eD-gYMHz9V0",
    ),
    (
        "thisisakey",
        "ec_expire=1522944645&ec_clientip=0.0.0.0&ec_country_allow=US&ec_country_deny=NA&ec_ref_allow=1234&ec_ref_deny=456",
        "24JJvrIX--LTuT_BN4WTB_n_uNtl91zrGmMzcSiKODAh0FukUT-O0WaudZ4mVc4yJmYp8bGQzIqE6toLqn40GaK98xfDe0xmrgfB46OEQiNGCAErwzed3XAy5a45Z-RVduxvppoUvga17mG8W5mEafPsfU9RgVyH6eajPosJSssIeywFFybVDf4kRZod",
    ),
    ("secret", "ec_expire=3030", "gBx4GTN4-qYXXCliNHS0R9RIffykChr_Faymx5b6fyXP0xldvqC26vK_"),
    ("beef", "steak", "a70LeQxZDBWQUHdzyhZak-QiyttbHjXVtBfVviqGHr96"),
    ("MY_SECRET_KEY", "MY_COOL_TOKEN", "fVSYBBTynMkvQECGV-Kdfp333R-MGY2fsrrpVyuqd7OiuAUsQ8ITrL0"),
    ("MY_SECRET_KEY", "MY_COOL_TOKEN", "aaOUHrqxEmCLpnSAwTD06I54ffrtaa0K-3P7KKbosRChSubvbtWq5VY"),
    ("MY_SECRET_KEY", "MY_COOL_TOKEN", "lm6b156_M3XkS8SWOdJ_D1UBPZZzX7cDxh6aCb9kJ7pox0eco9XZqSk"),
    ("MY_SECRET_KEY", "MY_COOL_TOKEN", "26oBaqCbdLyJD5RjsHBYGsIDQGOehPo2rZfGwGey-ubhciakzPwRIdQ"),
    ("MY_SECRET_KEY", "MY_COOL_TOKEN", "AUtdBlzc0C5m1b1OHycteRz9QyTEEcRRQ0meWwS_KZqFC8OeqmZ7X2s"),
];

/// Made with the nonce 000102030405060708090a0b.
const OWN: &[(&str, &str, &str)] = &[
    ("k", "ec_expire=0", "AAECAwQFBgcICQoLiBOARL7Mugj5ZGVnR8JGLR_qZzfoniNJKL3D"),
    (
        "primarykey0001",
        "ec_expire=4102444800&ec_url_allow=/videos/&ec_ref_allow=www.example.com,*.example.org,missing",
        "AAECAwQFBgcICQoL056RK6DnPJb41Fuz3-uoesMk0r0rQAURTDTUaMaJtLde0FlLqHUzGn7_LnDdXXwTY5LU54zK-oznV4wHXSx0G0TJjv2WtqaYE6hm5DEq18keRSR5ElS0ufLuohAYpyE_yevAxlIq9jWsR4HWeg",
    ),
    (
        "primarykey0001",
        "ec_country_allow=US,CA&ec_country_deny=US",
        "AAECAwQFBgcICQoL056RLbfiO5DvkDDjg7XzOcpJsaFOZEArWhnbWNKLrKpQshJYr2hrIF7W-4LwN1DcUp5EzqZCjDh1",
    ),
    (
        "primarykey0001",
        "ec_proto_deny=http&ec_clientip=192.0.2.0/24",
        "AAECAwQFBgcICQoL056RPqr4IYvCjQrsluT0OoNsxOhuegUiUCPWQ86V5ekQ31gN7yN4RSLiPM_puocJjEAO324WujpTBYo",
    ),
    (
        "backupkey0002",
        "ec_host_allow=www.server1.com,*.server2.com",
        "AAECAwQFBgcICQoLumTr24h3S4AACkZX3rdGe6yqYWyUgeDMJZBmjm1nPB5NnzAMTAqiadh4QvDPRDJEg1QB5Z4AarqdU_0",
    ),
];

const NONCE_OF_OWN: [u8; NONCE] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

fn plain(key: &str, token: &str) -> Option<String> {
    Key::new(key.as_bytes()).decrypt(token).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn every_published_token_is_read_and_made_again_with_its_nonce() {
    for (key, text, token) in PUBLISHED.iter().chain(OWN) {
        assert_eq!(plain(key, token).as_deref(), Some(*text), "{token}");
        let mut bytes = [0; MAX_BYTES];
        base64::decode(token, &mut bytes).unwrap();
        let nonce = bytes[..NONCE].try_into().unwrap();
        assert_eq!(Key::new(key.as_bytes()).encrypt(text, nonce).as_deref(), Ok(*token), "{text}");
    }
    for (key, text, token) in OWN {
        assert_eq!(Key::new(key.as_bytes()).encrypt(text, NONCE_OF_OWN).as_deref(), Ok(*token), "{text}");
    }
    // the published vector for encryption
    let nonce = [0x80, 0x1c, 0x78, 0x19, 0x33, 0x78, 0xfa, 0xa6, 0x17, 0x5c, 0x29, 0x62];
    let token = "gBx4GTN4-qYXXCliNHS0R9RIffykChr_Faymx5b6fyXP0xldvqC26vK_";
    assert_eq!(Key::new(b"secret").encrypt("ec_expire=3030", nonce).as_deref(), Ok(token));
}

#[test]
fn the_bytes_of_a_token_are_nonce_ciphertext_and_tag() {
    let token = "YWFhYWFhYWFhYWFhYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJjY2NjY2NjY2NjY2NjY2Nj";
    let mut bytes = [0; MAX_BYTES];
    let length = base64::decode(token, &mut bytes).unwrap();
    let want = [&[b'a'; NONCE][..], &[b'b'; 32], &[b'c'; TAG]].concat();
    assert_eq!(bytes[..length], want[..]);
}

#[test]
fn a_token_is_read_with_both_spellings_of_base64() {
    for (key, text, token) in PUBLISHED {
        assert_eq!(plain(key, &token.replace('-', "+").replace('_', "/")).as_deref(), Some(*text), "{token}");
    }
}

#[test]
fn what_no_key_made_is_not_read() {
    let v2 = "1ea46ba396e88f03a9f6b6b968b32d2fd88858148f120a1bbca7882de68b8b14a9bde8bcd6c36bcd30e8bbb47d9997ab7260381b4c1ed99de5baf805ed54fd3609e8066e43a92a5b2c7839ba95080d3668ab9dd47d9275d8eb29b8ccf8f49515745f18a66c";
    let (_, _, first) = PUBLISHED[0];
    let table: &[(&str, &str)] = &[
        ("testkey123", "af0c6acf7906cd500aee63a4dd2e97ddcb0142601cf83aa9d622289718c4c85413"),
        ("testkey123", "bs4W7wyy"),
        ("mykeyabc123", v2),
        ("testkey123", ""),
        ("testkey124", first),
        ("Testkey123", first),
        ("", first),
        // nonce and tag of nothing
        ("testkey123", "AAECAwQFBgcICQoLAAECAwQFBgcICQoLDA0ODw"),
    ];
    for (key, token) in table {
        assert_eq!(plain(key, token), None, "{key} {token}");
    }
}

/// Forty tokens that differ from a good one in little.
fn tampered(token: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    let bytes = token.as_bytes();
    let flip = |byte: u8| char::from(if byte == b'A' { b'B' } else { b'A' });
    // in nonce, ciphertext and tag, the first and the last character included
    for at in (0..22).map(|n| n * (bytes.len() - 1) / 21) {
        let mut text: Vec<char> = token.chars().collect();
        text[at] = flip(bytes[at]);
        out.push((format!("character {at}"), text.into_iter().collect()));
    }
    for cut in [1, 2, 3, 4, 8, 22] {
        out.push((format!("{cut} less"), token[..bytes.len() - cut].to_owned()));
        out.push((format!("{cut} less in front"), token[cut..].to_owned()));
    }
    out.push(("twice".to_owned(), token.repeat(2)));
    out.push(("longer".to_owned(), format!("{token}A")));
    out.push(("much longer".to_owned(), format!("{token}AAAA")));
    out.push(("upper case".to_owned(), token.to_uppercase()));
    out.push(("padded".to_owned(), format!("{token}=")));
    out.push(("turned round".to_owned(), token.chars().rev().collect()));
    out.push(("a space behind".to_owned(), format!("{token} ")));
    out.push(("a zero byte".to_owned(), format!("{token}\0")));
    out
}

#[test]
fn forty_tampered_tokens_are_refused() {
    for (key, _, token) in PUBLISHED.iter().chain(OWN) {
        let all = tampered(token);
        assert!(all.len() >= 40, "{}", all.len());
        for (what, text) in all {
            assert_ne!(text, *token, "{what}");
            assert_eq!(plain(key, &text), None, "{what}: {text}");
        }
    }
}

#[test]
fn a_token_of_512_characters_is_read_and_one_of_513_is_not() {
    let key = Key::new(b"k");
    let longest = "e".repeat(MAX_BYTES - NONCE - TAG);
    let token = key.encrypt(&longest, NONCE_OF_OWN).unwrap();
    assert_eq!(token.len(), MAX_TOKEN);
    assert_eq!(plain("k", &token).as_deref(), Some(&*longest));
    assert_eq!(plain("k", &format!("{token}A")), None);
    assert!(key.encrypt(&format!("{longest}e"), NONCE_OF_OWN).is_err());
    assert!(key.encrypt("", NONCE_OF_OWN).is_err());
}

#[test]
fn a_key_is_letters_and_digits_and_is_never_shown() {
    for (text, good) in [
        ("abcDEF123", true),
        ("", false),
        ("a b", false),
        ("a-b", false),
        ("\u{e9}", false),
        (&*"k".repeat(250), true),
        (&*"k".repeat(251), false),
    ] {
        let checked = key_text(text.as_bytes());
        assert_eq!(checked.is_ok(), good, "{text}");
        if let Err(invalid) = checked {
            assert!(text.is_empty() || !format!("{invalid:?}").contains(text), "{invalid:?}");
        }
    }
    assert_eq!(format!("{:?}", Key::new(b"hunter2")), "[secret]");
}
