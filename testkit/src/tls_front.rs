//! TLS in front of a server that speaks plain text, as a proxy does it: for tests of certificates, without
//! another start of the server.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::tls::Certificate;

/// A proxy that lives as long as the value.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    _runtime: Runtime,
}

impl TlsFront {
    /// Listens on a free port and hands on to `backend`, such as `127.0.0.1:9200`.
    ///
    /// # Errors
    /// If the certificate cannot be read or no port is free.
    pub fn start(certificate: &Certificate, backend: &str) -> Result<Self> {
        let backend: SocketAddr = backend.parse().with_context(|| format!("{backend} is no address"))?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let acceptor = acceptor(certificate)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.spawn(serve(listener, acceptor, backend));
        Ok(Self { port, _runtime: runtime })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, backend: SocketAddr) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        // A client that goes away, or does not trust us, is no trouble of the proxy.
        tokio::spawn(async move {
            if let (Ok(mut client), Ok(mut server)) =
                (acceptor.accept(client).await, TcpStream::connect(backend).await)
            {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

fn acceptor(certificate: &Certificate) -> Result<TlsAcceptor> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&certificate.cert)?.collect();
    let key = PrivateKeyDer::from_pem_file(&certificate.key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
    Ok(TlsAcceptor::from(Arc::new(config.with_single_cert(chain?, key)?)))
}
