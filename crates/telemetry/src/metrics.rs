//! Prometheus metrics. The label sets are bounded: sites and origins come from the configuration, everything else from
//! `words.rs`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::FixedState;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::panics;
use crate::words::{AttemptResult, CacheState, FailoverTo, PurgeKind, Reason};

/// Upper bounds in seconds: hits are fast, origins are not.
const REQUEST_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What a request with an address that no site has is counted under.
pub const NO_SITE: &str = "-";

/// Series one thread remembers before it starts over; bounds its memory when sites come and go.
const REMEMBERED_SERIES: usize = 4096;

/// Every metric of the edge.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    bytes: IntCounterVec,
    denied: IntCounterVec,
    rate_limited: IntCounterVec,
    failovers: IntCounterVec,
    origin_requests: IntCounterVec,
    origin_failures: IntCounterVec,
    origin_seconds: HistogramVec,
    origin_available: IntGaugeVec,
    /// The series of `origin_available`, so that those of removed servers go.
    servers: Mutex<BTreeSet<(String, String)>>,
    reloads: IntCounterVec,
    generation: IntGauge,
    connections: IntGaugeVec,
    handshakes: IntCounterVec,
    cache_objects: IntGaugeVec,
    cache_bytes: IntGaugeVec,
    cache_evictions: IntCounterVec,
    cache_fills: IntCounterVec,
    purges: IntCounterVec,
    purge_rules: IntGauge,
    lane_hits: IntCounter,
}

/// The series one kind of answer of one site is counted in.
#[derive(Clone)]
struct Series {
    requests: IntCounter,
    seconds: Histogram,
    bytes: IntCounter,
}

/// The series one result of attempts at one origin server is counted in.
#[derive(Clone)]
struct AttemptSeries {
    requests: IntCounter,
    seconds: Histogram,
}

/// What one worker remembers, by the hash of the labels. The vectors guard their series with a lock that all workers share.
struct Remembered<S>(HashMap<u64, S, FixedState>);

impl<S> Default for Remembered<S> {
    fn default() -> Self {
        Self(HashMap::with_hasher(FixedState::default()))
    }
}

impl<S> Remembered<S> {
    fn get(&mut self, labels: impl std::hash::Hash, make: impl FnOnce() -> S) -> &S {
        if self.0.len() >= REMEMBERED_SERIES {
            self.0.clear();
        }
        self.0.entry(FixedState::default().hash_one(labels)).or_insert_with(make)
    }
}

thread_local! {
    static SERIES: RefCell<Remembered<Series>> = RefCell::default();
    static ATTEMPTS: RefCell<Remembered<AttemptSeries>> = RefCell::default();
}

/// What one finished request adds.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The site as configured, or [`NO_SITE`].
    pub site: &'a str,
    /// The client's method.
    pub method: &'a http::Method,
    /// Status sent; 0 when nothing was.
    pub status: u16,
    /// How the cache took part.
    pub cache: CacheState,
    /// Duration from the request head to the last byte, in seconds.
    pub seconds: f64,
    /// Bytes of the response body.
    pub bytes: u64,
}

