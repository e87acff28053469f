//! Writes that were not acknowledged, as part of a snapshot.
//!
//! A restored document keeps the version it had. Every write of the new attempt is above it, whichever subtask writes it, so that the
//! documents can be dealt to any number of subtasks: one that is sent late is refused and does no harm.

use std::collections::HashMap;

use millstream_core::record::{from_bytes, to_bytes};
use millstream_core::snapshot::{OperatorList, Redistribute};
use millstream_core::{Error, Record, Result, Version};

use crate::buffer::{Key, Pending};

/// The name of the state.
pub(crate) const STATE: &str = "unacknowledged";

/// A document that is to be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Record)]
pub(crate) struct Unacknowledged {
    pub(crate) index: String,
    pub(crate) id: String,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    pub(crate) body: Vec<u8>,
}

/// The newest document of each id.
pub(crate) fn freeze<'a>(operator: &str, documents: impl Iterator<Item = &'a Pending>) -> OperatorList {
    let mut newest: HashMap<&Key, &Pending> = HashMap::new();
    for document in documents {
        let known = newest.entry(&document.key).or_insert(document);
        if known.version < document.version {
            *known = document;
        }
    }
    let mut newest: Vec<_> = newest.into_values().collect();
    newest.sort_unstable_by_key(|document| document.version);
    OperatorList {
        operator: operator.to_owned(),
        state: STATE.to_owned(),
        items: newest.into_iter().map(|document| to_bytes(&Unacknowledged::from(document))).collect(),
        redistribute: Redistribute::Split,
    }
}

/// Reads a restored item. `epoch` is this attempt's.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_core::ErrorKind::Data) when it is damaged;
/// [`ErrorKind::Configuration`](millstream_core::ErrorKind::Configuration) when it is not from an earlier attempt: what this attempt
/// writes would be refused as too old.
pub(crate) fn thaw(item: &[u8], epoch: u64) -> Result<(Unacknowledged, Version)> {
    let document: Unacknowledged = from_bytes(item).map_err(|error| error.in_context(STATE))?;
    if document.epoch >= epoch {
        return Err(Error::configuration(format!(
            "the snapshot holds a write of epoch {}, but this attempt's epoch is {epoch}: it must be higher. \
             Start the job with the directory in which its epochs are counted",
            document.epoch
        )));
    }
    let version = Version::new(document.epoch, document.sequence)?;
    Ok((document, version))
}

impl From<&Pending> for Unacknowledged {
    fn from(document: &Pending) -> Self {
        Self {
            index: document.key.index.to_string(),
            id: document.key.id.to_string(),
            epoch: document.version.epoch(),
            sequence: document.version.sequence(),
            body: document.body().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_the_first_version_left_is_read_for_ever() {
        let (document, version) = thaw(b"\x0cclicks\x04u1\x04\xd8\x04\x04\xf6\x01\xfa\x01\x00", 3).unwrap();
        assert_eq!((document.index.as_str(), document.id.as_str()), ("clicks", "u1"));
        assert_eq!((version.epoch(), version.sequence(), document.body), (2, 300, b"{}".to_vec()));
    }
}
