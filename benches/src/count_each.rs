//! A keyed function that counts.

use millstream::prelude::*;
use millstream::state::ValueState;

/// Counts each number; gives the count back each time.
pub(crate) struct CountEach {
    count: ValueState<u64>,
    timers: bool,
}

impl CountEach {
    /// `timers`: each key gets a timer far ahead, which gives 0.
    pub(crate) fn declare(states: &mut States, timers: bool) -> millstream::Result<Self> {
        Ok(Self { count: states.value("count")?, timers })
    }
}

impl KeyedProcessFunction for CountEach {
    type Key = u64;
    type In = u64;
    type Out = u64;

    fn process(&mut self, number: u64, cx: &mut KeyedContext<'_, u64, u64>) -> millstream::Result<()> {
        let count = self.count.get(cx).copied().unwrap_or(0) + 1;
        self.count.set(cx, count);
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
