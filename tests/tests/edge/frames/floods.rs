//! What an HTTP/2 client can make an edge and its origin do for nothing: it is stopped soon, its origin's work is bounded, memory
//! stays, and others are served.

use std::time::{Duration, Instant};

use leeward_tests::client::frames::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, PRIORITY, PUSH_PROMISE, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, block, frame,
};
use leeward_tests::edge::Edge;
use leeward_tests::origin::{Answer, Origin, Pause, Script};
use leeward_tests::turn;

use crate::stage;

/// Streams that a client may have open (`MAX_CONCURRENT_STREAMS` of the edge).
const STREAMS: usize = 100;
/// The code for a client that costs more than it asks for (RFC 9113 7).
const ENHANCE_YOUR_CALM: u32 = 11;
/// An attack is over within this: about a second, and room for a busy machine.
const OVER: Duration = Duration::from_secs(4);
/// Memory that an attack may leave behind.
const MEMORY: u64 = 50 << 20;

/// How an attack must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The connection is closed.
    Closed,
    /// The connection is closed, and its client told to calm down.
    Calm,
    /// It costs nothing that stays, and may go on.
    Bounded,
}

fn plain_get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&frames::get("/slow", &[])))
}

fn open_post(stream: u32) -> Vec<u8> {
    let mut fields = frames::get("/slow", &[]);
    fields[0].1 = b"POST".to_vec();
    frame(HEADERS, END_HEADERS, stream, &block(&fields))
}

/// Stream numbers of a client.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| 2 * n + 1)
}

/// On every stream a request, and then something that makes the server reset it (CVE-2025-8671).
fn made(count: u32, then: impl Fn(u32) -> Vec<u8>, request: fn(u32) -> Vec<u8>) -> Vec<u8> {
    streams(count).flat_map(|stream| [request(stream), then(stream)].concat()).collect()
}

/// An attack: its name, its bytes, how it must end.
type Attack = (&'static str, Vec<u8>, End);

/// Requests that are reset at once, by the client or by the server because of what follows them (CVE-2023-44487, CVE-2025-8671).
fn resets() -> Vec<Attack> {
    let zero = 0_u32.to_be_bytes();
    let most = 0x7fff_ffff_u32.to_be_bytes();
    let itself = |stream: u32| [stream.to_be_bytes().as_slice(), &[16]].concat();
    let cancel = 8_u32.to_be_bytes();
    vec![
        ("rapid reset", made(20_000, |s| frame(RST_STREAM, 0, s, &cancel), plain_get), End::Closed),
        (
            "made you reset: window update of 0",
            made(5000, |s| frame(WINDOW_UPDATE, 0, s, &zero), open_post),
            End::Closed,
        ),
        (
            "made you reset: window beyond 2^31",
            made(5000, |s| frame(WINDOW_UPDATE, 0, s, &most), open_post),
            End::Closed,
        ),
        (
            "made you reset: priority on itself",
            made(5000, |s| frame(PRIORITY, 0, s, &itself(s)), open_post),
            End::Closed,
        ),
        (
            "made you reset: priority of a wrong size",
            made(5000, |s| frame(PRIORITY, 0, s, &[0; 3]), open_post),
            End::Closed,
        ),
        ("made you reset: data behind the end", made(5000, |s| frame(DATA, 0, s, b"x"), plain_get), End::Closed),
        (
            "made you reset: headers behind the end",
            made(5000, |s| frame(HEADERS, END_HEADERS, s, &block(&frames::get("/slow", &[]))), plain_get),
            End::Closed,
        ),
    ]
}

/// Frames that are wrong, or right and too many.
fn floods() -> Vec<Attack> {
    let most = 0x7fff_ffff_u32.to_be_bytes();
    let indexed = {
        // one field of 4,000 bytes enters the table, and is named again and again: HPACK bomb
        let mut bytes = block(&frames::get("/slow", &[]));
        bytes.extend([0x40, 1, b'x', 127, 0xa1, 0x1e]);
        bytes.extend(vec![b'a'; 4000]);
        bytes.extend(vec![0x80 | 62; 12_000]);
        bytes
    };
    let continued = |count: usize| {
        let first = frame(HEADERS, END_STREAM, 1, &block(&frames::get("/slow", &[])));
        let more = block(&[(b"x".to_vec(), vec![b'a'; 100])]);
        let next = frame(CONTINUATION, 0, 1, &more);
        [first, next.repeat(count)].concat()
    };
    vec![
        ("window update of the connection beyond 2^31", frame(WINDOW_UPDATE, 0, 0, &most).repeat(2), End::Closed),
        ("window update of 0 of the connection", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), End::Closed),
        ("continuation flood", continued(10_000), End::Closed),
        (
            "continuation flood of nothing",
            [
                frame(HEADERS, END_STREAM, 1, &block(&frames::get("/slow", &[]))),
                frame(CONTINUATION, 0, 1, &[]).repeat(50_000),
            ]
            .concat(),
            End::Closed,
        ),
        ("continuation without headers", frame(CONTINUATION, END_HEADERS, 1, &[]), End::Closed),
        ("another frame within a head", [frame(HEADERS, 0, 1, &[]), frame(PING, 0, 0, &[0; 8])].concat(), End::Closed),
        (
            "HPACK bomb",
            [
                &frame(HEADERS, END_STREAM, 1, &indexed[..16_000])[..],
                &frame(CONTINUATION, END_HEADERS, 1, &indexed[16_000..]),
            ]
            .concat(),
            End::Bounded,
        ),
        ("a block that is no HPACK", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 40]), End::Closed),
        ("a frame larger than allowed", frame(DATA, 0, 1, &vec![0; 20_000]), End::Closed),
        ("data on a stream that is not open", frame(DATA, 0, 1, b"x"), End::Closed),
        ("data on the connection", frame(DATA, 0, 0, b"x"), End::Closed),
        ("headers on the connection", frame(HEADERS, END_HEADERS, 0, &block(&frames::get("/slow", &[]))), End::Closed),
        (
            "headers on a stream of the server's",
            frame(HEADERS, END_HEADERS, 2, &block(&frames::get("/slow", &[]))),
            End::Closed,
        ),
        ("push promise", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]), End::Closed),
        ("settings of a wrong size", frame(SETTINGS, 0, 0, &[0; 5]), End::Closed),
        (
            "settings with an initial window beyond 2^31",
            frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]),
            End::Closed,
        ),
        ("ping of a wrong size", frame(PING, 0, 0, &[0; 7]), End::Closed),
        ("ping flood", frame(PING, 0, 0, &[7; 8]).repeat(100_000), End::Calm),
        ("settings flood", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]).repeat(100_000), End::Calm),
        ("priority flood", streams(50_000).flat_map(|s| frame(PRIORITY, 0, s, &[0, 0, 0, 0, 16])).collect(), End::Calm),
        ("flood of empty data", [open_post(1), frame(DATA, 0, 1, &[]).repeat(50_000)].concat(), End::Calm),
        ("flood of unknown frames", frame(0xfa, 0, 0, &[0; 100]).repeat(20_000), End::Calm),
        ("flood of resets of nothing", frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]).repeat(20_000), End::Closed),
        ("flood of windows", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(50_000), End::Calm),
        ("more streams than allowed", streams(1000).flat_map(plain_get).collect(), End::Bounded),
    ]
}

