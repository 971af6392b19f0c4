use super::*;

/// A self-signed certificate for the names: PEM of the chain and of the key.
fn issue(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let issued = rcgen::generate_simple_self_signed(names).unwrap();
    (issued.cert.pem(), issued.signing_key.serialize_pem())
}

fn pem<'a>((chain, key): &'a (String, String)) -> Pem<'a> {
    Pem {
        chain_file: Path::new("www.pem"),
        key_file: Path::new("www.key"),
        chain: chain.as_bytes(),
        key: key.as_bytes(),
    }
}

#[test]
fn the_certificate_is_chosen_by_the_name_the_client_asks_for() {
    let issued =
        [issue(&["www.one.test", "one.test"]), issue(&["*.two.test"]), issue(&["www.two.test", "*.Deep.Three.test"])];
    let names = Names::read(issued.iter().map(pem)).unwrap();
    let cases = [
        // server name, which certificate
        (Some("www.one.test"), 0),
        (Some("WWW.One.Test"), 0),
        (Some("one.test"), 0),
        (Some("img.two.test"), 1),
        (Some("www.two.test"), 2), // exact before wildcard
        (Some("two.test"), 0),     // a wildcard needs a label: the default
        (Some("a.b.two.test"), 0), // and only one
        (Some("x.deep.three.test"), 2),
        (Some("unknown.test"), 0),
        (Some("test"), 0),
        (None, 0),
    ];
    for (name, wanted) in cases {
        let chosen = names.choose(name, &[]);
        let which = issued.iter().position(|(chain, _)| {
            CertificateDer::from_pem_slice(chain.as_bytes()).unwrap() == *chosen.end_entity_cert().unwrap()
        });
        assert_eq!(which, Some(wanted), "{name:?}");
    }
}

#[test]
fn of_two_certificates_for_a_name_the_client_gets_one_it_understands() {
    let of = |algorithm: &'static rcgen::SignatureAlgorithm| {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let chain = rcgen::CertificateParams::new(vec!["www.one.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        (chain.pem(), key.serialize_pem())
    };
    let issued = [of(&rcgen::PKCS_ED25519), of(&rcgen::PKCS_ECDSA_P256_SHA256)];
    let names = Names::read(issued.iter().map(pem)).unwrap();
    let cases = [
        (vec![SignatureScheme::ECDSA_NISTP256_SHA256], 1),
        (vec![SignatureScheme::ED25519], 0),
        (vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519], 0),
        (vec![SignatureScheme::RSA_PSS_SHA256], 0), // none: the first, and the handshake says why
    ];
    for (schemes, wanted) in cases {
        let chosen = names.choose(Some("www.one.test"), &schemes);
        let which = issued.iter().position(|(chain, _)| {
            CertificateDer::from_pem_slice(chain.as_bytes()).unwrap() == *chosen.end_entity_cert().unwrap()
        });
        assert_eq!(which, Some(wanted), "{schemes:?}");
    }
}

#[test]
fn an_unusable_file_is_named() {
    let good = issue(&["www.one.test"]);
    let other = issue(&["www.one.test"]);
    let with = |chain: &str, key: &str| (chain.to_owned(), key.to_owned());
    let long = good.0.repeat(MAX_CHAIN + 1);
    let broken = good.0.replace("MII", "MIJ");
    let cases = [
        ("no certificate", with("", &good.1), "www.pem", "no certificate in it"),
        ("rubbish", with("rubbish", &good.1), "www.pem", "no certificate in it"),
        ("a key for a chain", with(&good.1, &good.1), "www.pem", "no certificate in it"),
        ("broken certificate", with(&broken, &good.1), "www.pem", "invalid peer certificate"),
        ("chain too long", with(&long, &good.1), "www.pem", "more than 16"),
        ("no key", with(&good.0, ""), "www.key", "not a PEM private key"),
        ("another's key", with(&good.0, &other.1), "www.key", "not the key of www.pem"),
    ];
    for (what, issued, file, reason) in cases {
        let error = Names::read([pem(&issued)]).unwrap_err();
        assert_eq!(error.file, Path::new(file), "{what}: {error}");
        assert!(error.reason.contains(reason), "{what}: {error}");
    }
    assert!(Names::read([]).unwrap_err().reason.contains("at least one"));
}

#[test]
fn names_share_a_connection_where_they_share_a_certificate() {
    let issued = [issue(&["www.one.test", "one.test"]), issue(&["*.two.test"]), issue(&["www.two.test"])];
    let names = Names::read(issued.iter().map(pem)).unwrap();
    for (one, other, want) in [
        ("www.one.test", "one.test", true),
        ("www.one.test", "www.two.test", false),
        ("a.two.test", "b.two.test", true),
        ("a.two.test", "www.two.test", false),
        ("unknown.test", "www.one.test", true), // the default is shown
        ("unknown.test", "other.test", true),
        ("unknown.test", "a.two.test", false),
        ("a.two.test", "unknown.test", false),
    ] {
        assert_eq!(names.share(one, other), want, "{one} {other}");
    }
}
