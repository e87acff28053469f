//! Why a connection cannot be trusted, and the advice for each reason.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

/// Why there is no TLS connection. None of these reasons passes by waiting.
///
/// ```
/// use millstream_tls::HandshakeFailure;
///
/// let error = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
/// let wrapped = std::io::Error::other(error);
/// let refusal = HandshakeFailure::of(&wrapped).unwrap();
/// assert_eq!(refusal, HandshakeFailure::UnknownIssuer);
/// assert!(refusal.to_string().contains("ca-file"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// The server shows the certificate of an authority as its own.
    AuthorityAsServer,
    /// The certificate's time is over.
    Expired,
    /// The certificate's time has not come.
    NotYetValid,
    /// The certificate is for other hosts: those it names, as far as it names any.
    OtherHost(Vec<String>),
    /// No trusted authority has signed it.
    UnknownIssuer,
    /// An authority of the trusted one's name has signed it with another key.
    OtherKey,
    /// The certificate is not one for servers.
    OtherPurpose,
    /// The certificate was called back.
    Revoked,
    /// Anything else about the certificate.
    Unusable(String),
    /// The server wants to see a certificate of the client.
    ClientCertificateWanted,
    /// The server speaks only versions of TLS that are no longer safe.
    TooOld,
    /// What answers does not speak TLS.
    NotTls,
}

impl HandshakeFailure {
    /// The refusal in a client's error, if it holds one.
    pub fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return of_tls(tls);
        }
        // The source of an I/O error skips the error that it wraps.
        if let Some(wrapped) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            return Self::of(wrapped);
        }
        if let Some(shared) = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>() {
            return Self::of(shared.as_ref());
        }
        error.source().and_then(Self::of)
    }
}

fn of_tls(error: &rustls::Error) -> Option<HandshakeFailure> {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(certificate) => Some(of_certificate(certificate)),
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => Some(HandshakeFailure::NotTls),
        Tls::AlertReceived(AlertDescription::CertificateRequired) => {
            Some(HandshakeFailure::ClientCertificateWanted)
        }
        Tls::AlertReceived(AlertDescription::ProtocolVersion) | Tls::PeerIncompatible(_) => {
            Some(HandshakeFailure::TooOld)
        }
        // Others may pass: a server that starts or is overloaded.
        _ => None,
    }
}

fn of_certificate(error: &CertificateError) -> HandshakeFailure {
    use CertificateError as Of;
    match error {
        Of::Expired | Of::ExpiredContext { .. } => HandshakeFailure::Expired,
        Of::NotValidYet | Of::NotValidYetContext { .. } => HandshakeFailure::NotYetValid,
        Of::NotValidForName => HandshakeFailure::OtherHost(Vec::new()),
        Of::NotValidForNameContext { presented, .. } => HandshakeFailure::OtherHost(names(presented)),
        Of::UnknownIssuer => HandshakeFailure::UnknownIssuer,
        Of::BadSignature => HandshakeFailure::OtherKey,
        Of::InvalidPurpose | Of::InvalidPurposeContext { .. } => HandshakeFailure::OtherPurpose,
        Of::Revoked => HandshakeFailure::Revoked,
        // The verifier's own error has no variant here; a test with a real handshake sees to it that its name
        // stays.
        Of::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            HandshakeFailure::AuthorityAsServer
        }
        other => HandshakeFailure::Unusable(other.to_string()),
    }
}

