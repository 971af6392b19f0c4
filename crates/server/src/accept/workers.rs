//! The threads that serve connections.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

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
pub struct Workers(Kind);

#[derive(Debug)]
enum Kind {
    /// One thread, which shares its tasks with nobody: it takes no locks and wakes no others. Ends when the sender is dropped.
    One(Handle, #[expect(dead_code, reason = "its end is the message")] oneshot::Sender<()>),
    /// Taken when it ends.
    Many(Option<Runtime>),
}

impl Workers {
    /// Starts so many threads.
    ///
    /// # Errors
    /// When the system has no more threads or file descriptors.
    pub fn start(name: &str, threads: usize) -> io::Result<Self> {
        if threads == 1 {
            let runtime = Builder::new_current_thread().event_interval(TURNS).enable_all().build()?;
            let handle = runtime.handle().clone();
            let (end, ended) = oneshot::channel::<()>();
            let run = move || {
                // an error is the end, too
                let _ = runtime.block_on(ended);
                runtime.shutdown_background();
            };
            thread::Builder::new().name(name.to_owned()).spawn(run)?;
            return Ok(Self(Kind::One(handle, end)));
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name(name)
            .event_interval(TURNS)
            .enable_all()
            .build()?;
        Ok(Self(Kind::Many(Some(runtime))))
    }

    /// Runs a task on these threads, to its end.
    pub(super) async fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let spawned = match &self.0 {
            Kind::One(handle, _) => handle.spawn(task),
            Kind::Many(Some(runtime)) => runtime.spawn(task),
            Kind::Many(None) => return,
        };
        if let Err(error) = spawned.await {
            log::error!("a task of the listeners ended: {error}");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Kind::Many(runtime) = &mut self.0
            && let Some(runtime) = runtime.take()
        {
            // not a wait: this is called in tasks
            runtime.shutdown_background();
        }
    }
}
