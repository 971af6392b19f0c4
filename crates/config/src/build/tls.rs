//! Certificates, keys and certificate authorities: read, parsed, and proved to fit together.

use std::path::Path;

use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::names;
use crate::gather;
use crate::ready::{Certificate, ClientCertificate, OriginTls, Secret, Tls};
use crate::report::{At, Report};
use crate::written;

/// Bytes of a PEM file.
const MAX_PEM: u64 = 1 << 20;
/// Certificates of one listener.
const MAX_CERTIFICATES: usize = 10_000;

pub(super) fn listener(report: &Report, at: &At, written: &written::Tls) -> Tls {
    let list_at = at.key("certificates");
    if written.certificates.is_empty() && !report.any_wrong(&list_at) {
        report.missing(at, "certificates").hint("`certificates: [{ chain: www.pem, key: www.key }]`");
    }
    if written.certificates.len() > MAX_CERTIFICATES {
        report.error(&list_at, format!("{} certificates are more than {MAX_CERTIFICATES}", written.certificates.len()));
    }
    let certificates = written
        .certificates
        .iter()
        .enumerate()
        .filter_map(|(i, one)| pair(report, &list_at.index(i), one))
        .map(|pair| pair.files)
        .collect();
    Tls { certificates, http2: written.http2 }
}

/// `tls` of an origin or of a backup.
pub(super) fn origin(report: &Report, at: &At, written: &written::OriginTls) -> OriginTls {
    if let Some(sni) = &written.sni
        && let Err(reason) = names::host(sni).and_then(|name| {
            if name.parse::<std::net::IpAddr>().is_ok() {
                Err("an address cannot be a server name".to_owned())
            } else {
                Ok(name)
            }
        })
    {
        report.error(&at.key("sni"), format!("`{sni}` is not a server name: {reason}"));
    }
    let ca = written
        .ca
        .as_ref()
        .map(|ca| authorities(report, &at.key("ca"), &report.resolve(at.file, ca)))
        .unwrap_or_default();
    if !written.verify {
        if written.ca.is_some() {
            report.warning(&at.key("verify"), "`ca` has no effect with `verify: false`");
        } else {
            report
                .warning(&at.key("verify"), "the origin's certificate is not verified")
                .hint("name the authority that signed it: `ca: ca.pem`");
        }
    }
    let client =
        written.client_certificate.as_ref().and_then(|written| client(report, &at.key("client_certificate"), written));
    OriginTls { verify: written.verify, sni: written.sni.as_ref().map(|sni| sni.to_ascii_lowercase()), ca, client }
}

/// What the edge shows to servers that ask for a certificate.
fn client(report: &Report, at: &At, written: &written::Certificate) -> Option<ClientCertificate> {
    let pair = pair(report, at, written)?;
    // What connects to the origin has only the bytes of the key, and no way to refuse them.
    if PrivateKeyDer::try_from(pair.private.secret_der()).is_err() {
        report.error(&at.key("key"), format!("the key in `{}` is of no known form", pair.files.key_file.display()));
        return None;
    }
    let chain = pair.parsed.iter().map(|certificate| certificate.to_vec()).collect();
    Some(ClientCertificate { chain, key: Secret::new(pair.private.secret_der().to_vec()) })
}

/// A certificate and its key as files, and what is in them.
struct Pair {
    files: Certificate,
    parsed: Vec<CertificateDer<'static>>,
    private: PrivateKeyDer<'static>,
}

