//! Figures of the disk tier, beside those that both tiers have.

use leeward_cache::disk::Stats;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The disk tier's own metrics.
#[derive(Debug)]
pub(crate) struct DiskMetrics {
    errors: IntCounterVec,
    corrupt: IntCounter,
    refused: IntCounter,
    index: IntGauge,
    writing: IntGauge,
}

impl DiskMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// Only if a name is registered twice, which a test excludes.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let errors = Opts::new("leeward_cache_disk_errors_total", "Operations of the cache's disk that failed.");
        let metrics = Self {
            errors: IntCounterVec::new(errors, &["operation"])?,
            corrupt: IntCounter::new(
                "leeward_cache_disk_corrupt_total",
                "Files of the cache that were not what had been written, and were removed.",
            )?,
            refused: IntCounter::new(
                "leeward_cache_disk_refused_total",
                "Objects that the disk tier did not take: its queue was full, or writing was given up.",
            )?,
            index: IntGauge::new("leeward_cache_disk_index_bytes", "Memory of the disk tier's index, in bytes.")?,
            writing: IntGauge::new("leeward_cache_disk_writable", "0 while writing to the cache's disk is given up.")?,
        };
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.corrupt.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.index.clone()))?;
        registry.register(Box::new(metrics.writing.clone()))?;
        Ok(metrics)
    }

    /// Brings them up to what the tier counted.
    pub(crate) fn measure(&self, stats: &Stats) {
        let errors = [
            ("read", stats.read_errors + stats.late_reads),
            ("write", stats.write_errors),
            ("update", stats.update_errors),
            ("remove", stats.remove_errors),
            ("index", stats.index_errors),
        ];
        for (operation, total) in errors {
            raise(&self.errors.with_label_values(&[operation]), total);
        }
        raise(&self.corrupt, stats.corrupt);
        raise(&self.refused, stats.refused);
        self.index.set(i64::try_from(stats.index_bytes).unwrap_or(i64::MAX));
        self.writing.set(i64::from(!stats.writing_given_up));
    }
}

/// Brings a counter up to a total that is counted elsewhere.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
