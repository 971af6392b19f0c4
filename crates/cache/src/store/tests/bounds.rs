//! The budget, and who has to leave.

use proptest::prelude::*;

use super::*;

#[tokio::test]
async fn a_scan_does_not_push_out_what_is_asked_for() {
    let store = store(1 << 20);
    let kilobyte = body(1000);
    for n in 0..100 {
        put(store, &format!("/hot/{n}"), &kilobyte).await;
    }
    for _ in 0..2 {
        for n in 0..100 {
            get(store, &format!("/hot/{n}")).await.unwrap();
        }
    }
    for n in 0..5000 {
        put(store, &format!("/scan/{n}"), &kilobyte).await;
        if n % 50 == 0 {
            get(store, &format!("/hot/{}", n / 50)).await;
        }
    }
    let mut left = 0;
    for n in 0..100 {
        left += usize::from(look(store, &format!("/hot/{n}")).await.is_some());
    }
    assert!(left >= 95, "{left} of 100 are left after a scan of 5000");
    assert!(store.stats().evictions > 4000, "{:?}", store.stats());
}

#[tokio::test]
async fn a_lower_limit_evicts_at_once_and_fills_do_not_push_everything_out() {
    let store = store(4 << 20);
    for n in 0..100 {
        put(store, &format!("/{n}"), &body(20_000)).await;
    }
    let mut writers = Vec::new();
    for n in 0..20 {
        let mut writer = begin(store, &format!("/fill/{n}"), &[]).await;
        let reader = leader(store, &format!("/fill/{n}"), &writer).await;
        write(&mut writer, &body(400_000)).await.unwrap();
        writers.push((writer, reader));
    }
    assert!(store.stats().objects > 50, "{:?}", store.stats());
    drop(writers);
    store.set_limit(100_000);
    assert!(store.stats().bytes <= 100_000 && store.stats().objects > 0, "{:?}", store.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_accounts_balance_whatever_threads_do_at_once() {
    let store = store(300_000);
    let work = |seed: usize| async move {
        let mut n = seed;
        for _ in 0..3000 {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (what, path, size) = (n >> 40 & 7, format!("/{}", n >> 33 & 31), n >> 20 & 0x7fff);
            match what {
                0..=2 => put(store, &path, &vec![seed as u8; size]).await,
                3 => _ = purge(store, PurgeTarget::Active(&key_of(&path).to_compact())).await,
                4 => _ = store.expire(PurgeTarget::Active(&key_of(&path).to_compact()), &span()).await.unwrap(),
                5 => drop(begin(store, &path, &[]).await),
                _ => {
                    // Bodies are of one byte value each: a mixed one would be two generations in one.
                    if let Some((_, mut hit)) = look(store, &path).await
                        && let Ok(body) = read_all(&mut hit).await
                    {
                        assert!(body.windows(2).all(|pair| pair[0] == pair[1]), "{path}");
                    }
                }
            }
            let bytes = store.stats().bytes;
            assert!(bytes < 1 << 40, "the account went below zero");
        }
    };
    let threads: Vec<_> = (1..=4).map(|seed| tokio::spawn(work(seed))).collect();
    for thread in threads {
        timeout(LONG, thread).await.unwrap().unwrap();
    }
    let stats = store.stats();
    assert!(stats.bytes <= 300_000 && stats.objects > 0, "{stats:?}");
    for n in 0..32 {
        purge(store, PurgeTarget::Active(&key_of(&format!("/{n}")).to_compact())).await;
    }
    assert_eq!((store.stats().bytes, store.stats().objects), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is done, the budget holds, what is read is what was written last, and nothing is left when all is purged.
    #[test]
    fn any_workload_stays_within_the_budget_and_reads_back_what_was_written(
        steps in prop::collection::vec((0u8..6, 0usize..40, 0usize..60_000), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (store, limit) = (store(500_000), 500_000);
        let mut last = std::collections::HashMap::new();
        runtime.block_on(async {
            for (n, (what, name, size)) in steps.into_iter().enumerate() {
                let path = format!("/{name}");
                match what {
                    0..=2 => {
                        let body = vec![n as u8; size];
                        put(store, &path, &body).await;
                        last.insert(path, body);
                    }
                    3 => {
                        let got = get(store, &path).await;
                        assert!(got.is_none() || got.as_ref() == last.get(&path), "{path} at step {n}");
                    }
                    4 => {
                        purge(store, PurgeTarget::Active(&key_of(&path).to_compact())).await;
                        assert!(look(store, &path).await.is_none(), "{path} after its purge at step {n}");
                    }
                    _ => {
                        let mut writer = begin(store, &path, &[]).await;
                        write(&mut writer, &vec![0; size]).await.unwrap();
                    }
                }
                let bytes = store.stats().bytes;
                assert!(bytes <= limit, "{bytes} bytes after step {n}");
            }
            for name in 0..40 {
                purge(store, PurgeTarget::Active(&key_of(&format!("/{name}")).to_compact())).await;
            }
            let stats = store.stats();
            assert_eq!((stats.bytes, stats.objects), (0, 0));
        });
    }
}
