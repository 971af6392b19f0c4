//! Replacing the configuration while requests are served: all of it or nothing.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use leeward_config::ready::Disk;
use leeward_config::{Diagnostic, Loaded, Severity, Snapshot};
use leeward_telemetry::Metrics;
use serde::Serialize;

use super::endpoints::Replaceable;

/// What a reload came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether the new configuration runs.
    pub ok: bool,
    /// The configuration that runs now.
    pub generation: u64,
    /// When, as an HTTP date.
    pub at: String,
    /// What was said about the new configuration.
    pub diagnostics: Vec<Diagnostic>,
    /// Keys that changed and are only read at a start.
    pub waits_for_restart: Vec<&'static str>,
}

/// What else must hear of a new configuration.
pub struct Hooks {
    /// A larger memory tier, in bytes. (A smaller one waits for a restart.)
    pub cache_memory: Box<dyn Fn(u64) + Send + Sync>,
    /// A larger disk tier, in bytes. (Everything else about it waits for a restart.)
    pub cache_disk: Box<dyn Fn(u64) + Send + Sync>,
    /// The configuration that runs from now on.
    pub published: Box<dyn Fn(&Snapshot) + Send + Sync>,
}

/// Loads the configuration again. One at a time, on a thread that may block.
pub struct Reloader {
    path: PathBuf,
    current: Arc<ArcSwap<Snapshot>>,
    certificates: Replaceable,
    metrics: Arc<Metrics>,
    hooks: Hooks,
    /// Locked during a reload.
    started_with: Mutex<StartedWith>,
    last: ArcSwap<Report>,
}

/// What was read at the start and cannot change since.
#[derive(Debug, PartialEq)]
struct StartedWith {
    listen: Vec<ListenedWith>,
    threads: usize,
    grace_period: Duration,
    admin: SocketAddr,
    cache_memory: u64,
    cache_disk: Option<Disk>,
}

/// A listener without its certificates, which can change.
#[derive(Debug, PartialEq)]
struct ListenedWith {
    address: SocketAddr,
    /// With TLS: whether HTTP/2 is offered.
    tls: Option<bool>,
    proxy_protocol: Option<Vec<IpNet>>,
}

impl StartedWith {
    fn of(snapshot: &Snapshot) -> Self {
        let server = &snapshot.server;
        let listen = server.listen.iter().map(|listener| ListenedWith {
            address: listener.address,
            tls: listener.tls.as_ref().map(|tls| tls.http2),
            proxy_protocol: listener.proxy_protocol.clone(),
        });
        Self {
            listen: listen.collect(),
            threads: server.threads,
            grace_period: server.grace_period,
            admin: snapshot.admin.address,
            cache_memory: snapshot.cache.memory,
            cache_disk: snapshot.cache.disk.clone(),
        }
    }

    /// The keys of `new` that wait for a restart.
    fn waiting(&self, new: &Self) -> Vec<&'static str> {
        let keys = [
            ("server.listen", self.listen != new.listen),
            ("server.threads", self.threads != new.threads),
            ("server.grace_period", self.grace_period != new.grace_period),
            ("admin.address", self.admin != new.admin),
            ("cache.memory", self.cache_memory > new.cache_memory),
            ("cache.disk", self.cache_disk != new.cache_disk && self.larger_disk(new).is_none()),
        ];
        keys.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
    }

    /// The new size of a disk tier that only grew.
    fn larger_disk(&self, new: &Self) -> Option<u64> {
        let (old, new) = (self.cache_disk.as_ref()?, new.cache_disk.as_ref()?);
        (old.path == new.path && old.size < new.size).then_some(new.size)
    }
}

/// Publishes the configuration that the process starts with: generation 1.
#[must_use]
pub fn publish(mut snapshot: Snapshot) -> Arc<ArcSwap<Snapshot>> {
    snapshot.generation = 1;
    Arc::new(ArcSwap::from_pointee(snapshot))
}

