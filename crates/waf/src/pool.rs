//! The threads that judge requests: few, with a short queue. What does not fit is refused at once, and who waits is let go at the
//! deadline; the thread then finishes what it is at, since nobody can stop the engine.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::{Failed, Request, RuleSet, Verdict};

/// Requests that wait, for each thread.
const QUEUE: usize = 4;
/// The fewest threads: one long inspection must not be the only one.
const MIN_THREADS: usize = 2;
/// How far the threads stand back behind those that serve.
const NICE: i32 = 10;

/// The threads, and what waits for them. Dropping it ends them once they are idle.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    limit: usize,
    /// The queue's length, for who only wants to know it.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Debug)]
struct Job {
    rules: Arc<dyn RuleSet>,
    request: Request,
    answer: oneshot::Sender<Answer>,
}

type Answer = (Result<Verdict, Failed>, Duration);

/// Why there is no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// All threads are at work, and the queue is full.
    #[error("too many requests wait for an inspection")]
    Full,
    /// The deadline is over.
    #[error("the inspection takes too long")]
    Late,
    /// The engine cannot say.
    #[error("the inspection failed: {0}")]
    Failed(&'static str),
}

/// A request that is being judged.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Answer>);

impl Pool {
    /// Starts the threads: one for each of `cores`, and not fewer than two.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(cores: usize) -> std::io::Result<Self> {
        let threads = cores.max(MIN_THREADS);
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            limit: threads * QUEUE,
            waiting: AtomicUsize::new(0),
        });
        let pool = Self { shared };
        for number in 0..threads {
            let shared = Arc::clone(&pool.shared);
            std::thread::Builder::new().name(format!("waf-{number}")).spawn(move || work(&shared))?;
        }
        Ok(pool)
    }

    /// The same for this machine.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start_here() -> std::io::Result<Self> {
        Self::start(std::thread::available_parallelism().map_or(MIN_THREADS, NonZeroUsize::get))
    }

    /// Hands a request over.
    ///
    /// # Errors
    /// When too many wait already.
    pub fn inspect(&self, rules: Arc<dyn RuleSet>, request: Request) -> Result<Ticket, Refused> {
        let (answer, ticket) = oneshot::channel();
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.jobs.len() >= self.shared.limit {
            // whoever was let go at the deadline does not keep others out
            queue.jobs.retain(|job| !job.answer.is_closed());
        }
        if queue.jobs.len() >= self.shared.limit {
            return Err(Refused::Full);
        }
        queue.jobs.push_back(Job { rules, request, answer });
        self.shared.waiting.store(queue.jobs.len(), Ordering::Relaxed);
        drop(queue);
        self.shared.wake.notify_one();
        Ok(Ticket(ticket))
    }

    /// Requests that wait for a thread.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.wake.notify_all();
    }
}

impl Ticket {
    /// Waits for the verdict, and says how long the inspection took.
    ///
    /// # Errors
    /// When there is none by the deadline, or none at all.
    pub async fn wait(self, deadline: Duration) -> Result<(Verdict, Duration), Refused> {
        match tokio::time::timeout(deadline, self.0).await {
            Err(_) => Err(Refused::Late),
            Ok(Err(_)) => Err(Refused::Failed("its thread ended")),
            Ok(Ok((Err(failed), _))) => Err(Refused::Failed(failed.0)),
            Ok(Ok((Ok(verdict), took))) => Ok((verdict, took)),
        }
    }
}

fn work(shared: &Shared) {
    // a thread of its own has a priority of its own here; where it may not be changed, it stays
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
    while let Some(Job { rules, request, answer }) = next(shared) {
        if answer.is_closed() {
            continue;
        }
        let began = Instant::now();
        let verdict = catch_unwind(AssertUnwindSafe(|| rules.inspect(&request)));
        let verdict = verdict.unwrap_or(Err(Failed("the engine panicked")));
        // nobody waits any more: the deadline is over
        let _ = answer.send((verdict, began.elapsed()));
    }
}

/// The next request; `None` when the pool is gone.
fn next(shared: &Shared) -> Option<Job> {
    let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(job) = queue.jobs.pop_front() {
            shared.waiting.store(queue.jobs.len(), Ordering::Relaxed);
            return Some(job);
        }
        if queue.closed {
            return None;
        }
        queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Lines, Sample};
    use crate::{Engine, Plan};

    fn request(target: &str) -> Request {
        Request {
            method: b"GET".to_vec(),
            target: target.as_bytes().to_vec(),
            version: "1.1",
            fields: Vec::new(),
            body: Vec::new(),
            cut: false,
            client: [192, 0, 2, 1].into(),
            level: 0,
            exclusions: Vec::new(),
        }
    }

    fn rules(text: &str) -> Arc<dyn RuleSet> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rules");
        std::fs::write(&file, text).unwrap();
        Sample.load(&Plan { files: vec![file], ..Plan::default() }).unwrap()
    }

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn every_request_gets_its_own_verdict_from_however_many_threads() {
        let pool = Arc::new(Pool::start(4).unwrap());
        let set = rules("7 evil");
        let asks = (0..400).map(|n| {
            let (pool, set) = (Arc::clone(&pool), Arc::clone(&set));
            tokio::spawn(async move {
                let target = if n % 3 == 0 { format!("/evil/{n}") } else { format!("/{n}") };
                loop {
                    match pool.inspect(Arc::clone(&set), request(&target)) {
                        Ok(ticket) => return (n, ticket.wait(LONG).await.unwrap().0),
                        Err(Refused::Full) => tokio::task::yield_now().await,
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        });
        for ask in asks.collect::<Vec<_>>() {
            let (n, verdict) = ask.await.unwrap();
            assert_eq!((verdict.refuse, verdict.rules), (n % 3 == 0, if n % 3 == 0 { vec![7] } else { vec![] }), "{n}");
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_a_late_verdict_frees_who_waits() {
        let pool = Pool::start(2).unwrap();
        let set = rules("7 evil");
        let began = Instant::now();
        let mut tickets = Vec::new();
        let mut full = 0;
        for _ in 0..2 + 2 * QUEUE + 5 {
            match pool.inspect(Arc::clone(&set), request("/slow")) {
                Ok(ticket) => tickets.push(ticket),
                Err(refused) => {
                    assert_eq!(refused, Refused::Full);
                    full += 1;
                }
            }
        }
        assert!((5..=7).contains(&full), "{full} refused");
        let late = tickets.pop().unwrap().wait(Duration::from_millis(20)).await;
        assert_eq!(late, Err(Refused::Late));
        assert!(began.elapsed() < Duration::from_millis(290), "{:?}", began.elapsed());
        // those whose clients are gone make room
        drop(tickets);
        let ticket = pool.inspect(Arc::clone(&set), request("/evil")).unwrap();
        assert!(ticket.wait(LONG).await.unwrap().0.refuse);
        assert_eq!(pool.waiting(), 0);
    }

    #[tokio::test]
    async fn an_engine_that_fails_or_panics_costs_one_verdict() {
        let pool = Pool::start(1).unwrap();
        let set: Arc<dyn RuleSet> = Arc::new(Lines::default());
        for (target, want) in [
            ("/fail", Err(Refused::Failed("told to"))),
            ("/panic", Err(Refused::Failed("the engine panicked"))),
            ("/", Ok(false)),
        ] {
            for _ in 0..5 {
                let got = pool.inspect(Arc::clone(&set), request(target)).unwrap().wait(LONG).await;
                assert_eq!(got.map(|(verdict, _)| verdict.refuse), want, "{target}");
            }
        }
    }
}
