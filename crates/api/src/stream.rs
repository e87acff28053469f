//! A stream of records.

use std::sync::Arc;
use std::time::Duration;

use millstream_operators::KeySelector;
use millstream_operators::chain::{Chained, Exchanged, HashRows, InputStage, OneInput, Side, SinkEnd};
use millstream_operators::operators::{
    AssignWatermarks, DEAD_LETTERS, DeadLetters, Decode, Filter, FlatMap, FoldBatch, Inspect, Late, LateFor,
    Map, OneLetter, WatermarkStrategy,
};
use millstream_record::{Data, Key, Record};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::decode::Decoder;
use millstream_stage::operator::SideTag;
use millstream_stage::plan::{Exchange, KeyedSpec, StageId};
use millstream_stage::raw::RawBatch;
use millstream_stage::sink::Sink;
use millstream_stage::time::Time;
use millstream_stage::{Operator, Push, Stage};

use crate::environment::Environment;
use crate::keyed::KeyedStream;
use crate::node::{Node, Sides};

/// A stream of records of one type. Cheap to clone: both clones are the same stream, and may be used further
/// in different ways.
pub struct DataStream<T: Data> {
    env: Environment,
    stage: StageId,
    node: Arc<Node<T>>,
    operator: Option<String>,
    sides: Arc<Sides>,
}

impl<T: Data> Clone for DataStream<T> {
    fn clone(&self) -> Self {
        Self {
            env: self.env.clone(),
            stage: self.stage,
            node: Arc::clone(&self.node),
            operator: self.operator.clone(),
            sides: Arc::clone(&self.sides),
        }
    }
}

impl<T: Data> DataStream<T> {
    pub(crate) fn new(env: Environment, stage: StageId, node: Arc<Node<T>>, operator: Option<&str>) -> Self {
        Self { env, stage, node, operator: operator.map(str::to_owned), sides: Sides::shared() }
    }

    pub(crate) fn env(&self) -> &Environment {
        &self.env
    }

