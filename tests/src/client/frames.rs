//! HTTP/2 by hand: frames that a well-behaved library would never send.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::certificates;
use crate::wait::PATIENCE;
use crate::wire::{Lost, Wire};

/// Frame types (RFC 9113 6).
pub const DATA: u8 = 0;
/// `HEADERS`
pub const HEADERS: u8 = 1;
/// `PRIORITY`
pub const PRIORITY: u8 = 2;
/// `RST_STREAM`
pub const RST_STREAM: u8 = 3;
/// `SETTINGS`
pub const SETTINGS: u8 = 4;
/// `PUSH_PROMISE`
pub const PUSH_PROMISE: u8 = 5;
/// `PING`
pub const PING: u8 = 6;
/// `GOAWAY`
pub const GOAWAY: u8 = 7;
/// `WINDOW_UPDATE`
pub const WINDOW_UPDATE: u8 = 8;
/// `CONTINUATION`
pub const CONTINUATION: u8 = 9;
/// Flag of the last frame of a stream's body or of a head without one.
pub const END_STREAM: u8 = 1;
/// Flag of the last frame of a head.
pub const END_HEADERS: u8 = 4;

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, 0 for the connection.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

/// What a stream, or the whole connection, came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status.
    Status(u16),
    /// `RST_STREAM` with this code.
    Reset(u32),
    /// `GOAWAY` with this code.
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
    /// Nothing came in time.
    Silent,
}

/// A frame as bytes.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A field section in HPACK, every field a literal that is not indexed, without Huffman's code (RFC 7541 6.2.2).
#[must_use]
pub fn block(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            integer(&mut bytes, text.len());
            bytes.extend_from_slice(text);
        }
    }
    bytes
}

/// With a prefix of seven bits (RFC 7541 5.1).
fn integer(bytes: &mut Vec<u8>, value: usize) {
    if value < 127 {
        bytes.push(value as u8);
        return;
    }
    bytes.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
}

/// The pseudo-fields of a GET and more fields, as text.
#[must_use]
pub fn get(path: &str, more: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let own = [(":method", "GET"), (":scheme", "https"), (":authority", "www.example.com"), (":path", path)];
    own.iter().chain(more).map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// An open connection, its preface and an empty SETTINGS sent.
pub struct Frames {
    wire: Wire,
}

impl Frames {
    /// Connects with TLS and ALPN `h2`.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap()
    }

    /// The same for a server that may end the connection before it is open.
    ///
    /// # Errors
    /// When it does.
    pub fn try_open(address: SocketAddr) -> Result<Self, String> {
        // no dynamic table: what comes back can be read field by field
        let settings = frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]);
        Self::try_open_with(address, &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings].concat())
    }

    /// Connects with TLS and ALPN `h2`, and begins with these bytes.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    pub fn open_with(address: SocketAddr, first: &[u8]) -> Self {
        Self::try_open_with(address, first).unwrap()
    }

    fn try_open_with(address: SocketAddr, first: &[u8]) -> Result<Self, String> {
        let name = ServerName::try_from("www.example.com").unwrap();
        let tcp = std::net::TcpStream::connect(address).map_err(|error| error.to_string())?;
        let mut wire = Wire::client(ClientConnection::new(certificates::client(&["h2"]), name).unwrap(), tcp);
        wire.within(PATIENCE);
        wire.send(first).map_err(|lost| format!("{lost:?}"))?;
        Ok(Self { wire })
    }

    /// Everything from now on must be over within this time.
    pub fn within(&mut self, time: Duration) {
        self.wire.within(time);
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.wire.send(bytes)
    }

    /// The next frame.
    ///
    /// # Errors
    /// When the connection is gone or nothing came in time.
    pub fn read(&mut self) -> Result<Frame, Lost> {
        while self.wire.buffered().len() < 9 {
            self.more()?;
        }
        let head = self.wire.take(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        while self.wire.buffered().len() < length {
            self.more()?;
        }
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Ok(Frame { kind: head[3], flags: head[4], stream, payload: self.wire.take(length) })
    }

    fn more(&mut self) -> Result<(), Lost> {
        if self.wire.fill()? == 0 { Err(Lost::Closed) } else { Ok(()) }
    }

    /// Reads until a stream is answered or given up, or the connection ends.
    pub fn outcome(&mut self, stream: u32, within: Duration) -> Outcome {
        self.wire.within(within);
        loop {
            match self.read() {
                Ok(frame) if frame.kind == GOAWAY && frame.payload.len() >= 8 && code(&frame.payload[4..]) != 0 => {
                    return Outcome::GoAway(code(&frame.payload[4..]));
                }
                Ok(frame) if frame.stream == stream && frame.kind == RST_STREAM => {
                    return Outcome::Reset(code(&frame.payload));
                }
                Ok(frame) if frame.stream == stream && frame.kind == HEADERS => {
                    return Outcome::Status(status(&frame.payload));
                }
                Ok(_) => {}
                Err(Lost::TimedOut) => return Outcome::Silent,
                Err(_) => return Outcome::Closed,
            }
        }
    }

    /// Reads until the connection ends; whether it did, and the code of its last GOAWAY.
    pub fn end(&mut self, within: Duration) -> (bool, Option<u32>) {
        self.wire.within(within);
        let mut last = None;
        loop {
            match self.read() {
                Ok(frame) if frame.kind == GOAWAY && frame.payload.len() >= 8 => last = Some(code(&frame.payload[4..])),
                Ok(_) => {}
                Err(Lost::TimedOut) => return (false, last),
                Err(_) => return (true, last),
            }
        }
    }
}

fn code(bytes: &[u8]) -> u32 {
    bytes.get(..4).map_or(u32::MAX, |four| u32::from_be_bytes(four.try_into().unwrap()))
}

/// The status of an answer whose first field it is; 0 when it cannot be read.
fn status(block: &[u8]) -> u16 {
    // a change of the table's size may come first (RFC 7541 6.3)
    let start = block.iter().position(|byte| byte & 0xe0 != 0x20).unwrap_or(0);
    match block.get(start..) {
        Some([index @ 0x88..=0x8e, ..]) => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
        // a literal with the name of index 8 to 14
        Some([first, length, value @ ..]) if first & 0x0f >= 8 && first & 0x80 == 0 => {
            let text = value.get(..usize::from(length & 0x7f)).unwrap_or_default();
            if length & 0x80 == 0 {
                return std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            }
            digits(text)
        }
        _ => 0,
    }
}

/// Three digits in Huffman's code (RFC 7541 B): 0, 1, 2 have five bits, the others six.
fn digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let read = |count: usize| {
            bits.get(at..at + count).map(|bits| bits.iter().fold(0_u16, |all, bit| all * 2 + u16::from(*bit)))
        };
        let Some(five) = read(5) else { return 0 };
        let (digit, used) = if five < 3 { (five, 5) } else { (read(6).unwrap_or(25).saturating_sub(25) + 3, 6) };
        number = number * 10 + digit;
        at += used;
    }
    number
}

#[test]
fn the_status_of_an_answer_is_read_in_every_form() {
    let cases: [(&[u8], u16); 4] = [
        (&[0x88], 200),
        (&[0x20, 0x8c], 400),
        (&[0x08, 3, b'4', b'3', b'1'], 431),
        // 4 is 011010, 3 is 011001, 1 is 00001
        (&[0x48, 0x83, 0b0110_1001, 0b1001_0000, 0b1111_1111], 431),
    ];
    for (block, want) in cases {
        assert_eq!(status(block), want, "{block:?}");
    }
}
