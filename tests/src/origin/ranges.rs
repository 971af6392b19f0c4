//! An origin that answers ranges, also of bodies that are larger than the machine.

use std::ops::Range;

use super::play::Turn;
use super::script::pattern_of;
use crate::wire::Lost;

/// Bytes of one write.
const WRITE: u64 = 64 * 1024;

impl Turn<'_> {
    pub(super) fn play_ranges(&mut self) -> Result<(), Lost> {
        let total = match (&self.answer.body, self.answer.size) {
            (Some(text), _) => text.len() as u64,
            (None, size) => size.map_or(0, |size| size.0 as u64),
        };
        let (status, bytes) = match self.asked(total) {
            _ if self.answer.validates && self.unchanged() => (304, 0..0),
            _ if self.answer.status != 200 => (self.answer.status, 0..total),
            None => (200, 0..total),
            Some(None) => (416, 0..0),
            Some(Some(bytes)) => (206, bytes),
        };
        let mut head = String::from_utf8(self.head(status, (bytes.end - bytes.start) as usize)).unwrap();
        let place = match status {
            206 => format!("\r\nContent-Range: bytes {}-{}/{total}\r\n\r\n", bytes.start, bytes.end - 1),
            416 => format!("\r\nContent-Range: bytes */{total}\r\n\r\n"),
            _ => "\r\n\r\n".to_owned(),
        };
        head.truncate(head.len() - 4);
        self.wire.send((head + &place).as_bytes())?;
        if self.request.method() == "HEAD" || status == 304 {
            return Ok(());
        }
        let end = self.answer.cut.map_or(bytes.end, |cut| bytes.end.min(bytes.start + cut as u64));
        let stop = self.answer.pause.as_ref().map_or(end, |pause| end.min(bytes.start + pause.after as u64));
        self.send(bytes.start..stop)?;
        if let Some(pause) = &self.answer.pause {
            self.hold(pause.wait.map(|span| span.0), pause.gate.as_deref())?;
        }
        self.send(stop..end)
    }

    fn send(&mut self, bytes: Range<u64>) -> Result<(), Lost> {
        let mut at = bytes.start;
        while at < bytes.end {
            let piece = at..bytes.end.min(at + WRITE);
            at = piece.end;
            let content = match &self.answer.body {
                Some(text) => text.as_bytes()[piece.start as usize..piece.end as usize].to_vec(),
                None => pattern_of(piece),
            };
            self.send_counted(&content)?;
        }
        Ok(())
    }

    /// The range asked for: none, one that cannot be had, or these bytes. Several are answered with the whole.
    fn asked(&self, total: u64) -> Option<Option<Range<u64>>> {
        let value = self.request.head.value("range").filter(|_| self.request.method() == "GET")?;
        if self.request.head.value("if-range").is_some_and(|tag| self.own("etag") != Some(tag)) {
            return None;
        }
        let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
        let last_byte = last.parse::<u64>();
        let bytes = match (first.parse::<u64>(), last_byte) {
            (Ok(first), Ok(last)) => first..total.min(last + 1),
            (Ok(first), Err(_)) if last.is_empty() => first..total,
            (Err(_), Ok(suffix)) if first.is_empty() => total.saturating_sub(suffix)..total,
            _ => return None,
        };
        Some(Some(bytes).filter(|bytes| bytes.start < bytes.end))
    }
}
