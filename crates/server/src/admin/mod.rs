//! The admin listener: metrics, health, reload, what runs.
//!
//! `/healthz` and `/readyz` need no token: probes of orchestrators rarely can send one, and they say nothing but a word.
//! Everything else does, where a token is configured.

mod answer;
pub(crate) mod cache;
mod describe;
mod origins;
mod purge;
mod routes;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, header};
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use pingora::{Error, ErrorType};
use serde_json::Value;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::life::Stage;
use answer::Answer;
pub use describe::sources;
pub use origins::Origins;
pub use purge::{Purges, Reply};
use routes::{Method, Route};

/// From the start of the wait for a request to the end of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The whole request body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections served at once, from tools and probes; more are closed unheard. Each may hold a request head of 1 MiB.
const CONNECTIONS: usize = 128;
/// Places kept for those who ask at once and leave: without them, whoever opens connections and says nothing shuts out the probes.
const FOR_PROBES: usize = 16;
/// [`HEAD_TIMEOUT`] in one of these places.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Idle time of a kept connection, in seconds.
const KEEPALIVE: u64 = 25;

/// What a reload came to: whether the new configuration runs, and the report.
pub type Reloaded = (bool, Value);

/// What becomes of a purge, soon.
pub type Purging = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Where the answers come from. Each is asked once for every request that needs it.
pub struct Sources {
    /// The bearer token; absent only when the listener is on loopback.
    pub token: Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync>,
    /// The text for Prometheus.
    pub metrics: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
    /// Loads the configuration again. May block.
    pub reload: Box<dyn Fn() -> Reloaded + Send + Sync>,
    /// What runs, without any secret.
    pub config: Box<dyn Fn() -> Value + Send + Sync>,
    /// What the cache holds.
    pub cache: Box<dyn Fn() -> Value + Send + Sync>,
    /// Purges what a request's body names.
    pub purge: Box<dyn Fn(Vec<u8>) -> Purging + Send + Sync>,
    /// How the origins are.
    pub origins: Box<dyn Fn() -> Value + Send + Sync>,
}

/// The admin application.
pub struct Admin {
    stage: Stage,
    sources: Arc<Sources>,
    room: Semaphore,
}

impl Admin {
    /// Answers from these sources.
    #[must_use]
    pub fn new(stage: Stage, sources: Sources) -> Self {
        Self { stage, sources: Arc::new(sources), room: Semaphore::new(CONNECTIONS) }
    }

    async fn answer(&self, http: &mut ServerSession) -> Answer {
        let request = http.req_header();
        let route = Route::of(request.uri.path());
        let (method, posted) = (Method::of(&request.method), request.method == http::Method::POST);
        if !route.open() {
            match (self.sources.token)() {
                Some(token) if !authorised(&request.headers, &token) => return Answer::unauthorised().last(),
                // A page in a browser on this machine could post here: browsers then say where the page is from.
                None if posted && request.headers.contains_key(header::ORIGIN) => {
                    return Answer::error(403, "requests from web pages need a token").last();
                }
                _ => {}
            }
        }
        if let Some(allowed) = route.allows()
            && method != Some(allowed)
        {
            return Answer::not_allowed(allowed).last();
        }
        match body(http, route.max_body()).await {
            Ok(body) => self.route(route, body).await,
            Err(answer) => answer,
        }
    }

    async fn route(&self, route: Route, body: Vec<u8>) -> Answer {
        match route {
            Route::Health => Answer::text(200, "ok\n"),
            Route::Ready if self.stage.ready() => Answer::text(200, "ready\n"),
            Route::Ready => Answer::text(503, "not ready\n"),
            Route::Metrics => Answer::metrics((self.sources.metrics)()),
            Route::Config => Answer::json(200, &(self.sources.config)()),
            Route::Cache => Answer::json(200, &(self.sources.cache)()),
            Route::Origins => Answer::json(200, &(self.sources.origins)()),
            Route::Reload => {
                let sources = Arc::clone(&self.sources);
                // Reads files and compiles rules: not on a worker.
                match tokio::task::spawn_blocking(move || (sources.reload)()).await {
                    Ok((true, report)) => Answer::json(200, &report),
                    Ok((false, report)) => Answer::json(422, &report),
                    Err(_) => Answer::error(500, "the reload failed unexpectedly; the log says more"),
                }
            }
            Route::Purge => {
                let Reply { status, body, again } = (self.sources.purge)(body).await;
                Answer::json(status, &body).retry_after(again)
            }
            Route::Later(path) => Answer::error(404, &format!("{path} is not supported yet")),
            Route::Unknown => Answer::error(404, "no such path"),
        }
    }
}

/// Whether the one `Authorization` field bears the token. The time it takes says nothing about how much of it was right.
fn authorised(headers: &HeaderMap, token: &[u8]) -> bool {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return false };
    let Some((scheme, given)) = field.as_bytes().split_at_checked("Bearer ".len()) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty() && bool::from(given.ct_eq(token))
}

/// Reads the request body to its end, within its limits.
async fn body(http: &mut ServerSession, max: usize) -> Result<Vec<u8>, Answer> {
    let read = async {
        let mut body = Vec::new();
        while let Some(chunk) = http.read_request_body().await? {
            if body.len() + chunk.len() > max {
                return Error::e_explain(ErrorType::HTTPStatus(413), "request body too large");
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    };
    match timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if *error.etype() == ErrorType::HTTPStatus(413) => {
            Err(Answer::error(413, "request body too large").last())
        }
        Ok(Err(_)) => Err(Answer::error(400, "request body cannot be read").last()),
        Err(_) => Err(Answer::error(408, "request body too slow").last()),
    }
}

#[async_trait]
impl HttpServerApp for Admin {
    async fn process_new_http(
        self: &Arc<Self>,
        mut http: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let Ok(_place) = self.room.try_acquire() else { return None };
        let scarce = self.room.available_permits() < FOR_PROBES;
        let patience = if scarce { PROBE_TIMEOUT } else { HEAD_TIMEOUT };
        match timeout(patience, http.read_request()).await {
            Ok(Ok(true)) => {}
            Ok(Err(error)) if *error.etype() == ErrorType::InvalidHTTPHeader => {
                let _ = http.respond_error(400).await;
                return None;
            }
            _ => return None, // gone, idle or too slow
        }
        let answer = self.answer(&mut http).await;
        http.set_keepalive((self.stage.ready() && !answer.last && !scarce).then_some(KEEPALIVE));
        match send(&mut http, answer).await {
            Ok(()) => {}
            Err(error) => {
                log::debug!("admin answer: {error}");
                return None;
            }
        }
        let settings = HttpPersistentSettings::for_session(&http);
        let stream = http.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}

async fn send(http: &mut ServerSession, answer: Answer) -> pingora::Result<()> {
    let (head, body) = answer.into_parts()?;
    let to_head = http.req_header().method == http::Method::HEAD;
    http.write_response_header(Box::new(head)).await?;
    let body = if to_head { Bytes::new() } else { Bytes::from(body) };
    http.write_response_body(body, true).await
}
