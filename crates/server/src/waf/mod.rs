//! The WAF's part that requests share: the rules of the running configuration, the threads that ask them, what is remembered of
//! verdicts, and the metrics. What becomes of a request is decided in `phase/security/waf.rs`.

mod load;
mod metrics;

use std::sync::{Arc, OnceLock};

use leeward_telemetry::Metrics;
use leeward_waf::{Memory, Pool, RuleSet};

pub use load::{load, load_to_run};
pub(crate) use metrics::WafMetrics;

/// The rules of one configuration; each loading has a number of its own.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) set: Arc<dyn RuleSet>,
    pub(crate) generation: u64,
}

/// What all requests that are judged share.
#[derive(Debug)]
pub(crate) struct Waf {
    pub(crate) metrics: WafMetrics,
    /// Made for the first request that needs it: an edge without a WAF has neither threads nor memory for one.
    tools: OnceLock<Option<Tools>>,
}

#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) pool: Pool,
    pub(crate) memory: Memory,
}

impl Waf {
    /// Registers the metrics.
    ///
    /// # Errors
    /// Only if a name is registered twice, which a test excludes.
    pub(crate) fn new(metrics: &Metrics) -> prometheus::Result<Self> {
        Ok(Self { metrics: WafMetrics::new(metrics.registry())?, tools: OnceLock::new() })
    }

    /// Threads and memory; `None` where no thread can be started.
    pub(crate) fn tools(&self) -> Option<&Tools> {
        let make = || match Pool::start_here() {
            Ok(pool) => Some(Tools { pool, memory: Memory::default() }),
            Err(error) => {
                log::error!("the threads of the WAF cannot be started: {error}");
                None
            }
        };
        self.tools.get_or_init(make).as_ref()
    }
}
