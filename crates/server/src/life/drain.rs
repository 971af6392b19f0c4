//! The end: everything in flight is finished, then the process leaves.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::time::sleep;

use super::stage::Stage;
use crate::accept::Gate;

/// A connection that was accepted just before the listeners closed is counted after this time at the latest.
const SETTLE: Duration = Duration::from_millis(100);
/// How often the open connections are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The background service that ends the process with code 0 as soon as the last connection is gone.
///
/// By itself the framework always sleeps through the whole grace period; what is still open at its end is cut, and
/// `Server::run` returns. Do then what `flush` does.
pub struct Drain {
    stage: Stage,
    gate: Arc<Gate>,
    flush: Box<dyn Fn() + Send + Sync>,
}

impl Drain {
    /// `flush` writes what must not be lost (the access log's last lines).
    pub fn new(stage: Stage, gate: Arc<Gate>, flush: impl Fn() + Send + Sync + 'static) -> Self {
        Self { stage, gate, flush: Box::new(flush) }
    }

    /// Waits for the signal and then for the last connection.
    async fn drained(&self, mut shutdown: ShutdownWatch) -> bool {
        while !*shutdown.borrow_and_update() {
            if shutdown.changed().await.is_err() {
                return false; // the server is gone, and with it all that could drain
            }
        }
        sleep(SETTLE).await;
        while self.gate.open() > 0 {
            sleep(LOOK).await;
        }
        true
    }
}

#[async_trait]
impl BackgroundService for Drain {
    async fn start(&self, shutdown: ShutdownWatch) {
        // The sockets listen since before the server ran; from here on someone accepts.
        self.stage.serving();
        if self.drained(shutdown).await {
            (self.flush)();
            log::info!("drained");
            log::logger().flush();
            #[expect(
                clippy::disallowed_methods,
                reason = "the drain is what other code must not skip, and it is done"
            )]
            std::process::exit(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_connection_ends_the_drain() {
        let gate = Arc::new(Gate::default());
        let drain = Drain::new(Stage::default(), Arc::clone(&gate), || {});
        let (tell, shutdown) = tokio::sync::watch::channel(false);
        let place = gate.enter(10).unwrap();
        let mut drained = std::pin::pin!(drain.drained(shutdown));
        let within = Duration::from_secs(3600);
        assert!(tokio::time::timeout(within, &mut drained).await.is_err(), "before the signal");
        tell.send(true).unwrap();
        assert!(tokio::time::timeout(within, &mut drained).await.is_err(), "with a connection open");
        drop(place);
        assert_eq!(tokio::time::timeout(LOOK * 2, &mut drained).await, Ok(true), "after the last one");
    }
}
