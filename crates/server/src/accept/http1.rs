//! The requests of an HTTP/1 connection, one after another: the hit lane where it can, the framework where it cannot.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::BytesMut;
use pingora::apps::HttpPersistentSettings;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::ProxyHttp;
use pingora::server::ShutdownWatch;
use tokio::time::timeout;

use super::head::{self, Head};
use super::requests::Requests;
use crate::lane::{Lane, Next};

/// Bytes of a head beyond what the limits of a list of fields come to: spaces around values, and what other tiers add.
const ADDED: usize = 16 * 1024;

/// Seconds of one read of a first head, where nobody has read before the framework. What counts is the connection's own deadline.
const ONE_READ: u64 = 60;

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
    let mut kept: Option<HttpPersistentSettings> = None;
    loop {
        let mut buffer = BytesMut::new();
        // a request that the framework holds already is not seen by the lane: nothing about it is known
        requests.connection.set_plain(false);
        if let Some(lane) = lane
            && !kept.as_ref().is_some_and(holds_bytes)
            && lane.serve(&mut stream, &mut buffer, client, &requests.connection).await == Next::Closed
        {
            return;
        }
        let mut checked = None;
        if !buffer.is_empty() {
            match check(requests, &mut stream, &mut buffer).await {
                Head::Good => checked = Some(Ok(())),
                Head::Bad(refusal) => {
                    checked = Some(Err(refusal));
                    buffer = head::stand_in(&buffer);
                }
                Head::Gone => return,
            }
        }
        let mut session = ServerSession::new_http1(stream);
        match kept.take() {
            Some(settings) => settings.apply_to_session(&mut session),
            // the hooks say how long the connection is kept; until then it is the limit of one read
            None => session.set_keepalive((!requests.connection.draining()).then_some(ONE_READ)),
        }
        if !buffer.is_empty() {
            session.set_pipelined_prefix(buffer);
        }
        let Some(reused) = requests.process(session, checked, shutdown).await else { return };
        (stream, kept) = reused.consume();
    }
}

/// The rest of the head, and whether it may go on. The first one of a connection is under the connection's own deadline.
async fn check<P: ProxyHttp>(requests: &Requests<P>, stream: &mut Stream, buffer: &mut BytesMut) -> Head {
    let most = usize::try_from(requests.h2_header_list).unwrap_or(usize::MAX).saturating_add(ADDED);
    let head = head::complete(stream, buffer, most);
    if requests.connection.requests() == 0 {
        return head.await;
    }
    let limit = requests.reused_head.saturating_sub(requests.connection.idle_time());
    timeout(limit, head).await.unwrap_or(Head::Gone)
}

/// Whether the framework has read bytes of the next request already. It keeps them to itself, and says so only here.
fn holds_bytes(settings: &HttpPersistentSettings) -> bool {
    !format!("{settings:?}").contains("pipelined_prefix: None")
}
