//! The accept path against real sockets: an edge in this process, answered by hooks that need no origin.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    reason = "tests may stop at the first surprise"
)]

mod edge;
mod life;
mod panics;

use std::time::{Duration, Instant};

use edge::{Edge, HEADER, KEEPALIVE, Port, answer, connector, http1, http2, issue, limits_of, names, start};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

const LONG: Duration = Duration::from_secs(10);

/// Waits until the peer closes or resets. How long that took.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    let _ = timeout(LONG, stream.read_to_end(&mut rest)).await.expect("closed in time");
    began.elapsed()
}

/// Sends `text` a byte at a time, each after `pause`, again and again until the peer closes. How long that took.
async fn trickle(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), text: &[u8], pause: Duration) -> Duration {
    let began = Instant::now();
    let mut byte = [0];
    for sent in text.iter().cycle() {
        assert!(began.elapsed() < LONG, "still open");
        if stream.write_all(&[*sent]).await.is_err() || stream.flush().await.is_err() {
            break;
        }
        if let Ok(Ok(0) | Err(_)) = timeout(pause, stream.read(&mut byte)).await {
            break;
        }
    }
    began.elapsed()
}

/// Waits for something that happens just after the client saw its effect.
async fn eventually(what: impl Fn() -> bool) -> bool {
    for _ in 0..250 {
        if what() {
            return true;
        }
        sleep(Duration::from_millis(20)).await;
    }
    false
}

fn about(took: Duration, wanted: Duration) -> bool {
    took + Duration::from_millis(50) >= wanted && took < wanted + Duration::from_secs(2)
}

