//! What the WAF counts.

use std::time::Duration;

use leeward_telemetry::WafVerdict;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Upper bounds in seconds.
const BUCKETS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// Upper bounds of anomaly scores: what one finding of each severity adds (2, 3, 4, 5), and sums of them.
const SCORES: &[f64] = &[0.0, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0];

/// The WAF's own metrics.
#[derive(Debug)]
pub(crate) struct WafMetrics {
    requests: IntCounterVec,
    rule_hits: IntCounterVec,
    seconds: Histogram,
    score: Histogram,
    overload: IntCounter,
    truncated: IntCounter,
    remembered: IntCounter,
    waiting: IntGauge,
}

impl WafMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// Only if a name is registered twice, which a test excludes.
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let requests = Opts::new("leeward_waf_requests_total", "Requests that the WAF was asked about.");
        let hits = Opts::new("leeward_waf_rule_hits_total", "Requests that a rule of the WAF matched.");
        let seconds = HistogramOpts::new("leeward_waf_seconds", "Time of an inspection, without the wait for it.");
        let score = HistogramOpts::new("leeward_waf_score", "Anomaly scores of the requests that were inspected.");
        let metrics = Self {
            requests: IntCounterVec::new(requests, &["site", "verdict"])?,
            rule_hits: IntCounterVec::new(hits, &["rule"])?,
            seconds: Histogram::with_opts(seconds.buckets(BUCKETS.to_vec()))?,
            score: Histogram::with_opts(score.buckets(SCORES.to_vec()))?,
            overload: IntCounter::new(
                "leeward_waf_overload_total",
                "Requests that the WAF could not look at: its queue was full, the deadline over, or the engine failed.",
            )?,
            truncated: IntCounter::new(
                "leeward_waf_body_truncated_total",
                "Request bodies of which the WAF saw only the beginning.",
            )?,
            remembered: IntCounter::new(
                "leeward_waf_remembered_total",
                "Requests for which the verdict on an equal one was taken.",
            )?,
            waiting: IntGauge::new("leeward_waf_queue", "Requests that wait for an inspection.")?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.rule_hits.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.score.clone()))?;
        registry.register(Box::new(metrics.overload.clone()))?;
        registry.register(Box::new(metrics.truncated.clone()))?;
        registry.register(Box::new(metrics.remembered.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        Ok(metrics)
    }

    /// Counts a request and the rules that matched; they are of the loaded set.
    pub(crate) fn request(&self, site: &str, verdict: WafVerdict, rules: &[u32]) {
        self.requests.with_label_values(&[site, verdict.word()]).inc();
        for rule in rules {
            self.rule_hits.with_label_values(&[rule.to_string().as_str()]).inc();
        }
        if matches!(verdict, WafVerdict::Open | WafVerdict::Closed) {
            self.overload.inc();
        }
    }

    /// Counts an inspection and the score that it came to.
    pub(crate) fn inspected(&self, took: Duration, score: u32) {
        self.seconds.observe(took.as_secs_f64());
        self.score.observe(f64::from(score));
    }

    /// Counts a body that was only seen in part.
    pub(crate) fn truncated(&self) {
        self.truncated.inc();
    }

    /// Counts a verdict that was remembered.
    pub(crate) fn remembered(&self) {
        self.remembered.inc();
    }

    /// Says how many wait.
    pub(crate) fn waiting(&self, number: usize) {
        self.waiting.set(i64::try_from(number).unwrap_or(i64::MAX));
    }
}
