//! The edge as a process: configured, started, watched, signalled, stopped.

mod metrics;
mod output;
mod process;
mod setup;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

pub use metrics::Metrics;
pub use output::Output;
pub use process::Process;
use setup::write_files;
pub use setup::{Setup, fill_in};

use crate::client::{Request, Response, Target};
use crate::wait::{self, PATIENCE};
use crate::wire::Lost;

/// Lines shown of a panic of the edge: its message and where it began.
const PANIC_SHOWN: usize = 30;
/// How often new ports are tried when somebody else took one.
const TRIES: usize = 5;

/// A running edge. Dropping it kills the process, and shows configuration and output when the test is failing; a test
/// whose edge panicked fails then.
pub struct Edge {
    // First: it is dropped, and so killed, before its directory and ports go.
    process: Process,
    setup: Setup,
    ports: Ports,
    directory: TempDir,
}

/// Three ports that stay ours: a socket is bound to each, without listening.
struct Ports {
    http: SocketAddr,
    https: SocketAddr,
    admin: SocketAddr,
    reserved: Vec<Socket>,
}

impl Ports {
    fn pick() -> Self {
        let mut reserved = Vec::new();
        let mut pick = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
            let address = socket.local_addr().unwrap().as_socket().unwrap();
            reserved.push(socket);
            address
        };
        let (http, https, admin) = (pick(), pick(), pick());
        Self { http, https, admin, reserved }
    }
}

