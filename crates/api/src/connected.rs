//! Two keyed streams that share state.

use std::sync::Arc;

use millstream_operators::chain::{InputStage, TwoInputs};
use millstream_operators::operators::{Either, KeyedCoProcessFunction, ProcessTwo};
use millstream_operators::state::States;
use millstream_record::{Key, Record, Result};
use millstream_stage::Stage;

use crate::keyed::{self, KeyedStream};
use crate::node::Node;
use crate::stream::DataStream;

/// Two streams with one key.
pub struct ConnectedStreams<K, A: Record, B: Record> {
    first: KeyedStream<K, A>,
    second: KeyedStream<K, B>,
}

impl<K: Key, A: Record, B: Record> ConnectedStreams<K, A, B> {
    pub(crate) fn new(first: KeyedStream<K, A>, second: KeyedStream<K, B>) -> Self {
        Self { first, second }
    }

    /// Runs a function over both streams, with state and timers that they share. `make` declares the states
    /// and returns the function, as for [`KeyedStream::process`].
    ///
    /// ```
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// # use millstream_operators::operators::KeyedCoProcessFunction;
    /// # use millstream_operators::state::{KeyedContext, ValueState};
    /// # use millstream_record::Result;
    /// /// Sums up the numbers of both streams.
    /// struct Total {
    ///     sum: ValueState<i64>,
    /// }
    ///
    /// impl Total {
    ///     fn add(&self, n: i64, cx: &mut KeyedContext<'_, bool, i64>) -> Result<()> {
    ///         let sum = self.sum.get(cx).copied().unwrap_or(0) + n;
    ///         self.sum.set(cx, sum);
    ///         cx.collect(sum);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// impl KeyedCoProcessFunction for Total {
    ///     type Key = bool;
    ///     type First = i64;
    ///     type Second = String;
    ///     type Out = i64;
    ///
    ///     fn first(&mut self, n: i64, cx: &mut KeyedContext<'_, bool, i64>) -> Result<()> {
    ///         self.add(n, cx)
    ///     }
    ///
    ///     fn second(&mut self, text: String, cx: &mut KeyedContext<'_, bool, i64>) -> Result<()> {
    ///         self.add(text.len() as i64, cx)
    ///     }
    /// }
    ///
    /// let numbers = env.source("numbers", Collection::of([1_i64, 5])).key_by(|n| n % 2 == 0);
    /// let texts = env.source("texts", Collection::of(["abc".to_owned()])).key_by(|text| text.len() % 2 == 0);
    /// numbers
    ///     .connect(&texts)
    ///     .process("total", |states| Ok(Total { sum: states.value("sum")? }))
    ///     .sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take().last(), Some(&9));
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn process<P, F>(&self, name: &str, make: F) -> DataStream<P::Out>
    where
        P: KeyedCoProcessFunction<Key = K, First = A, Second = B>,
        F: Fn(&mut States) -> Result<P> + Send + Sync + 'static,
    {
        let key = Either::key_selector(self.first.key().clone(), self.second.key().clone());
        let make = move |states: &mut States| make(states).map(ProcessTwo);
        keyed::process(&self.joined(), name, "co-process", make, &key)
    }

    fn joined(&self) -> DataStream<Either<A, B>> {
        let env = self.first.upstream().env().clone();
        let stage = env.graph().add_stage();
        self.first.exchange_to(stage);
        self.second.exchange_to(stage);
        let node = Node::<Either<A, B>>::shared();
        let head = Arc::clone(&node);
        let make =
            move || Box::new(InputStage::new(2, Box::new(TwoInputs::new(head.build())))) as Box<dyn Stage>;
        env.graph().set_stage(stage, Arc::new(make), None);
        DataStream::new(env, stage, node, None)
    }
}
