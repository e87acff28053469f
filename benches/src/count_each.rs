//! A keyed function that counts.

use millstream::prelude::*;
use millstream::state::ValueState;

/// Counts each number; gives the count back each time.
#[derive(Clone, Default)]
pub(crate) struct CountEach {
    count: Option<ValueState<u64>>,
    timers: bool,
}

#[cfg(feature = "rocksdb")]
impl CountEach {
    /// `timers`: each key gets a timer far ahead, which gives 0.
    pub(crate) fn new(timers: bool) -> Self {
        Self { count: None, timers }
    }
}

impl KeyedProcess for CountEach {
    type Key = u64;
    type In = u64;
    type Out = u64;

    fn open(&mut self, states: &mut States) -> millstream::Result<()> {
        self.count = Some(states.value("count")?);
        Ok(())
    }

    fn process(&mut self, number: u64, cx: &mut KeyedContext<'_, u64, u64>) -> millstream::Result<()> {
        let Some(state) = &self.count else { return Ok(()) };
        let count = state.get(cx).copied().unwrap_or(0) + 1;
        state.set(cx, count);
        if self.timers && count == 1 {
            cx.register_timer(TimerKind::EventTime, 1_000_000 + (number % 1000) as Time);
        }
        cx.collect(count);
        Ok(())
    }

    fn on_timer(&mut self, _: Timer, cx: &mut KeyedContext<'_, u64, u64>) -> millstream::Result<()> {
        cx.collect(0);
        Ok(())
    }
}
