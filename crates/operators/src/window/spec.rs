//! What a window operator is made of, and what becomes of one key of one window.

use std::sync::Arc;
use std::time::Duration;

use millstream_record::Data;
use millstream_stage::Rows;
use millstream_stage::operator::SideTag;
use millstream_stage::time::{Time, millis};

use super::emit::{WindowFunction, emit};
use super::{AggregateFunction, Trigger, TriggerContext, TriggerResult, Window, allowed_lateness};
use crate::key_selector::KeySelector;
use crate::state::TimerKind;

/// What a window operator is made of.
pub struct WindowSpec<K, T, W, G, A, F> {
    pub(super) key: KeySelector<T, K>,
    pub(super) assigner: W,
    pub(super) trigger: G,
    pub(super) aggregate: A,
    pub(super) function: Arc<F>,
    // In milliseconds: it is asked for with each record.
    pub(super) allowed_lateness: Time,
    pub(super) late: SideTag<T>,
}

impl<K, T, W, G, A, F> WindowSpec<K, T, W, G, A, F> {
    /// Windows without allowed lateness; records that come too late go to the side output `late`.
    pub fn new(key: KeySelector<T, K>, assigner: W, trigger: G, aggregate: A, function: Arc<F>) -> Self {
        let late = SideTag::new("late");
        Self { key, assigner, trigger, aggregate, function, allowed_lateness: 0, late }
    }

    /// How long after its end, in event time, a window still takes records.
    #[must_use]
    pub fn with_allowed_lateness(self, lateness: Duration) -> Self {
        Self { allowed_lateness: millis(lateness), ..self }
    }

    /// Where records go that come too late.
    #[must_use]
    pub fn with_late_output(self, late: SideTag<T>) -> Self {
        Self { late, ..self }
    }
}

/// What a window keeps for a key.
pub(super) struct Kept<'a, K, A, S> {
    pub(super) key: &'a K,
    pub(super) acc: &'a mut A,
    pub(super) trigger: &'a mut S,
}

/// A time at which the trigger of a window wanted to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DueTimer {
    pub(super) kind: TimerKind,
    pub(super) time: Time,
    pub(super) window: Window,
}

impl<K, T, W, G: Trigger, A: AggregateFunction<T>, F> WindowSpec<K, T, W, G, A, F> {
    /// Adds a record, and does what the trigger says to that.
    pub(super) fn add<R: Data>(
        &self,
        window: &Window,
        kept: Kept<'_, K, A::Acc, G::State>,
        record: &T,
        timers: &mut TriggerContext,
        out: &mut Rows<R>,
    ) where
        F: WindowFunction<K, A::Out, R>,
    {
        self.aggregate.add(kept.acc, record);
        let asked = self.trigger.on_element(window, kept.trigger, timers);
        self.carry_out(asked, window, kept, out);
    }

    /// Asks the trigger whose time has come, and does what it says; nothing where the key group had come so
    /// far before a restore.
    pub(super) fn fire<R: Data>(
        &self,
        due: &DueTimer,
        floor: Time,
        kept: Kept<'_, K, A::Acc, G::State>,
        out: &mut Rows<R>,
    ) -> Option<TriggerResult>
    where
        F: WindowFunction<K, A::Out, R>,
    {
        let asked = match due.kind {
            TimerKind::EventTime if allowed_lateness::has_fired(&due.window, floor) => return None,
            TimerKind::EventTime => self.trigger.on_event_time(due.time, &due.window, kept.trigger),
            TimerKind::ProcessingTime => self.trigger.on_processing_time(due.time, &due.window, kept.trigger),
        };
        self.carry_out(asked, &due.window, kept, out);
        Some(asked)
    }

    #[allow(clippy::needless_pass_by_value, reason = "it is used up: what it borrows was asked already")]
    fn carry_out<R: Data>(
        &self,
        asked: TriggerResult,
        window: &Window,
        kept: Kept<'_, K, A::Acc, G::State>,
        out: &mut Rows<R>,
    ) where
        F: WindowFunction<K, A::Out, R>,
    {
        if asked.fire {
            emit(self.function.as_ref(), kept.key, window, self.aggregate.result(kept.acc), out);
        }
        if asked.purge {
            *kept.acc = self.aggregate.create();
        }
    }
}
