//! `cache`.

use leeward_rules::decide::Way;

use crate::ready::{Cache, Disk};
use crate::report::{At, Report};
use crate::written::{self, FailoverStep, Heuristic, RequestDirectives, Size};

/// The smallest memory tier: anything below cannot hold a page and its pictures.
const MIN_MEMORY: Size = Size::mib(1);
/// The smallest disk tier.
const MIN_DISK: Size = Size::mib(16);
/// Requests that the admission sketch can count.
const MAX_STORE_ON_HIT: u32 = 15;
/// Media types of `first_hit_types`.
const MAX_TYPES: usize = 64;
/// Sizes of a slice: each is one request to the origin, and one object of the store.
const SLICES: std::ops::RangeInclusive<Size> = Size::kib(64)..=Size::mib(64);
/// Stored variants of one object.
const VARIANTS: std::ops::RangeInclusive<u32> = 1..=1024;

pub(super) fn cache(report: &Report, at: &At, written: &written::Cache) -> Cache {
    if written.memory < MIN_MEMORY {
        report.error(&at.key("memory"), format!("`memory` is {}, less than {MIN_MEMORY}", written.memory));
    }
    if written.max_object.0 == 0 {
        report.error(&at.key("max_object"), "`max_object` is 0: nothing could be stored");
    }
    if !VARIANTS.contains(&written.variants) {
        let (least, most) = (VARIANTS.start(), VARIANTS.end());
        report.error(&at.key("variants"), format!("`variants` is {}, not from {least} to {most}", written.variants));
    }
    slices(report, at, written);
    Cache {
        memory: written.memory.0,
        disk: written.disk.as_ref().and_then(|disk| self::disk(report, &at.key("disk"), disk)),
        store_on_hit: store_on_hit(report, &at.key("store_on_hit"), written.store_on_hit),
        first_hit_types: first_hit_types(report, &at.key("first_hit_types"), &written.first_hit_types),
        default_max_age: written.default_max_age.0,
        heuristic: written.heuristic == Heuristic::On,
        request_directives: written.request_directives == RequestDirectives::Honor,
        set_cookie: written.set_cookie,
        query_string: written.query_string,
        no_cache_parameter: written.no_cache_parameter,
        max_stale: written.max_stale.0,
        failover_order: failover_order(report, &at.key("failover_order"), &written.failover_order),
        max_object: written.max_object.0,
        slice_from: Some(written.slice_from.0).filter(|from| *from > 0),
        slice_size: written.slice_size.0,
        hit_lane: written.hit_lane,
        variants: written.variants as usize,
    }
}

fn disk(report: &Report, at: &At, written: &written::Disk) -> Option<Disk> {
    let path = written.path.as_deref().or_else(|| {
        report.missing(at, "path").hint("a directory of its own, such as `/var/lib/leeward/cache`");
        None
    });
    let size = written.size.or_else(|| {
        report.missing(at, "size").hint("`size: 20GiB`; leave a tenth of the file system free");
        None
    });
    let (path, size) = (path?, size?);
    if path.is_empty() {
        report
            .error(&at.key("path"), "`path` is empty")
            .hint("a directory of its own, such as `/var/lib/leeward/cache`");
    }
    if size < MIN_DISK {
        report.error(&at.key("size"), format!("`size` is {size}, less than {MIN_DISK}"));
    }
    Some(Disk { path: report.resolve(at.file, path), size: size.0 })
}

fn store_on_hit(report: &Report, at: &At, written: u32) -> u8 {
    if written == 0 {
        report
            .error(at, "`store_on_hit` counts requests from 1")
            .hint("1 stores on the first request, 2 on the second");
    } else if written > MAX_STORE_ON_HIT {
        report.error(at, format!("`store_on_hit` is {written}, more than {MAX_STORE_ON_HIT}"));
    }
    u8::try_from(written).unwrap_or(u8::MAX)
}

/// Media types in lower case, without parameters: what the answers' are compared with.
fn first_hit_types(report: &Report, at: &At, written: &[String]) -> Vec<String> {
    if written.len() > MAX_TYPES {
        report.error(at, format!("{} media types are more than {MAX_TYPES}", written.len()));
    }
    let mut types: Vec<String> = Vec::new();
    for (i, text) in written.iter().enumerate() {
        let (name, parameters) = text.split_once(';').map_or((text.as_str(), false), |(name, _)| (name, true));
        let name = name.trim().to_ascii_lowercase();
        if !name.split_once('/').is_some_and(|(one, other)| is_token(one) && is_token(other)) || name.contains('*') {
            report
                .error(&at.index(i), format!("`{text}` is not a media type"))
                .hint("a type and a subtype, such as `text/html`; there are no wildcards");
        } else if parameters {
            report
                .error(&at.index(i), format!("`{text}` has parameters: answers are compared without theirs"))
                .hint(format!("`{name}`"));
        } else if types.contains(&name) {
            report.error(&at.index(i), format!("`{text}` is there twice"));
        } else {
            types.push(name);
        }
    }
    types
}

/// RFC 9110 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn slices(report: &Report, at: &At, written: &written::Cache) {
    let size = written.slice_size;
    if !SLICES.contains(&size) {
        let (least, most) = (SLICES.start(), SLICES.end());
        report.error(&at.key("slice_size"), format!("`slice_size` is {size}, not from {least} to {most}"));
    }
    if written.slice_from.0 > 0 && written.slice_from < size {
        report
            .error(
                &at.key("slice_from"),
                format!("`slice_from` is {}, less than one slice of {size}", written.slice_from),
            )
            .hint("`0B` never cuts objects into slices");
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