impl Reloader {
    /// Reloads `path` into `current`, which holds what the process started with.
    pub fn new(
        path: PathBuf,
        current: Arc<ArcSwap<Snapshot>>,
        certificates: Replaceable,
        metrics: Arc<Metrics>,
        hooks: Hooks,
    ) -> Self {
        let snapshot = current.load_full();
        metrics.generation(snapshot.generation);
        let last = Report {
            ok: true,
            generation: snapshot.generation,
            at: now(),
            diagnostics: Vec::new(),
            waits_for_restart: Vec::new(),
        };
        Self {
            path,
            certificates,
            metrics,
            hooks,
            started_with: Mutex::new(StartedWith::of(&snapshot)),
            last: ArcSwap::from_pointee(last),
            current,
        }
    }

    /// The configuration's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What runs.
    #[must_use]
    pub fn current(&self) -> &Arc<ArcSwap<Snapshot>> {
        &self.current
    }

    /// The last reload, or the start.
    #[must_use]
    pub fn last(&self) -> Arc<Report> {
        self.last.load_full()
    }

    /// Loads the file. On success everything new is published together; otherwise nothing changes. Blocks; logs and counts.
    pub fn reload(&self) -> Arc<Report> {
        let mut started_with = self.started_with.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let report = match self.prepare() {
            Ok((snapshot, prepared, diagnostics)) => {
                let new = StartedWith::of(&snapshot);
                let waits_for_restart = started_with.waiting(&new);
                if new.cache_memory > started_with.cache_memory {
                    started_with.cache_memory = new.cache_memory;
                    (self.hooks.cache_memory)(new.cache_memory);
                }
                if let Some(size) = started_with.larger_disk(&new) {
                    started_with.cache_disk = new.cache_disk;
                    (self.hooks.cache_disk)(size);
                }
                prepared.swap();
                let snapshot = Arc::new(snapshot);
                self.current.store(Arc::clone(&snapshot));
                (self.hooks.published)(&snapshot);
                Report { ok: true, generation: snapshot.generation, at: now(), diagnostics, waits_for_restart }
            }
            Err(diagnostics) => {
                let generation = self.current.load().generation;
                Report { ok: false, generation, at: now(), diagnostics, waits_for_restart: Vec::new() }
            }
        };
        self.metrics.reload(report.ok, report.generation);
        self.log(&report, began.elapsed());
        let report = Arc::new(report);
        self.last.store(Arc::clone(&report));
        report
    }

    /// Everything that can fail, before anything changes.
    fn prepare(&self) -> Result<(Snapshot, super::endpoints::Prepared, Vec<Diagnostic>), Vec<Diagnostic>> {
        // A fault in reading a file must cost this reload only, not the thread that does all later ones.
        let Ok(loaded) = catch_unwind(AssertUnwindSafe(|| crate::waf::load_to_run(&self.path))) else {
            return Err(vec![whole_file(&self.path, "the configuration could not be read: internal fault")]);
        };
        let Loaded { snapshot, mut diagnostics, .. } = loaded;
        let Some(mut snapshot) = snapshot else { return Err(diagnostics) };
        snapshot.generation = self.current.load().generation + 1;
        match self.certificates.prepare(&snapshot.server) {
            Ok(prepared) => Ok((snapshot, prepared, diagnostics)),
            Err(error) => {
                diagnostics.push(whole_file(&error.file, &error.reason));
                Err(diagnostics)
            }
        }
    }

    fn log(&self, report: &Report, took: Duration) {
        let (file, generation) = (self.path.display(), report.generation);
        let took = took.as_millis();
        if report.ok {
            let waits = report.waits_for_restart.join(", ");
            let waits = if waits.is_empty() { waits } else { format!("; waits for a restart: {waits}") };
            log::info!("configuration {generation} runs, from {file} in {took} ms{waits}");
        } else {
            log::error!("{file} was refused after {took} ms: configuration {generation} runs on");
        }
        for diagnostic in &report.diagnostics {
            match diagnostic.severity {
                Severity::Error => log::error!("{diagnostic}"),
                Severity::Warning => log::warn!("{diagnostic}"),
            }
        }
    }
}

fn now() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

/// A diagnostic about a file as a whole.
fn whole_file(file: &Path, message: &str) -> Diagnostic {
    Diagnostic {
        file: file.display().to_string(),
        line: 1,
        column: 1,
        severity: Severity::Error,
        message: message.to_owned(),
        excerpt: String::new(),
        caret: 1,
        hint: None,
    }
}

#[cfg(test)]
mod tests;
