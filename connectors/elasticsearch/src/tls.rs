//! TLS without OpenSSL: rustls with the ring provider.

use std::path::Path;
use std::sync::Arc;

use millstream_record::{Error, Result};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;

/// Whom to trust.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust<'a> {
    /// No authority: no host speaks TLS.
    Nobody,
    /// The certificates of this machine.
    Machine,
    /// The certificates in a PEM file, and no others.
    File(&'a Path),
}

/// The configuration for this trust. The HTTP client wants one in any case, lest it look for a provider of
/// its own.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when the file cannot be read or
/// holds no certificate.
pub(crate) fn config(trust: Trust<'_>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder =
        builder.map_err(|cause| Error::bug("the ring provider lacks a TLS version").caused_by(cause))?;
    let trusting = match trust {
        Trust::Nobody => builder.with_root_certificates(RootCertStore::empty()),
        Trust::File(file) => builder.with_root_certificates(roots(file)?),
        Trust::Machine => builder.with_platform_verifier().map_err(|cause| {
            Error::configuration("this machine's trusted certificates cannot be read: name a ca-file")
                .caused_by(cause)
        })?,
    };
    let mut config = trusting.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(file: &Path) -> Result<RootCertStore> {
    let refused = |problem: &str| Error::configuration(format!("ca-file {} {problem}", file.display()));
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|cause| refused("cannot be read").caused_by(cause))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|cause| refused("is no PEM file").caused_by(cause))?;
        roots
            .add(certificate)
            .map_err(|cause| refused("holds a certificate that cannot be used").caused_by(cause))?;
    }
    if roots.is_empty() { Err(refused("holds no certificate")) } else { Ok(roots) }
}