#[tokio::test]
async fn requests_are_answered_on_every_kind_of_listener() {
    let edge = start(Duration::ZERO);
    let mut plain = edge.connect(Port::Plain).await;
    let first = http1(&mut plain, "/").await;
    assert!(first.contains("listener=0 tls=false name=- requests=1"), "{first}");
    let second = http1(&mut plain, "/").await;
    assert!(second.contains("requests=2"), "the connection was not kept: {second}");

    let tcp = edge.connect(Port::Tls).await;
    let mut tls = edge.tls(tcp, "www.one.test", "http/1.1", &edge.issued).await;
    let text = http1(&mut tls, "/").await;
    assert!(text.contains("listener=1 tls=true name=www.one.test requests=1"), "{text}");

    let tcp = edge.connect(Port::Tls).await;
    let tls = edge.tls(tcp, "www.one.test", "h2", &edge.issued).await;
    let (mut client, connection) = h2::client::handshake(tls).await.unwrap();
    tokio::spawn(connection);
    for requests in 1..=3 {
        let text = http2(&mut client, "/").await.unwrap();
        assert!(text.contains(&format!("listener=1 tls=true name=www.one.test requests={requests}")), "{text}");
    }
    assert!(eventually(|| edge.metric("leeward_tls_handshakes_total{result=\"ok\"}") == 2).await);
    assert_eq!((edge.metric("leeward_connections{"), edge.gate.open()), (3, 3));
    drop((plain, client));
    assert!(eventually(|| edge.gate.open() == 1).await, "only the TLS connection is still open");
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_at_the_deadline() {
    let edge = start(Duration::ZERO);
    let head = b"GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let pause = Duration::from_millis(50);

    let mut plain = edge.connect(Port::Plain).await;
    let mut silent = edge.connect(Port::Plain).await;
    let mut no_hello = edge.connect(Port::Tls).await;
    let mut proxied = edge.connect(Port::Proxied).await;
    let tcp = edge.connect(Port::Tls).await;
    let mut in_tls = edge.tls(tcp, "www.one.test", "http/1.1", &edge.issued).await;
    let tcp = edge.connect(Port::Tls).await;
    let mut no_preface = edge.tls(tcp, "www.one.test", "h2", &edge.issued).await;
    let tcp = edge.connect(Port::Tls).await;
    let tls = edge.tls(tcp, "www.one.test", "h2", &edge.issued).await;
    let (_no_request, mut connection) = h2::client::handshake(tls).await.unwrap();
    let idle_h2 = async {
        let began = Instant::now();
        let _ = timeout(LONG, &mut connection).await.expect("closed in time");
        began.elapsed()
    };
    let took = tokio::join!(
        trickle(&mut plain, head, pause),
        closed(&mut silent),
        closed(&mut no_hello),
        trickle(&mut proxied, b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443", pause),
        trickle(&mut in_tls, head, pause),
        closed(&mut no_preface),
        idle_h2,
    );
    let took = [
        ("plain", took.0),
        ("silent", took.1),
        ("no hello", took.2),
        ("PROXY header", took.3),
        ("in TLS", took.4),
        ("no preface", took.5),
        ("HTTP/2 without a request", took.6),
    ];
    for (what, took) in took {
        assert!(about(took, HEADER), "{what}: closed after {took:?}, wanted {HEADER:?}");
    }
    assert!(eventually(|| edge.refused(Port::Plain, "header_timeout") == 2).await);
    assert!(eventually(|| edge.refused(Port::Tls, "header_timeout") == 4).await);
    assert!(eventually(|| edge.refused(Port::Proxied, "header_timeout") == 1).await);
    assert!(eventually(|| edge.metric("leeward_tls_handshakes_total{result=\"timeout\"}") == 1).await);
}

#[tokio::test]
async fn a_kept_connection_has_its_idle_time_and_the_next_head_its_deadline() {
    let edge = start(Duration::ZERO);
    let (mut trickled, mut idle) = (edge.connect(Port::Plain).await, edge.connect(Port::Plain).await);
    http1(&mut trickled, "/").await;
    http1(&mut idle, "/").await;
    let pause = Duration::from_millis(50);
    let (trickled, idle) =
        tokio::join!(trickle(&mut trickled, b"GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaa", pause), closed(&mut idle));
    assert!(about(trickled, HEADER), "trickled: closed after {trickled:?}");
    assert!(about(idle, KEEPALIVE), "idle: closed after {idle:?}");
}

#[tokio::test]
async fn the_head_deadline_spares_slow_answers_and_slow_bodies() {
    let edge = start(Duration::ZERO);
    let slow_answer = async {
        let mut stream = edge.connect(Port::Plain).await;
        let first = http1(&mut stream, "/sleep/2000").await;
        first + &http1(&mut stream, "/sleep/3000").await
    };
    let slow_h2 = async {
        let tcp = edge.connect(Port::Tls).await;
        let tls = edge.tls(tcp, "www.one.test", "h2", &edge.issued).await;
        let (mut client, connection) = h2::client::handshake(tls).await.unwrap();
        tokio::spawn(connection);
        http2(&mut client, "/sleep/2000").await
    };
    let slow_body = async {
        let mut stream = edge.connect(Port::Plain).await;
        stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").await.unwrap();
        for _ in 0..5 {
            sleep(Duration::from_millis(400)).await;
            stream.write_all(b"x").await.unwrap();
        }
        answer(&mut stream).await
    };
    let (slow_answer, slow_h2, slow_body) = tokio::join!(slow_answer, slow_h2, slow_body);
    assert!(slow_answer.contains("requests=1") && slow_answer.contains("requests=2"), "{slow_answer}");
    assert!(slow_h2.as_ref().is_ok_and(|text| text.contains("requests=1")), "{slow_h2:?}");
    assert!(slow_body.contains("received=5"), "{slow_body}");
}

#[tokio::test]
async fn limits_refuse_new_connections_and_a_reload_changes_them() {
    let edge = start(Duration::ZERO);
    edge.limits.store(limits_of(100, 2));
    let mut first = edge.connect(Port::Plain).await;
    let mut second = edge.connect(Port::Plain).await;
    assert!(http1(&mut first, "/").await.contains("200 OK"));
    assert!(http1(&mut second, "/").await.contains("200 OK"));
    let mut third = edge.connect(Port::Plain).await;
    assert!(closed(&mut third).await < HEADER, "a third of two was not closed at once");
    assert!(eventually(|| edge.refused(Port::Plain, "connections_per_ip") == 1).await);

    edge.limits.store(limits_of(2, 100));
    let mut third = edge.connect(Port::Plain).await;
    assert!(closed(&mut third).await < HEADER);
    assert!(eventually(|| edge.refused(Port::Plain, "connections") == 1).await);

    edge.limits.store(limits_of(100, 100));
    let mut third = edge.connect(Port::Plain).await;
    assert!(http1(&mut third, "/").await.contains("200 OK"));
    assert!(http1(&mut first, "/").await.contains("requests=2"), "open connections are not touched");
}

/// What a client gets that sends these bytes and then a request.
async fn after(edge: &Edge, port: Port, header: &[u8]) -> String {
    let mut stream = edge.connect(port).await;
    let request = b"GET / HTTP/1.1\r\nHost: www.one.test\r\n\r\n";
    let _ = stream.write_all(&[header, request].concat()).await;
    answer(&mut stream).await
}

#[tokio::test]
async fn the_proxy_protocol_names_the_client_where_it_is_trusted() {
    let edge = start(Duration::ZERO);
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x67\x01\xbb";
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    let v1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n";
    let mapped = b"PROXY TCP6 ::ffff:203.0.113.9 2001:db8::1 4711 443\r\n";
    let cases: [(&str, Port, &[u8], Option<&str>); 8] = [
        ("version 1", Port::Proxied, v1, Some("client=203.0.113.9:4711 ")),
        ("version 2", Port::Proxied, v2, Some("client=203.0.113.9:4711 ")),
        ("an IPv4 address in IPv6 clothes", Port::Proxied, mapped, Some("client=203.0.113.9:4711 ")),
        ("the balancer itself", Port::Proxied, local, Some("client=127.0.0.1:")),
        ("no header", Port::Proxied, b"", None),
        ("garbage", Port::Proxied, b"\x16\x03\x01\x02\x00", None),
        ("not from a trusted network", Port::Elsewhere, v1, None),
        // a bad head, which the hooks of this test do not refuse
        ("no PROXY protocol here", Port::Plain, v1, Some("client=127.0.0.1:")),
    ];
    for (what, port, header, wanted) in cases {
        let text = after(&edge, port, header).await;
        match wanted {
            Some(wanted) => assert!(text.contains(wanted), "{what}: {text}"),
            None => assert!(!text.contains("200 OK"), "{what}: {text}"),
        }
    }
    assert!(eventually(|| edge.refused(Port::Proxied, "proxy_protocol") == 2).await);
    assert!(eventually(|| edge.refused(Port::Elsewhere, "proxy_protocol") == 1).await);

    let mut tcp = edge.connect(Port::ProxiedTls).await;
    tcp.write_all(v2).await.unwrap();
    let mut tls = edge.tls(tcp, "www.one.test", "http/1.1", &edge.issued).await;
    let text = http1(&mut tls, "/").await;
    assert!(text.contains("client=203.0.113.9:4711 ") && text.contains("tls=true"), "{text}");
}

#[tokio::test]
async fn the_next_handshake_sees_swapped_certificates() {
    let edge = start(Duration::ZERO);
    let tcp = edge.connect(Port::Tls).await;
    let mut before = edge.tls(tcp, "www.one.test", "http/1.1", &edge.issued).await;
    assert!(http1(&mut before, "/").await.contains("200 OK"));

    let (new, other) = (issue(&["www.one.test"]), issue(&["*.two.test"]));
    edge.certificates.swap(names(&[&new, &other]));
    for (name, wanted) in [("www.one.test", &new), ("img.two.test", &other)] {
        let tcp = edge.connect(Port::Tls).await;
        let mut tls = edge.tls(tcp, name, "http/1.1", wanted).await;
        let leaf = tls.get_ref().1.peer_certificates().unwrap()[0].clone();
        assert_eq!(leaf, CertificateDer::from_pem_slice(wanted.chain.as_bytes()).unwrap(), "{name}");
        assert!(http1(&mut tls, "/").await.contains(&format!("name={name} ")));
    }
    assert!(http1(&mut before, "/").await.contains("requests=2"), "an open connection goes on");

    let mut plain = edge.connect(Port::Tls).await;
    plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    closed(&mut plain).await;
    assert!(eventually(|| edge.metric("leeward_tls_handshakes_total{result=\"failed\"}") == 1).await);
}

#[tokio::test]
async fn a_session_resumes_also_after_a_swap() {
    use rustls::HandshakeKind::{Full, Resumed};
    let edge = start(Duration::ZERO);
    let client = connector("http/1.1", &edge.issued);
    for (what, wanted) in [("first", Full), ("second", Resumed), ("after the swap", Resumed)] {
        if what == "after the swap" {
            edge.certificates.swap(names(&[&issue(&["www.one.test"])]));
        }
        let name = "www.one.test".try_into().unwrap();
        let mut tls = client.connect(name, edge.connect(Port::Tls).await).await.unwrap();
        assert!(http1(&mut tls, "/").await.contains("name=www.one.test"), "{what}");
        assert_eq!(tls.get_ref().1.handshake_kind(), Some(wanted), "{what}");
    }
}

#[tokio::test]
async fn a_drain_closes_idle_connections_at_once_and_finishes_answers() {
    let edge = start(Duration::from_secs(3));
    let mut idle = edge.connect(Port::Plain).await;
    http1(&mut idle, "/").await;
    let tcp = edge.connect(Port::Tls).await;
    let tls = edge.tls(tcp, "www.one.test", "h2", &edge.issued).await;
    let (mut client, connection) = h2::client::handshake(tls).await.unwrap();
    let connection = tokio::spawn(connection);
    assert!(http2(&mut client, "/").await.is_ok());
    let mut busy = edge.connect(Port::Plain).await;
    let (busy_answer, busy_h2, (idle_closed, late)) = tokio::join!(
        async {
            let text = http1(&mut busy, "/sleep/900").await;
            (text, closed(&mut busy).await)
        },
        http2(&mut client, "/sleep/900"),
        async {
            sleep(Duration::from_millis(200)).await;
            assert!(edge.stage.stop(false));
            let idle = closed(&mut idle).await;
            (idle, tokio::net::TcpStream::connect(edge.address(Port::Plain)).await.is_ok())
        },
    );
    assert!(idle_closed < Duration::from_millis(700), "idle: closed {idle_closed:?} after the signal");
    assert!(!late, "a new connection was accepted");
    let (text, close) = busy_answer;
    assert!(text.contains("200 OK") && text.contains("draining=true"), "{text}");
    assert!(text.contains("Connection: close") && close < Duration::from_millis(700), "{close:?}: {text}");
    assert!(busy_h2.as_ref().is_ok_and(|text| text.contains("draining=true")), "{busy_h2:?}");
    assert!(timeout(LONG, connection).await.is_ok(), "the HTTP/2 connection is still open");
    assert!(eventually(|| edge.gate.open() == 0).await, "{} connections still open", edge.gate.open());
}
