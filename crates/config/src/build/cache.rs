//! `cache`.

use leeward_rules::decide::Way;

use crate::ready::Cache;
use crate::report::{At, Report};
use crate::written::{self, FailoverStep};

/// The smallest memory tier: anything below cannot hold a page and its pictures.
const MIN_MEMORY: u64 = 1 << 20;

pub(super) fn cache(report: &Report, at: &At, written: &written::Cache) -> Cache {
    if written.memory.0 < MIN_MEMORY {
        report.error(
            &at.key("memory"),
            format!("`memory` is {}, less than {}", written.memory, written::Size(MIN_MEMORY)),
        );
    }
    if written.store_on_hit == 0 {
        report
            .error(&at.key("store_on_hit"), "`store_on_hit` counts requests from 1")
            .hint("1 stores on the first request, 2 on the second");
    }
    if written.max_object.0 == 0 {
        report.error(&at.key("max_object"), "`max_object` is 0: nothing could be stored");
    }
    Cache {
        memory: written.memory.0,
        store_on_hit: written.store_on_hit,
        default_max_age: written.default_max_age.0,
        set_cookie: written.set_cookie,
        query_string: written.query_string,
        no_cache_parameter: written.no_cache_parameter,
        max_stale: written.max_stale.0,
        failover_order: failover_order(report, &at.key("failover_order"), &written.failover_order),
        max_object: written.max_object.0,
    }
}

/// `failover_order` of the cache or of a site: each step once, the servers first.
pub(super) fn failover_order(report: &Report, at: &At, written: &[FailoverStep]) -> Vec<Way> {
    let order: Vec<Way> = written.iter().copied().map(Way::from).collect();
    for (i, way) in order.iter().enumerate() {
        if order.iter().take(i).any(|other| other == way) {
            report.error(&at.index(i), format!("`{}` is there twice", way.word()));
        }
    }
    if order.first() != Some(&Way::Servers) && !report.any_wrong(at) {
        let mut words = vec![Way::Servers.word()];
        words.extend(order.iter().filter(|way| **way != Way::Servers).map(|way| way.word()));
        report
            .error(at, "`failover_order` does not begin with `servers`")
            .hint(format!("`[{}]`; a fresh copy is served before any of them", words.join(", ")));
    }
    order
}

impl From<FailoverStep> for Way {
    fn from(step: FailoverStep) -> Self {
        match step {
            FailoverStep::Servers => Self::Servers,
            FailoverStep::Backup => Self::Backup,
            FailoverStep::SiteFailover => Self::SiteFailover,
            FailoverStep::Stale => Self::Stale,
        }
    }
}