impl Edge {
    /// Starts `leeward run` and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready; its output is part of the message.
    #[must_use]
    pub fn start(setup: &Setup) -> Self {
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::try_start(setup.clone(), tries) {
                Ok(edge) => return edge,
                Err(why) if tries < TRIES && why.contains("ddress already in use") => {}
                Err(why) => panic!("the edge did not start.\n{why}"),
            }
        }
    }

    /// Starts an edge whose start is expected to fail, and gives its exit status and output.
    ///
    /// # Panics
    /// When it starts after all.
    #[must_use]
    pub fn refuse(setup: &Setup) -> String {
        match Self::try_start(setup.clone(), 1) {
            Ok(_) => panic!("the edge started, which it should have refused"),
            Err(why) => why,
        }
    }

    fn try_start(setup: Setup, attempt: usize) -> Result<Self, String> {
        let mut ports = Ports::pick();
        if attempt > 1 {
            // The first attempt failed on a port: perhaps because it was reserved.
            ports.reserved.clear();
        }
        let directory = tempfile::Builder::new().prefix("leeward-test-").tempdir().unwrap();
        let setup = write_files(setup, &ports, directory.path());
        let process = spawn(&setup, directory.path());
        let mut edge = Self { process, setup, ports, directory };
        edge.until_ready()?;
        Ok(edge)
    }

    fn until_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait() {
                return Err(format!("exit: {status}\n{}", self.story()));
            }
            if self.admin("GET", "/readyz", None).is_ok_and(|answer| answer.status() == 200) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("not ready after {PATIENCE:?}\n{}", self.story()));
            }
            wait::pause(Duration::from_millis(10));
        }
    }

    /// Ends the process as a crash does: nothing of it runs any more. `start_again` follows.
    pub fn kill(&mut self) {
        self.process.kill();
        self.no_panic();
    }

    /// Ends the process as an operator does, and asserts that it ends well. `start_again` follows.
    ///
    /// # Panics
    /// When it does not end, or not with 0.
    pub fn halt(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait(PATIENCE);
        assert!(status.success(), "the edge ended with {status}\n{}", self.story());
        self.no_panic();
    }

    /// Starts a new process on the same directory and ports, and does not wait for it.
    pub fn begin_again(&mut self) {
        self.process = spawn(&self.setup, self.directory.path());
    }

    /// Starts a new process on the same directory and ports, and waits until it is ready; how long that took.
    ///
    /// # Panics
    /// When it does not get ready.
    pub fn start_again(&mut self) -> Duration {
        let begun = Instant::now();
        self.begin_again();
        self.until_ready().unwrap_or_else(|why| panic!("the edge did not start again.\n{why}"));
        begun.elapsed()
    }

    /// Whether the process still runs.
    pub fn runs(&mut self) -> bool {
        self.process.try_wait().is_none()
    }

    /// Bytes of memory that it holds now, and the most it ever held.
    ///
    /// # Panics
    /// When the process is gone.
    #[must_use]
    pub fn resident(&self) -> (u64, u64) {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let of = |name: &str| {
            let line =
                text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    fn no_panic(&self) {
        let said = self.output().err();
        if let Some(at) = said.iter().position(|line| line.contains("panicked at")) {
            let shown = said[at..].iter().take(PANIC_SHOWN).map(String::as_str).collect::<Vec<_>>();
            panic!("the edge panicked:\n{}", shown.join("\n"));
        }
    }

    /// The plain listener.
    #[must_use]
    pub fn http(&self) -> Target {
        Target::plain(self.ports.http)
    }
    /// The TLS listener, asked with this server name.
    #[must_use]
    pub fn https(&self, server_name: &str) -> Target {
        Target::tls(self.ports.https, server_name)
    }
    /// The address of the TLS listener.
    #[must_use]
    pub fn https_address(&self) -> SocketAddr {
        self.ports.https
    }
    /// The address of the admin listener.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.ports.admin
    }
    /// What it wrote so far.
    #[must_use]
    pub fn output(&self) -> &Output {
        self.process.output()
    }
    /// The directory of its configuration.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Asks the admin listener.
    ///
    /// # Errors
    /// When no response came.
    pub fn admin(&self, method: &str, path: &str, token: Option<&str>) -> Result<Response, Lost> {
        let mut request = Request::new(method, "localhost", path).with("Connection", "close");
        if let Some(token) = token {
            request = request.with("Authorization", &format!("Bearer {token}"));
        }
        Target::plain(self.ports.admin).ask(&request)
    }

    /// The metrics as they are now.
    ///
    /// # Panics
    /// When they cannot be read.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let answer = self.admin("GET", "/metrics", self.token().as_deref()).expect("an answer to GET /metrics");
        assert_eq!(answer.status(), 200, "GET /metrics: {}", answer.text());
        Metrics::parse(&answer.text())
    }

    /// The admin listener's token, where the names have one.
    pub(crate) fn token(&self) -> Option<String> {
        self.setup.names.iter().find(|(name, _)| name == "token").map(|(_, token)| token.clone())
    }

    /// Writes another configuration file, without saying so to the edge.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write_config(&self, config: &str) {
        let text = fill_in(config, &self.setup.names);
        // As an operator's tools do: the edge never sees half a file.
        let next = self.directory().join("leeward.yaml.next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, self.directory().join("leeward.yaml")).unwrap();
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Sends SIGHUP and waits until the reload is counted; true when it was a success.
    ///
    /// # Panics
    /// When no reload is counted.
    #[must_use]
    pub fn reload(&self) -> bool {
        let good = |metrics: &Metrics| metrics.sum("leeward_reloads_total", &[("result", "ok")]);
        let before = self.metrics();
        self.signal(Signal::HUP);
        let after = wait::until("the reload to be counted in leeward_reloads_total", PATIENCE, || {
            let now = self.metrics();
            (now.sum("leeward_reloads_total", &[]) > before.sum("leeward_reloads_total", &[])).then_some(now)
        });
        good(&after) > good(&before)
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Panics
    /// When it is still there after the deadline.
    #[must_use]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        self.process.wait(within)
    }

    /// Stops it as an operator does, and asserts that it ends well.
    ///
    /// # Panics
    /// When it does not end, or not with 0.
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.wait(PATIENCE);
        assert!(status.success(), "the edge ended with {status}");
    }

    /// The configuration file as it is now.
    fn config(&self) -> String {
        std::fs::read_to_string(self.directory().join("leeward.yaml")).unwrap_or_default()
    }

    /// Everything a reader of a failed test wants to see.
    #[must_use]
    pub fn story(&self) -> String {
        format!("--- leeward.yaml\n{}\n{}", self.config(), self.process.story())
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // The process shows its own output.
        if std::thread::panicking() {
            eprintln!("--- leeward.yaml\n{}", self.config());
            return;
        }
        // Whatever the test was about: an edge that panicked has not passed it.
        self.no_panic();
    }
}

fn spawn(setup: &Setup, directory: &Path) -> Process {
    let words = setup.under.iter().map(std::ffi::OsString::from).chain([binary().into_os_string()]);
    let mut words = words.chain(["run".into(), "--config".into(), directory.join("leeward.yaml").into_os_string()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).current_dir(directory).envs(setup.environment.iter().map(|(n, v)| (n, v)));
    Process::start(&mut command)
}

/// The binary under test: `LEEWARD_BIN`, or `leeward` next to this test's own directory.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("LEEWARD_BIN") {
        return PathBuf::from(path);
    }
    let this = std::env::current_exe().unwrap();
    // target/debug/deps/edge-0123456789abcdef
    let profile = this.parent().and_then(Path::parent).unwrap();
    let binary = profile.join("leeward");
    assert!(
        binary.is_file(),
        "there is no {}: run `cargo build -p leeward` first, or `cargo test --workspace`, or set LEEWARD_BIN",
        binary.display()
    );
    binary
}
