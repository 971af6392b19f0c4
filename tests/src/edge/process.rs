//! A child process: watched, signalled, and never left behind.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Output;
use crate::wait;

/// A running program. Dropping it kills it, and shows its output when the test is failing.
pub struct Process {
    child: Child,
    output: Output,
    ended: bool,
}

impl Process {
    /// Starts a command with nothing on its standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        let output = Output::collect(child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, output, ended: false }
    }

    /// What it wrote so far.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// The last lines of what it wrote.
    #[must_use]
    pub fn story(&self) -> String {
        self.output.story()
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// Never on Linux.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap()?;
        self.ended = true;
        self.output.settle();
        Some(status)
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).expect("the process is there to be signalled");
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.ended = true;
            self.output.settle();
        }
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it is still there after the deadline.
    #[must_use]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        wait::until("the process to exit", within, || self.try_wait())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.story());
        }
    }
}
