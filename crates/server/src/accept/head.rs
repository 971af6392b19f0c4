//! The bytes of a request head before the framework parses them: it repairs some heads, and refuses others without a line in
//! the log.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use pingora::protocols::Stream;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::phase::request::strict::{self, Framing, Refusal};

/// Room for what is read at once.
const READ_BUFFER: usize = 4096;
/// Of a head that is too large, so much more is read and thrown away, so that its client reads the refusal and not a reset.
const SWALLOWED: usize = 4 << 20;
/// It is over when nothing came for so long.
const QUIET: Duration = Duration::from_millis(500);
/// Methods that a refused request is logged with.
const METHODS: [&[u8]; 7] = [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"];

/// What the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// A whole head that can be read in one way, of so many bytes, and what says where its body ends.
    Good(usize, Framing),
    /// One that goes no further.
    Bad(Refusal),
    /// The client left before it was whole.
    Gone,
}

/// Reads on until the head at the start of the buffer, which is not empty, is whole, and checks it. `most` bounds it.
pub(super) async fn complete(stream: &mut Stream, buffer: &mut BytesMut, most: usize) -> Head {
    let (mut line, mut begun) = (0, false);
    loop {
        if !begun && **buffer != *b"\r" {
            begun = true;
            if buffer.starts_with(b"\r\n") {
                // one empty line before a request is no harm (RFC 9112 2.2)
                buffer.advance(2);
            }
        }
        if begun && buffer.first().is_some_and(|first| !strict::is_token(*first)) {
            return Head::Bad(strict::malformed("no request line"));
        }
        match scan(buffer, &mut line) {
            Scanned::End(end) => {
                let checked = strict::check_raw(buffer.get(..end).unwrap_or_default());
                return checked.map_or_else(Head::Bad, |framing| Head::Good(end, framing));
            }
            Scanned::BareLineFeed => return Head::Bad(strict::malformed("line without a carriage return")),
            Scanned::More if buffer.len() > most => {
                swallow(stream).await;
                return Head::Bad(if line == 0 { strict::URI_TOO_LONG } else { strict::HEADERS_TOO_LARGE });
            }
            Scanned::More => {}
        }
        buffer.reserve(READ_BUFFER);
        if !matches!(stream.read_buf(buffer).await, Ok(1..)) {
            return Head::Gone;
        }
    }
}

enum Scanned {
    /// The head ends here, its empty line included.
    End(usize),
    BareLineFeed,
    More,
}

/// Looks for the end of the head, from the start of a line on; `line` is then the start of the last one.
fn scan(bytes: &[u8], line: &mut usize) -> Scanned {
    while let Some(rest) = bytes.get(*line..)
        && let Some(length) = memchr::memchr(b'\n', rest)
    {
        match rest.get(..length) {
            Some(b"\r") if *line > 0 => return Scanned::End(*line + 2),
            Some([.., b'\r']) => *line += length + 1,
            _ => return Scanned::BareLineFeed,
        }
    }
    Scanned::More
}

async fn swallow(stream: &mut Stream) {
    let (mut buffer, mut total) = (BytesMut::with_capacity(16 * READ_BUFFER), 0);
    while total < SWALLOWED
        && let Ok(Ok(count @ 1..)) = timeout(QUIET, stream.read_buf(&mut buffer)).await
    {
        total += count;
        buffer.clear();
    }
}

/// A request for the framework in place of a bad one, so that the refusal takes the way of all others: to the log and the metrics.
pub(super) fn stand_in(bad: &[u8]) -> BytesMut {
    let method = bad.split(|byte| *byte == b' ').next().filter(|method| METHODS.contains(method)).unwrap_or(b"-");
    [method, b" / HTTP/1.0\r\n\r\n"].concat().as_slice().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head_is_found_wherever_it_is_cut() {
        let cases: &[(&str, Option<usize>)] = &[
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n", Some(27)),
            ("GET / HTTP/1.1\r\n\r\n", Some(18)),
            ("GET / HTTP/1.1\r\nHost: a\r\n", None),
        ];
        for (text, want) in cases {
            for cut in 0..=text.len() {
                let mut line = 0;
                let first = scan(&text.as_bytes()[..cut], &mut line);
                let found = match first {
                    Scanned::More => scan(text.as_bytes(), &mut line),
                    other => other,
                };
                let got = match found {
                    Scanned::End(end) => Some(end),
                    Scanned::More => None,
                    Scanned::BareLineFeed => panic!("{text:?} cut at {cut}"),
                };
                assert_eq!(got, *want, "{text:?} cut at {cut}");
            }
        }
        for text in ["GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\n\n", "\n"] {
            assert!(matches!(scan(text.as_bytes(), &mut 0), Scanned::BareLineFeed), "{text:?}");
        }
    }

    #[test]
    fn what_stands_in_for_a_bad_request_says_its_method_and_nothing_else() {
        for (bad, want) in
            [("GET /a b HTTP/1.1\r\n", "GET"), ("HEAD  /", "HEAD"), ("GE\0T /", "-"), ("\u{16}\u{3}", "-"), ("", "-")]
        {
            assert_eq!(&*stand_in(bad.as_bytes()), format!("{want} / HTTP/1.0\r\n\r\n").as_bytes(), "{bad:?}");
        }
    }
}
