//! The sweep: what was purged is not served from the moment of the purge; this frees its space, some time later, and then
//! forgets the purges that nothing stored can be about any more.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use leeward_cache::purge::{Ledger, MAX_RULES};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use serde_json::{Value, json};

/// From one sweep to the next, at least: purges in between are swept together.
const PAUSE: Duration = Duration::from_secs(60);

/// Goes over everything stored; whether it got to the end.
type Sweep = Box<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// How the sweeps went, for `GET /v1/cache`.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Seen>);

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    since: Option<Instant>,
    sweeps: u64,
    last: Option<(Duration, bool)>,
}

impl Progress {
    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Purges in force and sweeps.
    pub(crate) fn describe(&self, ledger: &Ledger) -> Value {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "rules": ledger.rules(),
            "max_rules": MAX_RULES,
            "sweeping_for_seconds": seen.since.map(|since| since.elapsed().as_secs_f64()),
            "sweeps": seen.sweeps,
            "last_sweep": seen.last.map(|(took, whole)| json!({ "seconds": took.as_secs_f64(), "whole": whole })),
        })
    }
}

/// Sweeps until the process ends.
pub(crate) struct Sweeping {
    ledger: Arc<Ledger>,
    progress: Arc<Progress>,
    sweep: Sweep,
}

impl Sweeping {
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        sweep: impl Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync + 'static,
    ) -> Self {
        Self { ledger, progress: Arc::default(), sweep: Box::new(sweep) }
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    async fn run(&self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            if let Err(error) = self.ledger.tend().await {
                log::error!("the journal of purges cannot be written: {error}");
            }
            if self.ledger.sweep_due() {
                self.once().await;
            }
        }
    }

    async fn once(&self) {
        let began = Instant::now();
        self.progress.change(|seen| seen.since = Some(began));
        let sweep = self.ledger.begin_sweep();
        let whole = (self.sweep)().await;
        if whole && let Err(error) = self.ledger.end_sweep(sweep).await {
            log::error!("the journal of purges cannot be written: {error}");
        }
        self.progress.change(|seen| {
            *seen = Seen { since: None, sweeps: seen.sweeps + 1, last: Some((began.elapsed(), whole)) };
        });
    }
}

#[async_trait]
impl BackgroundService for Sweeping {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.run() => {}
            _ = shutdown.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use leeward_cache::purge::{Purge, Rule};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn purges_are_swept_together_once_a_minute_and_nothing_is_swept_without_one() {
        let (ledger, swept) = (Ledger::open(None).unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&swept);
        let sweeping = Sweeping::new(Arc::clone(&ledger), move || {
            let counted = Arc::clone(&counted);
            // the first one is cut short
            Box::pin(async move { counted.fetch_add(1, Ordering::Relaxed) > 0 })
        });
        let progress = sweeping.progress();
        tokio::spawn(async move { sweeping.run().await });
        let minutes = |n: u32| tokio::time::sleep(PAUSE * n + Duration::from_secs(1));
        minutes(3).await;
        assert_eq!(swept.load(Ordering::Relaxed), 0, "nothing was purged");
        for n in 0..10 {
            ledger.record(&Purge { soft: false, rules: vec![Rule::Tag(n.to_string())] }).await.unwrap();
        }
        minutes(1).await;
        assert_eq!(swept.load(Ordering::Relaxed), 1, "ten purges");
        minutes(1).await;
        assert_eq!(swept.load(Ordering::Relaxed), 2, "again, because it did not get to the end");
        minutes(10).await;
        assert_eq!(swept.load(Ordering::Relaxed), 2, "everything is swept");
        let said = progress.describe(&ledger);
        assert_eq!(
            (&said["rules"], &said["sweeps"], &said["last_sweep"]["whole"]),
            (&json!(10), &json!(2), &json!(true))
        );
    }
}
