//! A request for a slice, seen from the request that it is for.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use leeward_cache::range::{Piece, Version, slice_key};
use leeward_rules::decide::plan::Next;
use leeward_telemetry::Reason;
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::subrequest::server::SubrequestHandle;
use pingora::{Error, ErrorType};
use pingora_cache::CacheKey;
use pingora_cache::key::CacheHashKey as _;
use pingora_proxy::Session;
use pingora_proxy::subrequest::{self, BodyMode};

use super::{ATTEMPTS_TOLD, Onward, Outcome, Report, Slice, SliceRequest};
use crate::context::Context;

/// What all slices of one answer share.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) object: CacheKey,
    pub(super) version: Arc<Version>,
    /// Bytes of a slice.
    pub(super) size: u64,
}

/// A request for a slice that runs in a task of its own.
pub(super) struct Part {
    piece: Piece,
    handle: SubrequestHandle,
    report: Arc<Report>,
    /// The first body bytes still to come, as an offset in the object.
    position: u64,
}

/// How a request for a slice is answered.
pub(super) enum Answer {
    /// With the slice: the head of the whole object, but for its length.
    Slice(Box<ResponseHeader>),
    /// The object is another one now.
    Changed,
    /// The origin does not answer ranges.
    Whole,
    /// With something else, to be passed on.
    Other(Box<ResponseHeader>),
    /// Not at all.
    Failed(Onward),
}

/// The next of what comes out of a request.
enum Came {
    Bytes(Bytes),
    End,
}

impl Part {
    /// Begins to fetch a piece. `None` where no requests can be made, which was looked at before.
    pub(super) fn begin(
        session: &Session,
        ctx: &Context,
        row: &Row,
        piece: Piece,
        deadline: Option<Instant>,
    ) -> Option<Self> {
        let spawner = session.subrequest_spawner.as_ref()?;
        let report = Arc::new(Report::default());
        let slice = Slice {
            object: row.object.primary_bin(),
            key: slice_key(&row.object, &row.version, row.size, piece.index),
            version: Arc::clone(&row.version),
            piece: piece.clone(),
            deadline,
            body: None,
            report: Arc::clone(&report),
        };
        let request = Arc::new(SliceRequest {
            snapshot: Arc::clone(&ctx.snapshot),
            client: ctx.client.clone(),
            head: session.req_header().clone(),
            slice,
        });
        let child = subrequest::Ctx::builder().user_ctx(Box::new(request)).body_mode(BodyMode::NoBody).build();
        let (prepared, handle) = spawner.create_subrequest(session.as_downstream(), child);
        tokio::spawn(prepared.run());
        let position = piece.wanted.start;
        Some(Self { piece, handle, report, position })
    }

    pub(super) fn wanted(&self) -> &Range<u64> {
        &self.piece.wanted
    }

    /// Waits for the head.
    pub(super) async fn answer(&mut self) -> Answer {
        let head = loop {
            match self.handle.rx.recv().await {
                Some(HttpTask::Header(head, _)) if head.status.is_informational() => {}
                Some(HttpTask::Header(head, _)) => break Some(head),
                Some(HttpTask::Done | HttpTask::Failed(_)) | None => break None,
                Some(_) => {}
            }
        };
        let outcome = self.report.0.lock().ok().and_then(|seen| seen.outcome.clone());
        match (head, outcome) {
            (Some(head), Some(Outcome::Bytes(body))) if body.start <= self.position => {
                self.position = body.start;
                Answer::Slice(head)
            }
            (Some(head), _) => Answer::Other(head),
            (None, Some(Outcome::Changed)) => Answer::Changed,
            (None, Some(Outcome::Whole)) => Answer::Whole,
            (None, Some(Outcome::Failed(onward))) => Answer::Failed(onward),
            (None, _) => Answer::Failed(Onward { next: Next::Error(502), status: 502, reason: Reason::Closed }),
        }
    }

    /// Takes over what the request told, for the log line.
    pub(super) fn tell(&self, ctx: &mut Context, first: bool) {
        let Ok(seen) = self.report.0.lock().map(|seen| seen.clone()) else { return };
        let room = ATTEMPTS_TOLD.saturating_sub(ctx.fetch.of_alternate.len());
        ctx.fetch.of_alternate.extend(seen.attempts.into_iter().take(room));
        if first {
            ctx.lookup.state = seen.cache;
            ctx.lookup.collapsed = seen.collapsed;
        }
    }

    async fn next(&mut self) -> pingora::Result<Came> {
        loop {
            match self.handle.rx.recv().await {
                Some(HttpTask::Body(Some(bytes), _)) if !bytes.is_empty() => return Ok(Came::Bytes(bytes)),
                Some(HttpTask::Body(_, true) | HttpTask::Done) => return Ok(Came::End),
                Some(HttpTask::Failed(error)) => return Err(error.into_up()),
                None => return Err(Error::explain(ErrorType::ConnectionClosed, "a slice broke off").into_up()),
                Some(_) => {}
            }
        }
    }

    /// Sends the bytes that are wanted.
    pub(super) async fn send(mut self, session: &mut Session) -> pingora::Result<()> {
        let wanted = self.piece.wanted.clone();
        while self.position < wanted.end {
            let Came::Bytes(mut bytes) = self.next().await? else {
                return Err(Error::explain(ErrorType::ConnectionClosed, "a slice is too short").into_up());
            };
            let start = self.position;
            self.position += bytes.len() as u64;
            let inside = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX).min(bytes.len());
            let (from, to) = (inside(wanted.start), inside(wanted.end));
            bytes = bytes.slice(from..to);
            if !bytes.is_empty()
                && let Err(error) = session.write_response_body(Some(bytes), false).await
            {
                self.leave();
                return Err(error.into_down());
            }
        }
        self.leave();
        Ok(())
    }

    /// Passes on an answer that is no slice.
    pub(super) async fn pass_on(mut self, session: &mut Session, head: Box<ResponseHeader>) -> pingora::Result<()> {
        let mut over = session.write_response_tasks(vec![HttpTask::Header(head, false)]).await?;
        while !over {
            let task = self.handle.rx.recv().await;
            let task =
                task.ok_or_else(|| Error::explain(ErrorType::ConnectionClosed, "an answer broke off").into_up())?;
            over = session.write_response_tasks(vec![task]).await?;
        }
        self.leave();
        Ok(())
    }

    /// Nobody reads what is left; the slice is fetched to its end all the same.
    pub(super) fn leave(self) {
        self.handle.drain_tasks();
    }
}
