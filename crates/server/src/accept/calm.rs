//! An HTTP/2 connection whose client may send no more frames that cost it nothing than the work on its requests explains: floods of
//! PING, SETTINGS, PRIORITY, RST_STREAM, WINDOW_UPDATE, empty DATA and unknown frames end it with `ENHANCE_YOUR_CALM`.
//!
//! The framework answers such frames for ever and counts most of them nowhere. So they are counted below it, as they come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// `PRI * HTTP/2.0` and what follows it (RFC 9113 3.4).
const PREFACE: u64 = 24;
/// Bytes of a frame's head.
const HEAD: usize = 9;
/// Frame types that carry a request (RFC 9113 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// Parts of one frame that credit is counted in.
const FRAME: u64 = 1024;
/// What a new connection has, and the most that can be saved.
const FIRST: u64 = 1000 * FRAME;
const MOST: u64 = 10_000 * FRAME;
/// What each second gives.
const SECOND: u64 = 20 * FRAME;
/// What each request gives.
const REQUEST: u64 = 10 * FRAME;
/// What each byte of an answer gives: a frame for 512 bytes, windows and pings of a client that measures its line.
const SENT: u64 = 2;

/// A head that goes on for ever, which makes the library say what this cannot: it writes its own frames.
const NEVER_ENDING: [u8; HEAD] = [0, 0, 0, HEADERS, 0, 0x7f, 0xff, 0xff, 0xff];
const GOES_ON: [u8; HEAD] = [0, 0, 0, CONTINUATION, 0, 0x7f, 0xff, 0xff, 0xff];

/// The connection.
#[derive(Debug)]
pub(super) struct Calm {
    stream: Stream,
    frames: Frames,
    /// Bytes of the head that goes on for ever that were read; absent while the client behaves.
    told: Option<usize>,
}

impl Calm {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, frames: Frames::new(Instant::now()), told: None }
    }
}

/// The frames of a client as they pass by.
#[derive(Debug)]
struct Frames {
    /// Bytes to the next head of a frame.
    ahead: u64,
    head: [u8; HEAD],
    /// Bytes of the head that were seen.
    seen: usize,
    credit: u64,
    since: Instant,
    /// The frame that runs is one too many.
    over: bool,
}

impl Frames {
    fn new(now: Instant) -> Self {
        Self { ahead: PREFACE, head: [0; HEAD], seen: 0, credit: FIRST, since: now, over: false }
    }

    fn earn(&mut self, credit: u64) {
        self.credit = self.credit.saturating_add(credit).min(MOST);
    }

    /// Follows what was read; where the first frame ends that is one too many.
    fn follow(&mut self, bytes: &[u8], now: Instant) -> Option<usize> {
        let passed = now.saturating_duration_since(self.since);
        if passed >= Duration::from_millis(50) {
            self.earn(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).saturating_mul(SECOND) / 1000);
            self.since = now;
        }
        let mut rest = bytes;
        loop {
            let skipped = rest.len().min(usize::try_from(self.ahead).unwrap_or(usize::MAX));
            rest = rest.get(skipped..).unwrap_or_default();
            self.ahead -= skipped as u64;
            if self.over && self.ahead == 0 {
                return Some(bytes.len() - rest.len());
            }
            let (some, behind) = rest.split_at_checked(rest.len().min(HEAD - self.seen))?;
            if some.is_empty() {
                return None;
            }
            if let Some(place) = self.head.get_mut(self.seen..self.seen + some.len()) {
                place.copy_from_slice(some);
            }
            self.seen += some.len();
            rest = behind;
            if self.seen == HEAD {
                self.seen = 0;
                self.pay();
            }
        }
    }

    /// Pays for the frame whose head was seen.
    fn pay(&mut self) {
        let [a, b, c, kind, ..] = self.head;
        self.ahead = u64::from(u32::from_be_bytes([0, a, b, c]));
        match kind {
            HEADERS => self.earn(REQUEST),
            CONTINUATION => {}
            DATA if self.ahead > 0 => {}
            _ => match self.credit.checked_sub(FRAME) {
                Some(left) => self.credit = left,
                None => self.over = true,
            },
        }
    }
}

