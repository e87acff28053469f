//! The kinds of windows and the operator that runs each.

use millstream_operators::window::{
    Calendar, Cumulative, DefaultTrigger, Global, Session, SessionOperator, Sliding, Trigger, Tumbling,
    WindowAssigner, WindowOperator,
};
use millstream_record::Result;
use millstream_stage::Operator;

use crate::windowed::WindowParts;

/// A kind of window: tumbling, days and hours of a time zone, sliding, cumulating, global, session.
pub trait Windows: Clone + Send + Sync + 'static {
    /// The trigger that such windows have unless they are given another.
    type Trigger: Trigger;
    /// That trigger.
    fn default_trigger(&self) -> Self::Trigger;
    /// Refuses sizes that can never work.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration).
    fn check(&self) -> Result<()>;
    /// The operator that runs such windows.
    fn operator<P: WindowParts>(self, parts: &P) -> impl Operator<In = P::In, Out = P::Out> + use<Self, P>;
}

fn by_time(event_time: bool) -> DefaultTrigger {
    if event_time { DefaultTrigger::EventTime } else { DefaultTrigger::ProcessingTime }
}

macro_rules! windows {
    ($kind:ty, $operator:ident, |$self:ident| $trigger:expr, $check:expr) => {
        impl Windows for $kind {
            type Trigger = DefaultTrigger;

            fn default_trigger(&$self) -> DefaultTrigger {
                $trigger
            }

            fn check(&self) -> Result<()> {
                $check(self)
            }

            fn operator<P: WindowParts>(self, parts: &P) -> impl Operator<In = P::In, Out = P::Out> + use<P> {
                $operator::new(parts.spec(self))
            }
        }
    };
}

windows!(
    Tumbling,
    WindowOperator,
    |self| by_time(WindowAssigner::is_event_time(self)),
    WindowAssigner::validate
);
windows!(Calendar, WindowOperator, |self| DefaultTrigger::EventTime, WindowAssigner::validate);
windows!(
    Sliding,
    WindowOperator,
    |self| by_time(WindowAssigner::is_event_time(self)),
    WindowAssigner::validate
);
windows!(Cumulative, WindowOperator, |self| DefaultTrigger::EventTime, WindowAssigner::validate);
windows!(Global, WindowOperator, |self| DefaultTrigger::Never, WindowAssigner::validate);
windows!(Session, SessionOperator, |self| by_time(self.is_event_time()), Session::validate);
