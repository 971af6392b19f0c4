//! Asking of every object whether to keep it, without being in anybody's way.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::name::Name;
use super::read::open;
use super::tier::{Fault, Tier};

/// Objects that one job asks for.
const BATCH: usize = 32;

/// Pause after a job, at least and at most: as long as the job took.
const PAUSE: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_millis(250);

/// How long one job may take, waiting included.
const JOB_WAIT: Duration = Duration::from_secs(60);

/// How long objects that wait to be written are waited for, and between two looks at them.
const WRITES_WAIT: Duration = Duration::from_secs(60);
const WRITES_POLL: Duration = Duration::from_millis(20);

pub(super) async fn sweep<K>(tier: &Arc<Tier>, keep: Arc<K>) -> bool
where
    K: Fn(&[u8]) -> bool + Send + Sync + 'static,
{
    // What the index does not know yet would stay.
    let mut all_in = tier.all_in.subscribe();
    let complete = all_in.wait_for(Option::is_some).await.is_ok_and(|complete| *complete == Some(true));
    let mut complete = complete && written(tier).await;
    for shard in 0.. {
        let Some(standings) = tier.index.standings(shard) else { break };
        for batch in standings.chunks(BATCH) {
            let began = Instant::now();
            let names = batch.iter().map(|standing| standing.name).collect();
            complete &= look(tier, names, &keep).await;
            sleep(began.elapsed().clamp(*PAUSE.start(), *PAUSE.end())).await;
        }
    }
    // A file that could not be removed comes back with the next start: the purge has to be remembered until it is gone.
    complete && !tier.left_behind.load(Ordering::Relaxed)
}

/// Waits for the objects that wait to be written now.
async fn written(tier: &Tier) -> bool {
    let mut waiting = tier.index.waiting();
    let began = Instant::now();
    loop {
        waiting.retain(|version| tier.index.is_wanted(*version));
        if waiting.is_empty() || began.elapsed() > WRITES_WAIT {
            return waiting.is_empty();
        }
        sleep(WRITES_POLL).await;
    }
}

/// Asks for a few objects; true when all were.
async fn look<K>(tier: &Arc<Tier>, names: Vec<Name>, keep: &Arc<K>) -> bool
where
    K: Fn(&[u8]) -> bool + Send + Sync + 'static,
{
    let (reply, answer) = oneshot::channel();
    let (looking, keep) = (Arc::clone(tier), Arc::clone(keep));
    let job = move |scratch: &mut Vec<u8>| {
        let mut all = true;
        for name in names {
            all &= looking.ask(name, keep.as_ref(), scratch);
        }
        let _ = reply.send(all);
    };
    tier.pool.duty(job) && timeout(JOB_WAIT, answer).await.is_ok_and(|all| all.unwrap_or(false))
}

impl Tier {
    /// Asks for one object and removes it if it is not to be kept. False when it stays without having been asked for. Blocks.
    fn ask(&self, name: Name, keep: &impl Fn(&[u8]) -> bool, scratch: &mut Vec<u8>) -> bool {
        match open(self.directory.root(), name, scratch) {
            Ok(opened) => {
                if !keep(&opened.head) {
                    self.index.forget(name);
                    self.unlink(name);
                }
                true
            }
            Err(fault) => {
                self.give_up_on(name, &fault);
                !matches!(fault, Fault::Busy(_))
            }
        }
    }
}
