//! What is wrong with TLS to the server, and what to do about it.

use millstream_tls::HandshakeFailure;
use millstream_tls::probe::{Expected, mistaken};
use redis::{ConnectionAddr, IntoConnectionInfo, RedisError};

use crate::config::Url;

/// Why the server is not trusted, if that is why the connection failed.
pub(crate) fn advice(url: &Url, error: &RedisError) -> Option<String> {
    HandshakeFailure::of(error).map(|refusal| format!("Redis at {url}: {refusal}"))
}

/// What to do about an address that says TLS where the port speaks plain text, or the reverse.
pub(crate) async fn mistaken_scheme(url: &Url) -> Option<String> {
    let info = url.expose().into_connection_info().ok()?;
    let (host, port, expected) = match info.addr() {
        ConnectionAddr::Tcp(host, port) => (host, *port, Expected::Plain),
        ConnectionAddr::TcpTls { host, port, .. } => (host, *port, Expected::Rediss),
        _ => return None,
    };
    let advice = mistaken(host, port, expected).await?;
    Some(format!("Redis at {url}: {advice}"))
}
