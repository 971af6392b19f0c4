//! `leeward token`, both ways and with every published token.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::process::Command;

/// Exit code, what it said, what it remarked.
fn token(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_leeward")).arg("token").args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_is_encrypted_is_decrypted_with_its_key_and_no_other() {
    let text = "ec_url_allow=/videos/&ec_country_allow=US,CA";
    let (code, made, _) = token(&["encrypt", "--key", "primarykey0001", text]);
    assert_eq!(code, 0, "{made}");
    let (_, again, _) = token(&["encrypt", "--key", "primarykey0001", text]);
    assert_ne!(made, again, "a nonce was used twice");
    assert_eq!(token(&["decrypt", "--key", "primarykey0001", &made]).1, text);
    let (code, said, remark) = token(&["decrypt", "--key", "primarykey0002", &made]);
    assert_eq!((code, &*said), (1, ""), "{remark}");
}

#[test]
fn a_key_may_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "testkey123\n").unwrap();
    let made = "bs4W7wyy0OjyBQMhAaahSVo2sG4gKEzuOegBf9kI-ZzG8Gz4FQuFud2ndvmuXkReeRnKFYXTJ7q5ynniGw";
    let file = path.to_str().unwrap();
    for (at, code) in [("2009-11-08T01:07:51Z", 0), ("2009-11-08T01:07:52Z", 1)] {
        let (got, said, remark) = token(&["decrypt", "--key-file", file, "--at", at, made]);
        assert_eq!((got, &*said), (code, "ec_expire=1257642471&ec_secure=33"), "{at} {remark}");
    }
    assert_eq!(token(&["decrypt", "--key-file", "/nowhere/key", made]).0, 2);
    assert_eq!(token(&["decrypt", made]).0, 2);
    assert_eq!(token(&["decrypt", "--key", "a", "--key-file", file, made]).0, 2);
}

#[test]
fn an_ectoken_is_made_for_a_time() {
    let at = "2026-01-01T00:00:00Z";
    let (_, made, remark) = token(&["encrypt", "--key", "k", "--expires-in", "1h", "--at", at, "ec_host_alow=x"]);
    assert!(remark.contains("ec_host_alow is not known"), "{remark}");
    assert_eq!(token(&["decrypt", "--key", "k", "--at", at, &made]).1, "ec_expire=1767229200&ec_host_alow=x");
    for (arguments, says) in [
        (&["encrypt", "--key", "not a key", "x"][..], "other characters than letters and digits"),
        (&["encrypt", "--key", "k"], "empty"),
        (&["encrypt", "--key", "k", &"x".repeat(400)], "512"),
        (&["encrypt", "--key", "k", "--expires-in", "1h", "--expires-at", at, "x"], "cannot be used with"),
        (&["sign", "--key", "abcd", "--url", "/"], "--expires-in or --expires-at"),
        (&["sign", "--key", "abc", "--url", "/", "--expires-in", "1h"], "hexadecimal"),
        (&["sign", "--key", "abcd", "--expires-in", "1h"], "--url"),
    ] {
        let (code, said, remark) = token(arguments);
        assert_eq!(code, 2, "{arguments:?} {said}");
        assert!(remark.contains(says), "{arguments:?} {remark}");
        assert!(!remark.contains("not a key"), "{remark}");
    }
}

#[test]
fn every_published_signed_token_is_made_and_verified() {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let until = ["--expires-at", "2030-01-01T00:00:00Z"];
    let since = ["--starts-at", "2023-11-14T22:13:20Z"];
    let spaced = [&["--url", "/a b/c.mp4"][..], &since].concat();
    for (agreed, claims, asked, want) in [
        (
            &[][..],
            &["--acl", "/video/*"][..],
            "/video/x",
            "exp=1893456000~acl=/video/*~hmac=5f71e787b0bbaa0737d72f4838bc0eefe60599aa72f8e9ede8ea0bc21ac13a29",
        ),
        (
            &[],
            &spaced,
            "/a%20b/c.mp4",
            "st=1700000000~exp=1893456000~hmac=e16237b48b94824ca1a91a6cfdbe73335f9c6a901e85d78a4e7484f8881b3b49",
        ),
        (
            &["--escape"],
            &spaced,
            "/a%20b/c.mp4",
            "st=1700000000~exp=1893456000~hmac=5c7474fc9fe71f97c9558ee7aeed3dd53ef0eb859811f773371f0a571fe0669d",
        ),
        (
            &["--algorithm", "SHA1"],
            &["--acl", "/a/*", "--acl", "/b/*", "--ip", "198.18.48.211"],
            "/b/x",
            "ip=198.18.48.211~exp=1893456000~acl=/a/*!/b/*~hmac=3d4bdbe90b7835d6e62855364dbd23243e4aa02f",
        ),
        (
            &["--algorithm", "MD5", "--salt", "pepper"],
            &["--acl", "/*", "--id", "u1", "--data", "x"],
            "/",
            "exp=1893456000~acl=/*~id=u1~data=x~hmac=e68348f757f516a3512d5bcba2981ecc",
        ),
    ] {
        let arguments = [&["sign", "--key", KEY][..], agreed, claims, &until].concat();
        assert_eq!(token(&arguments), (0, want.to_owned(), String::new()));
        let verify = [&["verify", "--key", KEY, "--ip", "198.18.48.211", "--url", asked][..], agreed].concat();
        for (at, code, says) in
            [("2029-12-31T23:59:59Z", 0, "AUTH_ALLOW"), ("2030-01-01T00:00:00Z", 1, "AUTH_DENY_EXPIRE")]
        {
            let (got, said, _) = token(&[&verify[..], &["--at", at, want]].concat());
            assert!(got == code && said.starts_with(says), "{at} {want}: {got} {said}");
        }
        let other = want.replace("hmac=", "hmac=0");
        assert!(token(&[&verify[..], &[&other]].concat()).1.starts_with("AUTH_DENY_DECRYPT"), "{other}");
    }
}
