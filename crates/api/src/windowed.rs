//! A keyed stream in windows.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use millstream_operators::KeySelector;
use millstream_operators::window::WindowSpec;
use millstream_operators::window::{
    AggregateFunction, Collect, Reduce, TopN, Trigger, Window, WindowFunction,
};
use millstream_record::{Data, Key, Record};
use millstream_stage::operator::SideTag;

use crate::keyed::KeyedStream;
use crate::stream::DataStream;
use crate::windows::{SpecOf, WindowParts, Windows};

/// Records of each key in windows. One of the methods `aggregate`, `reduce`, `process_window` and `top_n`
/// computes the results.
pub struct WindowedStream<K, T: Record, W, G> {
    keyed: KeyedStream<K, T>,
    windows: W,
    trigger: G,
    allowed_lateness: Duration,
    late: SideTag<T>,
}

impl<K: Key, T: Record, W: Windows> WindowedStream<K, T, W, W::Trigger> {
    pub(crate) fn new(keyed: KeyedStream<K, T>, windows: W) -> Self {
        let trigger = windows.default_trigger();
        Self { keyed, windows, trigger, allowed_lateness: Duration::ZERO, late: SideTag::new("late") }
    }
}

impl<K: Key, T: Record, W: Windows, G: Trigger> WindowedStream<K, T, W, G> {
    /// Replaces the rule that a window fires at its end by a trigger.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// # use millstream_operators::window::{Count, CountTrigger, Tumbling, Window};
    /// # let second = Tumbling::of(Duration::from_secs(1));
    /// let windows = env.source("numbers", Collection::with_times([(1_i64, 0), (3, 500), (2, 1500)])).key_by(|_| 0_i64).window(second);
    /// let each = windows.trigger(CountTrigger::of(1));
    /// each.aggregate("count", Count, |_, _, count| count).sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [1, 2, 1]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn trigger<H: Trigger>(self, trigger: H) -> WindowedStream<K, T, W, H> {
        let Self { keyed, windows, allowed_lateness, late, .. } = self;
        WindowedStream { keyed, windows, trigger, allowed_lateness, late }
    }

    /// Sets how long after its end a window still takes records; each of them fires it again at once.
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.allowed_lateness = lateness;
        self
    }

    /// Sends records that come too late even for that to a side output, which [`DataStream::side_output`] of
    /// the result reads. They are counted in any case.
    #[must_use]
    pub fn side_output_late_data(mut self, tag: &SideTag<T>) -> Self {
        self.late = tag.clone();
        self
    }

    /// Folds records as they come; `function` makes a result of key, window and fold.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// # use millstream_operators::window::{Count, CountTrigger, Tumbling, Window};
    /// # let second = Tumbling::of(Duration::from_secs(1));
    /// let windows = env.source("numbers", Collection::with_times([(1_i64, 0), (3, 500), (2, 1500)])).key_by(|_| 0_i64).window(second);
    /// windows.aggregate("count", Count, |_, window, count| (window.start, count)).sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [(0, 2), (1000, 1)]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn aggregate<A, R>(
        self,
        name: &str,
        aggregate: A,
        function: impl Fn(&K, &Window, A::Out) -> R + Send + Sync + 'static,
    ) -> DataStream<R>
    where
        A: AggregateFunction<T>,
        R: Data,
    {
        self.run(
            name,
            "window aggregate",
            aggregate,
            move |key: &K, window: &Window, result, out: &mut Vec<R>| {
                out.push(function(key, window, result));
            },
        )
    }

    /// Combines records two by two; `function` makes a result of key, window and what is left.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// # use millstream_operators::window::{Count, CountTrigger, Tumbling, Window};
    /// # let second = Tumbling::of(Duration::from_secs(1));
    /// let windows = env.source("numbers", Collection::with_times([(1_i64, 0), (3, 500), (2, 1500)])).key_by(|_| 0_i64).window(second);
    /// windows.reduce("largest", i64::max, |_, window, n| (window.end, n)).sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [(1000, 3), (2000, 2)]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn reduce<R: Data>(
        self,
        name: &str,
        combine: impl Fn(T, T) -> T + Send + Sync + 'static,
        function: impl Fn(&K, &Window, T) -> R + Send + Sync + 'static,
    ) -> DataStream<R> {
        let combine = Reduce::by(combine);
        self.run(
            name,
            "window reduce",
            combine,
            move |key: &K, window: &Window, left: Option<T>, out: &mut Vec<R>| {
                out.extend(left.map(|record| function(key, window, record)));
            },
        )
    }

    /// Keeps all records of a window and hands them to a function when it fires. Costs memory: prefer an
    /// aggregate where one will do.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// # use millstream_operators::window::{Count, CountTrigger, Tumbling, Window};
    /// # let second = Tumbling::of(Duration::from_secs(1));
    /// let windows = env.source("numbers", Collection::with_times([(1_i64, 0), (3, 500), (2, 1500)])).key_by(|_| 0_i64).window(second);
    /// windows.process_window("all", |_, _, numbers| [numbers]).sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [vec![1, 3], vec![2]]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn process_window<I>(
        self,
        name: &str,
        function: impl Fn(&K, &Window, Vec<T>) -> I + Send + Sync + 'static,
    ) -> DataStream<I::Item>
    where
        I: IntoIterator<Item: Data>,
    {
        let collect = Collect::default();
        self.run(
            name,
            "window process",
            collect,
            move |key: &K, window: &Window, records, out: &mut Vec<I::Item>| {
                out.extend(function(key, window, records));
            },
        )
    }

    /// Keeps the `n` records that rank first (`Less` is better). Where `same` holds, a newer record replaces
    /// the older one. `function` makes a result of each place, 1 being the best.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// # use millstream_operators::window::{Count, CountTrigger, Tumbling, Window};
    /// # let second = Tumbling::of(Duration::from_secs(1));
    /// let windows = env.source("numbers", Collection::with_times([(1_i64, 0), (3, 500), (2, 1500)])).key_by(|_| 0_i64).window(second);
    /// windows
    ///     .top_n("top", 1, |a, b| b.cmp(a), |a, b| a == b, |place, window, n| (window.start, place, n))
    ///     .sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [(0, 1, 3), (1000, 1, 2)]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn top_n<R: Data>(
        self,
        name: &str,
        n: usize,
        rank: impl Fn(&T, &T) -> Ordering + Send + Sync + 'static,
        same: impl Fn(&T, &T) -> bool + Send + Sync + 'static,
        function: impl Fn(u32, &Window, T) -> R + Send + Sync + 'static,
    ) -> DataStream<R> {
        let top = TopN::new(n, rank, same);
        self.run(name, "window top-n", top, move |_: &K, window: &Window, best: Vec<T>, out: &mut Vec<R>| {
            out.extend((1..).zip(best).map(|(place, record)| function(place, window, record)));
        })
    }

    fn run<A, R, F>(self, name: &str, kind: &str, aggregate: A, function: F) -> DataStream<R>
    where
        A: AggregateFunction<T>,
        R: Data,
        F: WindowFunction<K, A::Out, R>,
    {
        let exchanged = self.keyed.exchanged();
        exchanged.env().graph().check(name, self.windows.check());
        let parts = Parts {
            key: self.keyed.key().clone(),
            trigger: self.trigger,
            aggregate,
            function: Arc::new(function),
            allowed_lateness: self.allowed_lateness,
            late: self.late,
            of: PhantomData,
        };
        let windows = self.windows;
        exchanged.then(name, kind, move || windows.clone().operator(&parts))
    }
}

struct Parts<K, T, R, G, A, F> {
    key: KeySelector<T, K>,
    trigger: G,
    aggregate: A,
    function: Arc<F>,
    allowed_lateness: Duration,
    late: SideTag<T>,
    of: PhantomData<fn() -> R>,
}

impl<K, T, R, G, A, F> WindowParts for Parts<K, T, R, G, A, F>
where
    K: Key,
    T: Data,
    R: Data,
    G: Trigger,
    A: AggregateFunction<T>,
    F: WindowFunction<K, A::Out, R>,
{
    type Key = K;
    type In = T;
    type Out = R;
    type Trigger = G;
    type Aggregate = A;
    type Function = F;

    fn spec<W>(&self, windows: W) -> SpecOf<Self, W> {
        let function = Arc::clone(&self.function);
        WindowSpec::new(self.key.clone(), windows, self.trigger.clone(), self.aggregate.clone(), function)
            .with_allowed_lateness(self.allowed_lateness)
            .with_late_output(self.late.clone())
    }
}
