//! Handles of named states: a function keeps them and uses them with the context of a key.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::{Data, Key, Record};

use super::context::KeyedContext;
use super::ttl::Access;
use crate::aggregate_function::AggregateFunction;

/// The column of a state among the states of its operator.
pub(super) struct StateColumn<C> {
    pub(super) column: usize,
    pub(super) of: PhantomData<fn() -> C>,
}

impl<C> Clone for StateColumn<C> {
    fn clone(&self) -> Self {
        Self { column: self.column, of: PhantomData }
    }
}

/// One value per key, as Flink's `ValueState`: `value()` is [`get`](Self::get), `update(v)` is
/// [`set`](Self::set).
#[derive(Clone)]
pub struct ValueState<T>(pub(super) StateColumn<Option<T>>);

impl<T: Record> ValueState<T> {
    /// The value of this key. Reading refreshes a time to live only where that is [asked
    /// for](super::Ttl::updated_on_read).
    pub fn get<'c, K: Key, O: Data>(&self, cx: &'c mut KeyedContext<'_, K, O>) -> Option<&'c T> {
        cx.cell(&self.0, Access::Read).as_ref()
    }

    /// The value of this key, to change it. Counts as a write.
    pub fn get_mut<'c, K: Key, O: Data>(&self, cx: &'c mut KeyedContext<'_, K, O>) -> Option<&'c mut T> {
        cx.cell(&self.0, Access::Write).as_mut()
    }

    /// Replaces it.
    pub fn set<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>, value: T) {
        *cx.cell(&self.0, Access::Write) = Some(value);
    }

    /// Forgets and returns it.
    pub fn take<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>) -> Option<T> {
        cx.cell(&self.0, Access::Write).take()
    }

    /// Forgets it.
    pub fn clear<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>) {
        self.take(cx);
    }
}

/// A list per key, as Flink's `ListState`: `update(list)` is [`set`](Self::set), `addAll(list)` is
/// [`get_mut`](Self::get_mut) and [`extend`](Vec::extend).
#[derive(Clone)]
pub struct ListState<T>(pub(super) StateColumn<Vec<T>>);

impl<T: Record> ListState<T> {
    /// The list of this key. Reading refreshes a time to live only where that is [asked
    /// for](super::Ttl::updated_on_read).
    pub fn get<'c, K: Key, O: Data>(&self, cx: &'c mut KeyedContext<'_, K, O>) -> &'c [T] {
        cx.cell(&self.0, Access::Read)
    }

    /// The list of this key, to change it. Counts as a write.
    pub fn get_mut<'c, K: Key, O: Data>(&self, cx: &'c mut KeyedContext<'_, K, O>) -> &'c mut Vec<T> {
        cx.cell(&self.0, Access::Write)
    }

    /// Adds an item at the end.
    pub fn add<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>, item: T) {
        self.get_mut(cx).push(item);
    }

    /// Replaces the list.
    pub fn set<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>, list: Vec<T>) {
        *self.get_mut(cx) = list;
    }

    /// Empties and returns the list.
    pub fn take<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>) -> Vec<T> {
        std::mem::take(self.get_mut(cx))
    }

    /// Empties the list.
    pub fn clear<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>) {
        self.take(cx);
    }
}

/// A map per key, as Flink's `MapState`; ordered, so that every run iterates alike. `get(k)`, `contains(k)`
/// and `entries()` are methods of the map that [`get`](Self::get) returns; `put(k, v)` and `remove(k)` are
/// [`insert`](BTreeMap::insert) and [`remove`](BTreeMap::remove) of [`get_mut`](Self::get_mut).
#[derive(Clone)]
pub struct MapState<M, V>(pub(super) StateColumn<BTreeMap<M, V>>);

impl<M: Record + Ord, V: Record> MapState<M, V> {
    /// The map of this key. Reading refreshes a time to live only where that is [asked
    /// for](super::Ttl::updated_on_read).
    pub fn get<'c, K: Key, O: Data>(&self, cx: &'c mut KeyedContext<'_, K, O>) -> &'c BTreeMap<M, V> {
        cx.cell(&self.0, Access::Read)
    }

    /// The map of this key, to change it. Counts as a write of the whole map: its entries have one time to
    /// live in common.
    pub fn get_mut<'c, K: Key, O: Data>(&self, cx: &'c mut KeyedContext<'_, K, O>) -> &'c mut BTreeMap<M, V> {
        cx.cell(&self.0, Access::Write)
    }

    /// Replaces the map.
    pub fn set<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>, map: BTreeMap<M, V>) {
        *self.get_mut(cx) = map;
    }

    /// Empties and returns the map.
    pub fn take<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>) -> BTreeMap<M, V> {
        std::mem::take(self.get_mut(cx))
    }

    /// Empties the map.
    pub fn clear<K: Key, O: Data>(&self, cx: &mut KeyedContext<'_, K, O>) {
        self.take(cx);
    }
}

/// One value per key that new values are combined with, as Flink's `ReducingState`.
#[derive(Clone)]
pub struct ReducingState<T> {
    pub(super) place: StateColumn<Option<T>>,
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
    pub(super) place: StateColumn<Option<A::Acc>>,
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