impl Metrics {
    /// All metrics, registered in a registry of their own: two edges in one process do not mix.
    ///
    /// # Errors
    /// Only if a name is registered twice, which a test excludes.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntGaugeVec> {
            let vec = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<HistogramVec> {
            let vec = HistogramVec::new(HistogramOpts::new(name, help).buckets(REQUEST_BUCKETS.to_vec()), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let generation = IntGauge::new("leeward_config_generation", "Number of the running configuration, from 1.")?;
        registry.register(Box::new(generation.clone()))?;
        let purge_rules = IntGauge::new("leeward_purge_rules", "Purges that wait for the sweep.")?;
        registry.register(Box::new(purge_rules.clone()))?;
        let lane_hits = IntCounter::new("leeward_lane_hits_total", "Hits answered by the hit lane.")?;
        registry.register(Box::new(lane_hits.clone()))?;
        if let Some(panics) = panics::counter() {
            registry.register(Box::new(panics))?;
        }
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            requests: counters("leeward_requests_total", "Requests answered.", &["site", "method", "status", "cache"])?,
            seconds: histograms("leeward_request_seconds", "From request head to last byte.", &["site", "cache"])?,
            bytes: counters("leeward_response_bytes_total", "Bytes of response bodies.", &["site"])?,
            denied: counters("leeward_denied_total", "Requests the edge refused.", &["site", "reason"])?,
            rate_limited: counters(
                "leeward_rate_limited_total",
                "Requests above a rate limit, refused or only counted.",
                &["limit", "mode"],
            )?,
            failovers: counters(
                "leeward_failovers_total",
                "Requests that went on from a failure.",
                &["site", "to", "reason"],
            )?,
            origin_requests: counters(
                "leeward_origin_requests_total",
                "Attempts at origin servers.",
                &["origin", "server", "result"],
            )?,
            origin_failures: counters(
                "leeward_origin_failures_total",
                "Attempts at origin servers that were given up, by reason.",
                &["origin", "server", "reason"],
            )?,
            origin_seconds: histograms("leeward_origin_seconds", "From attempt to response head.", &["origin"])?,
            origin_available: gauges(
                "leeward_origin_available",
                "Whether an origin server is asked: 1, or 0 while it is left alone or has no address.",
                &["origin", "server"],
            )?,
            servers: Mutex::default(),
            reloads: counters("leeward_reloads_total", "Reloads of the configuration.", &["result"])?,
            connections: gauges("leeward_connections", "Open client connections.", &["listener"])?,
            handshakes: counters("leeward_tls_handshakes_total", "TLS handshakes with clients.", &["result"])?,
            cache_objects: gauges("leeward_cache_objects", "Objects stored.", &["tier"])?,
            cache_bytes: gauges("leeward_cache_bytes", "Bytes stored.", &["tier"])?,
            cache_evictions: counters("leeward_cache_evictions_total", "Objects removed to make room.", &["tier"])?,
            cache_fills: counters("leeward_cache_fills_total", "Fills of the cache.", &["result"])?,
            purges: counters("leeward_purges_total", "What was purged, by how it was named.", &["kind"])?,
            purge_rules,
            lane_hits,
            generation,
            registry,
        })
    }

    /// Counts a finished request.
    pub fn request(&self, request: &Request<'_>) {
        let method = method_label(request.method);
        let labels = (self.id(), request.site, method, request.status, request.cache);
        SERIES.with_borrow_mut(|known| {
            let series = known.get(labels, || self.series(request, method));
            series.requests.inc();
            series.seconds.observe(request.seconds);
            series.bytes.inc_by(request.bytes);
        });
    }

    fn series(&self, request: &Request<'_>, method: &str) -> Series {
        let (status, cache) = (request.status.to_string(), request.cache.word());
        Series {
            requests: self.requests.with_label_values(&[request.site, method, &status, cache]),
            seconds: self.seconds.with_label_values(&[request.site, cache]),
            bytes: self.bytes.with_label_values(&[request.site]),
        }
    }

    /// Counts a hit that the hit lane answered; it is counted as a request too.
    pub fn lane_hit(&self) {
        self.lane_hits.inc();
    }

    /// Tells the metrics of several edges in one process apart (tests).
    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Counts a request that the edge refused.
    pub fn denied(&self, site: &str, reason: Reason) {
        self.denied.with_label_values(&[site, reason.word()]).inc();
    }

    /// Counts a request above a rate limit.
    pub fn rate_limited(&self, limit: &str, enforced: bool) {
        let mode = if enforced { "enforce" } else { "detect" };
        self.rate_limited.with_label_values(&[limit, mode]).inc();
    }

    /// Counts a request that went on from a failure.
    pub fn failover(&self, site: &str, to: FailoverTo, reason: Reason) {
        self.failovers.with_label_values(&[site, to.word(), reason.word()]).inc();
    }

    /// Counts one attempt at an origin server; `reason` says why it was given up.
    pub fn attempt(&self, origin: &str, server: &str, result: AttemptResult, reason: Option<Reason>, seconds: f64) {
        ATTEMPTS.with_borrow_mut(|known| {
            let series = known.get((self.id(), origin, server, result.word()), || AttemptSeries {
                requests: self.origin_requests.with_label_values(&[origin, server, result.word()]),
                seconds: self.origin_seconds.with_label_values(&[origin]),
            });
            series.requests.inc();
            series.seconds.observe(seconds);
        });
        if let Some(reason) = reason {
            self.origin_failures.with_label_values(&[origin, server, reason.word()]).inc();
        }
    }

    /// Says of every origin server whether it is available. Servers that are not mentioned any more have no series.
    pub fn available<'s>(&self, servers: impl IntoIterator<Item = (&'s str, String, bool)>) {
        let mut now = BTreeMap::new();
        for (origin, server, available) in servers {
            // the same name on two platforms: what is down is to be seen
            *now.entry((origin.to_owned(), server)).or_insert(true) &= available;
        }
        let mut before = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        for ((origin, server), available) in &now {
            self.origin_available.with_label_values(&[origin, server]).set(i64::from(*available));
        }
        for (origin, server) in before.iter().filter(|series| !now.contains_key(*series)) {
            // absent already is as good
            let _ = self.origin_available.remove_label_values(&[origin, server]);
        }
        *before = now.into_keys().collect();
    }

    /// Counts a reload and says which configuration runs now.
    pub fn reload(&self, ok: bool, generation: u64) {
        self.reloads.with_label_values(&[if ok { "ok" } else { "failed" }]).inc();
        self.generation(generation);
    }

    /// Says which configuration runs.
    pub fn generation(&self, generation: u64) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
    }

    /// Open connections of a listener.
    #[must_use]
    pub fn connections(&self, listener: &str) -> IntGauge {
        self.connections.with_label_values(&[listener])
    }

    /// TLS handshakes that ended so.
    #[must_use]
    pub fn handshakes(&self, result: &str) -> IntCounter {
        self.handshakes.with_label_values(&[result])
    }

    /// Says what the tier holds; `evictions`, `fills_ok` and `fills_failed` count from the start of the process.
    pub fn cache(&self, tier: &str, objects: u64, bytes: u64, evictions: u64, fills_ok: u64, fills_failed: u64) {
        let clamp = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.cache_objects.with_label_values(&[tier]).set(clamp(objects));
        self.cache_bytes.with_label_values(&[tier]).set(clamp(bytes));
        raise(&self.cache_evictions.with_label_values(&[tier]), evictions);
        raise(&self.cache_fills.with_label_values(&["ok"]), fills_ok);
        raise(&self.cache_fills.with_label_values(&["failed"]), fills_failed);
    }

    /// Counts things purged that were named so.
    pub fn purged(&self, kind: PurgeKind, number: u64) {
        self.purges.with_label_values(&[kind.word()]).inc_by(number);
    }

    /// Says how many purges wait for the sweep.
    pub fn purge_rules(&self, number: usize) {
        self.purge_rules.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// The registry, for parts that bring metrics of their own.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The text that Prometheus scrapes.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 << 10);
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut out) {
            log::error!("metrics could not be written: {error}");
        }
        out
    }
}

