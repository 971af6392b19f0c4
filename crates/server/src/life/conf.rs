//! The framework's own configuration, derived from ours.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pingora::server::configuration::ServerConf;

use crate::accept::whole_seconds;

/// Attempts of one request at its origins, as the framework counts them: a fail-safe above the failover plan's own end.
const MAX_ATTEMPTS: usize = leeward_origin::attempts::MAX_ATTEMPTS + 2;
/// Idle origin connections kept, for each worker thread.
const ORIGIN_POOL: usize = 512;

/// Hands sockets from an old process to a new one.
#[derive(Debug, Clone)]
pub struct HandOver {
    /// Unix socket that both processes know. Its directory must not be writable for others.
    pub socket: PathBuf,
    /// Whether this process is the new one: it takes the sockets at its start.
    pub take: bool,
}

/// A file that the framework would panic about.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", file.display())]
pub struct ConfError {
    /// The file.
    pub file: PathBuf,
    /// Why it cannot be read.
    pub source: std::io::Error,
}

/// What the framework is told.
///
/// `ca_file`: certificates that origins are verified with instead of the system's. `hand_over` absent: SIGQUIT is SIGTERM.
///
/// # Errors
/// When `ca_file` cannot be read; the framework would panic later.
pub fn server_conf(
    threads: usize,
    grace_period: Duration,
    ca_file: Option<&Path>,
    hand_over: Option<&HandOver>,
) -> Result<ServerConf, ConfError> {
    if let Some(file) = ca_file {
        std::fs::File::open(file).map_err(|source| ConfError { file: file.to_owned(), source })?;
    }
    let mut conf = ServerConf {
        threads: threads.max(1),
        max_retries: MAX_ATTEMPTS,
        upstream_keepalive_pool_size: ORIGIN_POOL,
        ca_file: ca_file.map(|file| file.to_string_lossy().into_owned()),
        // All draining happens in the grace period. The timeout after it is no drain: every task is dropped at its
        // next await when it begins.
        grace_period_seconds: Some(whole_seconds(grace_period)),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    if let Some(hand_over) = hand_over {
        conf.upgrade_sock = hand_over.socket.to_string_lossy().into_owned();
    }
    Ok(conf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_period_is_never_cut_short_by_rounding() {
        for (millis, seconds) in [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2), (10_000, 10)] {
            let conf = server_conf(1, Duration::from_millis(millis), None, None).unwrap();
            assert_eq!(conf.grace_period_seconds, Some(seconds), "{millis} ms");
            assert_eq!(conf.graceful_shutdown_timeout_seconds, Some(0));
        }
    }

    #[test]
    fn a_missing_ca_file_is_an_error_and_no_panic() {
        let error = server_conf(1, Duration::ZERO, Some(Path::new("/nonexistent/ca.pem")), None).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/ca.pem: "), "{error}");
    }
}
