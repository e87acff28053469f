//! Why a subtask leaves before its end.

use millstream_record::Error;

use crate::inbox::Aborted;

/// Why a subtask leaves before its end.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Another one failed, or the job is aborted from outside.
    Aborted,
    /// It failed itself.
    Failed(Error),
}

impl From<Aborted> for Halt {
    fn from(_: Aborted) -> Self {
        Self::Aborted
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
