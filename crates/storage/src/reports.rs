//! Where a storage says that it is away, and that it is back.

use std::fmt;
use std::sync::Arc;

use millstream_record::ErrorKind;
use millstream_stage::time::Clock;
use millstream_stage::trouble::{Reporter, Troubles};
use parking_lot::Mutex;

use super::store::StorageFailure;

/// The board of troubles that storages report to; nowhere by default.
#[derive(Clone, Default)]
pub struct Reports(Option<(Arc<Troubles>, Arc<dyn Clock>)>);

impl Reports {
    /// To this board, by this clock.
    pub fn to(troubles: Arc<Troubles>, clock: Arc<dyn Clock>) -> Self {
        Self(Some((troubles, clock)))
    }

    /// What one storage reports by.
    pub(super) fn watch(&self, url: &str) -> Option<Watch> {
        let (troubles, clock) = self.0.as_ref()?;
        let reporter = Mutex::new(troubles.reporter(format!("the storage at {url}")));
        Some(Watch { reporter, clock: Arc::clone(clock) })
    }
}

/// Two settings are equal wherever their troubles go.
impl PartialEq for Reports {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reports").field(&self.0.is_some()).finish()
    }
}

/// Tells the troubles of one storage.
pub(super) struct Watch {
    reporter: Mutex<Reporter>,
    clock: Arc<dyn Clock>,
}

impl Watch {
    /// An attempt failed. What waiting does not cure is the caller's error alone.
    pub(super) fn failed(&self, failure: &StorageFailure) {
        if failure.kind() == ErrorKind::Retry {
            self.waits(failure.chain());
        }
    }

    /// An attempt is under way and has no answer.
    pub(super) fn waits(&self, why: impl fmt::Display) {
        self.reporter.lock().failed(self.clock.nanos(), why);
    }

    /// An attempt succeeded.
    pub(super) fn recovered(&self) {
        self.reporter.lock().recovered(self.clock.nanos());
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
