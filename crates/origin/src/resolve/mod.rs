//! Names of origin servers to addresses, without a request ever waiting for a slow resolver.
//!
//! Every name of the configuration is followed in the background, on a thread of its own: asked for when its time to live ends,
//! and more often while there is no answer. Requests read what is known. Only a request for a name that nobody has asked for
//! yet waits, for its first answer and no longer than it is willing to.

mod families;
mod name;
mod pace;
mod private;
mod system;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use leeward_config::Snapshot;
#[cfg(test)]
use leeward_config::ready::IpVersion;
use leeward_config::ready::{Dns, Origin};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;

use families::Families;
use name::{Course, Name, Note};
use pace::Pace;
use system::{Files, System};

/// Names followed at a time, over all IP versions: far more than a configuration has.
const MAX_NAMES: usize = 20_000;
/// Names asked for at the same moment: bounds the sockets, and what a start asks of the DNS servers.
const MAX_QUERIES: usize = 128;

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveError(Arc<str>);

impl ResolveError {
    pub(crate) fn new(host: &str, why: &str) -> Self {
        Self(format!("{host}: {why}").into())
    }
}

impl std::fmt::Display for ResolveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ResolveError {}

/// What is asked about a name: which of its addresses its origin may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    families: Families,
    /// Also those of this machine, its link, and metadata services.
    private: bool,
}

impl From<&Origin> for Question {
    fn from(origin: &Origin) -> Self {
        Self { families: Families::of(origin.ip_version), private: origin.allow_private }
    }
}

#[cfg(test)]
impl From<IpVersion> for Question {
    fn from(version: IpVersion) -> Self {
        Families::of(version).into()
    }
}

#[cfg(test)]
impl From<Families> for Question {
    fn from(families: Families) -> Self {
        Self { families, private: false }
    }
}

/// What is known about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// At least one, sorted, none twice: the same set is in the same order at every time and on every edge.
    Addresses(Arc<[IpAddr]>),
    /// It was asked for and has no address.
    Failed(ResolveError),
    /// Its first answer is not there yet, or nobody asked.
    Never,
}

/// One followed name. Its task ends with it.
#[derive(Debug)]
struct Followed {
    name: Arc<Name>,
    /// None: a literal address, kept with the names so that no request makes a list of it.
    task: Option<AbortHandle>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.iter().for_each(AbortHandle::abort);
    }
}

type Names = HashMap<Box<str>, [Option<Arc<Followed>>; 2 * Families::COUNT], RandomState>;

/// What the tasks of all names share.
#[derive(Debug)]
struct Shared {
    pace: Pace,
    system: ArcSwap<System>,
    queries: Semaphore,
}

/// The thread that the tasks run on. Neither start nor reload runs inside a runtime, and a flood of answers takes no worker's time.
#[derive(Debug)]
struct Background {
    handle: Handle,
    /// Dropping it ends the thread.
    _end: oneshot::Sender<()>,
}

impl Background {
    fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name("names".to_owned()).spawn(move || {
            // An error here is the sender's end, which is what is waited for.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self { handle, _end: end })
    }
}

/// Knows the addresses of every name that the configuration has.
#[derive(Debug)]
pub struct Resolver {
    names: ArcSwap<Names>,
    shared: Arc<Shared>,
    files: Files,
    /// Held while names come and go; never by a request that finds what it looks for.
    background: Mutex<Option<Background>>,
}

impl Resolver {
    /// A resolver that asks the servers of a configuration, or those of `/etc/resolv.conf`; `/etc/hosts` counts before either. Starts
    /// nothing.
    #[must_use]
    pub fn new(dns: &Dns) -> Self {
        Self::with(dns, Pace::default(), Files::default())
    }

    fn with(dns: &Dns, pace: Pace, files: Files) -> Self {
        let system = ArcSwap::from_pointee(System::new(dns, files.clone()));
        let shared = Shared { pace, system, queries: Semaphore::new(MAX_QUERIES) };
        Self { names: ArcSwap::default(), shared: Arc::new(shared), files, background: Mutex::default() }
    }

