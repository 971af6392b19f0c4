//! The requests of an HTTP/1 connection, one after another: the hit lane where it can, the framework where it cannot.
//!
//! The framework is given one request at a time. Bytes of the next one that were read with it stay here, and those that the
//! framework reads too many are taken back, so that every head of a connection is seen as it was sent: by the strict check, whose
//! subject the framework would have repaired, and by the lane.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::ProxyHttp;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};

use super::head::{self, Head};
use super::held::held;
use super::request_end::{self, RequestEnd};
use super::requests::Requests;
use crate::lane::{Lane, Next, Waits};
use crate::phase::request::strict::Framing;

/// Bytes of a head beyond what the limits of a list of fields come to: spaces around values, and what other tiers add.
const ADDED: usize = 16 * 1024;

/// Seconds of one read before the hooks say how long a connection is kept.
const ONE_READ: u64 = 60;

/// Room for what is read at once.
const READ_BUFFER: usize = 4096;

/// Bytes behind a request without a known end that are taken back from the framework. To take them back costs as much as they are
/// long, and the next request may hand them over again: with more the connection ends.
const TAKEN_BACK: usize = 2 * READ_BUFFER;

/// How long a connection that has not asked for anything may still do so once the process is on its way out.
const LAST_CHANCE: Duration = Duration::from_millis(500);

/// Serves until the connection ends. What the framework's blanket `ServerApp` does for HTTP/1, with the lane in front.
pub(super) async fn serve<P>(
    requests: &Arc<Requests<P>>,
    lane: Option<&Lane>,
    client: IpAddr,
    mut stream: Stream,
    shutdown: &ShutdownWatch,
) where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    let mut buffer = BytesMut::new();
    let mut ending = requests.connection.shutdown();
    let lane = lane.filter(|_| !*ending.borrow_and_update());
    let ended = ending.clone();
    let ending = pin!(ending.changed());
    let idle = pin!(sleep(requests.connection.idle_time()));
    let mut waits = Waits { idle, ending, ended: &ended };
    loop {
        requests.connection.set_plain(false);
        let mut plain = None;
        if let Some(lane) = lane {
            match lane.serve(&mut stream, &mut buffer, client, &requests.connection, &mut waits).await {
                Next::Full { head } => plain = head,
                Next::Closed => return,
            }
        }
        if buffer.is_empty() && !begins(requests, &mut stream, &mut buffer).await {
            return;
        }
        let mut next = BytesMut::new();
        let head = match plain {
            // there is nothing in it that is read in two ways, and nothing that announces a body
            Some(end) => Head::Good(end, Framing::Length(0)),
            None => check(requests, &mut stream, &mut buffer).await,
        };
        let (checked, end) = match head {
            Head::Good(end, framing) => (Ok(()), request_end::find(&buffer, end, framing)),
            Head::Bad(refusal) => {
                buffer = head::stand_in(&buffer);
                (Err(refusal), RequestEnd::Unknown)
            }
            Head::Gone => return,
        };
        if let RequestEnd::At(end) = end
            && end < buffer.len()
        {
            next = buffer.split_off(end);
        }
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive((!requests.connection.draining()).then_some(ONE_READ));
        session.set_pipelined_prefix(buffer);
        let Some(reused) = requests.process(session, Some(checked), shutdown).await else { return };
        let (reused, settings) = reused.consume();
        let Some(held) = settings.map_or(Some(BytesMut::new()), |settings| held(&settings)) else { return };
        if end == RequestEnd::Unknown && held.len() > TAKEN_BACK {
            return;
        }
        next.extend_from_slice(&held);
        (stream, buffer) = (reused, next);
    }
}

/// Waits for the first bytes of a request where the lane does not. The wait for the first request of a connection is bounded by
/// whoever calls.
async fn begins<P: ProxyHttp>(requests: &Requests<P>, stream: &mut Stream, buffer: &mut BytesMut) -> bool {
    let connection = &requests.connection;
    let first = connection.requests() == 0;
    let mut ending = connection.shutdown();
    buffer.reserve(READ_BUFFER);
    tokio::select! {
        biased;
        read = stream.read_buf(buffer) => matches!(read, Ok(1..)),
        () = sleep(connection.idle_time()), if !first => false,
        () = async {
            // an error: whoever would tell is gone
            let _ = ending.wait_for(|ending| *ending).await;
            if first {
                sleep(LAST_CHANCE).await;
            }
        } => false,
    }
}

/// The rest of the head, and whether it may go on. The first one of a connection is under the connection's own deadline.
async fn check<P: ProxyHttp>(requests: &Requests<P>, stream: &mut Stream, buffer: &mut BytesMut) -> Head {
    let most = usize::try_from(requests.h2_header_list).unwrap_or(usize::MAX).saturating_add(ADDED);
    let head = head::complete(stream, buffer, most);
    if requests.connection.requests() == 0 {
        return head.await;
    }
    timeout(requests.header, head).await.unwrap_or(Head::Gone)
}