    /// Makes one record of each record.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// let numbers = env.source("numbers", Collection::of([1_i64, 2, 3]));
    /// numbers.map("double", |n| n * 2).sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [2, 4, 6]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn map<B: Data>(&self, name: &str, map: impl Fn(T) -> B + Send + Sync + 'static) -> DataStream<B> {
        let map = Arc::new(map);
        self.then(name, "map", move || Map::new(Arc::clone(&map)))
    }

    /// Keeps the records that `keep` accepts.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// let numbers = env.source("numbers", Collection::of([1_i64, 2, 3]));
    /// numbers.filter("odd", |n| n % 2 == 1).sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [1, 3]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn filter(&self, name: &str, keep: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        let keep = Arc::new(keep);
        self.then(name, "filter", move || Filter::new(Arc::clone(&keep)))
    }

    /// Makes any number of records of each record.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// let numbers = env.source("numbers", Collection::of([1_i64, 2, 3]));
    /// numbers.flat_map("count-down", |n| (1..=n).rev()).sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [1, 2, 1, 3, 2, 1]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn flat_map<I>(&self, name: &str, map: impl Fn(T) -> I + Send + Sync + 'static) -> DataStream<I::Item>
    where
        I: IntoIterator<Item: Data> + 'static,
    {
        let map = Arc::new(map);
        self.then(name, "flat map", move || FlatMap::new(Arc::clone(&map)))
    }

    /// Shows each record and its event time to a function.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// let numbers = env.source("numbers", Collection::of([1_i64, 2, 3]));
    /// numbers.inspect("look", |n, time| assert!(*n < 4, "{n} at {time}")).sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [1, 2, 3]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn inspect(&self, name: &str, look: impl Fn(&T, Time) + Send + Sync + 'static) -> Self {
        let look = Arc::new(look);
        self.then(name, "inspect", move || Inspect::new(Arc::clone(&look)))
    }

    /// Finds event times and emits watermarks; right behind a source, or after map and filter in its stage,
    /// per split.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// # use millstream_operators::operators::WatermarkStrategy;
    /// let strategy = WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(5)).with_timestamps(|n: &i64| n * 1000);
    /// env.source("numbers", Collection::of([1_i64, 2, 3]))
    ///     .assign_timestamps_and_watermarks("times", strategy)
    ///     .sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take_with_times(), [(1, 1000), (2, 2000), (3, 3000)]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn assign_timestamps_and_watermarks(&self, name: &str, strategy: WatermarkStrategy<T>) -> Self {
        self.then(name, "watermarks", move || AssignWatermarks::new(strategy.clone()))
    }

    /// Runs an operator of your own; `make` is called once per subtask.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// # use std::sync::Arc;
    /// # use millstream_operators::operators::Filter;
    /// // Any `Operator`: here the filter itself.
    /// env.source("numbers", Collection::of([1_i64, 2, 3]))
    ///     .transform("big", || Filter::new(Arc::new(|n: &i64| *n > 1)))
    ///     .sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [2, 3]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn transform<O>(&self, name: &str, make: impl Fn() -> O + Send + Sync + 'static) -> DataStream<O::Out>
    where
        O: Operator<In = T>,
    {
        self.then(name, "operator", make)
    }

    /// Reads the records that the operator before this writes to a side output.
    pub fn side_output<S: Data>(&self, tag: &SideTag<S>) -> DataStream<S> {
        let node = Node::shared();
        let (tag, head) = (tag.clone(), Arc::clone(&node));
        self.sides.add(move || Side::new(&tag, head.build()));
        DataStream::new(self.env.clone(), self.stage, node, self.operator.as_deref())
    }

    /// Folds records of one key and one tumbling window within each outgoing batch: put it before a `key_by`
    /// of few, hot keys. It turns itself off for a while where it does not pay. `merge` adds the second
    /// record to the first.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// let words = env.source("words", Collection::of([("a".to_owned(), 1_i64), ("b".to_owned(), 1), ("a".to_owned(), 1)]));
    /// words
    ///     .fold_batches("fold", |word| word.0.clone(), Duration::from_secs(60), |sum, word| sum.1 += word.1)
    ///     .sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take(), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn fold_batches<K: Key>(
        &self,
        name: &str,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
        window: Duration,
        merge: impl Fn(&mut T, T) + Send + Sync + 'static,
    ) -> Self {
        let (key, merge) = (Arc::new(key), Arc::new(merge));
        self.then(name, "fold", move || FoldBatch::new(Arc::clone(&key), Arc::clone(&merge), window))
    }

    /// Sends the records to a sink.
    pub fn sink_to<S: Sink<T>>(&self, name: &str, sink: S) -> SinkHandle {
        let (node, title) = (Node::shared(), Arc::<str>::from(name));
        let mut graph = self.env.graph();
        graph.check(name, sink.validate());
        graph.writes(name, sink.outputs());
        graph.add_sink(self.stage, name, sink.kind(), self.operator.clone(), sink.guarantee());
        drop(graph);
        let dead_letters = DataStream::new(self.env.clone(), self.stage, Arc::clone(&node), Some(name));
        let sink: Arc<dyn Sink<T>> = Arc::new(sink);
        self.node.add(move || Box::new(SinkEnd::new(Arc::clone(&title), Arc::clone(&sink), node.build())));
        SinkHandle { dead_letters }
    }

    /// Sets the number of subtasks of this stage; only right behind `rebalance`, `union` or a source.
    #[must_use]
    pub fn with_parallelism(self, parallelism: u16) -> Self {
        self.env.graph().set_parallelism(self.stage, parallelism);
        self
    }

    /// Adds an operator behind this.
    pub(crate) fn then<O>(
        &self,
        name: &str,
        kind: &str,
        make: impl Fn() -> O + Send + Sync + 'static,
    ) -> DataStream<O::Out>
    where
        O: Operator<In = T>,
    {
        self.then_push(name, kind, make().keyed(), move |name, next, sides| {
            Box::new(Chained::new(name, make(), next).with_sides(sides))
        })
    }

    pub(crate) fn then_push<B: Data>(
        &self,
        name: &str,
        kind: &str,
        keyed: KeyedSpec,
        make: impl Fn(Arc<str>, Box<dyn Push<B>>, Vec<Side>) -> Box<dyn Push<T>> + Send + Sync + 'static,
    ) -> DataStream<B> {
        self.env.graph().add_keyed(self.stage, name, kind, self.operator.clone(), keyed);
        let after = DataStream::new(self.env.clone(), self.stage, Node::shared(), Some(name));
        let (node, sides, title) =
            (Arc::clone(&after.node), Arc::clone(&after.sides), Arc::<str>::from(name));
        self.node.add(move || make(Arc::clone(&title), node.build(), sides.build()));
        after
    }
}

impl<T: Record> DataStream<T> {
    /// Partitions by key: equal keys go to the same subtask, which keeps their state. The key is hashed here
    /// and nowhere else.
    pub fn key_by<K: Key>(&self, key: impl Fn(&T) -> K + Send + Sync + 'static) -> KeyedStream<K, T> {
        KeyedStream::new(self.clone(), KeySelector::new(key))
    }

