//! What becomes of an answer. Pure functions: status in, decision out.
//!
//! Decided by status, not by the name of the error, which differs between versions and between Elasticsearch and OpenSearch. The one
//! exception is 403 of a single document: a *block* on its index is lifted again (a full disk, a migration) and the document waits; a
//! missing *permission* is not, and the job stops.

use std::error::Error as StdError;

use crate::response::{BulkAnswer, Item, describe_refusal};

/// What becomes of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Written.
    Done,
    /// The store holds this version or a newer one.
    Stale,
    /// To be sent again.
    Retry { reason: String, overloaded: bool },
    /// It can never be written.
    DeadLetter(String),
    /// Nothing can be written as the job is set up.
    Stop(String),
}

/// What becomes of a whole request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Each document has an outcome of its own.
    Items(Vec<Outcome>),
    /// To be sent again; whether it was written is not known, and the version makes it the same.
    Retry { reason: String, overloaded: bool },
    /// To be sent in halves: too large, or spoilt by one of its documents.
    Split(String),
    /// Nothing can be written as the job is set up.
    Stop(String),
}

/// The decision for one document.
pub(crate) fn of_item(item: &Item) -> Outcome {
    let reason = || {
        let cause = item.error.as_ref().map(crate::response::Cause::describe);
        format!("status {}: {}", item.status, cause.unwrap_or_default())
    };
    match item.status {
        200..=299 => Outcome::Done,
        409 => Outcome::Stale,
        401 => Outcome::Stop(reason()),
        403 if is_block(item) => Outcome::Retry { reason: reason(), overloaded: false },
        403 => Outcome::Stop(reason()),
        408 | 500..=599 => Outcome::Retry { reason: reason(), overloaded: false },
        429 => Outcome::Retry { reason: reason(), overloaded: true },
        _ => Outcome::DeadLetter(reason()),
    }
}

fn is_block(item: &Item) -> bool {
    item.error.as_ref().is_some_and(|cause| cause.kind == "cluster_block_exception")
}

/// The decision for a request of so many documents.
pub(crate) fn of_answer(status: u16, body: &[u8], documents: usize) -> Reply {
    let reason = || format!("status {status}: {}", describe_refusal(body));
    match status {
        200 => of_items(body, documents),
        400 | 413 => Reply::Split(reason()),
        408 | 429 | 500..=599 => Reply::Retry { reason: reason(), overloaded: status == 429 },
        _ => Reply::Stop(reason()),
    }
}

fn of_items(body: &[u8], documents: usize) -> Reply {
    let unreadable = |reason: String| Reply::Retry { reason, overloaded: false };
    match serde_json::from_slice::<BulkAnswer>(body) {
        Err(error) => unreadable(format!("the answer cannot be read: {error}")),
        Ok(answer) if answer.items.len() != documents => {
            unreadable(format!("the answer has {} items for {documents} documents", answer.items.len()))
        }
        Ok(answer) => Reply::Items(answer.items.iter().map(|action| of_item(&action.index)).collect()),
    }
}

/// Why there is no answer at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing was sent: another node may be asked at once.
    Unreachable(String),
    /// What became of the request is not known.
    Lost(String),
    /// The node's certificate is not trusted, which will not change by itself.
    Untrusted(String),
}

impl Trouble {
    /// In words.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Unreachable(reason) | Self::Lost(reason) | Self::Untrusted(reason) => reason,
        }
    }
}

/// The HTTP client's error in our terms; `host` is the node that was asked.
pub(crate) fn of_transport(host: &str, error: reqwest::Error) -> Trouble {
    let (connect, timeout) = (error.is_connect(), error.is_timeout());
    // Its URL would repeat path and filters.
    let error = error.without_url();
    let chain: Vec<_> = chain(&error).map(ToString::to_string).collect();
    let reason = format!("{host}: {}{}", if timeout { "no answer in time: " } else { "" }, chain.join(": "));
    match () {
        () if is_untrusted(&error) => Trouble::Untrusted(reason),
        () if connect => Trouble::Unreachable(reason),
        () => Trouble::Lost(reason),
    }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

// Not by `chain`: the source of an I/O error skips the error that it wraps, which may be an I/O error again.
fn is_untrusted(error: &(dyn StdError + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => is_untrusted(wrapped),
        None => error.source().is_some_and(is_untrusted),
    }
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
