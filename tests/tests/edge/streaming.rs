//! What the origin has sent is on its way to the client, whether or not the rest has come.

use std::time::Duration;

use leeward_tests::client::Request;
use leeward_tests::edge::Edge;
use leeward_tests::origin::{Answer, Origin, Pause, Script, Shape, pattern};
use leeward_tests::turn;
use leeward_tests::wait::PATIENCE;

use crate::stage;

const OBJECT: usize = 300_000;
/// Less than any buffer on the way holds.
const FIRST_PART: usize = 4000;
/// Far less than any timeout that would end the answer.
const SOON: Duration = Duration::from_secs(3);

fn first_part_arrives_before_the_rest(edge: &Edge, origin: &Origin, path: &str, framing: Shape) {
    let mut connection = edge.http().connect().unwrap();
    connection.send(&Request::get("www.example.com", path).bytes()).unwrap();
    connection.within(SOON);
    let head = connection.read_head().unwrap_or_else(|lost| panic!("{path}: no head within {SOON:?}: {lost:?}"));
    let first = connection.look_at(FIRST_PART);
    let first = first.unwrap_or_else(|lost| panic!("{path}: no first part within {SOON:?}: {lost:?}"));
    if framing == Shape::Length {
        assert!(first == &pattern(OBJECT)[..FIRST_PART], "{path}: wrong bytes");
    }
    origin.open(path);
    connection.within(PATIENCE);
    let response = connection.read_rest(head);
    assert_eq!((response.status(), &response.cut), (200, &None), "{path}");
    assert!(response.body == pattern(OBJECT), "{path}: {} bytes, not the right ones", response.body.len());
}

#[test]
fn the_first_bytes_reach_the_client_while_the_origin_still_sends() {
    let _beside = turn::beside();
    let cases = [
        ("/length", Shape::Length, "no-store"),
        ("/chunked", Shape::Chunked, "no-store"),
        ("/length-stored", Shape::Length, "max-age=60"),
        ("/chunked-stored", Shape::Chunked, "max-age=60"),
    ];
    let script = cases.iter().fold(Script::default(), |script, (path, framing, caching)| {
        let pause = Pause { after: FIRST_PART, wait: None, gate: Some((*path).to_owned()) };
        let answer = Answer { framing: *framing, pause: Some(pause), ..Answer::sized(OBJECT) };
        script.on(path, [answer.with("Cache-Control", caching)])
    });
    let origin = Origin::start(script);
    let edge = stage::edge(&origin, "cache: { store_on_hit: 1 }");
    for (path, framing, _) in cases {
        first_part_arrives_before_the_rest(&edge, &origin, path, framing);
    }
}
