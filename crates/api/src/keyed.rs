//! A stream that is partitioned by key.

use std::sync::{Arc, OnceLock};

use millstream_operators::chain::hash_by;
use millstream_operators::operators::{KeyedProcess, Process};
use millstream_operators::state::States;
use millstream_record::{Key, Record};
use millstream_stage::plan::{Exchange, StageId};

use crate::connected::ConnectedStreams;
use crate::stream::{DataStream, input_stage};
use crate::windowed::WindowedStream;
use crate::windows::Windows;

/// A stream whose records with equal keys meet in one subtask. All that is done with one `KeyedStream`, or with its clones,
/// shares one exchange and one stage.
pub struct KeyedStream<K, T: Record, KF> {
    upstream: DataStream<T>,
    key: Arc<KF>,
    exchanged: Arc<OnceLock<DataStream<T>>>,
    of: std::marker::PhantomData<fn() -> K>,
}

impl<K, T: Record, KF> Clone for KeyedStream<K, T, KF> {
    fn clone(&self) -> Self {
        Self {
            upstream: self.upstream.clone(),
            key: Arc::clone(&self.key),
            exchanged: Arc::clone(&self.exchanged),
            of: std::marker::PhantomData,
        }
    }
}

impl<K, T, KF> KeyedStream<K, T, KF>
where
    K: Key,
    T: Record,
    KF: Fn(&T) -> K + Send + Sync + 'static,
{
    pub(crate) fn new(upstream: DataStream<T>, key: KF) -> Self {
        Self { upstream, key: Arc::new(key), exchanged: Arc::default(), of: std::marker::PhantomData }
    }

    /// Groups records into windows per key.
    pub fn window<W: Windows>(&self, windows: W) -> WindowedStream<K, T, KF, W, W::Trigger> {
        WindowedStream::new(self.clone(), windows)
    }

    /// Runs a function with state and timers.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// # use millstream_operators::operators::KeyedProcess;
    /// # use millstream_operators::state::{KeyedContext, States, ValueState};
    /// # use millstream_record::Result;
    /// #[derive(Clone, Default)]
    /// struct RunningSum(Option<ValueState<i64>>);
    ///
    /// impl KeyedProcess for RunningSum {
    ///     type Key = bool;
    ///     type In = i64;
    ///     type Out = i64;
    ///
    ///     fn open(&mut self, states: &mut States) -> Result<()> {
    ///         self.0 = Some(states.value("sum")?);
    ///         Ok(())
    ///     }
    ///
    ///     fn process(&mut self, n: i64, cx: &mut KeyedContext<'_, bool, i64>) -> Result<()> {
    ///         let Some(state) = &self.0 else { return Ok(()) };
    ///         let sum = state.get(cx).copied().unwrap_or(0) + n;
    ///         state.set(cx, sum);
    ///         cx.collect(sum);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let numbers = env.source("numbers", Collection::of([1_i64, 2, 3]));
    /// numbers.key_by(|n| n % 2 == 0).process("sum", RunningSum::default()).sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [1, 2, 4]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn process<P>(&self, name: &str, function: P) -> DataStream<P::Out>
    where
        P: KeyedProcess<Key = K, In = T>,
    {
        check_states(&self.upstream, name, |states| function.clone().open(states));
        let key = Arc::clone(&self.key);
        self.exchanged().then(name, "process", move || Process::new(function.clone(), Arc::clone(&key)))
    }

    /// Joins with another stream of the same key, for one function over both.
    pub fn connect<U, UF>(&self, other: &KeyedStream<K, U, UF>) -> ConnectedStreams<K, T, KF, U, UF>
    where
        U: Record,
        UF: Fn(&U) -> K + Send + Sync + 'static,
    {
        ConnectedStreams::new(self.clone(), other.clone())
    }

    /// How many subtasks the keyed stage has.
    #[must_use]
    pub fn with_parallelism(self, parallelism: u16) -> Self {
        let _ = self.exchanged().clone().with_parallelism(parallelism);
        self
    }

    pub(crate) fn key(&self) -> Arc<KF> {
        Arc::clone(&self.key)
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
        let key = Arc::clone(&self.key);
        self.upstream.exchange_to(stage, Exchange::Hash, Some(hash_by(move |record| key(record))));
    }
}

/// Lets a function declare its states once, so that a missing or double name is found when the pipeline is described.
pub(crate) fn check_states<T: Record>(
    stream: &DataStream<T>,
    name: &str,
    open: impl FnOnce(&mut States) -> millstream_record::Result<()>,
) {
    let declared = open(&mut States::default());
    stream.env().graph().check(name, declared);
}
