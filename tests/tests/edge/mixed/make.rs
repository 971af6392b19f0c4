//! What is sent: requests put together at random from what is right, what is odd and what is wrong, and then broken at random.

/// xorshift64*: the same seed gives the same bytes on every machine.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// One request of a conversation.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) bytes: Vec<u8>,
    /// In the answer to it, and in no other of the conversation, unless it is refused.
    pub(crate) mark: String,
    /// It must be refused, and nothing after it is a request.
    pub(crate) ends: bool,
    /// The body, where the request is a good one.
    pub(crate) body: Vec<u8>,
}

/// What is sent over one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conversation {
    pub(crate) asked: Vec<Asked>,
    pub(crate) bytes: Vec<u8>,
    /// Where the writes end.
    pub(crate) cuts: Vec<usize>,
    /// Some bytes are not those of `asked`: what must become of them is not known.
    pub(crate) broken: bool,
}

/// Forms of one target; `{}` is the object.
const TARGETS: [&str; 22] = [
    "{}",
    "{}",
    "{}",
    "{}",
    "{}?q=1",
    "{}?",
    "{}?a=1&a=2",
    "/x/..{}",
    "/.{}",
    "/{}",
    "{}/",
    "{};v=1",
    "{}%20x",
    "{}%2f",
    "{}%3fq=1",
    "{}%00",
    "/%74%2e%2e{}",
    "{}\\x",
    "{}\"<>^`{|}",
    "http://www.example.com{}",
    "HTTP://WWW.example.COM{}",
    "http://www.example.com:80{}",
];

/// Targets that are none.
const NO_TARGETS: [&str; 7] = ["{}#f", "{} x", "{}\t", "{}\u{1}", "{}\u{e9}", "x{}", "ftp://www.example.com{}"];

const HOSTS: [&str; 12] = [
    "Host: www.example.com\r\n",
    "Host: www.example.com\r\n",
    "Host: www.example.com\r\n",
    "Host: www.example.com\r\n",
    "host:www.example.com\r\n",
    "HOST: \t www.example.com \t \r\n",
    "Host: WWW.Example.COM\r\n",
    "Host: www.example.com:80\r\n",
    "Host: www.example.com:8080\r\n",
    "Host: www.example.com.\r\n",
    "Host: www.example.com:\r\n",
    "Host: other.example.org\r\n",
];

const NO_HOSTS: [&str; 7] = [
    "",
    "Host:\r\n",
    "Host: www.example.com\r\nHost: www.example.com\r\n",
    "Host: www.example.com/x\r\n",
    "Host: a@www.example.com\r\n",
    "Host : www.example.com\r\n",
    "Host: www.example.com, other.example.org\r\n",
];

const FIELDS: [&str; 42] = [
    "Accept: */*\r\n",
    "Accept-Encoding: gzip, br\r\n",
    "Accept-Language: de\r\n",
    "Cookie: a=1\r\n",
    "Cookie: a=1\r\nCookie: b=2\r\n",
    "User-Agent: one\r\n",
    "User-Agent: one\r\nuser-agent: two\r\n",
    "Referer: http://x.example/\r\n",
    "Origin: http://x.example\r\n",
    "Sec-Fetch-Mode: no-cors\r\n",
    "Sec-WebSocket-Key: x\r\n",
    "Connection: keep-alive\r\n",
    "Connection: Keep-Alive\r\nConnection: keep-alive\r\n",
    "Connection: keep-alive, x-hop\r\nX-Hop: 1\r\n",
    "Connection: cookie\r\nCookie: a=1\r\n",
    "Connection: host\r\n",
    "Connection: close\r\n",
    "Connection: Upgrade\r\nUpgrade: h2c\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "Range: bytes=0-3\r\n",
    "Range: bytes=-2\r\n",
    "Range: bytes=900-\r\n",
    "Range: bytes=0-1,4-5\r\n",
    "If-Range: \"tag\"\r\nRange: bytes=1-2\r\n",
    "If-None-Match: \"tag\"\r\n",
    "If-None-Match: *\r\n",
    "If-Match: \"no\"\r\n",
    "If-Modified-Since: Mon, 23 Nov 2026 00:00:00 GMT\r\n",
    "Cache-Control: no-cache\r\n",
    "Cache-Control: only-if-cached\r\n",
    "Pragma: no-cache\r\n",
    "Authorization: Basic eDp5\r\n",
    "X-Forwarded-For: 192.0.2.9\r\n",
    "X-Forwarded-Host: evil.example.org\r\n",
    "X-Forwarded-Proto: https\r\n",
    "X-Original-URL: /admin\r\n",
    "Forwarded: host=evil.example.org\r\n",
    "X-HTTP-Method-Override: DELETE\r\n",
    "CDN-Loop: leeward\r\n",
    "Via: 1.1 x\r\n",
    "TE: trailers\r\n",
    "Expect: 100-continue\r\n",
];

