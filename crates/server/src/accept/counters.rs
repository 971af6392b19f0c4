//! What the accept path counts.

use std::sync::Arc;

use leeward_telemetry::Metrics;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

/// Why a connection was closed without an answer to any request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `limits.connections` are open.
    Connections,
    /// `limits.connections_per_ip` are open from its address.
    ConnectionsPerIp,
    /// No PROXY protocol header, a malformed one, or one from a network that is not trusted.
    ProxyProtocol,
    /// The TLS handshake failed.
    Handshake,
    /// No complete request head (or handshake) within `limits.header_timeout`.
    HeaderTimeout,
}

impl Refusal {
    /// The value of the metric's `reason` label.
    fn word(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerIp => "connections_per_ip",
            Self::ProxyProtocol => "proxy_protocol",
            Self::Handshake => "handshake",
            Self::HeaderTimeout => "header_timeout",
        }
    }
}

/// How a TLS handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshake {
    Ok,
    Failed,
    TimedOut,
}

/// What the accept path counts: `leeward_connections{listener}`, `leeward_tls_handshakes_total{result}` and
/// `leeward_connections_refused_total{listener,reason}`.
#[derive(Debug, Clone)]
pub struct Counters {
    metrics: Arc<Metrics>,
    refused: IntCounterVec,
    ok: IntCounter,
    failed: IntCounter,
    timed_out: IntCounter,
}

impl Counters {
    /// Takes the counters from the edge's metrics and adds `leeward_connections_refused_total` to their registry.
    ///
    /// # Errors
    /// When it was added before: one accept path for one set of metrics.
    pub fn new(metrics: Arc<Metrics>) -> prometheus::Result<Self> {
        let refused = IntCounterVec::new(
            Opts::new(
                "leeward_connections_refused_total",
                "Connections closed without an answer to any request, by reason.",
            ),
            &["listener", "reason"],
        )?;
        metrics.registry().register(Box::new(refused.clone()))?;
        Ok(Self {
            ok: metrics.handshakes("ok"),
            failed: metrics.handshakes("failed"),
            timed_out: metrics.handshakes("timeout"),
            refused,
            metrics,
        })
    }

    /// The gauge of a listener, looked up once.
    pub(super) fn connections(&self, listener: &str) -> IntGauge {
        self.metrics.connections(listener)
    }

    pub(super) fn refused(&self, listener: &str, reason: Refusal) {
        self.refused.with_label_values(&[listener, reason.word()]).inc();
    }

    pub(super) fn handshake(&self, result: Handshake) {
        match result {
            Handshake::Ok => &self.ok,
            Handshake::Failed => &self.failed,
            Handshake::TimedOut => &self.timed_out,
        }
        .inc();
    }
}

/// One connection in a gauge; leaves it when dropped.
#[derive(Debug)]
pub(super) struct OpenCount(IntGauge);

impl OpenCount {
    pub(super) fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.dec();
    }
}
