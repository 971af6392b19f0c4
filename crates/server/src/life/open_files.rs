//! The number of files the process may have open: one for every connection, to clients and to origins.

use std::io;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Files that are no connections: logs, listeners, configuration, cache.
const RESERVE: u64 = 1024;

/// Raises the soft limit of open files to what `connections` clients with an origin connection each need, as far as the
/// hard limit allows; never lowers it. At the limit, accepting stops for a second at a time. Returns the limit.
///
/// # Errors
/// When the system does not tell or does not take the limit.
fn raise_open_files(connections: usize) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = wanted(connections);
    let limit = raised(soft, hard, wanted);
    if limit > soft {
        setrlimit(Resource::RLIMIT_NOFILE, limit, hard)?;
    }
    if limit < wanted {
        log::warn!("{limit} files may be open, {wanted} are wanted for `limits.connections`: raise the hard limit");
    }
    Ok(limit)
}

/// Raises the limit of open files for so many connections of clients. Returns how many of them there is room for.
#[must_use]
pub fn connections(wanted: usize) -> usize {
    match raise_open_files(wanted) {
        Ok(limit) => room(limit),
        Err(error) => {
            log::warn!("the limit of open files stays as it is: {error}");
            usize::MAX
        }
    }
}

/// Connections of clients that fit under a limit of open files. Some files stay for everything else, the admin listener and
/// origins first: with none left nobody could be accepted, and nobody told.
fn room(limit: u64) -> usize {
    usize::try_from(limit - RESERVE.min(limit / 3)).unwrap_or(usize::MAX)
}

fn wanted(connections: usize) -> rlim_t {
    u64::try_from(connections).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(RESERVE)
}

fn raised(soft: rlim_t, hard: rlim_t, wanted: rlim_t) -> rlim_t {
    soft.max(wanted.min(hard))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_allowed_and_never_lowered() {
        let cases = [
            // soft, hard, connections, limit
            (1024, 524_288, 20_000, 41_024),
            (1024, 4096, 20_000, 4096),
            (65_536, 65_536, 20_000, 65_536),
            (65_536, 524_288, 20_000, 65_536),
            (1024, u64::MAX, usize::MAX, u64::MAX),
        ];
        for (soft, hard, connections, limit) in cases {
            assert_eq!(raised(soft, hard, wanted(connections)), limit, "{soft} {hard} {connections}");
        }
        for (limit, connections) in [(256, 171), (1024, 683), (20_000, 18_976), (0, 0)] {
            assert_eq!(room(limit), connections, "{limit}");
        }
        let (before, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(raise_open_files(1).unwrap() >= before);
    }
}
