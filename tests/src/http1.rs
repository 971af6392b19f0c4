//! Just enough HTTP/1.1 to see exactly what was sent: heads with order and case kept, bodies with the way they ended.

use crate::wire::{Lost, Wire};

/// The largest head either end reads.
const MAX_HEAD: usize = 1024 * 1024;

/// A start line and its fields, as they were on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Every byte, blank line included.
    pub raw: Vec<u8>,
    /// `GET /a HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub start: String,
    /// Fields in the order sent, names in the case sent.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// Reads one head.
    ///
    /// # Errors
    /// `Closed` when the stream ended before its first byte; `Malformed` when it ended within or is no head.
    pub fn read(wire: &mut Wire) -> Result<Self, Lost> {
        loop {
            if let Some(end) = find(wire.buffered(), b"\r\n\r\n") {
                return Self::parse(wire.take(end + 4));
            }
            if wire.buffered().len() > MAX_HEAD {
                return Err(Lost::Malformed("a head of more than 1 MiB".into()));
            }
            if wire.fill()? == 0 {
                let rest = String::from_utf8_lossy(wire.buffered()).into_owned();
                return Err(if rest.is_empty() {
                    Lost::Closed
                } else {
                    Lost::Malformed(format!("the stream ended within a head: {rest:?}"))
                });
            }
        }
    }

    fn parse(raw: Vec<u8>) -> Result<Self, Lost> {
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) =
                line.split_once(':').ok_or_else(|| Lost::Malformed(format!("no colon in field line {line:?}")))?;
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        Ok(Self { raw, start, fields })
    }

    /// Every value of a field, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
    /// The values of a field joined as one list, or none when the field is absent.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self.values(name).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
    /// One word of the start line, from 0.
    #[must_use]
    pub fn word(&self, index: usize) -> &str {
        self.start.split(' ').nth(index).unwrap_or_default()
    }
    /// Whether the body is sent in chunks.
    #[must_use]
    pub fn chunked(&self) -> bool {
        self.values("transfer-encoding").any(|v| v.to_ascii_lowercase().ends_with("chunked"))
    }
    /// The declared length.
    #[must_use]
    pub fn length(&self) -> Option<usize> {
        self.values("content-length").next().and_then(|v| v.parse().ok())
    }
}

/// A body and how it ended; `None` is a good end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The bytes, chunk framing removed.
    pub bytes: Vec<u8>,
    /// Why it is not whole.
    pub cut: Option<Lost>,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(usize),
    /// Chunks.
    Chunked,
    /// All bytes until the stream ends.
    UntilClose,
}

/// Reads a body; what came before it was cut short is kept.
pub fn read_body(wire: &mut Wire, framing: Framing) -> Body {
    let mut bytes = Vec::new();
    let cut = match framing {
        Framing::None => None,
        Framing::Length(length) => read_exactly(wire, length, &mut bytes).err(),
        Framing::Chunked => read_chunks(wire, &mut bytes).err(),
        Framing::UntilClose => read_to_end(wire, &mut bytes).err(),
    };
    Body { bytes, cut }
}

/// A body in chunks.
#[must_use]
pub fn chunks(body: &[u8]) -> Vec<u8> {
    const CHUNK: usize = 4000;
    let mut bytes = Vec::with_capacity(body.len() + body.len() / 256 + 16);
    for piece in body.chunks(CHUNK) {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn read_exactly(wire: &mut Wire, length: usize, into: &mut Vec<u8>) -> Result<(), Lost> {
    let wanted = into.len() + length;
    loop {
        let count = wire.buffered().len().min(wanted - into.len());
        into.extend(wire.take(count));
        if into.len() == wanted {
            return Ok(());
        }
        if wire.fill()? == 0 {
            return Err(Lost::Closed);
        }
    }
}

fn read_to_end(wire: &mut Wire, into: &mut Vec<u8>) -> Result<(), Lost> {
    loop {
        let count = wire.buffered().len();
        into.extend(wire.take(count));
        if wire.fill()? == 0 {
            return Ok(());
        }
    }
}

fn read_chunks(wire: &mut Wire, into: &mut Vec<u8>) -> Result<(), Lost> {
    loop {
        let line = read_line(wire)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| Lost::Malformed(format!("chunk size {line:?}")))?;
        if size == 0 {
            while !read_line(wire)?.is_empty() {}
            return Ok(());
        }
        read_exactly(wire, size, into)?;
        let end = read_line(wire)?;
        if !end.is_empty() {
            return Err(Lost::Malformed(format!("{end:?} after a chunk")));
        }
    }
}

fn read_line(wire: &mut Wire) -> Result<String, Lost> {
    loop {
        if let Some(end) = find(wire.buffered(), b"\r\n") {
            let mut line = wire.take(end + 2);
            line.truncate(end);
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
        if wire.fill()? == 0 {
            return Err(Lost::Closed);
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