    /// Deals batches out to the subtasks of the next stage in turn.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// env.source("numbers", Collection::of([1_i64, 2, 3])).rebalance().with_parallelism(2).sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take().len(), 3);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn rebalance(&self) -> Self {
        union_of(&[self], Exchange::Rebalance)
    }

    /// Unites this stream with others of its type. Begins a new stage.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream_operators::collection::{Collected, Collection};
    /// # let env = millstream_api::Environment::new("doc");
    /// # let results = Collected::default();
    /// let (odd, even) = (env.source("odd", Collection::of([1_i64, 3])), env.source("even", Collection::of([2_i64])));
    /// odd.union(&[&even]).sink_to("results", results.clone());
    /// # millstream_runtime::run(env.plan()?, millstream_runtime::RuntimeOptions::default())?;
    /// assert_eq!(results.take().iter().sum::<i64>(), 6);
    /// # Ok::<(), millstream_record::Error>(())
    /// ```
    pub fn union(&self, others: &[&Self]) -> Self {
        let all: Vec<_> = std::iter::once(self).chain(others.iter().copied()).collect();
        union_of(&all, Exchange::Forward)
    }

    /// Makes a dead letter of each record: for late data and other side outputs.
    pub fn into_dead_letters(&self, name: &str, stage: &str, reason: &str) -> DataStream<DeadLetter> {
        let (stage, reason) = (stage.to_owned(), reason.to_owned());
        self.then(name, "dead letters", move || DeadLetters::new(&stage, &reason))
    }

    /// Marks each record as late for `job`, a name that users know. With
    /// [`decode_with_origins`](DataStream::decode_with_origins) the original message goes along. The union of
    /// all jobs' late records then goes through [`one_letter_each`](DataStream::one_letter_each).
    pub fn late_for(&self, name: &str, job: &str) -> DataStream<Late> {
        let job = job.to_owned();
        self.then(name, "late", move || LateFor::new(&job))
    }

    pub(crate) fn exchange_to(&self, to: StageId, exchange: Exchange, hash: Option<HashRows<T>>) {
        let edge = self.env.graph().add_edge::<T>(self.stage, to, exchange);
        self.node.add(move || match (&hash, exchange) {
            (Some(hash), _) => Box::new(Exchanged::hash(edge, Arc::clone(hash))),
            (None, Exchange::Forward) => Box::new(Exchanged::<T>::forward(edge)),
            (None, _) => Box::new(Exchanged::<T>::rebalance(edge)),
        });
    }
}

impl DataStream<RawBatch> {
    /// Decodes what a source fetched: [`TextLines`](millstream_stage::decode::TextLines), JSON, CSV, or a
    /// decoder of your own. Messages that cannot be decoded go to [`dead_letters`](DataStream::dead_letters).
    pub fn decode<T: Data>(&self, name: &str, decoder: impl Decoder<T>) -> DataStream<T> {
        let source = self.operator.clone().unwrap_or_default();
        self.then(name, "decode", move || Decode::new(&source, decoder.fresh()))
    }

    /// The same, and each record keeps its origin as far as the windows that it goes to: filters, watermarks,
    /// `map` and exchanges hand it on, so that a late record's dead letter has the message's bytes and
    /// position. A fetched buffer then stays in memory while records of it are in queues.
    pub fn decode_with_origins<T: Data>(&self, name: &str, decoder: impl Decoder<T>) -> DataStream<T> {
        let source = self.operator.clone().unwrap_or_default();
        self.then(name, "decode", move || Decode::new(&source, decoder.fresh()).with_origins())
    }
}

impl DataStream<Late> {
    /// Makes one dead letter of each late record, which names all jobs that it was late for. Must run in one
    /// subtask.
    pub fn one_letter_each(&self, name: &str) -> DataStream<DeadLetter> {
        self.then(name, "dead letters", OneLetter::default)
    }
}

impl<T: Data> DataStream<T> {
    /// Reads the messages that a decoder refused, each with its bytes, position and reason.
    pub fn dead_letters(&self) -> DataStream<DeadLetter> {
        self.side_output(&SideTag::new(DEAD_LETTERS))
    }
}

fn union_of<T: Record>(streams: &[&DataStream<T>], exchange: Exchange) -> DataStream<T> {
    let env = streams[0].env.clone();
    let stage = env.graph().add_stage();
    for stream in streams {
        stream.exchange_to(stage, exchange, None);
    }
    input_stage(env, stage, streams.len())
}

/// A stage whose inputs all carry the same type, and the stream that it begins with.
pub(crate) fn input_stage<T: Record>(env: Environment, stage: StageId, inputs: usize) -> DataStream<T> {
    let node = Node::<T>::shared();
    let head = Arc::clone(&node);
    let make =
        move || Box::new(InputStage::new(inputs, Box::new(OneInput::new(head.build())))) as Box<dyn Stage>;
    env.graph().set_stage(stage, Arc::new(make), None);
    DataStream::new(env, stage, node, None)
}

/// A sink that was added to the pipeline.
pub struct SinkHandle {
    dead_letters: DataStream<DeadLetter>,
}

impl SinkHandle {
    /// Reads the records that the sink could never write, each with its reason.
    pub fn dead_letters(&self) -> DataStream<DeadLetter> {
        self.dead_letters.clone()
    }
}
