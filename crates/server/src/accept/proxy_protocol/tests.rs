use super::*;

/// A version 2 header: version and command, family, and what follows the length.
fn version2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([version_command, family]);
    header.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    header.extend(body);
    header
}

const V4: &[u8] = &[203, 0, 113, 9, 192, 0, 2, 1, 0x12, 0x67, 0x01, 0xbb];

fn v6() -> Vec<u8> {
    let mut body = "2001:db8::9".parse::<Ipv6Addr>().unwrap().octets().to_vec();
    body.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
    body.extend([0x12, 0x67, 0x01, 0xbb]);
    body
}

fn header(length: usize, ends: Option<(&str, &str)>) -> Parsed {
    let ends = ends.map(|(client, server)| Ends { client: client.parse().unwrap(), server: server.parse().unwrap() });
    Parsed::Header { length, ends }
}

#[test]
fn a_header_says_who_the_client_is_and_where_the_request_begins() {
    let with_extension = [V4, &[0x02, 0x00, 0x01, b'x']].concat();
    let longest = [V4, vec![0; MAX_V2 - V2_FIXED - V4.len()].as_slice()].concat();
    let v4 = Some(("203.0.113.9:4711", "192.0.2.1:443"));
    let v6_ends = Some(("[2001:db8::9]:4711", "[2001:db8::1]:443"));
    let cases: Vec<(&str, Vec<u8>, Parsed)> = vec![
        ("v1 IPv4", b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n".to_vec(), header(43, v4)),
        (
            "v1 then a request",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\nGET / HTTP/1.1\r\n".to_vec(),
            header(43, v4),
        ),
        ("v1 IPv6", b"PROXY TCP6 2001:db8::9 2001:db8::1 4711 443\r\n".to_vec(), header(45, v6_ends)),
        ("v1 unknown", b"PROXY UNKNOWN\r\n".to_vec(), header(15, None)),
        ("v1 unknown with words", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), header(35, None)),
        (
            "v1 port 0",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 0 65535\r\n".to_vec(),
            header(42, Some(("203.0.113.9:0", "192.0.2.1:65535"))),
        ),
        ("v2 IPv4", version2(0x21, 0x11, V4), header(28, v4)),
        ("v2 IPv4 with an extension", version2(0x21, 0x11, &with_extension), header(32, v4)),
        ("v2 IPv6", version2(0x21, 0x21, &v6()), header(52, v6_ends)),
        ("v2 LOCAL", version2(0x20, 0x00, &[]), header(16, None)),
        ("v2 LOCAL with addresses, which do not count", version2(0x20, 0x11, V4), header(28, None)),
        ("v2 unspecified family", version2(0x21, 0x00, b"anything"), header(24, None)),
        ("v2 datagrams", version2(0x21, 0x12, V4), header(28, None)),
        ("v2 datagrams over IPv6", version2(0x21, 0x22, &v6()), header(52, None)),
        ("v2 Unix sockets", version2(0x21, 0x31, &[0; 216]), header(232, None)),
        ("v2 datagrams of Unix sockets", version2(0x21, 0x32, &[0; 216]), header(232, None)),
        ("v2 as long as allowed", version2(0x21, 0x11, &longest), header(MAX_V2, v4)),
    ];
    for (what, bytes, wanted) in cases {
        assert_eq!(parse(&bytes), wanted, "{what}");
    }
}

#[test]
fn what_is_no_header_is_malformed() {
    let mut endless = b"PROXY UNKNOWN ".to_vec();
    endless.resize(MAX_V1, b'x');
    let mut late_end = b"PROXY UNKNOWN ".to_vec();
    late_end.resize(MAX_V1 - 1, b'x');
    late_end.extend(b"\r\n");
    let too_long = [V4, vec![0; MAX_V2 - V2_FIXED - V4.len() + 1].as_slice()].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a request", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("a TLS hello", vec![0x16, 0x03, 0x01, 0x02, 0x00]),
        ("almost the word", b"PROXIE".to_vec()),
        ("almost the signature", b"\r\n\r\n\0\r\nQUIX\n".to_vec()),
        ("v1 lower case", b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n".to_vec()),
        ("v1 without end", endless),
        ("v1 that ends one byte late", late_end),
        ("v1 no family", b"PROXY \r\n".to_vec()),
        ("v1 UDP4", b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n".to_vec()),
        ("v1 missing port", b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n".to_vec()),
        ("v1 word too many", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n".to_vec()),
        ("v1 two spaces", b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n".to_vec()),
        ("v1 family does not fit", b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec()),
        ("v1 family does not fit either", b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n".to_vec()),
        ("v1 a name", b"PROXY TCP4 localhost 1.2.3.4 1 2\r\n".to_vec()),
        ("v1 port too large", b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n".to_vec()),
        ("v1 signed port", b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n".to_vec()),
        ("v1 padded port", b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n".to_vec()),
        ("v1 not text", b"PROXY TCP4 \xff\xfe 1.2.3.4 1 2\r\n".to_vec()),
        ("v2 of version 1", version2(0x11, 0x11, V4)),
        ("v2 unknown command", version2(0x22, 0x11, V4)),
        ("v2 addresses cut short", version2(0x21, 0x11, &V4[..11])),
        ("v2 IPv6 with IPv4 addresses", version2(0x21, 0x21, V4)),
        ("v2 a family that is none", version2(0x21, 0x41, V4)),
        ("v2 a transport that is none", version2(0x21, 0x13, V4)),
        ("v2 IPv4 without a transport", version2(0x21, 0x10, V4)),
        ("v2 one byte too long", version2(0x21, 0x11, &too_long)),
    ];
    for (what, bytes) in cases {
        assert_eq!(parse(&bytes), Parsed::Malformed, "{what}");
    }
}

#[test]
fn every_beginning_of_a_header_waits_for_more() {
    let headers = [
        b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        version2(0x21, 0x11, V4),
        version2(0x20, 0x00, &[]),
    ];
    for header in headers {
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Parsed::Incomplete, "{end} bytes of {header:?}");
        }
    }
}

#[tokio::test]
async fn what_follows_the_header_is_left_for_the_next_reader() {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut stream = Stream::from(listener.accept().await.unwrap().0);
    client.write_all(b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\nGET / ").await.unwrap();
    let ends = read(&mut stream).await.unwrap().unwrap();
    client.write_all(b"HTTP/1.1\r\n").await.unwrap();
    client.shutdown().await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!((ends.client.to_string().as_str(), rest.as_str()), ("203.0.113.9:4711", "GET / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_peer_that_leaves_inside_the_header_is_an_error() {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut stream = Stream::from(listener.accept().await.unwrap().0);
    client.write_all(b"PROXY TC").await.unwrap();
    drop(client);
    assert_eq!(read(&mut stream).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
