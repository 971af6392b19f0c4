//! What a hit costs in the store: the key, the lookup, the read of 1 KiB, with few and with many objects.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use leeward_cache::key::{Parts, build};
use leeward_cache::{Options, Store};
use pingora::http::ResponseHeader;
use pingora_cache::trace::Span;
use pingora_cache::{CacheKey, CacheMeta, Storage};

/// Nothing here ever waits, so one look at a future is all it takes.
fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a hit does not wait"),
    }
}

fn key(n: usize) -> CacheKey {
    let path = format!("/images/2024/{n}/picture.jpg");
    build(&Parts { scheme: "https", host_component: "www.example.com", path: &path, query: b"" })
}

fn filled(objects: usize) -> &'static Store {
    let store = Store::leak(Options::memory(1 << 30, 1 << 20));
    let span = Span::inactive().handle();
    for n in 0..objects {
        let mut header = ResponseHeader::build(200, None).unwrap_or_else(|_| unreachable!());
        for (name, value) in [
            ("content-type", "image/jpeg"),
            ("content-length", "1024"),
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
        let Ok(mut writer) = done(store.get_miss_handler(&key(n), &meta, &span)) else { unreachable!() };
        let _ = done(writer.write_body(Bytes::from(vec![b'x'; 1024]), true));
        let _ = done(writer.finish());
    }
    assert_eq!(store.stats().objects, objects as u64);
    store
}

fn hits(criterion: &mut Criterion) {
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
    for objects in [1_000, 100_000] {
        let store = filled(objects);
        let span = Span::inactive().handle();
        let mut n = 0;
        criterion.bench_function(&format!("lookup and read of 1 KiB among {objects}"), |bencher| {
            bencher.iter_batched(
                || {
                    n = (n + 7919) % objects;
                    key(n)
                },
                |key| {
                    let Ok(Some((meta, mut hit))) = done(store.lookup(&key, &span)) else { unreachable!() };
                    let body = done(hit.read_body());
                    (meta, body, key)
                },
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, hits);
criterion_main!(benches);
