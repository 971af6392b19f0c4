//! Hooks that panic, behind the real accept path, cache and fetch lock: each panic costs its own request.

use std::os::fd::RawFd;
use std::sync::Mutex;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use leeward_cache::admission::{self, Sketch};
use leeward_cache::{FetchLock, Options, Store, key};
use leeward_server::accept::head_was_read;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::HttpPeer;
use pingora::protocols::Digest;
use pingora::proxy::{ProxyHttp, Session};
use pingora_cache::lock::CacheKeyLockImpl;
use pingora_cache::storage::HitHandler;
use pingora_cache::{CacheKey, CacheMeta, ForcedFreshness, RespCacheable};
use tokio::net::{TcpListener, TcpStream};

use super::edge::start_with;
use super::*;

/// Hooks in which a request panics, and whether others wait for its fetch by then.
const HOOKS: &[(&str, bool)] = &[
    ("early_request_filter", false),
    ("request_filter", false),
    ("request_cache_filter", false),
    ("cache_key_callback", false),
    ("cache_hit_filter", false),
    ("cache_miss", false),
    ("proxy_upstream_filter", true),
    ("upstream_peer", true),
    ("connected_to_upstream", true),
    ("upstream_request_filter", true),
    ("upstream_response_filter", true),
    ("response_cache_filter", true),
    ("upstream_response_body_filter", true),
    ("response_filter", true),
    ("response_body_filter", true),
    ("logging", false),
];

/// How long a fetch that will panic lets others begin to wait for it.
const PAUSE: Duration = Duration::from_millis(300);

/// A cache before an origin; `X-Panic` names the hook in which a request panics.
struct Panics {
    origin: std::net::SocketAddr,
    store: &'static Store,
    lock: &'static CacheKeyLockImpl,
}

impl Panics {
    fn new(origin: std::net::SocketAddr) -> Self {
        let store = Store::leak(Options::memory(1 << 20, 1 << 20));
        let sketch = Sketch::leak(admission::Options { keys: 64, ..admission::Options::default() });
        let lock = Box::leak(Box::new(FetchLock::new(store, sketch, LONG)));
        Self { origin, store, lock }
    }
}

fn wanted(session: &Session, hook: &str) -> bool {
    session.req_header().headers.get("x-panic").is_some_and(|named| named == hook)
}

fn at(session: &Session, hook: &str) {
    assert!(!wanted(session, hook), "on purpose, in {hook}\nand on another line");
}

#[async_trait]
impl ProxyHttp for Panics {
    type CTX = ();

    fn new_ctx(&self) {
        head_was_read();
    }

    async fn early_request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<()> {
        at(session, "early_request_filter");
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<bool> {
        at(session, "request_filter");
        Ok(false)
    }

    fn request_cache_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<()> {
        at(session, "request_cache_filter");
        session.cache.enable(self.store, None, None, Some(self.lock), None);
        Ok(())
    }

    fn cache_key_callback(&self, session: &Session, (): &mut ()) -> pingora::Result<CacheKey> {
        at(session, "cache_key_callback");
        let path = session.req_header().uri.path();
        Ok(key::build(&key::Parts { scheme: "http", host_component: "www.one.test", path, query: b"" }))
    }

    async fn cache_hit_filter(
        &self,
        session: &mut Session,
        _: &CacheMeta,
        _: &mut HitHandler,
        _: bool,
        (): &mut (),
    ) -> pingora::Result<Option<ForcedFreshness>> {
        at(session, "cache_hit_filter");
        Ok(None)
    }

    fn cache_miss(&self, session: &mut Session, (): &mut ()) {
        at(session, "cache_miss");
        session.cache.cache_miss();
    }

    async fn proxy_upstream_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<bool> {
        if session.req_header().headers.contains_key("x-panic") {
            sleep(PAUSE).await;
        }
        at(session, "proxy_upstream_filter");
        Ok(true)
    }

    #[expect(clippy::disallowed_methods, reason = "an address: there is no name to look up")]
    async fn upstream_peer(&self, session: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        at(session, "upstream_peer");
        Ok(Box::new(HttpPeer::new(self.origin, false, String::new())))
    }

    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        _: bool,
        _: &HttpPeer,
        _: RawFd,
        _: Option<&Digest>,
        (): &mut (),
    ) -> pingora::Result<()> {
        at(session, "connected_to_upstream");
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        _: &mut RequestHeader,
        (): &mut (),
    ) -> pingora::Result<()> {
        at(session, "upstream_request_filter");
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        _: &mut ResponseHeader,
        (): &mut (),
    ) -> pingora::Result<()> {
        at(session, "upstream_response_filter");
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        _: &mut Option<Bytes>,
        _: bool,
        (): &mut (),
    ) -> pingora::Result<Option<Duration>> {
        at(session, "upstream_response_body_filter");
        Ok(None)
    }

