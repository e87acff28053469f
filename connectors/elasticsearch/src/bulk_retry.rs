//! What becomes of an answer. Pure functions: status and type of the error in, decision out.
//!
//! A document is at fault only where the store says so by a type that concerns a document alone: its fields
//! do not fit the mapping, its index has an impossible name, it is too large. Whatever lies in the index
//! (closed, blocked, deleted and not to be created), in the cluster (no primary, no shards left, overloaded),
//! in the login (a right that was there at the start) or in between (a proxy's page) is waited for. A refusal
//! of any other type is *unclear*: it is waited for as well, and counts as the document's fault only when
//! others of its index are written meanwhile.

use std::error::Error as StdError;

use millstream_delivery::{Reply, Verdict};
use millstream_tls::HandshakeFailure;

use crate::response::{BulkAnswer, Item, describe_refusal, refusal_type};

/// Types of errors that concern one document and no other of its index.
const OF_THE_DOCUMENT: [&str; 5] = [
    "document_parsing_exception",
    "mapper_parsing_exception",
    "strict_dynamic_mapping_exception",
    "invalid_index_name_exception",
    "version_range_exception",
];

/// Types of errors with a status of 4xx that lie in the index or in the cluster. (`validation_exception`: an
/// index is to be created and the cluster has as many shards as it may have.)
const OF_THE_INDEX: [&str; 4] = [
    "index_closed_exception",
    "index_not_found_exception",
    "cluster_block_exception",
    "validation_exception",
];

/// Types of errors with status 500 of an ingest pipeline that fails for a document, or for all of them:
/// `exception` up to 7.4, for an error of any processor.
const OF_A_PIPELINE: [&str; 3] = ["fail_processor_exception", "ingest_processor_exception", "exception"];

/// The decision for one document.
pub(crate) fn of_item(item: &Item) -> Verdict {
    let kind = item.error.as_ref().map_or("", |cause| cause.kind.as_str());
    let reason = || {
        let cause = item.error.as_ref().map(crate::response::Cause::describe);
        format!("status {}: {}", item.status, cause.unwrap_or_default())
    };
    match item.status {
        200..=299 => Verdict::Written,
        409 => Verdict::Stale,
        413 => Verdict::Refused(reason()),
        429 => Verdict::Wait { reason: reason(), overloaded: true },
        500 if OF_A_PIPELINE.contains(&kind) => Verdict::Unclear(reason()),
        401 | 403 | 408 | 500..=599 => Verdict::Wait { reason: reason(), overloaded: false },
        _ if OF_THE_DOCUMENT.contains(&kind) => Verdict::Refused(reason()),
        _ if OF_THE_INDEX.contains(&kind) => Verdict::Wait { reason: reason(), overloaded: false },
        _ => Verdict::Unclear(reason()),
    }
}

/// The decision for a request.
///
/// Only the store itself says in its own form that a request is malformed; any other 4xx comes from
/// something in between. A proxy may limit the size of requests, too.
pub(crate) fn of_answer(status: u16, body: &[u8]) -> Reply {
    let reason = || format!("status {status}: {}", describe_refusal(body));
    match status {
        200 => of_items(body),
        413 => Reply::Halve(Verdict::Refused(reason())),
        400 if refusal_type(body).is_some() => Reply::Halve(Verdict::Unclear(reason())),
        _ => Reply::Wait { reason: reason(), overloaded: status == 429 },
    }
}

fn of_items(body: &[u8]) -> Reply {
    match serde_json::from_slice::<BulkAnswer>(body) {
        Err(error) => {
            Reply::Wait { reason: format!("the answer cannot be read: {error}"), overloaded: false }
        }
        Ok(answer) => Reply::Items(answer.items.iter().map(|action| of_item(&action.index)).collect()),
    }
}

/// Why there is no answer at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// Nothing was sent: another node may be asked at once.
    Unreachable(String),
    /// What became of the request is not known.
    Lost(String),
    /// There is no TLS with the node, which will not change by itself; with what to do about it.
    Untrusted(String),
}

impl RequestError {
    /// In words.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Unreachable(reason) | Self::Lost(reason) | Self::Untrusted(reason) => reason,
        }
    }
}

/// The HTTP client's error in our terms; `host` is the node that was asked.
pub(crate) fn of_transport(host: &str, error: reqwest::Error) -> RequestError {
    let (connect, timeout) = (error.is_connect(), error.is_timeout());
    // Its URL would repeat path and filters.
    let error = error.without_url();
    let chain: Vec<_> = chain(&error).map(ToString::to_string).collect();
    let reason = format!("{host}: {}{}", if timeout { "no answer in time: " } else { "" }, chain.join(": "));
    match HandshakeFailure::of(&error) {
        Some(refusal) => RequestError::Untrusted(format!("{host}: {refusal}")),
        None if connect => RequestError::Unreachable(reason),
        None => RequestError::Lost(reason),
    }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

#[cfg(test)]
mod tests;
