//! The workflow of a request. Each hook is one step into one phase, so this file is the table of contents.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use leeward_config::ready::Snapshot;
use leeward_origin::health::Probe;
use leeward_origin::walk::Turns;
use leeward_origin::{Connector, Health, Resolver, Tiers};
use leeward_telemetry::{AccessLog, Metrics, Reason};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};
use pingora_cache::key::HashBinary;
use pingora_cache::storage::HitHandler;
use pingora_cache::{CacheKey, CacheMeta, ForcedFreshness, RespCacheable};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, RangeType, Session};

use crate::accept;
use crate::answer::Answer;
use crate::cache_parts::CacheParts;
use crate::context::Context;
use crate::lane::{self, Lane};
use crate::limits::Limits;
use crate::phase::{
    admission, debug, deliver, failover, fetch, log, lookup, orphan, request, security, slices, store, watch, websocket,
};
use crate::waf::Waf;

/// The edge: what all requests share.
#[derive(Debug)]
pub struct Leeward {
    /// The running configuration. Each request holds the one it began with.
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) cache: &'static CacheParts,
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) connector: Connector,
    pub(crate) turns: Turns,
    pub(crate) tiers: Arc<Tiers>,
    /// For edges that want to know how good a gateway this is.
    pub(crate) probe: Probe,
    pub(crate) health: Arc<Health>,
    pub(crate) collapsed: fetch::Collapsed,
    pub(crate) limits: Arc<Limits>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: Arc<AccessLog>,
    /// Where hits are answered that need not come here.
    pub(crate) lane: Arc<Lane>,
    pub(crate) waf: Waf,
}

impl Leeward {
    /// Request and security phases.
    ///
    /// # Errors
    /// What the edge answers by itself.
    async fn admit(&self, session: &mut Session, ctx: &mut Context) -> std::result::Result<(), Answer> {
        request::check(session, ctx)?;
        request::validate(self, session, ctx).await.map_or(Ok(()), Err)?;
        request::route(session.req_header(), ctx)?;
        if ctx.slice.is_some() {
            // the request that it is for was judged
            return Ok(());
        }
        // what the edge asks by itself is no client's request
        let counting = session.subrequest_ctx.is_none().then_some((&*self.limits, &*self.metrics));
        security::check(session.req_header_mut(), ctx, counting)?;
        if let Some(guard) = security::guard(session, ctx) {
            // boxed: few requests are judged, and all would carry the room for what this waits for
            Box::pin(security::judge(self, session, ctx, &guard)).await?;
        }
        request::redirect(ctx).map_or(Ok(()), Err)?;
        websocket::admit(session, ctx);
        Ok(())
    }
}

#[async_trait]
impl ProxyHttp for Leeward {
    // boxed: the framework moves it from one future into the next, and each has room for it
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Self::CTX {
        accept::head_was_read();
        Box::new(Context::new(self.snapshot.load_full()))
    }

    // ---- request, security

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {
        // the default adds compression, and its cost, to every request
    }

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<()> {
        request::begin(session, ctx)
    }

    fn allow_spawning_subrequest(&self, session: &Session, _ctx: &Self::CTX) -> bool {
        session.subrequest_ctx.is_none()
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
        let Err(answer) = self.admit(session, ctx).await else { return Ok(false) };
        ctx.reason = Some(answer.reason);
        // boxed: every request would carry the room for it
        Box::pin(answer.write(session, ctx)).await?;
        Ok(true)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        if end {
            watch::request_sent(body, ctx);
        }
        websocket::measure(session, body.as_ref(), end, ctx)
    }

    // ---- lookup

    fn request_cache_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<()> {
        lookup::enable(self.cache, session, ctx);
        Ok(())
    }

    fn cache_key_callback(&self, session: &Session, ctx: &mut Self::CTX) -> Result<CacheKey> {
        lookup::key(session, ctx)
    }

