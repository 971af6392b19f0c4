//! `cache`.

use leeward_rules::decide::Way;

use crate::ready::Cache;
use crate::report::{At, Report};
use crate::written;

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
        failover_order: Way::DEFAULT_ORDER.to_vec(),
        max_object: written.max_object.0,
    }
}
