//! TLS without OpenSSL: rustls with the ring provider.

use std::path::Path;
use std::sync::Arc;

use millstream_core::{Error, Result};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;

/// Trusts the certificates in a PEM file, or without one those that the machine trusts.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_core::ErrorKind::Configuration) when the file cannot be read or holds no certificate.
pub(crate) fn config(ca_file: Option<&Path>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder =
        builder.map_err(|cause| Error::bug("the ring provider lacks a TLS version").caused_by(cause))?;
    let trusting = match ca_file {
        Some(file) => builder.with_root_certificates(roots(file)?),
        None => builder.with_platform_verifier().map_err(|cause| {
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