    /// Follows the names of a configuration, and from now on no others. Names without an address are asked for at once, all names when
    /// the DNS servers changed. Called from any thread, at the start and after every reload.
    pub fn follow(&self, snapshot: &Snapshot) {
        let servers_changed = !self.shared.system.load().is(&snapshot.dns);
        if servers_changed {
            self.shared.system.store(Arc::new(System::new(&snapshot.dns, self.files.clone())));
        }
        self.follow_names(wanted(snapshot), servers_changed);
    }

    fn follow_names<'s>(&self, wanted: impl Iterator<Item = (&'s str, Question)>, servers_changed: bool) {
        let Ok(mut background) = self.background.lock() else { return };
        let before = self.names.load_full();
        let (mut names, mut count) = (Names::default(), 0);
        for (host, question) in wanted {
            let slot = slot(&mut names, host, question);
            if slot.is_some() {
                continue;
            }
            if count >= MAX_NAMES {
                log::warn!("{host} and further names are not followed: only {MAX_NAMES} are");
                break;
            }
            count += 1;
            *slot = find(&before, host, question).cloned().or_else(|| self.start(&mut background, host, question));
        }
        // Names that are new ask by themselves.
        for followed in names.values().flatten().flatten() {
            let asked_before = find(&before, &followed.name.host, followed.name.question).is_some();
            if asked_before && (servers_changed || matches!(followed.name.known(), Known::Failed(_))) {
                followed.name.poke.notify_one();
            }
        }
        self.names.store(Arc::new(names));
        // Held up to here: a name that a request announces meanwhile must not be lost.
        drop(background);
    }

    /// Begins with a name.
    fn start(&self, background: &mut Option<Background>, host: &str, question: Question) -> Option<Arc<Followed>> {
        let name = Arc::new(Name::new(host, question));
        if let Ok(address) = host.parse::<IpAddr>() {
            name.publish(Known::Addresses(Arc::from([address])));
            return Some(Arc::new(Followed { name, task: None }));
        }
        if background.is_none() {
            let started = Background::start();
            *background = started.inspect_err(|error| log::error!("no name can be resolved: {error}")).ok();
        }
        let task = background.as_ref()?.handle.spawn(follow(Arc::clone(&name), Arc::clone(&self.shared)));
        Some(Arc::new(Followed { name, task: Some(task.abort_handle()) }))
    }

    /// What is known about a host. Never waits, takes no lock. A literal address is its own answer, whatever the question.
    #[must_use]
    pub fn known(&self, host: &str, question: impl Into<Question>) -> Known {
        if let Some(followed) = find(&self.names.load(), host, question.into()) {
            return followed.name.known();
        }
        host.parse().map_or(Known::Never, |address: IpAddr| Known::Addresses(Arc::from([address])))
    }

    /// The addresses of a host that nothing is known about yet: follows it from now on, and waits for its first answer.
    ///
    /// # Errors
    /// When it has no address, or when its first answer did not come within `wait`; the question goes on.
    pub async fn first(
        &self,
        host: &str,
        question: impl Into<Question>,
        wait: Duration,
    ) -> Result<Arc<[IpAddr]>, ResolveError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Arc::from([address]));
        }
        let followed = self.announce(host, question.into())?;
        let answer = tokio::time::timeout(wait, async {
            loop {
                let mut changed = pin!(followed.name.changed());
                changed.as_mut().enable();
                match followed.name.known() {
                    Known::Addresses(addresses) => return Ok(addresses),
                    Known::Failed(error) => return Err(error),
                    Known::Never => changed.await,
                }
            }
        });
        answer.await.unwrap_or_else(|_| Err(ResolveError::new(host, &format!("no answer within {wait:?}"))))
    }

    /// The name, followed.
    fn announce(&self, host: &str, question: Question) -> Result<Arc<Followed>, ResolveError> {
        if let Some(followed) = find(&self.names.load(), host, question) {
            return Ok(Arc::clone(followed));
        }
        let none = |why: &str| ResolveError::new(host, why);
        let mut background = self.background.lock().map_err(|_| none("names are no longer followed"))?;
        let before = self.names.load_full();
        if let Some(followed) = find(&before, host, question) {
            return Ok(Arc::clone(followed));
        }
        if before.values().flatten().flatten().count() >= MAX_NAMES {
            return Err(none("too many names are followed"));
        }
        let followed = self.start(&mut background, host, question).ok_or_else(|| none("no thread to ask on"))?;
        let mut names = Names::clone(&before);
        *slot(&mut names, host, question) = Some(Arc::clone(&followed));
        self.names.store(Arc::new(names));
        Ok(followed)
    }

    /// Every followed name with what is known about it, in no order and without literal addresses. For reports.
    #[must_use]
    pub fn list(&self) -> Vec<(String, Known)> {
        let names = self.names.load();
        let asked = names.values().flatten().flatten().filter(|followed| followed.task.is_some());
        asked.map(|followed| (followed.name.host.to_string(), followed.name.known())).collect()
    }
}

