//! One connection of a scripted origin.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use rustls::{ServerConfig, ServerConnection};

use super::script::{Answer, Ending, Raw, Shape};
use super::{Received, Shared};
use crate::http1::{self, Body, Framing, Head};
use crate::wire::{Lost, Wire};

/// How long one write may take: a stalled reader must not hold a thread for ever.
const WRITE: Duration = Duration::from_secs(60);
/// How long a server that answered early goes on reading before it closes.
const LINGER: Duration = Duration::from_millis(500);
/// Bytes of one chunk and of one write.
const CHUNK: usize = 1024;

/// Serves one connection until either side ends it.
pub(super) fn serve(shared: &Shared, tcp: TcpStream, tls: Option<Arc<ServerConfig>>, id: usize) {
    let _ = tcp.set_nodelay(true);
    let mut wire = match tls {
        None => Wire::plain(tcp),
        Some(config) => Wire::server(ServerConnection::new(config).unwrap(), tcp),
    };
    let ending = converse(shared, &mut wire, id);
    shared.leave(id);
    match ending {
        Ending::Reset => wire.reset(),
        Ending::Keep | Ending::Close | Ending::Hang => wire.close(),
    }
}

/// Answers requests until one of them ends the connection.
fn converse(shared: &Shared, wire: &mut Wire, id: usize) -> Ending {
    loop {
        wire.forever();
        let head = match Head::read(wire) {
            Ok(head) => head,
            Err(Lost::Malformed(_)) => {
                shared.note_broken(wire.buffered());
                return Ending::Close;
            }
            Err(_) => return Ending::Close,
        };
        if head.value("expect").is_some() && wire.send(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
            return Ending::Close;
        }
        let framing = if head.chunked() { Framing::Chunked } else { Framing::Length(head.length().unwrap_or(0)) };
        let answer = shared.choose(&head);
        let mut request = Received { head, body: Vec::new(), whole: false, connection: id };
        let number = if answer.early {
            Some(shared.note(request.clone()))
        } else {
            let body = http1::read_body(wire, framing);
            (request.whole, request.body) = (body.cut.is_none(), body.bytes);
            shared.note(request.clone());
            None
        };
        wire.within(WRITE);
        let mut sent = Turn { shared, wire, request: &request, answer: &answer }.play();
        if let Some(number) = number {
            // A server that answered and closes anyway reads on for a moment, so that its answer is not lost in a reset.
            wire.within(if answer.then == Ending::Keep { WRITE } else { LINGER });
            let body = if answer.then == Ending::Reset {
                Body { bytes: Vec::new(), cut: Some(Lost::Reset) }
            } else {
                http1::read_body(wire, framing)
            };
            sent = sent.and(body.cut.clone().map_or(Ok(()), Err));
            shared.complete(number, body);
        }
        match (sent, answer.then) {
            (Err(_), _) => return Ending::Close,
            (Ok(()), Ending::Keep) if answer.framing == Shape::Close => return Ending::Close,
            (Ok(()), Ending::Keep) => {}
            (Ok(()), Ending::Hang) => {
                wire.forever();
                while wire.fill().is_ok_and(|count| count > 0) {}
                return Ending::Close;
            }
            (Ok(()), ending) => return ending,
        }
    }
}

/// One request being answered.
pub(super) struct Turn<'a> {
    pub(super) shared: &'a Shared,
    pub(super) wire: &'a mut Wire,
    pub(super) request: &'a Received,
    pub(super) answer: &'a Answer,
}

