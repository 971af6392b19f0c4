//! Conversations at random, the same bytes to an edge with the hit lane and one without it: the answers are the same, each belongs to
//! its request, and what reaches the origin has one reading, which is the one that was sent.
//!
//! `LEEWARD_TEST_SEED` begins elsewhere, `LEEWARD_TEST_CONVERSATIONS` plays more of them.

pub(crate) mod make;
mod record;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use leeward_tests::edge::{Edge, Setup};
use leeward_tests::{scale, turn, wait};

use crate::raw::audit::unambiguous;
use make::{Conversation, Dice};
use record::{Got, Recorder};

/// Threads that talk at once, each about objects of its own.
const PLACES: usize = 6;
/// Nothing may last longer: the longest deadline of the edge, twice, and room for a busy machine.
const OVER: Duration = Duration::from_secs(12);

/// An edge and its origin.
struct Side {
    edge: Edge,
    origin: Recorder,
}

fn side(lane: bool) -> Side {
    let origin = Recorder::start();
    let config = format!(
        r#"
server: {{ threads: 2, listen: [{{ address: "${{listen}}" }}], grace_period: 5s,
  limits: {{ header_timeout: 2s, keepalive_timeout: 2s, body_timeout: 2s, connections_per_ip: 1000 }} }}
admin: {{ address: "${{admin}}" }}
origins: [{{ directory: main, http: {{ servers: ["http://{}"] }} }}]
sites: [{{ host: www.example.com, origin: main }}]
cache: {{ store_on_hit: 1, query_string: unique, hit_lane: {lane} }}
"#,
        origin.address
    );
    Side { edge: Edge::start(&Setup::new(&config)), origin }
}

/// Sends a conversation; everything that came back until the connection ended.
fn talk(side: &Side, conversation: &Conversation) -> Result<Vec<u8>, String> {
    let mut tcp = TcpStream::connect(side.edge.http().address).map_err(|error| error.to_string())?;
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(OVER)).unwrap();
    let mut start = 0;
    for (at, end) in conversation.cuts.iter().enumerate() {
        if at > 0 {
            wait::pause(Duration::from_millis(3));
        }
        // it may have been refused by now
        if tcp.write_all(&conversation.bytes[start..*end]).is_err() {
            break;
        }
        start = *end;
    }
    let begun = Instant::now();
    let (mut all, mut block) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match tcp.read(&mut block) {
            Ok(0) => return Ok(all),
            Ok(count) => all.extend_from_slice(&block[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(format!("still open after {:?}, {} bytes so far", begun.elapsed(), all.len()));
            }
            Err(_) => return Ok(all),
        }
    }
}

/// Without what changes from second to second.
fn timeless(answers: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(answers).into_owned();
    while let Some(at) = text.find("boundary=") {
        let boundary = text[at + 9..].split("\r\n").next().unwrap_or_default().to_owned();
        text = text.replace(&format!("boundary={boundary}"), "boundary").replace(&boundary, "boundary");
    }
    let line = |line: &str| {
        let lower = line.to_ascii_lowercase();
        match lower.find("ttl=") {
            _ if lower.starts_with("date:") || lower.starts_with("age:") => lower[..4].to_owned(),
            Some(at) if lower.starts_with("cache-status:") => line[..at].to_owned(),
            _ => line.to_owned(),
        }
    };
    text.split("\r\n").map(line).collect::<Vec<_>>().join("\r\n")
}

/// Whether every answer belongs to its request: they come in order, and no other request's mark is in one.
fn in_order(conversation: &Conversation, answers: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(answers);
    let number = |at: usize| {
        let mark = text[at + 1..].split_once('!')?.0;
        mark[1..].bytes().all(|byte| byte.is_ascii_digit()).then_some(mark)
    };
    let marks = text.match_indices("/p").filter_map(|(at, _)| number(at));
    let mut asked = conversation.asked.iter().take_while(|asked| !asked.ends);
    for mark in marks {
        if !asked.any(|asked| asked.mark.trim_end_matches('!') == mark) {
            return Err(format!("an answer about {mark} where none belongs"));
        }
    }
    Ok(())
}

/// What came to the origin.
fn judge(conversation: &Conversation, got: &Got) -> Result<(), String> {
    let start = got.start();
    unambiguous(&got.head).map_err(|why| format!("the origin got {why}: {:?}", String::from_utf8_lossy(&got.head)))?;
    if start.contains("smuggled") && !conversation.broken {
        return Err(format!("the origin was asked {start:?}"));
    }
    let Some((_, rest)) = start.split_once("id=") else { return Ok(()) };
    let id = rest.split(' ').next().unwrap_or_default();
    let may = conversation.asked.iter().take_while(|asked| !asked.ends);
    let own = may.filter(|asked| String::from_utf8_lossy(&asked.bytes).contains(&format!("id={id}"))).last();
    match own {
        _ if conversation.broken => Ok(()),
        None => Err(format!("the origin was asked {start:?}, which nobody may have asked")),
        // a GET goes without its body, or not at all
        Some(asked) if got.body != asked.body && !(start.starts_with("GET") && got.body.is_empty()) => {
            Err(format!("{start:?} came with {:?} and not {:?}", got.body.len(), asked.body.len()))
        }
        Some(_) => Ok(()),
    }
}

