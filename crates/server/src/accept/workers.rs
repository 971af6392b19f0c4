//! The threads that serve connections.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Tasks that a worker runs before it asks the system again which sockets are ready.
///
/// The library's default, 61, starves connections when hundreds are ready at once: what it learns about goes to the front, and
/// those that did not fit there before wait behind everything that comes after them. So all that are known to be ready have
/// their turn before new ones are looked for.
const TURNS: u32 = 1024;

/// A runtime of its own for the connections of the edge; the framework's has no settings for this.
///
/// Dropped, it drops every task at its next await, like the framework's.
#[derive(Debug)]
pub struct Workers(Option<Runtime>);

impl Workers {
    /// Starts so many threads.
    ///
    /// # Errors
    /// When the system has no more threads or file descriptors.
    pub fn start(name: &str, threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name(name)
            .event_interval(TURNS)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a task on these threads, to its end.
    pub(super) async fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0
            && let Err(error) = runtime.spawn(task).await
        {
            log::error!("a task of the listeners ended: {error}");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // not a wait: this is called in tasks
            runtime.shutdown_background();
        }
    }
}
