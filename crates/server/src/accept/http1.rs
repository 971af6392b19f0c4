//! The requests of an HTTP/1 connection, one after another: the hit lane where it can, the framework where it cannot.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::BytesMut;
use pingora::apps::HttpPersistentSettings;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::ProxyHttp;
use pingora::server::ShutdownWatch;

use super::requests::Requests;
use crate::lane::{Lane, Next};

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
        if let Some(lane) = lane
            && !kept.as_ref().is_some_and(holds_bytes)
            && lane.serve(&mut stream, &mut buffer, client, &requests.connection).await == Next::Closed
        {
            return;
        }
        let mut session = ServerSession::new_http1(stream);
        match kept.take() {
            Some(settings) => settings.apply_to_session(&mut session),
            // the hooks say how long; what counts is whether
            None => session.set_keepalive(requests.connection.keepalive()),
        }
        let complete = memchr::memmem::find(&buffer, b"\r\n\r\n").is_some();
        if !buffer.is_empty() {
            session.set_pipelined_prefix(buffer);
        }
        let Some(reused) = requests.process(session, complete, shutdown).await else { return };
        (stream, kept) = reused.consume();
    }
}

/// Whether the framework has read bytes of the next request already. It keeps them to itself, and says so only here.
fn holds_bytes(settings: &HttpPersistentSettings) -> bool {
    !format!("{settings:?}").contains("pipelined_prefix: None")
}
