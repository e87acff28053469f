//! What a window operator is made of, and what becomes of one key of one window.

use std::sync::Arc;

use millstream_record::Data;
use millstream_stage::Rows;
use millstream_stage::operator::SideTag;
use millstream_stage::time::Time;

use super::emit::{WindowFunction, emit};
use super::{AggregateFunction, Trigger, TriggerContext, TriggerResult, Window, allowed_lateness};
use crate::state::TimerKind;

/// What a window operator is made of.
pub struct WindowSpec<T, KF, W, G, A, F> {
    /// Reads the key; its hash is already in the batch.
    pub key: Arc<KF>,
    /// Which windows.
    pub assigner: W,
    /// When they fire.
    pub trigger: G,
    /// What they keep.
    pub aggregate: A,
    /// What goes out.
    pub function: Arc<F>,
    /// How long after its end, in event time, a window still takes records.
    pub allowed_lateness: Time,
    /// Where records go that came too late.
    pub late: SideTag<T>,
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

impl<T, KF, W, G: Trigger, A: AggregateFunction<T>, F> WindowSpec<T, KF, W, G, A, F> {
    /// Adds a record, and does what the trigger says to that.
    pub(super) fn add<K, R: Data>(
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

    /// Asks the trigger whose time has come, and does what it says; nothing where the key group had come so far before a restore.
    pub(super) fn fire<K, R: Data>(
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
    fn carry_out<K, R: Data>(
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