const NO_FIELDS: [&str; 10] = [
    "Accept: a\r\n folded\r\n",
    "Accept\r\n",
    ": a\r\n",
    "Accept : a\r\n",
    "Accept: a\0b\r\n",
    "Accept: a\rb\r\n",
    "Accept: a\n",
    "Acc\u{e9}pt: a\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 0\r\nContent-Length: 0\r\n",
];

/// A request that a careless reader would find in a body.
const WITHIN: &str = "GET /smuggled?id={}within HTTP/1.1\r\nHost: www.example.com\r\n\r\n";

/// Methods with what frames a body, and the body as it is sent; `{}` is what is in it, `{#}` its length.
const BODIES: [(&str, &str, &str); 9] = [
    ("POST", "Content-Length: {#}\r\n", "{}"),
    ("PUT", "Content-Length: {#}\r\n", "{}"),
    ("GET", "Content-Length: {#}\r\n", "{}"),
    ("POST", "Transfer-Encoding: chunked\r\n", "{x}\r\n{}\r\n0\r\n\r\n"),
    ("POST", "Transfer-Encoding: chunked\r\n", "1\r\nG\r\n{x-}\r\n{-}\r\n0\r\n\r\n"),
    ("POST", "Transfer-Encoding: CHUNKED\r\n", "00{x};a=\"b\"\r\n{}\r\n0;c\r\n\r\n"),
    ("PATCH", "Transfer-Encoding: chunked\r\n", "{x}\r\n{}\r\n0\r\nTrailer: 1\r\n\r\n"),
    ("DELETE", "Transfer-Encoding: chunked\r\n", "{x}\r\n{}\r\n000\r\n\r\n"),
    ("OPTIONS", "Content-Length: {#}\r\n", "{}"),
];

/// Tells a request from every other, also when a byte of it was broken.
fn name(place: usize, number: usize, at: usize) -> String {
    let check = (place * 1_000_003 + number * 10_007 + at * 101) % 99_991;
    format!("{place}-{number}-{at}-{check}-")
}