/// Plays a conversation on both sides.
fn play(with: &Side, without: &Side, conversation: &Conversation) -> Result<(), String> {
    let mut differ = String::new();
    // an answer is cut where the edge closes while bytes come: then once more
    for _ in 0..3 {
        let (lane, full) = (talk(with, conversation)?, talk(without, conversation)?);
        for (side, answers) in [("with the lane", &lane), ("without it", &full)] {
            if !conversation.broken {
                in_order(conversation, answers).map_err(|why| format!("{side}: {why}\n{}", timeless(answers)))?;
            }
        }
        if timeless(&lane) == timeless(&full) {
            return Ok(());
        }
        differ = format!("with the lane:\n{}\nwithout it:\n{}", timeless(&lane), timeless(&full));
    }
    Err(differ)
}

/// What is wrong, and the conversations with that.
type Wrong = Vec<(Conversation, String)>;

/// The conversations of a place, each with what is wrong with it.
fn place(with: &Side, without: &Side, place: usize, seed: u64, count: u64) -> Vec<(Conversation, Option<String>)> {
    let mut dice = Dice::new(seed + place as u64);
    let conversations = (0..count as usize).map(|number| make::conversation(&mut dice, place, number));
    conversations
        .map(|conversation| {
            let why = play(with, without, &conversation).err();
            (conversation, why)
        })
        .collect()
}

/// Looks through what came to an origin for what came of no conversation.
fn audit(side: &Side, places: &[Vec<Conversation>]) -> Wrong {
    let mut wrong = Vec::new();
    for got in side.origin.take() {
        let start = got.start();
        let of = start.split_once("id=").and_then(|(_, id)| {
            let (place, number) = make::named(id)?;
            places.get(place)?.get(number)
        });
        let any = Conversation { broken: true, ..Conversation::default() };
        wrong.extend(judge(of.unwrap_or(&any), &got).err().map(|why| (of.unwrap_or(&any).clone(), why)));
    }
    wrong
}

/// What a client is given at the end who asks in the plainest way.
fn poisoned(side: &Side) -> Wrong {
    let mut wrong = Vec::new();
    for place in 0..PLACES {
        for object in (0..5).flat_map(|at| [10 * at, 10 * at + 1]) {
            let target = format!("/place{place}/p{object}!");
            let got = side.edge.http().get("www.example.com", &target);
            if got.status() != 200 || got.text() != format!("{target} of www.example.com, 0 bytes\n") {
                wrong.push((Conversation::default(), format!("{target} is {} {:?}", got.status(), got.text())));
            }
        }
    }
    wrong
}

#[test]
fn whatever_is_sent_is_answered_in_order_alike_and_has_one_reading() {
    let _beside = turn::beside();
    let seed = std::env::var("LEEWARD_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let count = scale::given("LEEWARD_TEST_CONVERSATIONS", 150, 2000);
    let (with, without) = (side(true), side(false));
    let played: Vec<Vec<(Conversation, Option<String>)>> = std::thread::scope(|scope| {
        let (with, without) = (&with, &without);
        let places: Vec<_> = (0..PLACES).map(|at| scope.spawn(move || place(with, without, at, seed, count))).collect();
        places.into_iter().map(|place| place.join().unwrap()).collect()
    });
    let mut wrong: Wrong = Vec::new();
    let mut places = Vec::new();
    for place in played {
        wrong.extend(place.iter().filter_map(|(conversation, why)| Some((conversation.clone(), why.clone()?))));
        places.push(place.into_iter().map(|(conversation, _)| conversation).collect());
    }
    for side in [&with, &without] {
        wrong.extend(audit(side, &places));
        wrong.extend(poisoned(side));
        let said =
            side.edge.output().err().into_iter().filter(|line| line.contains("ERROR") || line.contains("panicked"));
        wrong.extend(said.map(|line| (Conversation::default(), line)));
    }
    for (conversation, why) in wrong.iter().take(8) {
        println!("=== {} (broken: {})\n{why}", conversation.bytes.escape_ascii(), conversation.broken);
    }
    assert!(wrong.is_empty(), "{} of {} conversations (seed {seed})", wrong.len(), count * PLACES as u64);
    let hits = with.edge.metrics().sum("leeward_lane_hits_total", &[]);
    println!("{} conversations, {hits} answers of the lane", count * PLACES as u64);
    assert!(hits > count as f64, "only {hits} of the answers came from the lane");
    with.edge.stop();
    without.edge.stop();
}
