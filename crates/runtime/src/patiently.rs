//! A job begins when its storage answers, however long that takes.

use std::time::Duration;

use millstream_record::{ErrorKind, Result};

use crate::job_state::JobState;

/// Between two calls, each of which has tried for a while by itself.
const PAUSE: Duration = Duration::from_secs(1);

/// Calls until the outcome is not that the storage is away; `None` when somebody wants the job to end
/// instead. The storage itself says that it is away (`reports.rs` of the crate `millstream-storage`).
pub(crate) fn patiently<T>(state: &JobState, mut call: impl FnMut() -> Result<T>) -> Result<Option<T>> {
    loop {
        if state.termination().is_some() {
            return Ok(None);
        }
        match call() {
            Err(error) if error.kind() == ErrorKind::Retry => {
                tracing::debug!("the job waits for its storage: {}", error.chain());
                state.rest(PAUSE);
            }
            outcome => return outcome.map(Some),
        }
    }
}
