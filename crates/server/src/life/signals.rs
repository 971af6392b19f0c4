//! Signals, on a thread of their own from the first line of `main` on.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::stage::{Now, Stage};

/// What signals call. Both run on a thread that does nothing else, one after the other.
pub struct Handlers {
    /// SIGHUP: load the configuration again.
    pub reload: Box<dyn FnMut() + Send>,
    /// SIGUSR1: open the log files again.
    pub reopen_logs: Box<dyn FnMut() + Send>,
}

/// The process's signals. SIGHUP and SIGUSR1 are kept until [`Signals::handle`] says what they do; SIGTERM, SIGINT and
/// SIGQUIT move the [`Stage`].
///
/// | signal | effect |
/// |---|---|
/// | HUP | reload; any number of them during one reload is one more reload |
/// | USR1 | reopen logs |
/// | TERM, INT | drain and end; the second one ends the process at once with code 1 |
/// | QUIT | hand the sockets to a new process, then drain and end |
#[derive(Debug, Clone)]
pub struct Signals {
    stage: Stage,
    asked: Arc<Asked>,
    hand_over: bool,
}

/// What was asked for and not done yet.
#[derive(Debug, Default)]
struct Asked {
    what: Mutex<What>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct What {
    reload: bool,
    reopen_logs: bool,
}

impl Asked {
    fn lock(&self) -> MutexGuard<'_, What> {
        self.what.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, change: impl FnOnce(&mut What)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    /// Waits until something is asked for, and takes it all.
    fn take(&self) -> What {
        let mut what = self.lock();
        while *what == What::default() {
            what = self.changed.wait(what).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut *what)
    }
}

impl Signals {
    /// Registers all signals. The first thing `main` does: until then SIGHUP kills the process.
    ///
    /// `hand_over`: whether SIGQUIT hands the sockets over; else it is SIGTERM.
    ///
    /// # Errors
    /// When the system refuses the thread or a handler.
    pub fn start(stage: Stage, hand_over: bool) -> io::Result<Self> {
        let signals = Self { stage, asked: Arc::default(), hand_over };
        let registered = {
            let (tell, registered) = std::sync::mpsc::sync_channel(1);
            let signals = signals.clone();
            thread::Builder::new().name("signals".to_owned()).spawn(move || signals.run(&tell))?;
            registered
        };
        registered.recv().map_err(|_| io::Error::other("the signal thread ended"))??;
        Ok(signals)
    }

    /// Says what HUP and USR1 do; those that came before are acted on now. To be called once.
    ///
    /// # Errors
    /// When the system refuses the thread.
    pub fn handle(&self, mut handlers: Handlers) -> io::Result<()> {
        let asked = Arc::clone(&self.asked);
        thread::Builder::new().name("reload".to_owned()).spawn(move || {
            loop {
                let what = asked.take();
                if what.reopen_logs {
                    (handlers.reopen_logs)();
                }
                if what.reload {
                    (handlers.reload)();
                }
            }
        })?;
        Ok(())
    }

    /// The stage that the signals move.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    fn run(&self, tell: &std::sync::mpsc::SyncSender<io::Result<()>>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let result = runtime.and_then(|runtime| {
            runtime.block_on(async {
                let streams = Streams::register()?;
                let _ = tell.send(Ok(()));
                self.listen(streams).await;
                Ok(())
            })
        });
        if let Err(error) = result {
            let _ = tell.send(Err(error));
        }
    }

    async fn listen(&self, mut streams: Streams) {
        loop {
            tokio::select! {
                _ = streams.hup.recv() => self.asked.ask(|what| what.reload = true),
                _ = streams.usr1.recv() => self.asked.ask(|what| what.reopen_logs = true),
                _ = streams.term.recv() => self.stop("SIGTERM", false),
                _ = streams.int.recv() => self.stop("SIGINT", false),
                _ = streams.quit.recv() => self.stop("SIGQUIT", self.hand_over),
            }
        }
    }

    fn stop(&self, signal: &str, hand_over: bool) {
        if self.stage.stop(hand_over) {
            log::info!("{signal}: {}", if hand_over { "handing the sockets over" } else { "draining" });
        } else {
            log::warn!("{signal} again: ending now");
            log::logger().flush();
            #[expect(clippy::disallowed_methods, reason = "whoever asks twice does not want to wait for the drain")]
            std::process::exit(1);
        }
    }
}

/// Number of the signal on every Unix that this runs on.
const SIGXFSZ: i32 = 25;

struct Streams {
    hup: Signal,
    usr1: Signal,
    term: Signal,
    int: Signal,
    quit: Signal,
    /// Without a handler a write beyond the file size limit (`ulimit -f`) would end the process instead of failing.
    _file_size: Signal,
}

impl Streams {
    fn register() -> io::Result<Self> {
        Ok(Self {
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            _file_size: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }
}

/// What `Server::run` waits for.
#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        match self.stage.stopped().await {
            Now::HandingOver => ShutdownSignal::GracefulUpgrade,
            _ => ShutdownSignal::GracefulTerminate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(5);

    fn unregistered() -> Signals {
        Signals { stage: Stage::default(), asked: Arc::default(), hand_over: true }
    }

    #[test]
    fn what_is_asked_before_anyone_handles_it_is_done_later() {
        let signals = unregistered();
        signals.asked.ask(|what| what.reload = true);
        signals.asked.ask(|what| what.reopen_logs = true);
        let (tell, done) = mpsc::channel();
        let tell_too = tell.clone();
        let handlers = Handlers {
            reload: Box::new(move || tell.send("reload").unwrap()),
            reopen_logs: Box::new(move || tell_too.send("reopen").unwrap()),
        };
        signals.handle(handlers).unwrap();
        assert_eq!((done.recv_timeout(SOON), done.recv_timeout(SOON)), (Ok("reopen"), Ok("reload")));
    }

    #[test]
    fn reloads_asked_for_during_one_are_one_more() {
        let signals = unregistered();
        let (began_tell, began) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let handlers = Handlers {
            reload: Box::new(move || {
                began_tell.send(()).unwrap();
                let _ = wait.recv();
            }),
            reopen_logs: Box::new(|| {}),
        };
        signals.handle(handlers).unwrap();
        let ask = || signals.asked.ask(|what| what.reload = true);
        ask();
        began.recv_timeout(SOON).unwrap();
        for _ in 0..10 {
            ask();
        }
        assert!(began.recv_timeout(Duration::from_millis(50)).is_err(), "two at once");
        go.send(()).unwrap();
        began.recv_timeout(SOON).unwrap();
        go.send(()).unwrap();
        assert!(began.recv_timeout(Duration::from_millis(100)).is_err(), "more than one more");
    }

    #[tokio::test]
    async fn the_server_is_told_how_to_end() {
        for (hand_over, wanted) in [(false, "GracefulTerminate"), (true, "GracefulUpgrade")] {
            let signals = unregistered();
            signals.stop("SIGQUIT", hand_over);
            assert_eq!(format!("{:?}", signals.recv().await), wanted);
        }
    }
}
