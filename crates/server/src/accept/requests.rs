//! The HTTP application of one connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::{HttpProxy, ProxyHttp};
use pingora::server::ShutdownWatch;

use super::connection::{Connection, scope};
use super::edge::h2_options;
use crate::phase::request::strict::Refusal;

/// One object per connection, because HTTP/2 runs every stream in a task of its own: a task-local set around the
/// connection would not reach the hooks, one set here does. The framework's blanket `ServerApp` drives it.
pub(super) struct Requests<P: ProxyHttp> {
    pub(super) proxy: Arc<HttpProxy<P>>,
    pub(super) connection: Arc<Connection>,
    /// From the first byte of another request on a kept HTTP/1 connection to the end of its head.
    pub(super) header: Duration,
    /// The connection's own, so that a reload changes it.
    pub(super) h2_header_list: u32,
}

#[async_trait]
impl<P> HttpServerApp for Requests<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.process(session, None, shutdown).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(h2_options(self.h2_header_list))
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }
}

impl<P> Requests<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    /// Serves one request, whose head is complete. `checked` is what was found out about its bytes; HTTP/2 has none.
    pub(super) async fn process(
        &self,
        session: ServerSession,
        checked: Option<Result<(), Refusal>>,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let counted = session.is_http2();
        if counted {
            self.connection.requests.fetch_add(1, Ordering::Relaxed);
        }
        let work = self.proxy.process_new_http(session, shutdown);
        scope(Arc::clone(&self.connection), counted, checked, work).await
    }
}
