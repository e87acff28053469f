//! Asks a port what it speaks. For starts that fail without an error that would tell.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(3);

/// What the address of the job says that the port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Plain text: `http://`, `redis://`.
    Plain,
    /// TLS over HTTP: `https://`.
    Https,
    /// TLS over Redis' protocol: `rediss://`.
    Rediss,
}

/// What to do if the port speaks TLS where plain text is expected, or the reverse. None if it speaks what is
/// expected, something else, or nothing. Must be called within a Tokio runtime.
pub async fn mistaken(host: &str, port: u16, expected: Expected) -> Option<String> {
    let greeting = match expected {
        Expected::Plain => client_hello()?,
        // Answered at once, whether a login is wanted or not.
        Expected::Https => b"GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n".to_vec(),
        Expected::Rediss => b"PING\r\n".to_vec(),
    };
    let answer = timeout(PATIENCE, first_bytes(host, port, &greeting)).await.ok()??;
    judge(&answer, expected)
}

fn judge(answer: &[u8; 5], expected: Expected) -> Option<String> {
    match expected {
        // A handshake or an alert, of any version.
        Expected::Plain if matches!(answer, [21 | 22, 3, ..]) => Some(
            "the port speaks TLS: begin its address with https:// or rediss://, and name the CA in ca-file"
                .to_owned(),
        ),
        Expected::Https if answer.starts_with(b"HTTP/") => Some(crate::HandshakeFailure::NotTls.to_string()),
        Expected::Rediss if matches!(answer[0], b'+' | b'-') => {
            Some(crate::HandshakeFailure::NotTls.to_string())
        }
        _ => None,
    }
}

async fn first_bytes(host: &str, port: u16, greeting: &[u8]) -> Option<[u8; 5]> {
    let mut stream = TcpStream::connect((host, port)).await.ok()?;
    stream.write_all(greeting).await.ok()?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.ok()?;
    Some(answer)
}

// Nothing is verified, as nothing but the first bytes of the answer is read.
fn client_hello() -> Option<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::try_from("probe.invalid").ok()?;
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name).ok()?.write_tls(&mut hello).ok()?;
    Some(hello)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        for (answer, expected, mistaken) in [
            (*b"\x16\x03\x03\0\x7a", Expected::Plain, Some("speaks TLS")),
            (*b"\x15\x03\x01\0\x02", Expected::Plain, Some("speaks TLS")),
            (*b"HTTP/", Expected::Plain, None),
            (*b"-ERR ", Expected::Plain, None),
            (*b"HTTP/", Expected::Https, Some("does not speak TLS")),
            (*b"\x15\x03\x03\0\x02", Expected::Https, None),
            (*b"+PONG", Expected::Rediss, Some("does not speak TLS")),
            (*b"-NOAU", Expected::Rediss, Some("does not speak TLS")),
            (*b"HTTP/", Expected::Rediss, None),
        ] {
            let advice = judge(&answer, expected);
            assert_eq!(advice.is_some(), mistaken.is_some(), "{answer:?} {expected:?}");
            assert!(advice.unwrap_or_default().contains(mistaken.unwrap_or_default()));
        }
    }

    #[test]
    fn the_greeting_is_a_handshake() {
        assert_eq!(client_hello().unwrap()[..2], [22, 3]);
    }
}
