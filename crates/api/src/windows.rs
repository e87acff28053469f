//! The kinds of windows and the operator that runs each.

use millstream_operators::window::{
    AggregateFunction, Calendar, Cumulative, DefaultTrigger, Global, Session, SessionOperator, Sliding,
    Trigger, Tumbling, WindowAssigner, WindowFunction, WindowOperator, WindowSpec,
};
use millstream_record::{Data, Key, Result};
use millstream_stage::Operator;

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

/// What a window operator is made of, apart from the kind of its windows: the types of all parts, and that
/// they fit each other.
pub trait WindowParts {
    /// The key.
    type Key: Key;
    /// What comes in.
    type In: Data;
    /// What goes out.
    type Out: Data;
    /// When windows fire.
    type Trigger: Trigger;
    /// What they keep.
    type Aggregate: AggregateFunction<Self::In>;
    /// What becomes of the result.
    type Function: WindowFunction<Self::Key, <Self::Aggregate as AggregateFunction<Self::In>>::Out, Self::Out>;

    /// The parts together with windows.
    fn spec<W>(&self, windows: W) -> SpecOf<Self, W>;
}

/// The specification of a window operator that has these parts.
pub type SpecOf<P, W> = WindowSpec<
    <P as WindowParts>::Key,
    <P as WindowParts>::In,
    W,
    <P as WindowParts>::Trigger,
    <P as WindowParts>::Aggregate,
    <P as WindowParts>::Function,
>;

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