#[test]
fn what_costs_an_http2_client_nothing_costs_the_edge_and_its_origin_little() {
    let _alone = turn::alone();
    let pause = Some(Pause { after: 0, wait: None, gate: Some("never".to_owned()) });
    let script = Script::always(Answer::ok("fine").with("Cache-Control", "max-age=600"))
        .on("/slow", [Answer { pause, ..Answer::ok("slow") }.with("Cache-Control", "no-store")]);
    let origin = stage::tls_origin(script);
    let edge = Edge::start(&stage::tls_setup(&origin, "cache: { store_on_hit: 1 }"));
    assert_eq!(edge.https("www.example.com").get("www.example.com", "/hit").text(), "fine");
    let (start, _) = edge.resident();
    let mut wrong = Vec::new();
    for (what, bytes, end) in resets().into_iter().chain(floods()) {
        wrong.extend(play(&edge, &origin, &bytes, end).err().map(|why| format!("{what}: {why}")));
    }
    let (now, most) = edge.resident();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(most < start + MEMORY, "{start} bytes before, {now} after, {most} at most");
    edge.stop();
}

fn play(edge: &Edge, origin: &Origin, bytes: &[u8], end: End) -> Result<(), String> {
    let before = origin.count();
    let begun = Instant::now();
    let mut connection = Frames::open(edge.https_address());
    connection.within(OVER);
    // it may be closed in the middle of this
    let sent = connection.send(bytes);
    if end != End::Bounded {
        let (closed, code) = connection.end(OVER);
        // it is lost where the client still sends when the connection ends
        if end == End::Calm && code.is_some_and(|code| code != ENHANCE_YOUR_CALM) {
            return Err(format!("GOAWAY {code:?}"));
        }
        if !closed {
            return Err(format!(
                "the connection is still open after {:?} (sent: {sent:?}, GOAWAY {code:?})",
                begun.elapsed()
            ));
        }
    }
    let took = begun.elapsed();
    let hit = edge.https("www.example.com").get("www.example.com", "/hit");
    if hit.text() != "fine" || begun.elapsed() - took > Duration::from_secs(2) {
        return Err(format!("others got {} after {:?}", hit.status(), begun.elapsed() - took));
    }
    drop(connection);
    let asked = origin.count() - before;
    if asked > 2 * STREAMS { Err(format!("the origin was asked {asked} times")) } else { Ok(()) }
}
