//! The kinds of windows and the operator that runs each.

use std::sync::Arc;

use millstream_operators::chain::{Chained, Side};
use millstream_operators::window::WindowSpec;
use millstream_operators::window::{
    AggregateFunction, Calendar, Cumulative, DefaultTrigger, Global, Session, SessionOperator, Sliding,
    Trigger, Tumbling, WindowAssigner, WindowFunction, WindowOperator,
};
use millstream_record::{Data, Key, Result};
use millstream_stage::plan::KeyedSpec;
use millstream_stage::{Operator, Push};

/// A kind of window: tumbling, days and hours of a time zone, sliding, cumulating, global, session.
pub trait Windows: Clone + Send + Sync + 'static {
    /// The trigger that such windows have unless they are given another.
    type Trigger: Trigger;
    /// That trigger.
    fn default_trigger(&self) -> Self::Trigger;
    /// Refuses sizes that make no sense.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration).
    fn check(&self) -> Result<()>;
    /// What the operator keeps per key.
    fn keyed<K, T, R, KF, G, A, F>(spec: WindowSpec<T, KF, Self, G, A, F>) -> KeyedSpec
    where
        K: Key,
        T: Data,
        R: Data,
        KF: Fn(&T) -> K + Send + Sync + 'static,
        G: Trigger,
        A: AggregateFunction<T>,
        F: WindowFunction<K, A::Out, R>;
    /// Makes the operator with what follows it.
    fn chain<K, T, R, KF, G, A, F>(
        spec: WindowSpec<T, KF, Self, G, A, F>,
        name: Arc<str>,
        next: Box<dyn Push<R>>,
        sides: Vec<Side>,
    ) -> Box<dyn Push<T>>
    where
        K: Key,
        T: Data,
        R: Data,
        KF: Fn(&T) -> K + Send + Sync + 'static,
        G: Trigger,
        A: AggregateFunction<T>,
        F: WindowFunction<K, A::Out, R>;
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

            fn keyed<K, T, R, KF, G, A, F>(spec: WindowSpec<T, KF, Self, G, A, F>) -> KeyedSpec
            where
                K: Key,
                T: Data,
                R: Data,
                KF: Fn(&T) -> K + Send + Sync + 'static,
                G: Trigger,
                A: AggregateFunction<T>,
                F: WindowFunction<K, A::Out, R>,
            {
                $operator::new(spec).keyed()
            }

            fn chain<K, T, R, KF, G, A, F>(
                spec: WindowSpec<T, KF, Self, G, A, F>,
                name: Arc<str>,
                next: Box<dyn Push<R>>,
                sides: Vec<Side>,
            ) -> Box<dyn Push<T>>
            where
                K: Key,
                T: Data,
                R: Data,
                KF: Fn(&T) -> K + Send + Sync + 'static,
                G: Trigger,
                A: AggregateFunction<T>,
                F: WindowFunction<K, A::Out, R>,
            {
                Box::new(Chained::new(name, $operator::new(spec), next).with_sides(sides))
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
