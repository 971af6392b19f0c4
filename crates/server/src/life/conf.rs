//! The framework's own configuration, derived from ours.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pingora::server::Server;
use pingora::server::configuration::{Opt, ServerConf};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::accept::whole_seconds;

/// Attempts of one request at its origins, as the framework counts them: a fail-safe above the failover plan's own end.
const MAX_ATTEMPTS: usize = 2 * leeward_origin::walk::MAX_ATTEMPTS + 4;
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

/// Certificates to verify origins with cannot be loaded; the framework would panic about them.
#[derive(Debug, thiserror::Error)]
#[error("certificates to verify origins with, {from}: {reason}")]
pub struct ConfError {
    /// The file, or where the system's are.
    pub from: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What the framework is told.
///
/// `ca_file`: certificates that origins are verified with instead of the system's. `hand_over` absent: SIGQUIT is SIGTERM.
///
/// # Errors
/// When `ca_file`, or without one the system's certificates, cannot be used.
pub fn server_conf(
    threads: usize,
    grace_period: Duration,
    ca_file: Option<&Path>,
    hand_over: Option<&HandOver>,
) -> Result<ServerConf, ConfError> {
    match ca_file {
        Some(file) => own_roots(file)?,
        None => system_roots()?,
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

/// The server that services are added to. With `hand_over.take` it asks the old process for its sockets, and ends this
/// process with code 1 when it gets none.
#[must_use]
pub fn server(conf: ServerConf, hand_over: Option<&HandOver>) -> Server {
    let options = Opt { upgrade: hand_over.is_some_and(|hand_over| hand_over.take), ..Opt::default() };
    let mut server = Server::new_with_opt_and_conf(options, conf);
    server.bootstrap();
    server
}

fn own_roots(file: &Path) -> Result<(), ConfError> {
    let unusable = |reason: String| ConfError { from: file.display().to_string(), reason };
    let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let roots = roots.map_err(|error| unusable(format!("not a PEM certificate: {error}")))?;
    if roots.is_empty() {
        return Err(unusable("no certificate in it".to_owned()));
    }
    trusted(roots).map_err(|error| unusable(error.to_string()))
}

/// The same search as the framework's: `SSL_CERT_FILE`, `SSL_CERT_DIR`, then the usual places.
fn system_roots() -> Result<(), ConfError> {
    let from = || match (std::env::var("SSL_CERT_FILE"), std::env::var("SSL_CERT_DIR")) {
        (Ok(file), _) => format!("SSL_CERT_FILE={file}"),
        (_, Ok(directory)) => format!("SSL_CERT_DIR={directory}"),
        _ => "the system's".to_owned(),
    };
    let unusable = |reason: String| ConfError { from: from(), reason };
    let roots = pingora::tls::load_native_certs().map_err(|error| unusable(error.to_string()))?;
    if roots.is_empty() {
        log::warn!("no system certificates: TLS with origins that bring no CA of their own will fail");
    }
    trusted(roots).map_err(|error| unusable(error.to_string()))
}

fn trusted(roots: Vec<CertificateDer<'_>>) -> Result<(), rustls::Error> {
    let mut store = RootCertStore::empty();
    roots.into_iter().try_for_each(|root| store.add(root))
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
    fn an_unusable_ca_file_is_an_error_and_no_panic() {
        let directory = tempfile::tempdir().unwrap();
        let good = rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()]).unwrap().cert.pem();
        let broken = good.replace("MII", "MIJ");
        let cases = [
            ("good.pem", Some(good), None),
            ("missing.pem", None, Some("No such file")),
            ("empty.pem", Some(String::new()), Some("no certificate")),
            ("broken.pem", Some(broken), Some("invalid peer certificate")),
        ];
        for (name, text, wanted) in cases {
            let file = directory.path().join(name);
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            let said = server_conf(1, Duration::ZERO, Some(&file), None).err().map(|error| error.to_string());
            match (&said, wanted) {
                (None, None) => {}
                (Some(said), Some(wanted)) if said.contains(wanted) && said.contains(name) => {}
                _ => panic!("{name}: {said:?}, wanted {wanted:?}"),
            }
        }
    }
}
