//! A self-signed certificate for a server on loopback.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Files of a certificate for `localhost` and `127.0.0.1`, and of the authority that signed it.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// PEM of the authority: what a client is told to trust.
    pub ca: PathBuf,
    /// PEM of the server's certificate.
    pub cert: PathBuf,
    /// PEM of the server's private key (PKCS#8).
    pub key: PathBuf,
    /// Key and certificate in one PEM, as Kafka reads it.
    pub bundle: PathBuf,
}

/// What is wrong with a certificate on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// The server shows the authority's certificate as its own.
    AuthorityAsServer,
    /// It was valid in 2020.
    Expired,
    /// It becomes valid in the year 2090.
    NotYetValid,
    /// It is for `shop.example`.
    OtherHost,
}

impl Certificate {
    /// Makes one with a fault, signed by an authority that is all right.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn faulty(dir: &Path, fault: CertificateFault) -> Result<Self> {
        Self::make(dir, Some(fault))
    }

    /// Makes an authority and a certificate, and writes their files to `dir`.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn create(dir: &Path) -> Result<Self> {
        Self::make(dir, None)
    }

    fn make(dir: &Path, fault: Option<CertificateFault>) -> Result<Self> {
        let (ca_pem, issuer) = authority()?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        match fault {
            None => {}
            Some(CertificateFault::AuthorityAsServer) => {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
            Some(CertificateFault::Expired) => params.not_after = rcgen::date_time_ymd(2020, 12, 31),
            Some(CertificateFault::NotYetValid) => params.not_before = rcgen::date_time_ymd(2090, 1, 1),
            Some(CertificateFault::OtherHost) => {
                params = CertificateParams::new(["shop.example".to_owned()])?;
            }
        }
        let cert = params.signed_by(&key, &issuer)?.pem();
        let bundle = format!("{}{cert}{ca_pem}", key.serialize_pem());
        Ok(Self {
            ca: write(dir, "ca.pem", &ca_pem)?,
            cert: write(dir, "server.pem", &cert)?,
            key: write(dir, "server.key", &key.serialize_pem())?,
            bundle: write(dir, "bundle.pem", &bundle)?,
        })
    }
}

fn authority() -> Result<(String, Issuer<'static, KeyPair>)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Millstream test authority");
    let pem = params.self_signed(&key)?.pem();
    Ok((pem, Issuer::new(params, key)))
}

fn write(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