/// The place and number of the conversation that a request is of, by its name.
pub(crate) fn named(id: &str) -> Option<(usize, usize)> {
    let mut numbers = id.split('-').map_while(|number| number.parse::<usize>().ok());
    let (place, number, at) = (numbers.next()?, numbers.next()?, numbers.next()?);
    id.starts_with(&name(place, number, at)).then_some((place, number))
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// A request such as the lane answers when it is asked again.
fn plain(dice: &mut Dice, place: usize, number: usize) -> Asked {
    let mark = format!("p{number}!");
    let target = dice.one(&["{}", "{}", "{}?q=1", "/{}", "{}%2f"]).replace("{}", &format!("/place{place}/{mark}"));
    let host = dice.one(&["Host: www.example.com\r\n", "HOST: \t WWW.Example.COM:80 \t \r\n"]);
    let fields =
        dice.one(&["", "User-Agent: one\r\nCookie: a=1\r\nSec-Fetch-Mode: no-cors\r\n", "Connection: Keep-Alive\r\n"]);
    let bytes = latin1(&format!("GET {target} HTTP/1.1\r\n{host}{fields}\r\n"));
    Asked { bytes, mark, ends: false, body: Vec::new() }
}

/// A request about the object of this number. `unique` tells it from every other that is not a hit.
fn request(dice: &mut Dice, place: usize, number: usize, unique: &str) -> Asked {
    if dice.below(2) == 0 {
        return plain(dice, place, number);
    }
    let mark = format!("p{number}!");
    let mut ends = false;
    let mut fields = String::new();
    for _ in 0..dice.below(3) {
        fields.push_str(dice.one(&FIELDS));
    }
    let wrong = dice.below(40);
    if wrong == 0 {
        fields.push_str(dice.one(&NO_FIELDS));
        ends = true;
    }
    let host = if wrong == 1 { dice.one(&NO_HOSTS) } else { dice.one(&HOSTS) };
    ends |= wrong == 1;
    let mut form = if wrong == 2 { dice.one(&NO_TARGETS) } else { dice.one(&TARGETS) };
    ends |= wrong == 2;
    let absolute = form.to_ascii_lowercase().starts_with("http");
    if absolute && !host.contains("www.example.com\r\n") {
        form = "{}";
    }
    let stored = dice.below(5) > 0;
    let kind = if stored { "" } else { "/never" };
    let mut target = form.replace("{}", &format!("{kind}/place{place}/{mark}"));
    let with_body = dice.below(6) == 0;
    let version = if !with_body && wrong != 1 && dice.below(12) == 0 { "1.0" } else { "1.1" };
    if !stored || with_body {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(&format!("id={unique}"));
    }
    let (mut method, mut body, mut sent) =
        (dice.one(&["GET", "GET", "GET", "GET", "GET", "HEAD"]), Vec::new(), String::new());
    if with_body {
        let (of_body, framing, form) = dice.one(&BODIES);
        let text = if dice.below(2) == 0 {
            WITHIN.replace("{}", unique)
        } else {
            format!("G{}", "x".repeat(dice.below(6000)))
        };
        method = of_body;
        fields.push_str(&framing.replace("{#}", &text.len().to_string()));
        sent = form
            .replace("{x}", &format!("{:x}", text.len()))
            .replace("{x-}", &format!("{:X}", text.len() - 1))
            .replace("{-}", &text[1..])
            .replace("{}", &text);
        body = text.into_bytes();
    }
    let bytes = latin1(&format!("{method} {target} HTTP/{version}\r\n{host}{fields}\r\n{sent}"));
    Asked { bytes, mark, ends, body }
}

/// A conversation about the objects of a place.
pub(crate) fn conversation(dice: &mut Dice, place: usize, number: usize) -> Conversation {
    let count = 1 + dice.below(5);
    let asked: Vec<Asked> = (0..count)
        .map(|at| {
            let object = 10 * at + dice.below(2);
            request(dice, place, object, &name(place, number, at))
        })
        .collect();
    let end = b"GET /place/end HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n".to_vec();
    let mut bytes = asked.iter().map(|asked| asked.bytes.clone()).chain([end]).collect::<Vec<_>>().concat();
    let broken = dice.below(4) == 0;
    for _ in 0..if broken { 1 + dice.below(3) } else { 0 } {
        damage(dice, &mut bytes);
    }
    let mut cuts: Vec<usize> = (0..dice.below(3)).map(|_| dice.below(bytes.len())).collect();
    cuts.sort_unstable();
    cuts.push(bytes.len());
    Conversation { asked, bytes, cuts, broken }
}

fn damage(dice: &mut Dice, bytes: &mut Vec<u8>) {
    const ODD: [u8; 22] = *b"\0\t\n\r :;,.%/#?-_0aZ{\x7f\x80\xff";
    let at = dice.below(bytes.len());
    match dice.below(5) {
        0 => bytes[at] = dice.one(&ODD),
        1 => bytes.insert(at, dice.one(&ODD)),
        2 => {
            bytes.remove(at);
        }
        3 => {
            let piece: Vec<u8> = bytes[at..].iter().take(1 + dice.below(40)).copied().collect();
            let to = dice.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        _ => {
            let end = (at + 1 + dice.below(20)).min(bytes.len());
            bytes.drain(at..end);
        }
    }
}
