//! When a window's result goes out.

use millstream_record::Record;
use millstream_stage::time::Time;

use super::{Window, allowed_lateness};

/// What a trigger wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TriggerResult {
    /// Send the result.
    pub fire: bool,
    /// Drop the contents afterwards; the window stays.
    pub purge: bool,
}

impl TriggerResult {
    /// Nothing.
    pub const CONTINUE: Self = Self { fire: false, purge: false };
    /// Send the result, keep the contents.
    pub const FIRE: Self = Self { fire: true, purge: false };
    /// Send the result, drop the contents.
    pub const FIRE_AND_PURGE: Self = Self { fire: true, purge: true };
}

/// What a trigger sees of time, and the times at which it wants to be asked again.
#[derive(Debug)]
pub struct TriggerContext {
    /// The watermark so far.
    pub watermark: Time,
    /// Processing time.
    pub now: Time,
    pub(super) event: Option<Time>,
    pub(super) processing: Option<Time>,
}

impl TriggerContext {
    pub(super) fn new(watermark: Time, now: Time) -> Self {
        Self { watermark, now, event: None, processing: None }
    }

    /// Ask again when the watermark reaches this time. The last wish of a call counts.
    pub fn at_event_time(&mut self, time: Time) {
        self.event = Some(time);
    }

    /// Ask again at this processing time. The last wish of a call counts.
    pub fn at_processing_time(&mut self, time: Time) {
        self.processing = Some(time);
    }
}

/// Decides when a window fires. Its state is kept per key and window; its timers are kept per window: when
/// one comes due, the trigger is asked for every key in the window.
pub trait Trigger: Clone + Send + Sync + 'static {
    /// What it remembers per key and window.
    type State: Record + Default;
    /// A record was added.
    fn on_element(
        &self,
        window: &Window,
        state: &mut Self::State,
        timers: &mut TriggerContext,
    ) -> TriggerResult;
    /// The watermark has reached a time that was asked for.
    fn on_event_time(&self, _: Time, _: &Window, _: &mut Self::State) -> TriggerResult {
        TriggerResult::CONTINUE
    }
    /// Processing time has reached a time that was asked for.
    fn on_processing_time(&self, _: Time, _: &Window, _: &mut Self::State) -> TriggerResult {
        TriggerResult::CONTINUE
    }
    /// Adds the state of a window that merged into this one.
    fn on_merge(&self, state: &mut Self::State, other: Self::State);
}

/// Fires when the watermark passes the window's end, and at once for each record after it: Flink's
/// `EventTimeTrigger`.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventTimeTrigger;

impl Trigger for EventTimeTrigger {
    type State = ();

    fn on_element(&self, window: &Window, (): &mut (), timers: &mut TriggerContext) -> TriggerResult {
        if allowed_lateness::has_fired(window, timers.watermark) {
            return TriggerResult::FIRE;
        }
        timers.at_event_time(window.max_timestamp());
        TriggerResult::CONTINUE
    }

    fn on_event_time(&self, time: Time, window: &Window, (): &mut ()) -> TriggerResult {
        if time == window.max_timestamp() { TriggerResult::FIRE } else { TriggerResult::CONTINUE }
    }

    fn on_merge(&self, (): &mut (), (): ()) {}
}

/// Fires when processing time passes the window's end: Flink's `ProcessingTimeTrigger`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessingTimeTrigger;

impl Trigger for ProcessingTimeTrigger {
    type State = ();

    fn on_element(&self, window: &Window, (): &mut (), timers: &mut TriggerContext) -> TriggerResult {
        timers.at_processing_time(window.max_timestamp());
        TriggerResult::CONTINUE
    }

    fn on_processing_time(&self, _: Time, _: &Window, (): &mut ()) -> TriggerResult {
        TriggerResult::FIRE
    }

    fn on_merge(&self, (): &mut (), (): ()) {}
}

/// Fires at every so-many-th record of a key and window: Flink's `CountTrigger`.
#[derive(Clone, Copy, Debug)]
pub struct CountTrigger(u64);

impl CountTrigger {
    /// At every `count`-th record, at least 1.
    pub fn of(count: u64) -> Self {
        Self(count.max(1))
    }
}

impl Trigger for CountTrigger {
    type State = u64;

    fn on_element(&self, _: &Window, seen: &mut u64, _: &mut TriggerContext) -> TriggerResult {
        *seen += 1;
        if *seen < self.0 {
            return TriggerResult::CONTINUE;
        }
        *seen = 0;
        TriggerResult::FIRE
    }

    fn on_merge(&self, seen: &mut u64, other: u64) {
        *seen += other;
    }
}

/// Never fires: the default of global windows, Flink's `NeverTrigger`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Never;

impl Trigger for Never {
    type State = ();

    fn on_element(&self, _: &Window, (): &mut (), _: &mut TriggerContext) -> TriggerResult {
        TriggerResult::CONTINUE
    }

    fn on_merge(&self, (): &mut (), (): ()) {}
}

/// Drops the contents whenever the inner trigger fires: Flink's `PurgingTrigger`.
#[derive(Clone, Copy, Debug)]
pub struct Purging<T>(pub T);

impl<T: Trigger> Trigger for Purging<T> {
    type State = T::State;

    fn on_element(
        &self,
        window: &Window,
        state: &mut T::State,
        timers: &mut TriggerContext,
    ) -> TriggerResult {
        purge(self.0.on_element(window, state, timers))
    }

    fn on_event_time(&self, time: Time, window: &Window, state: &mut T::State) -> TriggerResult {
        purge(self.0.on_event_time(time, window, state))
    }

    fn on_processing_time(&self, time: Time, window: &Window, state: &mut T::State) -> TriggerResult {
        purge(self.0.on_processing_time(time, window, state))
    }

    fn on_merge(&self, state: &mut T::State, other: T::State) {
        self.0.on_merge(state, other);
    }
}

fn purge(fire: TriggerResult) -> TriggerResult {
    TriggerResult { purge: fire.fire, ..fire }
}

/// The trigger that a window has unless it is given another: by its end in its own kind of time; a global
/// window never fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultTrigger {
    /// [`EventTimeTrigger`].
    EventTime,
    /// [`ProcessingTimeTrigger`].
    ProcessingTime,
    /// [`Never`].
    Never,
}

impl Trigger for DefaultTrigger {
    type State = ();

    fn on_element(&self, window: &Window, state: &mut (), timers: &mut TriggerContext) -> TriggerResult {
        match self {
            Self::EventTime => EventTimeTrigger.on_element(window, state, timers),
            Self::ProcessingTime => ProcessingTimeTrigger.on_element(window, state, timers),
            Self::Never => TriggerResult::CONTINUE,
        }
    }

    fn on_event_time(&self, time: Time, window: &Window, state: &mut ()) -> TriggerResult {
        match self {
            Self::EventTime => EventTimeTrigger.on_event_time(time, window, state),
            Self::ProcessingTime | Self::Never => TriggerResult::CONTINUE,
        }
    }

    fn on_processing_time(&self, time: Time, window: &Window, state: &mut ()) -> TriggerResult {
        match self {
            Self::ProcessingTime => ProcessingTimeTrigger.on_processing_time(time, window, state),
            Self::EventTime | Self::Never => TriggerResult::CONTINUE,
        }
    }

    fn on_merge(&self, (): &mut (), (): ()) {}
}
