//! The scripted DNS server says what its script says, byte for byte.

use std::net::UdpSocket;
use std::time::Duration;

use super::{Dns, Entry, Kind};

/// A query for `a.example` of this type, recursion desired.
fn query(kind: u8) -> Vec<u8> {
    let header = [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header[..], b"\x01A\x07example\x00", &[0, kind, 0, 1]].concat()
}

fn exchange(dns: &Dns, query: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    socket.send_to(query, dns.address()).unwrap();
    let mut buffer = [0; 512];
    socket.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec())
}

#[test]
fn an_answer_is_the_script_on_the_wire() {
    let a_record = b"\x01a\x07example\x00\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x02";
    let cname = b"\x01a\x07example\x00\x00\x05\x00\x01\x00\x00\x00\x07\x00\x03\x01b\x00";
    let behind = b"\x01b\x00\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x03";
    let chain = [&cname[..], &behind[..]].concat();
    // Response code, number of records, records.
    type Said<'s> = Option<(u8, u8, &'s [u8])>;
    let cases: &[(&str, u8, Said<'_>)] = &[
        ("{ a.example: { a: [127.0.0.2] } }", 1, Some((0, 1, a_record))),
        ("{ a.example: { a: [127.0.0.2] } }", 28, Some((0, 0, b""))),
        ("{ '*': { a: [127.0.0.2] } }", 1, Some((0, 1, a_record))),
        ("{ a.example: { cname: b, ttl: 7s }, b: { a: [127.0.0.3] } }", 1, Some((0, 2, &chain))),
        ("{ a.example: { cname: b, ttl: 7s } }", 1, Some((3, 1, cname))),
        ("{}", 1, Some((3, 0, b""))),
        ("{ a.example: nxdomain }", 1, Some((3, 0, b""))),
        ("{ a.example: servfail }", 28, Some((2, 0, b""))),
        ("{ a.example: { a: refused } }", 1, Some((5, 0, b""))),
        ("{ a.example: { a: nothing } }", 1, None),
    ];
    for (script, kind, want) in cases {
        let dns = Dns::start(serde_yaml::from_str(script).unwrap());
        let query = query(*kind);
        let got = exchange(&dns, &query);
        let want = want.map(|(code, count, records)| {
            let header = [0xab, 0xcd, 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
            [&header[..], &query[12..], records].concat()
        });
        assert_eq!(got, want, "{script}, type {kind}");
    }
}

#[test]
fn questions_are_counted_from_the_last_change() {
    let dns = Dns::start([("a.example".to_owned(), Entry::of(&["127.0.0.2"]))].into());
    let asked = || (dns.asked("a.example", Kind::A), dns.asked("a.example", Kind::Aaaa));
    exchange(&dns, &query(1)).unwrap();
    exchange(&dns, &query(1)).unwrap();
    exchange(&dns, &query(28)).unwrap();
    assert_eq!(asked(), (2, 1));
    dns.set("a.example", Entry::of(&["127.0.0.3"]));
    assert_eq!(asked(), (0, 0));
    assert!(exchange(&dns, &query(1)).unwrap().ends_with(&[127, 0, 0, 3]));
    assert_eq!(asked(), (1, 0));
}

#[test]
fn what_no_dns_server_says_is_an_error() {
    for (script, wanted) in
        [("maybe", "nxdomain"), ("{ b: [] }", "b"), ("{ a: [x] }", "address"), ("{ a: no }", "nxdomain")]
    {
        let error = serde_yaml::from_str::<Entry>(script).unwrap_err().to_string();
        assert!(error.contains(wanted), "{script}: {error}");
    }
}
