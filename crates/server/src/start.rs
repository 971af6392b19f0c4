//! From a checked configuration to a process that serves: what is built, in which order.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use leeward_config::Snapshot;
use leeward_config::ready::AccessLogTo;
use leeward_origin::health::{Checks, Probe};
use leeward_origin::tiers::Measuring;
use leeward_origin::walk::Turns;
use leeward_origin::{Connector, Health, Resolver, Tiers};
use leeward_telemetry::access_log::Target;
use leeward_telemetry::{AccessLog, Metrics};
use pingora::server::{RunArgs, ShutdownWatch};
use pingora::services::background::{BackgroundService, background_service};

use crate::accept::{self, Counters, Edge, Gate, Limits};
use crate::admin::{self, Admin, Origins, Purges, Sources};
use crate::cache_metrics::DiskMetrics;
use crate::cache_parts::CacheParts;
use crate::lane::Lane;
use crate::life::{self, Drain, Handlers, Reloader, Signals};
use crate::limits::Limits as RateLimits;
use crate::node;
use crate::proxy::Leeward;
use crate::sweep::{Progress, Sweeping};
use crate::waf::Waf;

/// Why the edge does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener that cannot be set up.
    #[error(transparent)]
    Endpoint(#[from] life::StartError),
    /// The admin listener's address.
    #[error("admin: {0}")]
    Admin(#[from] accept::BindError),
    /// A file the framework needs.
    #[error(transparent)]
    Conf(#[from] life::ConfError),
    /// A metric that cannot be registered: a bug.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The cache's directory.
    #[error(transparent)]
    Cache(#[from] crate::cache_parts::OpenError),
    /// A thread or a log file.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// What is known once the sockets are bound.
#[derive(Debug)]
pub struct Running {
    /// The listeners, with the ports that the system chose where 0 was asked for.
    pub listeners: Vec<std::net::SocketAddr>,
    /// The admin listener.
    pub admin: std::net::SocketAddr,
}

/// Serves until a signal ends the process. `file` is read again by a reload; `ready` is called once clients may connect,
/// `ended` when the last request was answered or cut: the process may be gone before this function returns.
///
/// # Errors
/// What keeps the edge from starting; nothing was served then.
pub fn run(
    snapshot: Snapshot,
    file: PathBuf,
    signals: Signals,
    ready: impl FnOnce(&Running),
    ended: impl Fn() + Send + Sync + 'static,
) -> Result<(), StartError> {
    leeward_telemetry::panics::watch();
    let room = life::connections(snapshot.server.limits.connections);
    let metrics = Arc::new(Metrics::new()?);
    let access_log = Arc::new(AccessLog::start(target(&snapshot.log.access))?);
    let cache = CacheParts::open(&snapshot.cache)?;
    let stage = signals.stage().clone();
    let endpoints = life::endpoints(&snapshot.server, false)?;
    let admin_sockets = accept::bind(&[snapshot.admin.address])?;
    let bound = |sockets: &[accept::Bound]| sockets.iter().map(accept::Bound::address).collect::<Vec<_>>();
    let admin_address = bound(&admin_sockets).first().copied().unwrap_or(snapshot.admin.address);
    let running = Running { listeners: bound(&endpoints.sockets), admin: admin_address };

    let conf = life::server_conf(snapshot.server.threads, snapshot.server.grace_period, None, None)?;
    let workers = accept::Workers::start("edge", conf.threads)?;
    let mut server = life::server(conf, None);

    let resolver = Arc::new(Resolver::new(&snapshot.dns));
    resolver.follow(&snapshot);
    let health = Arc::new(Health::default());
    let tiers = Arc::new(Tiers::default());

    let rate_limits = Arc::new(RateLimits::default());
    let current = life::publish(snapshot);
    let hooks =
        hooks(cache, Arc::clone(&access_log), Arc::clone(&resolver), Arc::clone(&health), Arc::clone(&rate_limits));
    let reloader =
        Arc::new(Reloader::new(file, Arc::clone(&current), endpoints.certificates, Arc::clone(&metrics), hooks));

    let gate = Arc::new(Gate::default());
    let lane = Arc::new(Lane::new(&current, cache.store, &metrics, &access_log));
    let leeward = Leeward {
        snapshot: Arc::clone(&current),
        cache,
        resolver: Arc::clone(&resolver),
        connector: Connector::default(),
        turns: Turns::default(),
        tiers: Arc::clone(&tiers),
        probe: Probe::default(),
        health: Arc::clone(&health),
        collapsed: Default::default(),
        limits: Arc::clone(&rate_limits),
        metrics: Arc::clone(&metrics),
        access_log: Arc::clone(&access_log),
        lane: Arc::clone(&lane),
        waf: Waf::new(&metrics)?,
    };
    let limits = limits(&current, room);
    let counters = Counters::new(Arc::clone(&metrics))?;
    let edge = Edge::new(&server.configuration, leeward, endpoints.listeners, Arc::clone(&gate), limits, counters)
        .with_lane(lane);
    server.add_service(accept::service("edge", edge, endpoints.sockets).on(workers));

    let origins = Origins { snapshot: current, health, resolver, tiers };
    server.add_service(background_service("checks", Checking(origins.clone())));
    server.add_service(background_service("tiers", MeasuringTiers(origins.clone())));
    let sweeping = Sweeping::new(Arc::clone(&cache.ledger), || Box::pin(cache.store.sweep()));
    let sources = sources(&reloader, &metrics, cache, sweeping.progress(), origins)?;
    server.add_service(background_service("sweep", sweeping));
    let admin = Admin::new(stage.clone(), sources);
    server.add_service(accept::service("admin", admin, admin_sockets).through_the_drain(stage.clone()));
    let log = Arc::clone(&access_log);
    let ended = Arc::new(move || {
        cache.close();
        log.flush();
        ended();
    });
    let drained = Arc::clone(&ended);
    server.add_service(background_service("drain", Drain::new(stage, gate, move || drained())));

    let (reload, log) = (Arc::clone(&reloader), Arc::clone(&access_log));
    signals.handle(Handlers {
        reload: Box::new(move || {
            reload.reload();
        }),
        reopen_logs: Box::new(move || log.reopen()),
    })?;
    ready(&running);
    server.run(RunArgs { shutdown_signal: Box::new(signals) });
    ended();
    Ok(())
}

/// What hears of a new configuration.
fn hooks(
    cache: &'static CacheParts,
    log: Arc<AccessLog>,
    names: Arc<Resolver>,
    health: Arc<Health>,
    counted: Arc<RateLimits>,
) -> life::Hooks {
    life::Hooks {
        cache_memory: Box::new(|bytes| cache.store.set_limit(bytes)),
        cache_disk: Box::new(|bytes| cache.store.set_disk_limit(bytes)),
        published: Box::new(move |snapshot| {
            cache.store.set_max_object(snapshot.cache.max_object);
            cache.store.set_variants(snapshot.cache.variants);
            log.retarget(target(&snapshot.log.access));
            names.follow(snapshot);
            health.retain(snapshot);
            counted.keep(snapshot);
        }),
    }
}

/// The limits of connections under the running configuration; there is room for no more than `room`.
fn limits(current: &Arc<ArcSwap<Snapshot>>, room: usize) -> impl Fn() -> Limits + use<> {
    let current = Arc::clone(current);
    move || {
        let snapshot = current.load();
        let limits = Limits::from(&snapshot.server.limits);
        Limits { connections: limits.connections.min(room), short_reads: snapshot.waf.is_some(), ..limits }
    }
}

/// Where the admin listener's answers come from.
fn sources(
    reloader: &Arc<Reloader>,
    metrics: &Arc<Metrics>,
    cache: &'static CacheParts,
    swept: Arc<Progress>,
    origins: Origins,
) -> prometheus::Result<Sources> {
    let purges = Arc::new(Purges::new(Arc::clone(&origins.snapshot), Arc::clone(&cache.ledger), Arc::clone(metrics)));
    let (metrics, measured) = (Arc::clone(metrics), origins.clone());
    let disk = match cache.store.disk() {
        Some(disk) => Some((Arc::clone(disk), DiskMetrics::new(metrics.registry())?)),
        None => None,
    };
    let render = move || {
        let stats = cache.store.stats();
        metrics.cache("memory", stats.objects, stats.bytes, stats.evictions, stats.fills_ok, stats.fills_failed);
        metrics.purge_rules(cache.ledger.rules());
        if let Some((disk, of_disk)) = &disk {
            let figures = disk.stats();
            let (ok, failed) = (stats.fills_ok, stats.fills_failed);
            metrics.cache("disk", figures.objects, figures.bytes, figures.evictions, ok, failed);
            of_disk.measure(&figures);
        }
        measured.measure(&metrics);
        metrics.render()
    };
    let current = Arc::clone(&origins.snapshot);
    let describe = move || admin::cache::describe(&current.load(), cache, &swept);
    Ok(admin::sources(Arc::clone(reloader), render, describe, origins, purges))
}

/// Measurements of shields and gateways, until the end.
struct MeasuringTiers(Origins);

#[async_trait]
impl BackgroundService for MeasuringTiers {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Origins { snapshot, resolver, tiers, .. } = self.0.clone();
        let named = Arc::clone(&snapshot);
        let measuring =
            Measuring::new(tiers, resolver, move || snapshot.load_full(), move || node::member(&named.load()));
        tokio::select! {
            () = measuring.run() => {}
            _ = shutdown.changed() => {}
        }
    }
}

/// Active checks of the origins' servers, until the end.
struct Checking(Origins);

#[async_trait]
impl BackgroundService for Checking {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Origins { snapshot, health, resolver, .. } = self.0.clone();
        let checks =
            Checks::new(health, move || snapshot.load_full(), move |host, question| resolver.known(host, question));
        tokio::select! {
            () = checks.run() => {}
            _ = shutdown.changed() => {}
        }
    }
}

fn target(to: &AccessLogTo) -> Target {
    match to {
        AccessLogTo::Stdout => Target::Stdout,
        AccessLogTo::File(path) => Target::File(path.clone()),
        AccessLogTo::Off => Target::Off,
    }
}