impl Turn<'_> {
    fn play(mut self) -> Result<(), Lost> {
        self.hold(self.answer.wait.map(|span| span.0), self.answer.gate.as_deref())?;
        if let Some(steps) = &self.answer.raw {
            return self.play_raw(steps);
        }
        if self.answer.ranges {
            return self.play_ranges();
        }
        for status in &self.answer.interim {
            self.wire.send(format!("HTTP/1.1 {status} Interim\r\n\r\n").as_bytes())?;
        }
        let content = if self.answer.echo { self.request.head.raw.clone() } else { self.answer.content() };
        let unchanged = self.answer.validates && self.unchanged();
        let status = if unchanged { 304 } else { self.answer.status };
        self.wire.send(&self.head(status, content.len()))?;
        let silent = self.request.method() == "HEAD" || status == 204 || status == 304;
        if !silent {
            self.body(&content)?;
        }
        Ok(())
    }

    fn play_raw(&mut self, steps: &[Raw]) -> Result<(), Lost> {
        for step in steps {
            match step {
                Raw::Send(text) => self.wire.send(text.as_bytes())?,
                Raw::Wait(span) => self.hold(Some(span.0), None)?,
                Raw::Gate(gate) => self.hold(None, Some(gate))?,
            }
        }
        Ok(())
    }

    /// A field of the answer.
    pub(super) fn own(&self, name: &str) -> Option<String> {
        self.answer.headers.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone())
    }

    pub(super) fn unchanged(&self) -> bool {
        let ours = |name: &str| self.own(name);
        let theirs = |name: &str| self.request.head.value(name);
        match theirs("if-none-match") {
            Some(tags) => ours("etag").is_some_and(|tag| tags.split(", ").any(|t| t == tag || t == "*")),
            None => theirs("if-modified-since").is_some_and(|since| ours("last-modified") == Some(since)),
        }
    }

    pub(super) fn head(&self, status: u16, length: usize) -> Vec<u8> {
        use std::fmt::Write as _;
        let mut head = format!("HTTP/1.1 {status} {}\r\n", self.answer.reason);
        let named = |name: &str| self.answer.headers.0.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if self.answer.date && !named("date") {
            let _ = write!(head, "Date: {}\r\n", httpdate::fmt_http_date(SystemTime::now()));
        }
        for (name, value) in &self.answer.headers.0 {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        match self.answer.framing {
            _ if status == 204 || status == 304 => {}
            Shape::Length => {
                let _ = write!(head, "Content-Length: {}\r\n", self.answer.length.unwrap_or(length));
            }
            Shape::Chunked | Shape::BrokenChunks => head.push_str("Transfer-Encoding: chunked\r\n"),
            Shape::Close => head.push_str("Connection: close\r\n"),
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn body(&mut self, content: &[u8]) -> Result<(), Lost> {
        let content = &content[..self.answer.cut.unwrap_or(content.len()).min(content.len())];
        let stop = self.answer.pause.as_ref().map_or(content.len(), |pause| pause.after.min(content.len()));
        let (before, after) = content.split_at(stop);
        self.part(before, 0)?;
        if let Some(pause) = &self.answer.pause {
            self.hold(pause.wait.map(|span| span.0), pause.gate.as_deref())?;
        }
        self.part(after, before.len())?;
        let chunked = matches!(self.answer.framing, Shape::Chunked | Shape::BrokenChunks);
        if chunked && self.answer.cut.is_none() {
            self.wire.send(b"0\r\n\r\n")?;
        }
        Ok(())
    }

    /// Sends bytes of a body. They are counted first: who has read them may ask how many there were.
    pub(super) fn send_counted(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.shared.sent.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        self.wire.send(bytes).inspect_err(|_| {
            self.shared.sent.fetch_sub(bytes.len() as u64, Ordering::SeqCst);
        })
    }

    /// Sends a part of the body that begins at `offset`.
    fn part(&mut self, bytes: &[u8], offset: usize) -> Result<(), Lost> {
        let size = match (self.answer.trickle, self.answer.framing) {
            (Some(_), _) => 1,
            (None, Shape::Length | Shape::Close) => 64 * CHUNK,
            (None, Shape::Chunked | Shape::BrokenChunks) => CHUNK,
        };
        for (index, piece) in bytes.chunks(size).enumerate() {
            if let Some(span) = self.answer.trickle {
                self.hold(Some(span.0), None)?;
            }
            match self.answer.framing {
                Shape::Length | Shape::Close => {
                    self.send_counted(piece)?;
                }
                Shape::BrokenChunks if offset > 0 || (index > 0 && self.answer.pause.is_none()) => {
                    self.wire.send(b"zz\r\nbroken\r\n")?;
                }
                Shape::Chunked | Shape::BrokenChunks => {
                    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                    chunk.extend_from_slice(piece);
                    chunk.extend_from_slice(b"\r\n");
                    self.wire.send(&chunk)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn hold(&mut self, time: Option<Duration>, gate: Option<&str>) -> Result<(), Lost> {
        let waited = time.is_none_or(|time| self.shared.rest(time)) && gate.is_none_or(|gate| self.shared.pass(gate));
        self.wire.within(WRITE);
        if waited { Ok(()) } else { Err(Lost::Closed) }
    }
}