impl AsyncRead for Calm {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(told) = &mut this.told {
            while buf.remaining() > 0 {
                let (frame, at) = if *told < HEAD { (&NEVER_ENDING, *told) } else { (&GOES_ON, *told % HEAD) };
                let piece = frame.get(at..).unwrap_or_default();
                let piece = piece.get(..piece.len().min(buf.remaining())).unwrap_or_default();
                buf.put_slice(piece);
                *told += piece.len();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        let Some(end) = this.frames.follow(read, Instant::now()) else { return Poll::Ready(Ok(())) };
        buf.set_filled(before + end);
        this.told = Some(0);
        if end == 0 {
            // nothing read would be the end of the connection
            return self.poll_read(cx, buf);
        }
        Poll::Ready(Ok(()))
    }
}

impl Calm {
    fn wrote(&mut self, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &done {
            self.frames.earn(SENT.saturating_mul(*bytes as u64));
        }
        done
    }
}

impl AsyncWrite for Calm {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(done)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(done)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Calm {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

#[async_trait]
impl Peek for Calm {}

impl UniqueID for Calm {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Calm {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Calm {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }
    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl GetProxyDigest for Calm {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.stream.set_proxy_digest(digest);
    }
}

impl GetSocketDigest for Calm {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.stream.set_socket_digest(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        [vec![0, 0, length, kind, 0, 0, 0, 0, 0], vec![b'x'; usize::from(length)]].concat()
    }

    fn preface() -> Vec<u8> {
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()
    }

    #[test]
    fn the_frame_too_many_is_found_wherever_what_came_is_cut() {
        let now = Instant::now();
        let pings = frame(PING, 8).repeat(1003);
        let bytes = [preface(), pings].concat();
        let wanted = preface().len() + 1001 * 17;
        for piece in [1, 5, 9, 17, 24, 1000, bytes.len()] {
            let mut frames = Frames::new(now);
            let pieces = bytes.chunks(piece).enumerate();
            let found = pieces.filter_map(|(at, part)| Some(at * piece + frames.follow(part, now)?)).next();
            assert_eq!(found, Some(wanted), "pieces of {piece}");
        }
    }

    #[test]
    fn what_requests_and_answers_explain_may_go_on_for_ever() {
        // what is sent, what the edge sends meanwhile, seconds that pass, whether it may
        let request = [frame(HEADERS, 20), frame(DATA, 200), frame(CONTINUATION, 3)].concat();
        let windows = frame(8, 4).repeat(2);
        let cases = [
            ("requests", request.clone(), 0, 0, true),
            ("requests, each with priorities and a reset", [request, frame(2, 5), frame(3, 4)].concat(), 0, 0, true),
            ("windows of a large answer", windows.clone(), 1024, 0, true),
            ("windows of no answer", windows, 0, 0, false),
            ("pings of a client that keeps its connection", frame(PING, 8).repeat(10), 170, 1, true),
            ("pings", frame(PING, 8), 17, 0, false),
            ("empty data", frame(DATA, 0), 0, 0, false),
            ("bodies in small pieces", frame(DATA, 1), 0, 0, true),
            ("settings", frame(4, 6), 9, 0, false),
            ("unknown frames", frame(0xfa, 100), 0, 0, false),
        ];
        for (what, bytes, sent, seconds, may) in cases {
            let mut now = Instant::now();
            let mut frames = Frames::new(now);
            frames.follow(&preface(), now);
            let ended = (0..20_000).find(|_| {
                now += Duration::from_secs(seconds);
                frames.earn(SENT * sent);
                frames.follow(&bytes, now).is_some()
            });
            assert_eq!(ended.is_none(), may, "{what}: ended after {ended:?}");
        }
    }
}
