//! What it means that the store said no, or nothing.

use std::error::Error as StdError;
use std::{fmt, io};

use millstream_record::Error;
use rustls::CertificateError;
use serde::Deserialize;

use super::credentials::NoCredentials;
use crate::store::StorageFailure;

/// An answer that is no success.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct S3Refusal {
    status: u16,
    /// S3's word for it, such as `NoSuchBucket`; empty if the answer had none.
    code: String,
    message: String,
    /// Whether the answer has a body that no S3 would send.
    foreign: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Body {
    code: String,
    message: String,
}

/// What a failed request means to us.
#[derive(Debug)]
pub(super) enum Meaning {
    /// There is no such file.
    NoFile,
    /// A file is there that must not be.
    ConditionFailed,
    /// The range begins behind the file's end.
    BeyondEnd,
    /// The upload is not known: it was finished, or removed.
    NoUpload,
    /// Anything else.
    Failed(StorageFailure),
}

impl S3Refusal {
    /// Reads an answer; one that is no XML has no code, and its text is the message unless it is a page.
    pub(super) fn read(status: u16, body: &str) -> Self {
        const QUOTED: usize = 200;
        let text = body.trim();
        let Body { code, message } = match text.starts_with('<') {
            true => quick_xml::de::from_str(text).unwrap_or_default(),
            false => Body { code: String::new(), message: text.chars().take(QUOTED).collect() },
        };
        let foreign = code.is_empty() && !text.is_empty();
        Self { status, code, message, foreign }
    }

    fn meaning(&self) -> Meaning {
        match (self.status, self.code.as_str()) {
            (_, "NoSuchBucket") => lasting(Error::configuration("the bucket does not exist: create it")),
            // A proxy whose store is away for a moment: its 404 is no missing file.
            (401 | 403 | 404 | 405 | 407, _) if self.foreign => {
                passing("what answers is no S3: is s3.endpoint right, and the store behind the proxy there?")
            }
            (404, "NoSuchUpload") => Meaning::NoUpload,
            (404, _) => Meaning::NoFile,
            (412, _) => Meaning::ConditionFailed,
            (416, _) => Meaning::BeyondEnd,
            (507, _) | (_, "XMinioStorageFull" | "QuotaExceeded" | "XMinioAdminBucketQuotaExceeded") => {
                lasting(Error::retry("the store is full: free some space or raise the quota"))
            }
            (_, "ExpiredToken" | "TokenRefreshRequired") => lasting(Error::configuration(
                "the temporary credentials have expired: get new ones for s3.access-key, s3.secret-key and s3.session-token",
            )),
            (_, "InvalidBucketName") => lasting(Error::configuration(
                "no bucket can have this name: small letters, digits, dots and hyphens, 3 to 63 of them",
            )),
            (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                lasting(Error::configuration("the bucket is in another region: set s3.region"))
            }
            // A machine that was asleep has such a clock for a moment, and so has a request that was sent
            // very slowly.
            (_, "RequestTimeTooSkewed") => passing("this machine's clock differs from the store's: set it"),
            (_, "RequestTimeout" | "IncompleteBody" | "BadDigest" | "SlowDown" | "InternalError") => away(),
            // 409: another request changes the same file right now.
            (408 | 409 | 429, _) => away(),
            (501, _) => lasting(Error::configuration("the store does not know this kind of request")),
            (401 | 403, _) => lasting(Error::configuration(
                "the credentials are refused, or may not do this: check keys and permissions (s3:ListBucket of the bucket; s3:GetObject, \
                 s3:PutObject and s3:DeleteObject of what is in it)",
            )),
            (300..=399, _) => {
                lasting(Error::configuration("the bucket is elsewhere: check region and endpoint"))
            }
            (400..=499, _) => lasting(Error::configuration("the store refuses the request")),
            _ => away(),
        }
    }
}

impl Meaning {
    /// As a failure, where it is one; `path` is what was asked for.
    pub(super) fn failure(self, path: &str) -> StorageFailure {
        let unexpected = |what: &str| StorageFailure::passing(Error::retry(format!("{what} {path}")));
        match self {
            Self::Failed(failure) => failure,
            Self::NoFile => unexpected("the store answers 404 for"),
            Self::ConditionFailed => unexpected("the store answers 412 for"),
            Self::BeyondEnd => unexpected("the store answers 416 for"),
            Self::NoUpload => {
                StorageFailure::lasting(Error::retry(format!("the upload of {path} was removed meanwhile")))
            }
        }
    }
}

impl fmt::Display for S3Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store answers {}", self.status)?;
        let words = [&self.code, &self.message].into_iter().filter(|text| !text.is_empty());
        words.into_iter().try_for_each(|text| write!(f, ", {text}"))
    }
}

impl StdError for S3Refusal {}

/// What an error means; one without an answer of the store in it means that the store is away.
pub(super) fn meaning(error: object_store::Error) -> Meaning {
    let Some(refusal) = found_in::<S3Refusal>(&error) else {
        return Meaning::Failed(unanswered(error));
    };
    match refusal.meaning() {
        Meaning::Failed(failure) => Meaning::Failed(failure.caused_by(refusal.to_string())),
        other => other,
    }
}