    fn response_cache_filter(
        &self,
        session: &Session,
        answer: &ResponseHeader,
        (): &mut (),
    ) -> pingora::Result<RespCacheable> {
        at(session, "response_cache_filter");
        let now = SystemTime::now();
        Ok(RespCacheable::Cacheable(CacheMeta::new(now + LONG, now, 0, 0, answer.clone())))
    }

    async fn response_filter(&self, session: &mut Session, _: &mut ResponseHeader, (): &mut ()) -> pingora::Result<()> {
        at(session, "response_filter");
        Ok(())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        _: &mut Option<Bytes>,
        _: bool,
        (): &mut (),
    ) -> pingora::Result<Option<Duration>> {
        at(session, "response_body_filter");
        Ok(None)
    }

    async fn logging(&self, session: &mut Session, _: Option<&pingora::Error>, (): &mut ()) {
        at(session, "logging");
    }
}

/// Answers every request with `stored`.
async fn origin() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while stream.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
                    while let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
                        seen.drain(..end + 4);
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstored").await;
                    }
                }
            });
        }
    });
    address
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what is logged of panics.
struct Kept;

impl log::Log for Kept {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        if line.contains("panicked at") {
            LINES.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

async fn served(stream: &mut TcpStream, path: &str) -> bool {
    let text = http1(stream, path).await;
    text.starts_with("HTTP/1.1 200 ") && text.ends_with("\r\n\r\nstored")
}

#[tokio::test]
async fn a_hook_that_panics_costs_its_own_request_and_holds_nothing() {
    log::set_logger(&Kept).unwrap();
    log::set_max_level(log::LevelFilter::Error);
    leeward_telemetry::panics::watch();
    let edge = start_with(Duration::ZERO, Panics::new(origin().await));
    let mut beside = edge.connect(Port::Plain).await;
    assert!(served(&mut beside, "/hit").await && served(&mut beside, "/hit").await, "before");
    let tcp = edge.connect(Port::Tls).await;
    let tls = edge.tls(tcp, "www.one.test", "h2", &edge.issued).await;
    let (streams, connection) = h2::client::handshake(tls).await.unwrap();
    tokio::spawn(connection);
    assert!(eventually(|| edge.gate.open() == 2).await);
    let counted = edge.metric("leeward_panics_total");

    for (number, (hook, waited_for)) in HOOKS.iter().enumerate() {
        let path = if *hook == "cache_hit_filter" { "/hit".to_owned() } else { format!("/{hook}") };
        let request = format!("GET {path} HTTP/1.1\r\nHost: www.one.test\r\nX-Panic: {hook}\r\n\r\n");
        let mut victim = edge.connect(Port::Plain).await;
        victim.write_all(request.as_bytes()).await.unwrap();
        // others that want the same object, some of them while it is being fetched
        sleep(if *waited_for { PAUSE / 3 } else { Duration::ZERO }).await;
        let mut waiting = (edge.connect(Port::Plain).await, edge.connect(Port::Plain).await);
        let began = Instant::now();
        let got = tokio::join!(served(&mut waiting.0, &path), served(&mut waiting.1, &path));
        assert_eq!(got, (true, true), "{hook}: those who waited");
        assert!(began.elapsed() < LONG / 2, "{hook}: those who waited had to wait for {:?}", began.elapsed());
        closed(&mut victim).await;
        assert!(served(&mut beside, "/hit").await, "{hook}: a connection beside");

        // a stream beside others of its connection
        let request = http::Request::get(format!("https://www.one.test/h2{path}")).header("x-panic", *hook);
        let hit = if *hook == "cache_hit_filter" {
            http2(&mut streams.clone(), &format!("/h2{path}")).await
        } else {
            Ok(String::new())
        };
        assert!(hit.is_ok(), "{hook}: {hit:?}");
        let (answer, _) = streams.clone().ready().await.unwrap().send_request(request.body(()).unwrap(), true).unwrap();
        let whole = async {
            let mut body = answer.await?.into_body();
            while let Some(part) = body.data().await {
                part?;
            }
            Ok::<(), h2::Error>(())
        };
        let whole = timeout(LONG, whole).await.expect("an end of the stream");
        assert!(whole.is_err() || *hook == "logging", "{hook}: the stream was answered");
        assert_eq!(http2(&mut streams.clone(), "/hit").await.unwrap(), "stored", "{hook}: a stream beside");

        drop((victim, waiting));
        let all = counted + 2 * (number as u64 + 1);
        assert!(eventually(|| edge.metric("leeward_panics_total") == all).await, "{hook}: {all} are counted");
        assert!(eventually(|| edge.gate.open() == 2).await, "{hook}: {} connections are held", edge.gate.open());
        assert_eq!(edge.metric("leeward_connections{"), 2, "{hook}: connections in the metrics");
    }
    let lines = LINES.lock().unwrap();
    for (hook, _) in HOOKS {
        let of = lines.iter().filter(|line| line.contains(&format!("on purpose, in {hook}\\n")));
        assert_eq!(of.count(), 2, "{hook} in {lines:#?}");
    }
    assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:#?}");
}