fn find<'n>(names: &'n Names, host: &str, question: Question) -> Option<&'n Arc<Followed>> {
    let all = names.get(host)?;
    let (public, private) = all.split_at_checked(Families::COUNT)?;
    if question.private { private } else { public }.get(question.families as usize)?.as_ref()
}

fn slot<'n>(names: &'n mut Names, host: &str, question: Question) -> &'n mut Option<Arc<Followed>> {
    let [v4, v6, v6_else_v4, v4_else_v6, private @ ..] = names.entry(host.into()).or_default();
    let [private_v4, private_v6, private_v6_else_v4, private_v4_else_v6] = private;
    match (question.families, question.private) {
        (Families::V4, false) => v4,
        (Families::V6, false) => v6,
        (Families::V6ElseV4, false) => v6_else_v4,
        (Families::V4ElseV6, false) => v4_else_v6,
        (Families::V4, true) => private_v4,
        (Families::V6, true) => private_v6,
        (Families::V6ElseV4, true) => private_v6_else_v4,
        (Families::V4ElseV6, true) => private_v4_else_v6,
    }
}

/// Every name that a request of this configuration may need.
fn wanted(snapshot: &Snapshot) -> impl Iterator<Item = (&str, Question)> {
    snapshot.all_origins().flat_map(|origin| names_of(origin))
}

fn names_of(origin: &Origin) -> impl Iterator<Item = (&str, Question)> {
    let question = Question::from(origin);
    [&origin.http, &origin.https]
        .into_iter()
        .flatten()
        .flat_map(|servers| &servers.servers)
        .map(move |server| (server.host.as_str(), question))
}

/// Asks for a name for as long as it is followed.
async fn follow(name: Arc<Name>, shared: Arc<Shared>) {
    let mut course = Course::new(shared.pace);
    loop {
        let outcome = {
            let Ok(_turn) = shared.queries.acquire().await else { return };
            let system = shared.system.load_full();
            let outcome = system.resolve(&name.host, name.question.families).await;
            if name.question.private { outcome } else { private::without(&name.host, outcome) }
        };
        let next = course.learn(&name.host, outcome);
        if let Some(known) = next.publish {
            name.publish(known);
        }
        if let Some(note) = next.note {
            tell(&name.host, &note);
        }
        tokio::select! {
            () = tokio::time::sleep(next.pause) => {}
            () = name.poke.notified() => {}
        }
    }
}

fn tell(host: &str, note: &Note) {
    match note {
        Note::Moved { from, to } => log::info!("{host} moved from {from:?} to {to:?}"),
        Note::Kept(why) => log::warn!("{host} is not answered, its last good addresses are kept: {why}"),
        Note::Lost(why) => log::warn!("{host} has no address: {why}"),
        Note::Back => log::info!("{host} is answered again"),
    }
}
