//! What coordinators in the JobManager keep in a checkpoint.

use bytes::Bytes;
use millstream_record::{Error, Result};
use millstream_stage::source::Split;

use super::metadata::{damaged, foreign};
use crate::flink_form::decode_assignment;
use crate::wire::WireReader;

/// The versions of Flink's wrapping of an enumerator's state, and of the harness' serializer.
const COORDINATOR_VERSION: i32 = 1;
const ENUMERATOR_VERSION: i32 = 1;

/// The last epoch that the coordinator of a stage had given.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for what no stage keeps.
pub(super) fn epoch(state: &Bytes) -> Result<u64> {
    let epoch = state.as_ref().try_into().map_err(|_| foreign("the state of a coordinator"))?;
    Ok(u64::from_be_bytes(epoch))
}

/// What the enumerator of a source keeps.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EnumeratorState {
    /// The native enumerator's own.
    pub(super) snapshot: Vec<u8>,
    /// Splits that were assigned to a reader which did not have them yet.
    pub(super) on_their_way: Vec<Split>,
}

impl EnumeratorState {
    /// Reads what Flink's `SourceCoordinator` and the harness' `EnumeratorStateSerializer` wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) where the enumerator had not
    /// started, or is none of a pipeline's, [`ErrorKind::Data`](millstream_record::ErrorKind::Data) for
    /// damaged state.
    pub(super) fn read(state: &[u8]) -> Result<Self> {
        let mut bytes = WireReader(state);
        if (bytes.int()?, bytes.int()?) != (COORDINATOR_VERSION, ENUMERATOR_VERSION) {
            return Err(foreign("the state of an enumerator"));
        }
        let mut bytes = WireReader(bytes.bytes()?);
        let Some(snapshot) = bytes.optional_bytes()? else {
            return Err(Error::configuration(
                "it was taken before the source had found its splits: take a later one",
            ));
        };
        let mut on_their_way = Vec::new();
        bytes.list(|bytes| {
            bytes.int()?;
            bytes.list(|bytes| {
                on_their_way.extend(decode_assignment(bytes.bytes()?)?.splits);
                Ok(())
            })
        })?;
        if !bytes.0.is_empty() {
            return Err(damaged("bytes are left behind an enumerator's state"));
        }
        Ok(Self { snapshot: snapshot.to_vec(), on_their_way })
    }
}
