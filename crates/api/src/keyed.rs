//! A stream that is partitioned by key.

use std::sync::{Arc, OnceLock};

use millstream_operators::KeySelector;
use millstream_operators::chain::{Chained, hash_by};
use millstream_operators::operators::{KeyedProcessFunction, Process};
use millstream_operators::state::{KeyedStates, States};
use millstream_record::{Data, Key, Record, Result};
use millstream_stage::plan::{Exchange, StageId};

use crate::connected::ConnectedStreams;
use crate::stream::{DataStream, input_stage};
use crate::windowed::WindowedStream;
use crate::windows::Windows;

/// A stream whose records with equal keys meet in one subtask. All that is done with one `KeyedStream`, or
/// with its clones, shares one exchange and one stage.
pub struct KeyedStream<K, T: Record> {
    upstream: DataStream<T>,
    key: KeySelector<T, K>,
    exchanged: Arc<OnceLock<DataStream<T>>>,
}

impl<K, T: Record> Clone for KeyedStream<K, T> {
    fn clone(&self) -> Self {
        Self {
            upstream: self.upstream.clone(),
            key: self.key.clone(),
            exchanged: Arc::clone(&self.exchanged),
        }
    }
}

impl<K: Key, T: Record> KeyedStream<K, T> {
    pub(crate) fn new(upstream: DataStream<T>, key: KeySelector<T, K>) -> Self {
        Self { upstream, key, exchanged: Arc::default() }
    }

    /// Groups records into windows per key.
    pub fn window<W: Windows>(&self, windows: W) -> WindowedStream<K, T, W, W::Trigger> {
        WindowedStream::new(self.clone(), windows)
    }

    /// Runs a function with state and timers. `make` declares the states and returns the function: it is
    /// called once while the pipeline is described, which finds missing and double names, and then by each
    /// subtask when it is opened.
    ///
    /// ```
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// # use millstream_operators::operators::KeyedProcessFunction;
    /// # use millstream_operators::state::{KeyedContext, ValueState};
    /// # use millstream_record::Result;
    /// struct RunningSum {
    ///     sum: ValueState<i64>,
    /// }
    ///
    /// impl KeyedProcessFunction for RunningSum {
    ///     type Key = bool;
    ///     type In = i64;
    ///     type Out = i64;
    ///
    ///     fn process(&mut self, n: i64, cx: &mut KeyedContext<'_, bool, i64>) -> Result<()> {
    ///         let sum = self.sum.get(cx).copied().unwrap_or(0) + n;
    ///         self.sum.set(cx, sum);
    ///         cx.collect(sum);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let numbers = env.source("numbers", Collection::of([1_i64, 2, 3]));
    /// numbers
    ///     .key_by(|n| n % 2 == 0)
    ///     .process("sum", |states| Ok(RunningSum { sum: states.value("sum")? }))
    ///     .sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [1, 2, 4]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn process<P, F>(&self, name: &str, make: F) -> DataStream<P::Out>
    where
        P: KeyedProcessFunction<Key = K, In = T>,
        F: Fn(&mut States) -> Result<P> + Send + Sync + 'static,
    {
        process(self.exchanged(), name, "process", make, &self.key)
    }

    /// Joins with another stream of the same key, for one function over both.
    pub fn connect<U: Record>(&self, other: &KeyedStream<K, U>) -> ConnectedStreams<K, T, U> {
        ConnectedStreams::new(self.clone(), other.clone())
    }

    /// Sets the number of subtasks of the keyed stage.
    #[must_use]
    pub fn with_parallelism(self, parallelism: u16) -> Self {
        let _ = self.exchanged().clone().with_parallelism(parallelism);
        self
    }

    pub(crate) fn key(&self) -> &KeySelector<T, K> {
        &self.key
    }

    pub(crate) fn upstream(&self) -> &DataStream<T> {
        &self.upstream
    }

    /// The stream behind the exchange, made when it is first used.
    pub(crate) fn exchanged(&self) -> &DataStream<T> {
        self.exchanged.get_or_init(|| {
            let env = self.upstream.env().clone();
            let stage = env.graph().add_stage();
            self.exchange_to(stage);
            input_stage(env, stage, 1)
        })
    }

    pub(crate) fn exchange_to(&self, stage: StageId) {
        self.upstream.exchange_to(stage, Exchange::Hash, Some(hash_by(self.key.clone())));
    }
}

/// Adds an operator that runs the function which `make` returns. Declares the function's states once, so that
/// a missing or double name is found when the pipeline is described.
pub(crate) fn process<P, F>(
    stream: &DataStream<P::In>,
    name: &str,
    kind: &str,
    make: F,
    key: &KeySelector<P::In, P::Key>,
) -> DataStream<P::Out>
where
    P: KeyedProcessFunction<In: Data>,
    F: Fn(&mut States) -> Result<P> + Send + Sync + 'static,
{
    let mut states = States::default();
    stream.env().graph().check(name, make(&mut states).map(drop));
    let (make, key) = (Arc::new(make), key.clone());
    stream.then_push(name, kind, KeyedStates::<P::Key>::spec(&states), move |name, next, sides| {
        let make = Arc::clone(&make);
        let operator = Process::new(move |states| make(states), key.clone());
        Box::new(Chained::new(name, operator, next).with_sides(sides))
    })
}
