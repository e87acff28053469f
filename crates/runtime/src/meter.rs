//! Where a subtask's time goes.

use millstream_stage::metrics::Counter;
use millstream_stage::time::{Clock, Nanos};

/// Hands each stretch of time to a counter: two clock reads per batch.
pub(crate) struct Meter<'a> {
    clock: &'a dyn Clock,
    last: Nanos,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(clock: &'a dyn Clock) -> Self {
        Self { clock, last: clock.nanos() }
    }

    /// Counts the time since the last lap.
    pub(crate) fn lap(&mut self, into: &Counter) {
        let now = self.clock.nanos();
        into.add(now.saturating_sub(self.last));
        self.last = now;
    }
}
