//! What the edge writes: access log lines on standard output, everything else on standard error.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// Lines shown of each stream when a test fails.
const SHOWN: usize = 60;

/// Both streams, collected while the process runs.
pub struct Output {
    shared: Arc<Shared>,
    readers: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    out: Vec<String>,
    err: Vec<String>,
}

impl Output {
    pub(super) fn collect(out: impl Read + Send + 'static, err: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let readers = vec![read(&shared, out, |lines| &mut lines.out), read(&shared, err, |lines| &mut lines.err)];
        Self { shared, readers: Mutex::new(readers) }
    }

    /// Waits until both streams have ended, once the process has.
    pub(super) fn settle(&self) {
        for reader in self.readers.lock().unwrap().drain(..) {
            let _ = reader.join();
        }
    }

    /// Lines of standard output so far.
    #[must_use]
    pub fn out(&self) -> Vec<String> {
        self.shared.lines.lock().unwrap().out.clone()
    }
    /// Lines of standard error so far.
    #[must_use]
    pub fn err(&self) -> Vec<String> {
        self.shared.lines.lock().unwrap().err.clone()
    }

    /// Access log entries so far: every line of standard output that is a JSON object.
    #[must_use]
    pub fn access(&self) -> Vec<Value> {
        entries(&self.shared.lines.lock().unwrap().out)
    }

    /// Waits for an access log entry that fits; none when it did not come. All entries so far are the second part.
    #[must_use]
    pub fn wait_for_access(&self, within: Duration, fits: impl Fn(&Value) -> bool) -> (Option<Value>, Vec<Value>) {
        let lines = self.shared.lines.lock().unwrap();
        let found = |lines: &mut Lines| !entries(&lines.out).iter().any(&fits);
        let (lines, _) = self.shared.changed.wait_timeout_while(lines, within, found).unwrap();
        let all = entries(&lines.out);
        (all.iter().find(|entry| fits(entry)).cloned(), all)
    }

    /// Waits for so many access log entries and gives all there are by then.
    ///
    /// # Panics
    /// When they did not come.
    #[must_use]
    pub fn wait_for_entries(&self, count: usize, within: Duration) -> Vec<Value> {
        let lines = self.shared.lines.lock().unwrap();
        let (lines, _) =
            self.shared.changed.wait_timeout_while(lines, within, |lines| entries(&lines.out).len() < count).unwrap();
        let all = entries(&lines.out);
        assert!(all.len() >= count, "{} access log entries within {within:?}, {count} were waited for", all.len());
        all
    }

    /// Waits for a line of standard error that contains a text; false when it did not come.
    #[must_use]
    pub fn wait_for_err(&self, within: Duration, text: &str) -> bool {
        let lines = self.shared.lines.lock().unwrap();
        let missing = |lines: &mut Lines| !lines.err.iter().any(|line| line.contains(text));
        let (_lines, waited) = self.shared.changed.wait_timeout_while(lines, within, missing).unwrap();
        !waited.timed_out()
    }

    /// Waits for a line of standard output that fits; none when it did not come.
    #[must_use]
    pub fn wait_for_out(&self, within: Duration, fits: impl Fn(&str) -> bool) -> Option<String> {
        let lines = self.shared.lines.lock().unwrap();
        let missing = |lines: &mut Lines| !lines.out.iter().any(|line| fits(line));
        let (lines, _) = self.shared.changed.wait_timeout_while(lines, within, missing).unwrap();
        lines.out.iter().find(|line| fits(line)).cloned()
    }

    /// The last lines of both streams.
    pub(super) fn story(&self) -> String {
        let lines = self.shared.lines.lock().unwrap();
        let tail = |lines: &[String]| lines[lines.len().saturating_sub(SHOWN)..].join("\n");
        format!(
            "--- standard output of the edge\n{}\n--- standard error of the edge\n{}\n---",
            tail(&lines.out),
            tail(&lines.err)
        )
    }
}

fn entries(lines: &[String]) -> Vec<Value> {
    let values = lines.iter().filter(|line| line.starts_with('{'));
    values.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn read(
    shared: &Arc<Shared>,
    stream: impl Read + Send + 'static,
    list: fn(&mut Lines) -> &mut Vec<String>,
) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            list(&mut shared.lines.lock().unwrap()).push(text);
            shared.changed.notify_all();
            line.clear();
        }
    })
}
