//! What a hit costs in the store: the key, the lookup, and the read of bodies of three sizes, with few and with many objects, from
//! memory and from disk.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use leeward_cache::disk::{self, Disk};
use leeward_cache::key::{Parts, build};
use leeward_cache::{Options, Store};
use pingora::http::ResponseHeader;
use pingora_cache::trace::Span;
use pingora_cache::{CacheKey, CacheMeta, Storage};
use tokio::runtime::Runtime;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// How long the disk may take to write what it was given.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);

/// A hit in memory never waits, so one look at a future is all it takes.
fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a hit in memory does not wait"),
    }
}

fn key(n: usize) -> CacheKey {
    let path = format!("/images/2024/{n}/picture.jpg");
    build(&Parts { scheme: "https", host_component: "www.example.com", path: &path, query: b"" })
}

fn meta(size: usize) -> CacheMeta {
    let mut header = ResponseHeader::build(200, None).unwrap_or_else(|_| unreachable!());
    for (name, value) in [
        ("content-type", "image/jpeg"),
        ("content-length", size.to_string().as_str()),
        ("etag", "\"0123456789abcdef\""),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("cache-control", "public, max-age=3600"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("server", "origin"),
        ("vary", "accept-encoding"),
    ] {
        let _ = header.append_header(name, value);
    }
    let now = SystemTime::now();
    let mut meta = CacheMeta::new(now + Duration::from_secs(3600), now, 0, 120, header);
    meta.set_epoch_override(now);
    meta
}

async fn fill(store: &'static Store, n: usize, size: usize) {
    let span = Span::inactive().handle();
    let Ok(mut writer) = store.get_miss_handler(&key(n), &meta(size), &span).await else { unreachable!() };
    let _ = writer.write_body(Bytes::from(vec![b'x'; size]), true).await;
    let _ = writer.finish().await;
}

async fn hit(store: &'static Store, key: &CacheKey, span: &Span) -> usize {
    let Ok(Some((meta, mut hit))) = store.lookup(key, &span.handle()).await else { unreachable!("{key:?} is stored") };
    let mut length = 0;
    while let Ok(Some(part)) = hit.read_body().await {
        length += black_box(part).len();
    }
    black_box(meta);
    length
}

fn keys(criterion: &mut Criterion) {
    criterion.bench_function("key", |bencher| {
        bencher.iter(|| {
            let parts = Parts {
                scheme: "https",
                host_component: "www.example.com",
                path: black_box("/images/2024/1/picture.jpg"),
                query: b"",
            };
            build(&parts)
        });
    });
}

/// Strides through the objects so that no two in a row are neighbours.
fn next(n: &mut usize, objects: usize) -> CacheKey {
    *n = (*n + 7919) % objects;
    key(*n)
}

fn memory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("memory");
    let cases = [("1 KiB", KIB, 1_000), ("1 KiB", KIB, 100_000), ("64 KiB", 64 * KIB, 1_000), ("1 MiB", MIB, 100)];
    for (name, size, objects) in cases {
        let store = Store::leak(Options::memory(1 << 30, 1 << 20));
        (0..objects).for_each(|n| done(fill(store, n, size)));
        assert_eq!(store.stats().objects, objects as u64);
        let (span, mut n) = (Span::inactive(), 0);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{name} among {objects}"), |bencher| {
            bencher.iter_batched_ref(
                || next(&mut n, objects),
                |key| assert_eq!(done(hit(store, key, &span)), size),
                BatchSize::SmallInput,
            );
        });
    }
}

fn on_disk(criterion: &mut Criterion) {
    let (Ok(runtime), Ok(directory)) = (Runtime::new(), tempfile::tempdir()) else { unreachable!() };
    let mut group = criterion.benchmark_group("disk");
    for (name, size, objects) in [("1 KiB", KIB, 20_000), ("64 KiB", 64 * KIB, 2_000), ("1 MiB", MIB, 200)] {
        let path = directory.path().join(size.to_string());
        let Ok(disk) = Disk::open(disk::Options { path, bytes: 1 << 32 }) else { unreachable!() };
        // hardly any memory: what is asked for has left it long before it is asked for again
        let options = Options { disk: Some(Arc::clone(&disk)), ..Options::memory(4 << 20, 1 << 20) };
        let store = Store::leak(options);
        runtime.block_on(async {
            let until = Instant::now() + WRITTEN_WITHIN;
            for n in 0..objects {
                fill(store, n, size).await;
                // the queue of the disk is short and drops what does not fit
                while disk.stats().objects <= n as u64 && Instant::now() < until {
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
            }
        });
        let (span, mut n) = (Span::inactive(), 0);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{name} among {objects}"), |bencher| {
            bencher.iter_batched_ref(
                || next(&mut n, objects),
                |key| assert_eq!(runtime.block_on(hit(store, key, &span)), size),
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, keys, memory, on_disk);
criterion_main!(benches);
