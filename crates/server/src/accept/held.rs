//! What the framework has read of a connection beyond the request that it served.

use std::fmt::{self, Write};

use bytes::{BufMut, BytesMut};
use pingora::apps::HttpPersistentSettings;

/// Takes the bytes. It keeps them to itself, for its own next session, and tells them only here; `None` when it no longer does
/// so in a form that is known: then they are lost.
///
/// They are few: it reads no body further than its length says, one byte while it waits for an answer, and of a chunked body
/// what comes along with the end.
pub(super) fn held(settings: &HttpPersistentSettings) -> Option<BytesMut> {
    let mut prefix = Prefix::Before;
    let _ = write!(prefix, "{settings:?}");
    if prefix == Prefix::Absent { Some(BytesMut::new()) } else { told(&format!("{settings:?}")) }
}

/// Learns that there are none, which is so for almost every request, from what is printed piece by piece, of which nothing is kept.
#[derive(Debug, PartialEq, Eq)]
enum Prefix {
    Before,
    Named,
    Absent,
    Other,
}

impl Write for Prefix {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        *self = match self {
            Self::Before if piece == "pipelined_prefix" => Self::Named,
            Self::Before => return Ok(()),
            Self::Named if piece == ": " => return Ok(()),
            Self::Named if piece == "None" => Self::Absent,
            _ => Self::Other,
        };
        // what is known need not be printed to its end
        if *self == Self::Named { Ok(()) } else { Err(fmt::Error) }
    }
}

fn told(text: &str) -> Option<BytesMut> {
    let (_, value) = text.split_once("pipelined_prefix: ")?;
    if value.starts_with("None,") {
        return Some(BytesMut::new());
    }
    let escaped = value.strip_prefix("Some(b\"")?.as_bytes();
    let mut bytes = BytesMut::with_capacity(escaped.len());
    let mut at = 0;
    loop {
        match *escaped.get(at)? {
            b'"' => return Some(bytes),
            b'\\' => {
                let (byte, length) = unescaped(escaped.get(at + 1..)?)?;
                bytes.put_u8(byte);
                at += 1 + length;
            }
            byte => {
                bytes.put_u8(byte);
                at += 1;
            }
        }
    }
}

/// What stands behind a backslash, and how long it is.
fn unescaped(text: &[u8]) -> Option<(u8, usize)> {
    Some(match *text.first()? {
        b'n' => (b'\n', 1),
        b'r' => (b'\r', 1),
        b't' => (b'\t', 1),
        b'0' => (0, 1),
        b'x' => (u8::from_str_radix(std::str::from_utf8(text.get(1..3)?).ok()?, 16).ok()?, 3),
        byte @ (b'"' | b'\\' | b'\'') => (byte, 1),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use pingora::protocols::Stream;
    use pingora::protocols::http::ServerSession;
    use pingora::protocols::l4::stream::Stream as L4;

    use super::*;

    async fn settings() -> HttpPersistentSettings {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stream: Stream = Box::new(L4::from(client));
        HttpPersistentSettings::for_session(&ServerSession::new_http1(stream))
    }

    #[tokio::test]
    async fn the_framework_tells_every_byte_that_it_holds() {
        assert_eq!(held(&settings().await), Some(BytesMut::new()), "nothing");
        let mut prefix = Prefix::Before;
        let _ = write!(prefix, "{:?}", settings().await);
        assert_eq!(prefix, Prefix::Absent, "it is seen without a copy");
        let mut of_others = settings().await;
        of_others.set_user_context(Box::new("pipelined_prefix"));
        assert_eq!(held(&of_others), Some(BytesMut::new()), "{of_others:?}");
        let every: Vec<u8> = (0..=255).collect();
        for bytes in [
            &b""[..],
            b"G",
            b"GET / HTTP/1.1\r\nA: \"b\\\"\r\n\r\n",
            b"\\x41\\",
            b"\"), pipelined_prefix: None,",
            &every,
        ] {
            let mut settings = settings().await;
            settings.set_pipelined_prefix(bytes.into());
            assert_eq!(held(&settings).as_deref(), Some(bytes), "{settings:?}");
        }
    }

    #[test]
    fn another_form_is_not_read() {
        for text in
            ["", "pipelined_prefix: [71]", "pipelined_prefix: Some(b\"a", "pipelined_prefix: Some(b\"\\u{41}\")"]
        {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