/// Brings a counter up to a total that is counted elsewhere.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

/// Methods a client invents must not make series.
fn method_label(method: &http::Method) -> &'static str {
    match *method {
        http::Method::GET => "GET",
        http::Method::HEAD => "HEAD",
        http::Method::POST => "POST",
        http::Method::PUT => "PUT",
        http::Method::DELETE => "DELETE",
        http::Method::OPTIONS => "OPTIONS",
        http::Method::PATCH => "PATCH",
        http::Method::TRACE => "TRACE",
        http::Method::CONNECT => "CONNECT",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_once_with_bounded_labels() {
        let metrics = Metrics::new().unwrap();
        let invented = http::Method::from_bytes(b"BREW").unwrap();
        for method in [&http::Method::GET, &http::Method::GET, &invented] {
            metrics.request(&Request {
                site: "www.example.com",
                method,
                status: 200,
                cache: CacheState::Hit,
                seconds: 0.001,
                bytes: 7,
            });
        }
        let text = String::from_utf8(metrics.render()).unwrap();
        for line in [
            r#"leeward_requests_total{cache="hit",method="GET",site="www.example.com",status="200"} 2"#,
            r#"leeward_requests_total{cache="hit",method="OTHER",site="www.example.com",status="200"} 1"#,
            r#"leeward_response_bytes_total{site="www.example.com"} 21"#,
            r#"leeward_request_seconds_count{cache="hit",site="www.example.com"} 3"#,
        ] {
            assert!(text.contains(line), "{line}\nnot in\n{text}");
        }
    }

    #[test]
    fn totals_counted_elsewhere_only_rise() {
        let metrics = Metrics::new().unwrap();
        metrics.cache("memory", 1, 10, 5, 2, 1);
        metrics.cache("memory", 2, 20, 4, 3, 1);
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains(r#"leeward_cache_evictions_total{tier="memory"} 5"#), "{text}");
        assert!(text.contains(r#"leeward_cache_fills_total{result="ok"} 3"#), "{text}");
        assert!(text.contains(r#"leeward_cache_objects{tier="memory"} 2"#), "{text}");
    }

    #[test]
    fn a_server_has_a_series_while_it_is_configured() {
        let metrics = Metrics::new().unwrap();
        let line =
            |server, value: u8| format!("leeward_origin_available{{origin=\"photos\",server=\"{server}\"}} {value}\n");
        let text = |servers: &[(&'static str, bool)]| {
            metrics.available(servers.iter().map(|(server, available)| ("photos", (*server).to_owned(), *available)));
            String::from_utf8(metrics.render()).unwrap()
        };
        let first = text(&[("http://a", true), ("http://b", false), ("http://c", true), ("http://c", false)]);
        for (server, value) in [("http://a", 1), ("http://b", 0), ("http://c", 0)] {
            assert!(first.contains(&line(server, value)), "{server} is {value}\nnot in\n{first}");
        }
        let second = text(&[("http://b", true)]);
        assert!(second.contains(&line("http://b", 1)), "{second}");
        assert_eq!(second.matches("leeward_origin_available{").count(), 1, "{second}");
    }
}
