//! Two keyed streams that share state.

use std::sync::Arc;

use millstream_operators::chain::{InputStage, TwoInputs};
use millstream_operators::operators::{Either, KeyedCoProcess, Process, ProcessTwo};
use millstream_record::{Key, Record};
use millstream_stage::Stage;

use crate::keyed::{KeyedStream, check_states};
use crate::node::Node;
use crate::stream::DataStream;

/// Two streams with one key.
pub struct ConnectedStreams<K, A: Record, AF, B: Record, BF> {
    first: KeyedStream<K, A, AF>,
    second: KeyedStream<K, B, BF>,
}

impl<K, A, AF, B, BF> ConnectedStreams<K, A, AF, B, BF>
where
    K: Key,
    A: Record,
    B: Record,
    AF: Fn(&A) -> K + Send + Sync + 'static,
    BF: Fn(&B) -> K + Send + Sync + 'static,
{
    pub(crate) fn new(first: KeyedStream<K, A, AF>, second: KeyedStream<K, B, BF>) -> Self {
        Self { first, second }
    }

    /// Runs a function over both streams, with state and timers that they share.
    pub fn process<P>(&self, name: &str, function: P) -> DataStream<P::Out>
    where
        P: KeyedCoProcess<Key = K, First = A, Second = B>,
    {
        check_states(self.first.upstream(), name, |states| function.clone().open(states));
        let (first, second) = (self.first.key(), self.second.key());
        let key = Arc::new(move |record: &Either<A, B>| match record {
            Either::First(record) => first(record),
            Either::Second(record) => second(record),
        });
        self.joined()
            .then(name, "co-process", move || Process::new(ProcessTwo(function.clone()), Arc::clone(&key)))
    }

    fn joined(&self) -> DataStream<Either<A, B>> {
        let env = self.first.upstream().env().clone();
        let stage = env.graph().add_stage();
        self.first.exchange_to(stage);
        self.second.exchange_to(stage);
        let node = Node::<Either<A, B>>::new();
        let head = Arc::clone(&node);
        let make =
            move || Box::new(InputStage::new(2, Box::new(TwoInputs::new(head.build())))) as Box<dyn Stage>;
        env.graph().set_stage(stage, Arc::new(make), None);
        DataStream::new(env, stage, node, None)
    }
}
