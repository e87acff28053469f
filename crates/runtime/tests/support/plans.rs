//! Plans by hand: what the API will make of a pipeline.

use std::sync::Arc;

use millstream_operators::KeySelector;
use millstream_operators::chain::{
    Chained, Exchanged, Fanout, InputStage, OneInput, SinkEnd, SourceStage, hash_by,
};
use millstream_record::record::{Data, Record};
use millstream_stage::batch::{EdgeCodec, EdgeId, RecordCodec};
use millstream_stage::plan::{EdgeSpec, Exchange, MakeEnumerator, OperatorSpec, Plan, StageId, StageSpec};
use millstream_stage::sink::Sink;
use millstream_stage::source::Source;
use millstream_stage::{Operator, Push, Stage};

use super::numbers::Numbers;
use super::ops::{KeyedSum, Watermarks, key_of};
use super::sinks::Written;

/// Makes the end of a chain, once per subtask.
pub type MakePush<T> = Arc<dyn Fn() -> Box<dyn Push<T>> + Send + Sync>;

pub fn stage(
    name: &str,
    parallelism: u16,
    enumerator: Option<MakeEnumerator>,
    make: impl Fn() -> Box<dyn Stage> + Send + Sync + 'static,
) -> StageSpec {
    let operators = name.split(" -> ").map(|name| OperatorSpec {
        name: name.into(),
        kind: "test".into(),
        ..OperatorSpec::default()
    });
    StageSpec {
        name: name.into(),
        parallelism,
        operators: operators.collect(),
        make: Arc::new(make),
        enumerator,
    }
}

/// A stage of numbers whose chain is `next`.
pub fn source(name: &str, parallelism: u16, numbers: &Numbers, next: MakePush<i64>) -> StageSpec {
    let enumerator = numbers.clone();
    let numbers = Arc::new(numbers.clone());
    let first: Arc<str> = name.split(" -> ").next().unwrap().into();
    stage(name, parallelism, Some(Arc::new(move || enumerator.enumerator())), move || {
        Box::new(SourceStage::new(first.clone(), numbers.clone(), next()))
    })
}

/// A stage with so many inputs of one type.
pub fn stage_of<T: Record>(name: &str, parallelism: u16, inputs: usize, next: MakePush<T>) -> StageSpec {
    stage(name, parallelism, None, move || Box::new(InputStage::new(inputs, Box::new(OneInput::new(next())))))
}

pub fn edge(from: StageId, to: StageId, input: u16, exchange: Exchange) -> EdgeSpec {
    let codec: Arc<dyn EdgeCodec> = Arc::new(RecordCodec::<i64>::default());
    EdgeSpec { from, to, input, exchange, codec }
}

pub fn plan(stages: Vec<StageSpec>, edges: Vec<EdgeSpec>) -> Plan {
    Plan { name: "test".into(), key_groups: 128, stages, edges }
}

pub fn hashed(edge: EdgeId) -> MakePush<i64> {
    Arc::new(move || Box::new(Exchanged::hash(edge, hash_by(KeySelector::new(key_of)))))
}

pub fn rebalanced(edge: EdgeId) -> MakePush<i64> {
    Arc::new(move || Box::new(Exchanged::rebalance(edge)))
}

pub fn forwarded(edge: EdgeId) -> MakePush<i64> {
    Arc::new(move || Box::new(Exchanged::forward(edge)))
}

/// An operator before the rest of a chain.
pub fn then<O: Operator>(
    name: &str,
    operator: impl Fn() -> O + Send + Sync + 'static,
    next: MakePush<O::Out>,
) -> MakePush<O::In> {
    let name: Arc<str> = name.into();
    Arc::new(move || Box::new(Chained::new(name.clone(), operator(), next())))
}

pub fn sink<T: Data>(name: &str, sink: impl Sink<T>) -> MakePush<T> {
    let (name, sink): (Arc<str>, Arc<dyn Sink<T>>) = (name.into(), Arc::new(sink));
    Arc::new(move || Box::new(SinkEnd::new(name.clone(), sink.clone(), Fanout::of(Vec::new()))))
}

/// Both of two chains.
pub fn both<T: Data>(left: MakePush<T>, right: MakePush<T>) -> MakePush<T> {
    Arc::new(move || Fanout::of(vec![left(), right()]))
}

pub type Sums = Written<(i64, i64, i64)>;

/// Numbers -> watermarks -> by key -> sum -> sink.
pub fn keyed_sum(numbers: &Numbers, readers: u16, summers: u16, written: &Sums) -> Plan {
    let written = written.clone();
    let sum = then("sum", KeyedSum::default, sink("out", written.direct()));
    plan(
        vec![
            source(
                "numbers -> watermarks",
                readers,
                numbers,
                then("watermarks", Watermarks::default, hashed(0)),
            ),
            stage_of("sum -> out", summers, 1, sum),
        ],
        vec![edge(0, 1, 0, Exchange::Hash)],
    )
}

/// What [`keyed_sum`] must give: the sums by brute force.
pub fn sums_of(splits: &[(i64, i64)]) -> Vec<(i64, i64, i64)> {
    let mut sums = std::collections::BTreeMap::<i64, (i64, i64)>::new();
    for number in splits.iter().flat_map(|(from, to)| *from..*to) {
        let (sum, count) = sums.entry(key_of(&number)).or_default();
        *sum += number;
        *count += 1;
    }
    sums.into_iter().map(|(key, (sum, count))| (key, sum, count)).collect()
}
