//! The few bytes of RFC 1035 that a question for an address and its answer consist of.

use std::net::IpAddr;
use std::time::Duration;

use super::Kind;

/// Response codes (RFC 1035 4.1.1).
pub(super) const NOERROR: u8 = 0;
pub(super) const SERVFAIL: u8 = 2;
pub(super) const NXDOMAIN: u8 = 3;
pub(super) const REFUSED: u8 = 5;

/// The longest answer over UDP: what resolvers announce today (no fragments), whatever this one does.
const MAX_UDP: usize = 1232;
const HEADER: usize = 12;
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;
/// The flag of an answer that did not fit.
const TRUNCATED: u8 = 0x02;

/// A question as it came.
pub(super) struct Question {
    /// The name, lower case, without the final dot.
    pub(super) name: String,
    pub(super) kind: Kind,
    id: [u8; 2],
    /// Name, type and class as they came: the case of the name is given back.
    bytes: Vec<u8>,
}

impl Question {
    /// Reads a datagram; nothing when it is no query with one question.
    pub(super) fn parse(datagram: &[u8]) -> Option<Self> {
        let header = datagram.get(..HEADER)?;
        let (is_answer, questions) = (header[2] & 0x80 != 0, u16::from_be_bytes([header[4], header[5]]));
        if is_answer || questions != 1 {
            return None;
        }
        let (mut at, mut labels) = (HEADER, Vec::new());
        loop {
            let length = usize::from(*datagram.get(at)?);
            at += 1;
            match length {
                0 => break,
                1..=63 => labels.push(String::from_utf8_lossy(datagram.get(at..at + length)?).to_lowercase()),
                _ => return None,
            }
            at += length;
        }
        let kind = match u16::from_be_bytes([*datagram.get(at)?, *datagram.get(at + 1)?]) {
            A => Kind::A,
            AAAA => Kind::Aaaa,
            other => Kind::Other(other),
        };
        let bytes = datagram.get(HEADER..at + 4)?.to_vec();
        Some(Self { name: labels.join("."), kind, id: [header[0], header[1]], bytes })
    }
}

/// An answer being written.
pub(super) struct Answer {
    id: [u8; 2],
    question: Vec<u8>,
    records: Vec<u8>,
    count: u16,
}

impl Answer {
    pub(super) fn to(question: &Question) -> Self {
        Self { id: question.id, question: question.bytes.clone(), records: Vec::new(), count: 0 }
    }

    pub(super) fn address(&mut self, name: &str, ttl: Duration, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.record(name, A, ttl, &v4.octets()),
            IpAddr::V6(v6) => self.record(name, AAAA, ttl, &v6.octets()),
        }
    }

    pub(super) fn cname(&mut self, name: &str, ttl: Duration, target: &str) {
        self.record(name, CNAME, ttl, &encoded(target));
    }

    fn record(&mut self, name: &str, kind: u16, ttl: Duration, data: &[u8]) {
        self.records.extend(encoded(name));
        self.records.extend(kind.to_be_bytes());
        self.records.extend(INTERNET.to_be_bytes());
        self.records.extend(u32::try_from(ttl.as_secs()).unwrap().to_be_bytes());
        self.records.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        self.records.extend(data);
        self.count += 1;
    }

    /// The datagram, with this response code.
    pub(super) fn code(self, code: u8) -> Vec<u8> {
        // A response to a query that wanted recursion, which is available.
        let flags = [0x81, 0x80 | code];
        let counts = [1, self.count, 0, 0].map(u16::to_be_bytes).concat();
        [self.id.to_vec(), flags.to_vec(), counts, self.question, self.records].concat()
    }
}

/// An answer that fits a datagram: one that is too long only says so, and is asked for again over TCP.
pub(super) fn for_udp(answer: Vec<u8>, question: &Question) -> Vec<u8> {
    if answer.len() <= MAX_UDP {
        return answer;
    }
    let mut short = Answer::to(question).code(NOERROR);
    short[2] |= TRUNCATED;
    short
}

/// A name as labels.
fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
