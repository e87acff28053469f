//! Handles of named states: a function keeps them and uses them with the context of a key.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::{Data, Key, Record};

use super::context::KeyedContext;
use super::ttl::Access;
use crate::aggregate_function::AggregateFunction;

/// The place of a state among the operator's states.
pub(super) struct Place<C> {
    pub(super) column: usize,
    pub(super) of: PhantomData<fn() -> C>,
}

impl<C> Clone for Place<C> {
    fn clone(&self) -> Self {
        Self { column: self.column, of: PhantomData }
    }
}

/// One value per key, as Flink's `ValueState`.
#[derive(Clone)]
pub struct ValueState<T>(pub(super) Place<Option<T>>);

impl<T: Record> ValueState<T> {
    /// The value of this key.
    pub fn get<'c, K: Key, O: Data>(&self, cx: &'c mut KeyedContext<'_, K, O>) -> Option<&'c T> {
        cx.cell(&self.0, Access::Read).as_ref()
    }

    /// Replaces it.
    pub fn set<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>, value: T) {
        *cx.cell(&self.0, Access::Write) = Some(value);
    }

    /// Forgets and returns it.
    pub fn take<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>) -> Option<T> {
        cx.cell(&self.0, Access::Write).take()
    }
}

/// A list per key, as Flink's `ListState`.
#[derive(Clone)]
pub struct ListState<T>(pub(super) Place<Vec<T>>);

impl<T: Record> ListState<T> {
    /// The list of this key, to read only: for a time to live that counts from the last write.
    pub fn read<'c, K: Key, O: Data>(&self, cx: &'c mut KeyedContext<'_, K, O>) -> &'c [T] {
        cx.cell(&self.0, Access::Read)
    }

    /// The list of this key, to read and to change. Counts as a write.
    pub fn get<'c, K: Key, O: Data>(&self, cx: &'c mut KeyedContext<'_, K, O>) -> &'c mut Vec<T> {
        cx.cell(&self.0, Access::Write)
    }
}

/// A map per key, as Flink's `MapState`; ordered, so that every run iterates alike.
#[derive(Clone)]
pub struct MapState<M, V>(pub(super) Place<BTreeMap<M, V>>);

impl<M: Record + Ord, V: Record> MapState<M, V> {
    /// The map of this key, to read only: for a time to live that counts from the last write.
    pub fn read<'c, K: Key, O: Data>(&self, cx: &'c mut KeyedContext<'_, K, O>) -> &'c BTreeMap<M, V> {
        cx.cell(&self.0, Access::Read)
    }

    /// The map of this key, to read and to change. Counts as a write.
    pub fn get<'c, K: Key, O: Data>(&self, cx: &'c mut KeyedContext<'_, K, O>) -> &'c mut BTreeMap<M, V> {
        cx.cell(&self.0, Access::Write)
    }
}

/// One value per key that new values are combined with, as Flink's `ReducingState`.
#[derive(Clone)]
pub struct ReducingState<T> {
    pub(super) place: Place<Option<T>>,
    pub(super) combine: Arc<dyn Fn(T, T) -> T + Send + Sync>,
}

impl<T: Record> ReducingState<T> {
    /// The value so far.
    pub fn get<'c, K: Key, O: Data>(&self, cx: &'c mut KeyedContext<'_, K, O>) -> Option<&'c T> {
        cx.cell(&self.place, Access::Read).as_ref()
    }

    /// Combines a value with it.
    pub fn add<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>, value: T) {
        let cell = cx.cell(&self.place, Access::Write);
        *cell = Some(match cell.take() {
            Some(so_far) => (self.combine)(so_far, value),
            None => value,
        });
    }

    /// Forgets it.
    pub fn clear<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>) {
        *cx.cell(&self.place, Access::Write) = None;
    }
}

/// An accumulator per key, as Flink's `AggregatingState`.
#[derive(Clone)]
pub struct AggregatingState<T, A: AggregateFunction<T>> {
    pub(super) place: Place<Option<A::Acc>>,
    pub(super) aggregate: A,
}

impl<T, A: AggregateFunction<T>> AggregatingState<T, A> {
    /// The result so far; none before the first value.
    pub fn get<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>) -> Option<A::Out> {
        cx.cell(&self.place, Access::Read).as_ref().map(|acc| self.aggregate.result(acc))
    }

    /// Adds a value.
    pub fn add<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>, value: &T) {
        let acc = cx.cell(&self.place, Access::Write).get_or_insert_with(|| self.aggregate.create());
        self.aggregate.add(acc, value);
    }

    /// Forgets it.
    pub fn clear<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>) {
        *cx.cell(&self.place, Access::Write) = None;
    }
}
