//! TLS towards clients: certificates chosen by server name and replaced while running.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use pingora::listeners::tls::Acceptor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureScheme};
use smallvec::SmallVec;

#[cfg(test)]
mod tests;

/// Certificates in a chain file; more are refused.
const MAX_CHAIN: usize = 16;

/// A chain and its key as read from their files.
#[derive(Debug, Clone, Copy)]
pub struct Pem<'a> {
    /// File of the chain, for messages.
    pub chain_file: &'a Path,
    /// File of the key, for messages.
    pub key_file: &'a Path,
    /// PEM of the chain, leaf first.
    pub chain: &'a [u8],
    /// PEM of the key.
    pub key: &'a [u8],
}

/// A certificate or key cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{}: {reason}", file.display())]
pub struct Unusable {
    /// The file at fault.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Several certificates for one name (say ECDSA and RSA), in the order written.
type Candidates = SmallVec<[Arc<CertifiedKey>; 1]>;

/// The certificates of a listener by the names they are good for.
#[derive(Debug)]
pub struct Names {
    exact: HashMap<String, Candidates, RandomState>,
    /// `*.example.com` under the key `example.com`.
    wildcard: HashMap<String, Candidates, RandomState>,
    default: Arc<CertifiedKey>,
}

impl Names {
    /// Parses certificates and proves that each key belongs to its chain. The first is the default.
    ///
    /// # Errors
    /// The first file that cannot be used; nothing else changes then.
    pub fn read<'a>(certificates: impl IntoIterator<Item = Pem<'a>>) -> Result<Self, Unusable> {
        let mut exact: HashMap<String, Candidates, RandomState> = HashMap::default();
        let mut wildcard: HashMap<String, Candidates, RandomState> = HashMap::default();
        let mut default = None;
        for pem in certificates {
            let certified = Arc::new(certified(pem)?);
            for name in names(&certified, pem.chain_file)? {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcard, parent),
                    None => (&mut exact, name.as_str()),
                };
                names.entry(name.to_owned()).or_default().push(Arc::clone(&certified));
            }
            default.get_or_insert(certified);
        }
        let default = default.ok_or_else(|| Unusable {
            file: PathBuf::from("tls.certificates"),
            reason: "at least one certificate is needed".to_owned(),
        })?;
        Ok(Self { exact, wildcard, default })
    }

    /// The certificate for a server name: exact, then a wildcard of one label (RFC 6125 6.4.3), then the default, which
    /// also serves clients that send no name. `schemes` are the signatures that the client understands.
    fn choose(&self, server_name: Option<&str>, schemes: &[SignatureScheme]) -> Arc<CertifiedKey> {
        let Some(candidates) = server_name.and_then(|name| self.candidates(&name.to_ascii_lowercase())) else {
            return Arc::clone(&self.default);
        };
        let understood = |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(schemes).is_some();
        match candidates.as_slice() {
            [only] => Arc::clone(only),
            several => {
                let chosen = several.iter().find(understood).or(several.first());
                Arc::clone(chosen.unwrap_or(&self.default))
            }
        }
    }
}

impl Names {
    fn candidates(&self, name: &str) -> Option<&Candidates> {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.exact.get(name).or_else(|| self.wildcard.get(parent?))
    }

    /// Whether both names, in lower case, have a certificate in common. Names that none is for have the default.
    fn share(&self, one: &str, other: &str) -> bool {
        let of = |name: &str| self.candidates(name).map_or(std::slice::from_ref(&self.default), SmallVec::as_slice);
        of(one).iter().any(|certified| of(other).iter().any(|same| Arc::ptr_eq(certified, same)))
    }
}

/// The certificates that a listener serves now. A swap is seen by the next handshake; connections and resumed sessions go on.
#[derive(Debug)]
pub struct Certificates(ArcSwap<Names>);

impl Certificates {
    /// Starts with these.
    #[must_use]
    pub fn new(names: Names) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(names)))
    }

    /// Replaces all at once. Cannot fail: what was read is usable.
    pub fn swap(&self, names: Names) {
        self.0.store(Arc::new(names));
    }

    /// Whether a client that was shown the certificate of one name may ask for the other over the same connection (RFC 9110 7.4).
    /// Both in lower case.
    #[must_use]
    pub fn share(&self, one: &str, other: &str) -> bool {
        self.0.load().share(one, other)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().choose(hello.server_name(), hello.signature_schemes()))
    }
}

/// The TLS side of a listener: TLS 1.3 and 1.2, session tickets, HTTP/2 offered or not.
///
/// # Errors
/// When the system gives no randomness for the ticket keys.
pub fn acceptor(certificates: Arc<Certificates>, http2: bool) -> Result<Acceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    if http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    Ok(Acceptor::from_server_config(Arc::new(config)))
}

fn certified(pem: Pem<'_>) -> Result<CertifiedKey, Unusable> {
    let unusable = |file: &Path, reason: String| Unusable { file: file.to_owned(), reason };
    let chain = CertificateDer::pem_slice_iter(pem.chain)
        .take(MAX_CHAIN + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(pem.chain_file, format!("not a PEM certificate: {error}")))?;
    if chain.is_empty() {
        return Err(unusable(pem.chain_file, "no certificate in it".to_owned()));
    }
    if chain.len() > MAX_CHAIN {
        return Err(unusable(pem.chain_file, format!("more than {MAX_CHAIN} certificates in it")));
    }
    let key = PrivateKeyDer::from_pem_slice(pem.key)
        .map_err(|error| unusable(pem.key_file, format!("not a PEM private key: {error}")))?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            unusable(pem.key_file, format!("not the key of {}", pem.chain_file.display()))
        }
        rustls::Error::InvalidCertificate(_) => unusable(pem.chain_file, error.to_string()),
        _ => unusable(pem.key_file, error.to_string()),
    })
}

/// The DNS names of the leaf's subject alternative name, lower case; the common name does not count (RFC 9525 2).
fn names(certified: &CertifiedKey, file: &Path) -> Result<Vec<String>, Unusable> {
    let unusable = |reason: String| Unusable { file: file.to_owned(), reason };
    let leaf = certified.end_entity_cert().map_err(|error| unusable(error.to_string()))?;
    let leaf = webpki::EndEntityCert::try_from(leaf).map_err(|error| unusable(error.to_string()))?;
    Ok(leaf.valid_dns_names().map(str::to_ascii_lowercase).collect())
}