    fn cache_vary_filter(&self, meta: &CacheMeta, _ctx: &mut Self::CTX, req: &RequestHeader) -> Option<HashBinary> {
        store::variant(meta, req)
    }

    async fn cache_hit_filter(
        &self,
        session: &mut Session,
        meta: &CacheMeta,
        hit: &mut HitHandler,
        fresh: bool,
        ctx: &mut Self::CTX,
    ) -> Result<Option<ForcedFreshness>> {
        let forced = lookup::judge(self, session, meta, fresh, ctx);
        let overtakes = forced.is_none() && slices::overtake(self, session, meta, hit, ctx);
        Ok(if overtakes { Some(ForcedFreshness::ForceMiss) } else { forced })
    }

    fn cache_miss(&self, session: &mut Session, ctx: &mut Self::CTX) {
        admission::miss(self.cache, session, ctx);
    }

    fn should_serve_stale(&self, session: &mut Session, ctx: &mut Self::CTX, error: Option<&Error>) -> bool {
        let serve = lookup::may_serve_stale(session, ctx, error);
        if let (true, Some(error)) = (serve, error) {
            // what is left of the answer is read and thrown away, without a hook
            ctx.fetch.watch = None;
            fetch::replaced(ctx, error);
        }
        serve
    }

    // ---- fetch

    async fn proxy_upstream_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
        let Some(route) = &ctx.route else { return Ok(false) };
        let no_origin = route.chosen_origin().is_none().then_some(Answer::error(404, Reason::NoOrigin));
        let Some(answer) = no_origin.or_else(|| lookup::unanswerable(session, ctx)) else {
            slices::current(self.cache, ctx)?;
            return Ok(!slices::instead(self, session, ctx).await?);
        };
        ctx.reason = Some(answer.reason);
        Box::pin(answer.write(session, ctx)).await?;
        Ok(false)
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        slices::take_over(self, session, ctx).await?;
        fetch::next_peer(self, session, ctx).await
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Self::CTX,
        error: Box<Error>,
    ) -> Box<Error> {
        fetch::no_connection(self, session, ctx, error)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        fd: RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        watch::connected(fd, reused, ctx);
        fetch::connected(self, ctx, reused);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        fetch::prepare(request, ctx)?;
        slices::prepare(request, ctx)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        watch::head(session, response, ctx);
        websocket::switch(session, response, ctx)?;
        request::strict::answer(response)?;
        deliver::interim(session, response, ctx).await;
        fetch::judge(self, session, response, ctx)?;
        slices::judge(self, session, response, ctx)?;
        store::invalidate(self.cache, session, response, ctx).await;
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        watch::part(body.as_ref(), end, ctx)?;
        orphan::part(session, body.as_ref(), ctx)?;
        Ok(None)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Self::CTX,
        reused: bool,
    ) -> Box<Error> {
        let error = watch::over(error, ctx);
        if session.was_upgraded() {
            return websocket::broke_off(error, ctx);
        }
        let error = request::stalled(session, error, ctx);
        fetch::broke_off(self, session, ctx, error, reused)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Self::CTX) -> FailToProxy {
        failover::resolve(self, session, error, ctx).await
    }

    // ---- store

    fn response_cache_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<RespCacheable> {
        Ok(store::judge(self.cache, session, response, ctx))
    }

    // ---- deliver

    fn range_header_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> RangeType {
        deliver::part(session, response, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        deliver::finish(session, response, ctx)?;
        debug::tell(session, response, ctx)
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        _end: bool,
        _ctx: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        deliver::pace(session);
        Ok(None)
    }

    // ---- log

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Self::CTX) {
        log::finish(self, session, error, ctx);
        lane::remember(self, session, error, ctx);
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Self::CTX, _error: &Error) -> bool {
        // the access log has it, with the attempts
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        ctx: &Self::CTX,
        _error: &Error,
        context: ProxyWarnLogContext,
    ) -> bool {
        orphan::notice(context, ctx);
        true
    }
}
