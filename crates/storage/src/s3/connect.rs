//! The connection: rustls with the ring provider, and answers that say no as typed errors.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millstream_record::{Error, Result};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::credentials::{NoCredentials, gives_credentials};
use super::refusal::S3Refusal;
use crate::StorageOptions;

const CONNECT: Duration = Duration::from_secs(5);

/// Hands one HTTP client to whoever needs one.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    http: reqwest::Client,
}

impl Connector {
    pub(super) fn new(options: &StorageOptions) -> Result<Self> {
        let plain = options.s3_endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT.min(options.timeout))
            .read_timeout(options.timeout) // of a whole request: the caller, who knows its size
            .tls_backend_preconfigured(tls(plain, options.s3_ca_file.as_deref())?)
            .build();
        let http = client.map_err(|cause| Error::bug("the HTTP client cannot be built").caused_by(cause))?;
        Ok(Self { http })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    /// The answers of the store alone become [`S3Refusal`]s: a missing file must not be mixed up with a
    /// missing role of the machine, which is asked for by requests without a signature.
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let signed = request.headers().contains_key("authorization");
        let host = request.uri().host().unwrap_or_default().to_owned();
        if !signed && gives_credentials(&host) {
            return self.ask_for_credentials(host, request).await;
        }
        let response = HttpService::call(&self.http, request).await?;
        if !signed || response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = response.into_body().bytes().await.unwrap_or_default(); // a HEAD has none
        Err(HttpError::new(HttpErrorKind::Unknown, S3Refusal::read(status, &String::from_utf8_lossy(&body))))
    }
}

impl Connector {
    async fn ask_for_credentials(
        &self,
        host: String,
        request: HttpRequest,
    ) -> Result<HttpResponse, HttpError> {
        let why = match HttpService::call(&self.http, request).await {
            Ok(response) if response.status().is_success() => return Ok(response),
            Ok(response) => format!("it answers {}", response.status()),
            Err(error) => Error::retry("it does not answer").caused_by(error).chain(),
        };
        Err(HttpError::new(HttpErrorKind::Unknown, NoCredentials { host, why }))
    }
}

fn tls(plain: bool, ca_file: Option<&Path>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder =
        builder.map_err(|cause| Error::bug("the ring provider lacks a TLS version").caused_by(cause))?;
    let trusting = match ca_file {
        Some(file) => builder.with_root_certificates(roots(file)?),
        None if plain => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_platform_verifier().map_err(|cause| {
            let advice = "this machine's trusted certificates cannot be read: name an s3.ca-file";
            Error::configuration(advice).caused_by(cause)
        })?,
    };
    Ok(trusting.with_no_client_auth())
}

fn roots(file: &Path) -> Result<RootCertStore> {
    let refused = |problem: &str| Error::configuration(format!("s3.ca-file {} {problem}", file.display()));
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|cause| refused("cannot be read").caused_by(cause))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|cause| refused("is no PEM file").caused_by(cause))?;
        let added = roots.add(certificate);
        added.map_err(|cause| refused("holds a certificate that cannot be used").caused_by(cause))?;
    }
    if roots.is_empty() { Err(refused("holds no certificate")) } else { Ok(roots) }
}
