//! A certificate authority for the tests, made anew by each test process.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

static AUTHORITY: LazyLock<CertifiedIssuer<'static, KeyPair>> = LazyLock::new(|| {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Leeward test authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
});

/// A certificate for some names, signed by the test authority, and its key.
pub struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Leaf {
    /// Signs a certificate for these names or addresses.
    ///
    /// # Panics
    /// When a name is no host name.
    #[must_use]
    pub fn new(names: &[String]) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names.to_vec()).unwrap();
        if let Some(first) = names.first() {
            params.distinguished_name.push(rcgen::DnType::CommonName, first.as_str());
        }
        let certificate = params.signed_by(&key, &AUTHORITY).unwrap();
        Self { certificate, key }
    }

    /// Writes `<name>.pem` and `<name>.key` into `directory`, and the authority as `ca.pem`.
    ///
    /// # Panics
    /// When the directory cannot be written.
    pub fn write(&self, directory: &Path, name: &str) {
        std::fs::create_dir_all(directory).unwrap();
        std::fs::write(directory.join(format!("{name}.pem")), self.certificate.pem()).unwrap();
        std::fs::write(directory.join(format!("{name}.key")), self.key.serialize_pem()).unwrap();
        std::fs::write(directory.join("ca.pem"), AUTHORITY.pem()).unwrap();
    }

    /// TLS of a server that shows this certificate.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        self.server_for(Arc::new(NoClientAuth))
    }

    /// The same for clients with a certificate of the test authority only.
    ///
    /// # Panics
    /// Never with the authority of this process.
    #[must_use]
    pub fn server_for_known_clients(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots()), provider);
        self.server_for(clients.build().unwrap())
    }

    fn server_for(&self, clients: Arc<dyn ClientCertVerifier>) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

/// TLS of a client that trusts the test authority and offers these protocols.
///
/// # Panics
/// Never with the authority of this process.
#[must_use]
pub fn client(alpn: &[&str]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(AUTHORITY.der().clone()).unwrap();
    roots
}