// They come as `DnsName("shop.example")`.
fn names(presented: &[String]) -> Vec<String> {
    let inner = |name: &String| {
        let quoted = name.split_once('(').map_or(name.as_str(), |(_, rest)| rest);
        quoted.trim_matches(['"', ')']).to_owned()
    };
    presented.iter().map(inner).collect()
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::AuthorityAsServer => {
                "the server shows a CA certificate (CA:TRUE) as its own, as `openssl req -x509` makes it by itself: have its \
                 certificate signed by a CA and name that CA in ca-file, or make one with `-addext basicConstraints=critical,CA:FALSE`"
            }
            Self::Expired => {
                "the server's certificate is expired: renew it, and compare this host's clock with the server's"
            }
            Self::NotYetValid => {
                "the server's certificate is not valid yet: compare this host's clock with that of the host where it was made"
            }
            Self::OtherHost(names) => return other_host(names, f),
            Self::UnknownIssuer => {
                "no CA that is trusted here has signed the server's certificate: name the file (PEM) of the one that has, with all \
                 intermediate certificates that the server does not send, in ca-file"
            }
            Self::OtherKey => {
                "the server's certificate was signed with another key than that of the CA in ca-file, which has the same name: \
                 name the file of the CA as it is now"
            }
            Self::OtherPurpose => {
                "the server's certificate is not one for servers: have it made with extendedKeyUsage=serverAuth"
            }
            Self::Revoked => "the server's certificate was revoked: give the server a new one",
            Self::Unusable(reason) => {
                return write!(f, "the server's certificate cannot be used: {reason}; have it made anew");
            }
            Self::ClientCertificateWanted => {
                "the server wants a certificate of its clients, which is not supported: have it accept clients without one \
                 (Redis: tls-auth-clients no) and give a login instead"
            }
            Self::TooOld => "the server speaks no TLS 1.2 or 1.3: allow one of them there",
            Self::NotTls => {
                "the port does not speak TLS: begin its address with http:// or redis://, or name the TLS port"
            }
        };
        f.write_str(text)
    }
}

fn other_host(names: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let named = match names {
        [] => "no host (subjectAltName is empty, and the common name does not count)".to_owned(),
        names => names.join(", "),
    };
    write!(
        f,
        "the server's certificate is for another host, it names {named}: write such a name in the address, or have a certificate made \
         with the address's host in subjectAltName"
    )
}

#[cfg(test)]
mod tests {
    use rustls::OtherError;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    fn of(error: CertificateError) -> HandshakeFailure {
        // As HTTP clients wrap it: an I/O error within an I/O error.
        let error = io::Error::other(io::Error::other(rustls::Error::InvalidCertificate(error)));
        HandshakeFailure::of(&error).unwrap()
    }

    #[test]
    fn each_reason_has_its_own_advice() {
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1));
        let expected = ServerName::try_from("localhost").unwrap();
        let presented = vec!["DnsName(\"shop.example\")".to_owned()];
        for (error, refusal, word) in [
            (CertificateError::ExpiredContext { time, not_after: time }, HandshakeFailure::Expired, "renew"),
            (
                CertificateError::NotValidYetContext { time, not_before: time },
                HandshakeFailure::NotYetValid,
                "clock",
            ),
            (
                CertificateError::NotValidForNameContext { expected, presented },
                HandshakeFailure::OtherHost(vec!["shop.example".to_owned()]),
                "names shop.example",
            ),
            (CertificateError::NotValidForName, HandshakeFailure::OtherHost(Vec::new()), "subjectAltName"),
            (CertificateError::UnknownIssuer, HandshakeFailure::UnknownIssuer, "ca-file"),
            (CertificateError::BadSignature, HandshakeFailure::OtherKey, "another key"),
            (CertificateError::Revoked, HandshakeFailure::Revoked, "revoked"),
        ] {
            assert_eq!(of(error), refusal);
            assert!(refusal.to_string().contains(word), "{refusal}");
        }
    }

    #[test]
    fn an_authority_as_server_is_told_by_its_name() {
        #[derive(Debug)]
        struct CaUsedAsEndEntity;
        impl fmt::Display for CaUsedAsEndEntity {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
        }
        impl StdError for CaUsedAsEndEntity {}
        let other = CertificateError::Other(OtherError(Arc::new(CaUsedAsEndEntity)));
        assert_eq!(of(other), HandshakeFailure::AuthorityAsServer);
    }

    #[test]
    fn what_may_pass_is_no_refusal() {
        let alert = rustls::Error::AlertReceived(AlertDescription::InternalError);
        assert_eq!(HandshakeFailure::of(&alert), None);
        assert_eq!(HandshakeFailure::of(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
        let plain = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert_eq!(HandshakeFailure::of(&plain), Some(HandshakeFailure::NotTls));
    }

    #[test]
    fn an_error_that_is_shared_is_found_too() {
        #[derive(Debug)]
        struct Client(Arc<dyn StdError + Send + Sync>);
        impl fmt::Display for Client {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("client")
            }
        }
        impl StdError for Client {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        let tls = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let client = Client(Arc::new(io::Error::other(tls)));
        assert_eq!(HandshakeFailure::of(&client), Some(HandshakeFailure::UnknownIssuer));
    }
}
