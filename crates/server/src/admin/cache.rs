//! What the cache holds: for `GET /v1/cache`.

use leeward_cache::disk;
use leeward_config::Snapshot;
use serde_json::{Value, json};

use crate::cache_parts::CacheParts;
use crate::sweep::Progress;

/// The tiers with their limits, the fills, and the purges that wait for the sweep; JSON.
pub(crate) fn describe(snapshot: &Snapshot, cache: &CacheParts, progress: &Progress) -> Value {
    let stats = cache.store.stats();
    let limit = snapshot.cache.disk.as_ref().map(|disk| disk.size);
    json!({
        "memory": {
            "objects": stats.objects,
            "bytes": stats.bytes,
            "max_bytes": snapshot.cache.memory,
            "evictions": stats.evictions,
        },
        "disk": cache.store.disk().map(|tier| of_disk(&tier.stats(), limit)),
        "fills": { "ok": stats.fills_ok, "failed": stats.fills_failed },
        "purges": progress.describe(&cache.ledger),
    })
}

fn of_disk(stats: &disk::Stats, limit: Option<u64>) -> Value {
    json!({
        "objects": stats.objects,
        "bytes": stats.bytes,
        "max_bytes": limit,
        "evictions": stats.evictions,
        "index_bytes": stats.index_bytes,
        "refused": stats.refused,
        "corrupt": stats.corrupt,
        "late_reads": stats.late_reads,
        "errors": {
            "read": stats.read_errors,
            "write": stats.write_errors,
            "update": stats.update_errors,
            "remove": stats.remove_errors,
            "index": stats.index_errors,
        },
        "writing_given_up": stats.writing_given_up,
    })
}
