//! The store under the framework's proxy, with real sockets: what the state machine does with a fill that is not kept, with clients
//! that go away or are slow, and with ranges.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;

use pingora::apps::ServerApp as _;
use pingora::http::RequestHeader;
use pingora::protocols::l4::stream::Stream;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora_cache::lock::{CacheKeyLockImpl, CacheLock};
use pingora_cache::{NoCacheReason, RespCacheable};
use pingora_proxy::{HttpProxy, ProxyHttp, RangeType, Session, http_proxy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use super::*;
use crate::freshness::{Exchange, Policy, SetCookie, Verdict, judge};
use crate::{range, vary};

struct Edge {
    store: &'static Store,
    lock: &'static CacheKeyLockImpl,
    origin: SocketAddr,
    /// The client is written to while the origin is read from.
    decoupled: bool,
}

#[async_trait]
impl ProxyHttp for Edge {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn early_request_filter(&self, session: &mut Session, (): &mut ()) -> Result<()> {
        session.set_proxy_tasks_enabled(self.decoupled);
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "the address is a literal; nothing is resolved")]
    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.origin, false, String::new())))
    }

    fn request_cache_filter(&self, session: &mut Session, (): &mut ()) -> Result<()> {
        session.cache.enable(self.store, None, None, Some(self.lock), None);
        Ok(())
    }

    fn cache_key_callback(&self, session: &Session, (): &mut ()) -> Result<CacheKey> {
        Ok(key_of(session.req_header().uri.path()))
    }

    fn cache_vary_filter(&self, meta: &CacheMeta, (): &mut (), request: &RequestHeader) -> Option<[u8; 16]> {
        vary::variance(meta, request)
    }

    fn response_cache_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        (): &mut (),
    ) -> Result<RespCacheable> {
        let now = SystemTime::now();
        let request = session.req_header();
        let exchange = Exchange {
            request_method: &request.method,
            request_headers: &request.headers,
            response,
            request_time: now,
            response_time: now,
            now,
        };
        let policy = Policy {
            caching: None,
            heuristic: false,
            default_max_age: LONG,
            set_cookie: SetCookie::Refuse,
            max_stale: LONG,
            max_object: self.store.max_object(),
        };
        Ok(match judge(&exchange, &policy) {
            Verdict::Store(stored) => RespCacheable::Cacheable(stored.meta),
            Verdict::Refuse(_) => RespCacheable::Uncacheable(NoCacheReason::OriginNotCache),
        })
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        _: &mut Option<Bytes>,
        _: bool,
        (): &mut (),
    ) -> Result<Option<Duration>> {
        if session.cache.enabled() && session.cache.miss_body_reader().is_some_and(|reader| is_passing(reader)) {
            session.set_proxy_tasks_enabled(false);
        }
        Ok(None)
    }

    fn range_header_filter(&self, session: &mut Session, response: &mut ResponseHeader, (): &mut ()) -> RangeType {
        range::filter(session.req_header(), response, range::Order::Any)
    }
}

/// What the origin sends, once for each connection.
#[derive(Clone)]
struct Script {
    head: &'static str,
    body: Arc<Vec<u8>>,
    /// Bytes that are held back until `go` is notified.
    held: usize,
    go: Arc<Notify>,
    /// The connection ends without the held bytes.
    cut: bool,
}

struct World {
    store: &'static Store,
    edge: SocketAddr,
    requests: Arc<AtomicUsize>,
    gone: Arc<AtomicBool>,
}