/// No answer came from the store: by the reason, which may be that it was not even asked.
fn unanswered(error: object_store::Error) -> StorageFailure {
    if let Some(missing) = found_in::<NoCredentials>(&error) {
        return StorageFailure::passing(NoCredentials::advice()).caused_by(missing.to_string());
    }
    if let Some(rustls::Error::InvalidCertificate(reason)) = found_in(&error) {
        return untrusted(reason).caused_by(error);
    }
    if found_in::<rustls::Error>(&error).is_some() {
        let advice =
            "the endpoint speaks no TLS that we understand: does s3.endpoint begin with http:// there?";
        return StorageFailure::passing(Error::retry(advice)).caused_by(error);
    }
    let io = found_in::<io::Error>(&error);
    let advice = if error_text(&error).contains("dns error") {
        "the store's name does not resolve: check s3.endpoint, s3.region and the name server"
    } else if io.is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused) {
        "nothing listens at the store's address: is it running, and is s3.endpoint right?"
    } else {
        "the store does not answer"
    };
    StorageFailure::passing(Error::retry(advice)).caused_by(error)
}

/// A certificate may be renewed while we wait, but hardly become another authority's or another host's.
fn untrusted(reason: &CertificateError) -> StorageFailure {
    use CertificateError as E;
    match reason {
        E::UnknownIssuer => StorageFailure::lasting(Error::configuration(
            "no authority that this machine trusts has signed the store's certificate: name the file with its CA certificate in s3.ca-file",
        )),
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            StorageFailure::lasting(Error::configuration(
                "the store's certificate is for another host name: use that one in s3.endpoint",
            ))
        }
        E::Expired | E::ExpiredContext { .. } => {
            StorageFailure::passing(Error::retry("the store's certificate has expired: renew it there"))
        }
        _ => StorageFailure::passing(Error::retry("the store's certificate is not accepted")),
    }
}

// The whole chain of causes.
fn error_text(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn found_in<T: StdError + 'static>(error: &object_store::Error) -> Option<&T> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An I/O error hides the one within it from the chain.
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = within.map(|within| within as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

fn lasting(error: Error) -> Meaning {
    Meaning::Failed(StorageFailure::lasting(error))
}

fn passing(what: &str) -> Meaning {
    Meaning::Failed(StorageFailure::passing(Error::retry(what)))
}

fn away() -> Meaning {
    passing("the store is overloaded or restarting")
}

#[cfg(test)]
mod tests {
    use millstream_record::ErrorKind;

    use super::*;

    fn failed(status: u16, code: &str) -> (bool, ErrorKind) {
        let body = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message><Key>k</Key></Error>"
        );
        match S3Refusal::read(status, &body).meaning() {
            Meaning::Failed(failure) => (failure.may_pass(), failure.into_error().kind()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_may_pass_is_repeated() {
        use ErrorKind::{Configuration, Retry};
        for (status, code, wanted) in [
            (503, "SlowDown", (true, Retry)),
            (500, "InternalError", (true, Retry)),
            (429, "TooManyRequests", (true, Retry)),
            (409, "ConditionalRequestConflict", (true, Retry)),
            (400, "RequestTimeout", (true, Retry)),
            (403, "RequestTimeTooSkewed", (true, Retry)),
            (507, "XMinioStorageFull", (false, Retry)),
            (404, "NoSuchBucket", (false, Configuration)),
            (400, "ExpiredToken", (false, Configuration)),
            (403, "SignatureDoesNotMatch", (false, Configuration)),
            (403, "AccessDenied", (false, Configuration)),
            (301, "PermanentRedirect", (false, Configuration)),
            (400, "AuthorizationHeaderMalformed", (false, Configuration)),
            (400, "InvalidBucketName", (false, Configuration)),
            (501, "NotImplemented", (false, Configuration)),
        ] {
            assert_eq!(failed(status, code), wanted, "{status} {code}");
        }
    }

    #[test]
    fn a_missing_file_is_not_a_missing_bucket() {
        let missing = S3Refusal::read(404, "<Error><Code>NoSuchKey</Code></Error>");
        assert!(matches!(missing.meaning(), Meaning::NoFile));
        assert!(matches!(S3Refusal::read(404, "").meaning(), Meaning::NoFile));
        assert!(matches!(S3Refusal::read(412, "no XML").meaning(), Meaning::ConditionFailed));
    }

    #[test]
    fn a_page_of_a_proxy_is_no_answer_of_the_store() {
        for (status, page) in
            [(404, "404 page not found\n"), (404, "<html>"), (403, "<html>"), (503, "<html>")]
        {
            let Meaning::Failed(failure) = S3Refusal::read(status, page).meaning() else { panic!("{page}") };
            assert!(failure.may_pass() && failure.kind() == ErrorKind::Retry, "{status} {page}");
        }
    }

    #[test]
    fn a_refusal_says_what_the_store_said() {
        let refusal = S3Refusal::read(403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>");
        assert_eq!(refusal.to_string(), "the store answers 403, AccessDenied, no");
        assert_eq!(S3Refusal::read(502, "<html>").to_string(), "the store answers 502");
        let mistaken = S3Refusal::read(400, "Client sent an HTTP request to an HTTPS server.\n").to_string();
        assert_eq!(mistaken, "the store answers 400, Client sent an HTTP request to an HTTPS server.");
    }
}