/// Reads both files. What does not belong together is reported, and given back all the same.
fn pair(report: &Report, at: &At, written: &written::Certificate) -> Option<Pair> {
    if written.chain.is_none() {
        report.missing(at, "chain");
    }
    if written.key.is_none() {
        report.missing(at, "key");
    }
    let (chain_at, key_at) = (at.key("chain"), at.key("key"));
    let chain_file = report.resolve(at.file, written.chain.as_ref()?);
    let key_file = report.resolve(at.file, written.key.as_ref()?);
    let chain = pem(report, &chain_at, &chain_file);
    let key = pem(report, &key_at, &key_file);
    let (chain, key) = (chain?, key?);
    let parsed = certificates(report, &chain_at, &chain_file, &chain);
    let private = PrivateKeyDer::from_pem_slice(&key)
        .inspect_err(|_| {
            let file = key_file.display();
            if is_encrypted(&key) {
                let added = report.error(&key_at, format!("the key in `{file}` is encrypted"));
                added.hint("nobody is there to type its passphrase; `openssl pkey` writes it without one");
            } else {
                report.error(&key_at, format!("`{file}` holds no private key in PEM"));
            }
        })
        .ok();
    let (parsed, private) = (parsed?, private?);
    dates(report, &chain_at, &chain_file, &parsed);
    if let Err(error) = CertifiedKey::from_der(parsed.clone(), private.clone_key(), &default_provider()) {
        let message = match error {
            rustls::Error::InconsistentKeys(_) => format!(
                "the key in `{}` does not belong to the certificate in `{}`",
                key_file.display(),
                chain_file.display()
            ),
            other => format!("`{}` cannot be used with `{}`: {other}", key_file.display(), chain_file.display()),
        };
        report.error(&key_at, message);
    }
    let files = Certificate { chain_file, key_file, chain, key: Secret::new(key) };
    Some(Pair { files, parsed, private })
}

/// PKCS #8 says so in the label, the older forms in a field below it (RFC 7468 11, RFC 1421 4.6.1.1).
fn is_encrypted(pem: &[u8]) -> bool {
    let mut lines = pem.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.any(|line| {
        line == b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
            || (line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED"))
    })
}

fn pem(report: &Report, at: &At, path: &Path) -> Option<Vec<u8>> {
    gather::bytes(path, MAX_PEM)
        .map_err(|reason| {
            report.error(at, format!("cannot read `{}`: {reason}", path.display()));
        })
        .ok()
}

/// The certificates of a PEM file, at least one.
fn certificates(report: &Report, at: &At, path: &Path, pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Some(certificates),
        Ok(_) => {
            report.error(at, format!("`{}` holds no certificate in PEM", path.display()));
            None
        }
        Err(error) => {
            report.error(at, format!("`{}` is broken: {error}", path.display()));
            None
        }
    }
}

/// Warns of certificates that clients refuse today: a restart must still be possible with them.
fn dates(report: &Report, at: &At, path: &Path, chain: &[CertificateDer<'_>]) {
    for (i, der) in chain.iter().enumerate() {
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(der) else {
            report.error(at, format!("certificate {} in `{}` is not X.509", i + 1, path.display()));
            continue;
        };
        let validity = certificate.validity();
        let now = x509_parser::time::ASN1Time::now();
        let which = if i == 0 { "the certificate".to_owned() } else { format!("certificate {}", i + 1) };
        if validity.not_after < now {
            report.warning(at, format!("{which} in `{}` expired on {}", path.display(), validity.not_after));
        } else if validity.not_before > now {
            report.warning(at, format!("{which} in `{}` is not valid before {}", path.display(), validity.not_before));
        }
    }
}

/// The DER of the certificate authorities in a PEM file, each of them usable as one.
fn authorities(report: &Report, at: &At, path: &Path) -> Vec<Vec<u8>> {
    let Some(pem) = pem(report, at, path) else {
        return Vec::new();
    };
    let Some(certificates) = certificates(report, at, path, &pem) else {
        return Vec::new();
    };
    let mut store = RootCertStore::empty();
    for (i, certificate) in certificates.iter().enumerate() {
        let unusable = match store.add(certificate.clone()) {
            Err(error) => Some(error.to_string()),
            // What connects to the origin parses it with this as well, and without a way to refuse.
            Ok(()) => x509_parser::parse_x509_certificate(certificate).err().map(|error| error.to_string()),
        };
        if let Some(reason) = unusable {
            let which = format!("certificate {} in `{}`", i + 1, path.display());
            report.error(at, format!("{which} cannot be an authority: {reason}"));
        }
    }
    certificates.iter().map(|certificate| certificate.to_vec()).collect()
}