/// A chunked body, or one of the length that the head declares.
fn framed(script: &Script) -> Vec<u8> {
    if !script.head.contains("chunked") {
        return script.body.to_vec();
    }
    let mut framed = Vec::new();
    for piece in script.body.chunks(60_000) {
        framed.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        framed.extend_from_slice(piece);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}

async fn answer(mut stream: TcpStream, script: Script, gone: Arc<AtomicBool>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    if String::from_utf8_lossy(&request).to_lowercase().contains("if-none-match") {
        let update = b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nCache-Control: max-age=60\r\n\r\n";
        stream.write_all(update).await.unwrap();
        return;
    }
    let body = framed(&script);
    let (now, held) = body.split_at(body.len() - script.held);
    let sent = async {
        stream.write_all(format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", script.head).as_bytes()).await?;
        stream.write_all(now).await?;
        if script.held > 0 {
            script.go.notified().await;
        }
        if !script.cut {
            stream.write_all(held).await?;
        }
        stream.shutdown().await
    };
    gone.store(sent.await.is_err(), Ordering::Release);
}

async fn world(store: &'static Store, decoupled: bool, script: &Script) -> World {
    let (origin, front) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (requests, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let lock: &'static CacheKeyLockImpl = Box::leak(CacheLock::new_boxed(LONG));
    let edge = Edge { store, lock, origin: origin.local_addr().unwrap(), decoupled };
    let address = front.local_addr().unwrap();
    let (script, counted, ended) = (script.clone(), Arc::clone(&requests), Arc::clone(&gone));
    tokio::spawn(async move {
        while let Ok((stream, _)) = origin.accept().await {
            counted.fetch_add(1, Ordering::AcqRel);
            tokio::spawn(answer(stream, script.clone(), Arc::clone(&ended)));
        }
    });
    let proxy: Arc<HttpProxy<Edge>> = Arc::new(http_proxy(&Arc::new(ServerConf::default()), edge));
    let (shutdown, watching) = watch::channel(false);
    tokio::spawn(async move {
        let _open = shutdown;
        while let Ok((stream, _)) = front.accept().await {
            let (proxy, watching) = (Arc::clone(&proxy), watching.clone());
            tokio::spawn(async move { proxy.process_new(Box::new(Stream::from(stream)), &watching).await });
        }
    });
    World { store, edge: address, requests, gone }
}

/// Sends one request on its own connection.
async fn ask(world: &World, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.edge).await.unwrap();
    stream.write_all(format!("{request}\r\nHost: h\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

/// Head and body of an answer; chunks are put together. The flag says whether it came to its proper end.
async fn take(stream: &mut TcpStream) -> (String, Vec<u8>, bool) {
    let mut raw = Vec::new();
    let clean = timeout(LONG, stream.read_to_end(&mut raw)).await.unwrap().is_ok();
    let end = raw.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(raw.len().saturating_sub(4));
    let head = String::from_utf8_lossy(&raw[..end]).to_lowercase();
    let mut rest = &raw[(end + 4).min(raw.len())..];
    if let Some(length) = head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        return (head.clone(), rest.to_vec(), clean && rest.len() == length.parse::<usize>().unwrap());
    }
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|end| end == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return (head, body, clean);
        }
        let Some(piece) = rest.get(line + 2..line + 2 + size) else { break };
        body.extend_from_slice(piece);
        rest = rest.get(line + 4 + size..).unwrap_or_default();
    }
    (head, body, false)
}

fn script(head: &'static str, size: usize) -> Script {
    Script { head, body: Arc::new(body(size)), held: 0, go: Arc::default(), cut: false }
}

const CHUNKED: &str = "Transfer-Encoding: chunked";
const GET: &str = "GET /a HTTP/1.1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_request_is_a_hit_with_a_length() {
    for decoupled in [false, true] {
        let script = script(CHUNKED, 200_000);
        let world = world(store(8 << 20), decoupled, &script).await;
        for (n, length) in [(1, false), (2, true)] {
            let (head, body, whole) = take(&mut ask(&world, GET).await).await;
            assert!(whole && body == *script.body, "request {n}: {head}");
            assert_eq!(head.contains("content-length: 200000"), length, "request {n}: {head}");
        }
        assert_eq!(world.requests.load(Ordering::Acquire), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_outgrows_what_is_kept_reaches_fast_and_slow_clients_whole() {
    for decoupled in [false, true] {
        for slow in [false, true] {
            let script = script(CHUNKED, 12 << 20);
            let world = world(store(4 << 20), decoupled, &script).await;
            let mut client = ask(&world, GET).await;
            if slow {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            let (head, body, whole) = take(&mut client).await;
            assert!(whole && body == *script.body, "decoupled {decoupled}, slow {slow}: {} bytes, {head}", body.len());
            assert_eq!((world.store.stats().objects, world.store.stats().bytes), (0, 0));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_first_client_does_not_hold_up_the_others() {
    let script = script("Content-Length: 16777216", 16 << 20);
    let world = world(store(128 << 20), true, &script).await;
    let stalled = ask(&world, GET).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let others: Vec<_> = futures_of(&world, 10).await;
    for (_, body, whole) in others {
        assert!(whole && body == *script.body, "{} bytes", body.len());
    }
    assert_eq!(world.requests.load(Ordering::Acquire), 1);
    drop(stalled);
}

async fn futures_of(world: &World, count: usize) -> Vec<(String, Vec<u8>, bool)> {
    let mut tasks = Vec::new();
    for _ in 0..count {
        let mut stream = ask(world, GET).await;
        tasks.push(tokio::spawn(async move { take(&mut stream).await }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(timeout(LONG, task).await.unwrap().unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_fill_is_cut_for_everybody_and_not_stored() {
    for head in [CHUNKED, "Content-Length: 100000"] {
        for decoupled in [false, true] {
            let script = Script { held: 1000, cut: true, ..script(head, 100_000) };
            let world = world(store(8 << 20), decoupled, &script).await;
            let mut first = ask(&world, GET).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut second = ask(&world, GET).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            script.go.notify_one();
            for client in [&mut first, &mut second] {
                let (_, body, whole) = take(client).await;
                assert!(!whole, "{head}, decoupled {decoupled}: {} bytes looked complete", body.len());
            }
            assert_eq!((world.store.stats().objects, world.store.stats().fills_failed), (0, 1), "{head}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_leaves_a_fill_that_completes() {
    for decoupled in [false, true] {
        let script = Script { held: 1000, ..script("Content-Length: 300000", 300_000) };
        let world = world(store(8 << 20), decoupled, &script).await;
        let client = ask(&world, GET).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(client);
        tokio::time::sleep(Duration::from_millis(50)).await;
        script.go.notify_one();
        let (_, body, whole) = take(&mut ask(&world, GET).await).await;
        assert!(whole && body == *script.body, "decoupled {decoupled}");
        assert_eq!(world.requests.load(Ordering::Acquire), 1, "decoupled {decoupled}");
        assert!(!world.gone.load(Ordering::Acquire));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_are_cut_on_a_miss_a_fill_and_a_hit() {
    let script = Script { held: 1000, ..script("Content-Length: 300000\r\nETag: \"a\"", 300_000) };
    let world = world(store(8 << 20), true, &script).await;
    let mut miss = ask(&world, &format!("{GET}\r\nRange: bytes=10-19")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut joined = ask(&world, &format!("{GET}\r\nRange: bytes=-5")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    script.go.notify_one();
    for (name, client, expected) in [("miss", &mut miss, 10..20), ("fill", &mut joined, 299_995..300_000)] {
        let (head, body, whole) = take(client).await;
        assert!(whole && head.starts_with("http/1.1 206") && body == script.body[expected], "{name}: {head}");
    }
    let (head, body, _) = take(&mut ask(&world, &format!("{GET}\r\nRange: bytes=1-2,131071-131072")).await).await;
    let text = String::from_utf8_lossy(&body);
    let parts = ["content-range: bytes 1-2/300000", "content-range: bytes 131071-131072/300000"];
    assert!(
        head.contains("multipart/byteranges") && parts.iter().all(|part| text.to_lowercase().contains(part)),
        "{head} {text}"
    );
    let (head, body, _) = take(&mut ask(&world, &format!("{GET}\r\nRange: bytes=300000-")).await).await;
    assert!(
        head.starts_with("http/1.1 416") && head.contains("content-range: bytes */300000") && body.is_empty(),
        "{head}"
    );
    let (head, body, _) = take(&mut ask(&world, "HEAD /a HTTP/1.1\r\nRange: bytes=0-0").await).await;
    assert!(head.starts_with("http/1.1 200") && head.contains("content-length: 300000") && body.is_empty(), "{head}");
    assert_eq!(world.requests.load(Ordering::Acquire), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revalidated_object_is_served_from_the_store() {
    let script = script("Transfer-Encoding: chunked\r\nETag: \"a\"\r\nCache-Control: max-age=0", 200_000);
    let world = world(store(8 << 20), true, &script).await;
    for (name, requests) in [("miss", 1), ("revalidated", 2), ("hit", 2)] {
        let (head, body, whole) = take(&mut ask(&world, GET).await).await;
        assert!(whole && body == *script.body, "{name}: {head}");
        assert_eq!(world.requests.load(Ordering::Acquire), requests, "{name}");
    }
    assert_eq!(world.store.stats().objects, 1);
}
