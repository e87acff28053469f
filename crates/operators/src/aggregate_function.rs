//! What is kept of the records of a window.

mod extremes;
mod numbers;
mod read;

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::Record;

pub use extremes::{Max, Min};
pub use numbers::{Average, CompensatedSum, Number, Sum};

/// Folds records into an accumulator, as Flink's `AggregateFunction`: only the accumulator is kept, not the
/// records.
pub trait AggregateFunction<T>: Clone + Send + Sync + 'static {
    /// What is kept per key and window.
    type Acc: Record;
    /// What comes of it.
    type Out;
    /// The accumulator of no record.
    fn create(&self) -> Self::Acc;
    /// Adds a record.
    fn add(&self, acc: &mut Self::Acc, record: &T);
    /// Adds another accumulator: session windows merge.
    fn merge(&self, acc: &mut Self::Acc, other: Self::Acc);
    /// The result so far.
    fn result(&self, acc: &Self::Acc) -> Self::Out;
}

/// Counts records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count;

impl<T> AggregateFunction<T> for Count {
    type Acc = u64;
    type Out = u64;
    fn create(&self) -> u64 {
        0
    }
    fn add(&self, acc: &mut u64, _: &T) {
        *acc += 1;
    }
    fn merge(&self, acc: &mut u64, other: u64) {
        *acc += other;
    }
    fn result(&self, acc: &u64) -> u64 {
        *acc
    }
}

/// Combines records two by two, as Flink's `ReduceFunction`.
pub struct Reduce<T, F> {
    combine: Arc<F>,
    of: PhantomData<fn(T)>,
}

impl<T, F: Fn(T, T) -> T> Reduce<T, F> {
    /// Combines the result so far (first) with the next record.
    pub fn by(combine: F) -> Self {
        Self { combine: Arc::new(combine), of: PhantomData }
    }
}

impl<T, F> Clone for Reduce<T, F> {
    fn clone(&self) -> Self {
        Self { combine: Arc::clone(&self.combine), of: PhantomData }
    }
}

impl<T: Record, F: Fn(T, T) -> T + Send + Sync + 'static> AggregateFunction<T> for Reduce<T, F> {
    type Acc = Option<T>;
    // A window without records does not fire, but a purged one may: then there is nothing.
    type Out = Option<T>;
    fn create(&self) -> Option<T> {
        None
    }
    fn add(&self, acc: &mut Option<T>, record: &T) {
        *acc = Some(match acc.take() {
            Some(so_far) => (self.combine)(so_far, record.clone()),
            None => record.clone(),
        });
    }
    fn merge(&self, acc: &mut Option<T>, other: Option<T>) {
        if let Some(record) = other {
            self.add(acc, &record);
        }
    }
    fn result(&self, acc: &Option<T>) -> Option<T> {
        acc.clone()
    }
}

/// Keeps all records: what `process_window` works on. Prefer an aggregate where one will do.
pub struct Collect<T>(PhantomData<fn(T)>);

impl<T> Default for Collect<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for Collect<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T: Record> AggregateFunction<T> for Collect<T> {
    type Acc = Vec<T>;
    type Out = Vec<T>;
    fn create(&self) -> Vec<T> {
        Vec::new()
    }
    fn add(&self, acc: &mut Vec<T>, record: &T) {
        acc.push(record.clone());
    }
    fn merge(&self, acc: &mut Vec<T>, other: Vec<T>) {
        acc.extend(other);
    }
    fn result(&self, acc: &Vec<T>) -> Vec<T> {
        acc.clone()
    }
}

/// How two records rank: `Less` stands before.
type Rank<T> = dyn Fn(&T, &T) -> Ordering + Send + Sync;
/// Whether two records stand for the same thing: the newer one replaces the older.
type Same<T> = dyn Fn(&T, &T) -> bool + Send + Sync;

/// The first `n` records of a ranking, best first.
pub struct TopN<T> {
    n: usize,
    rank: Arc<Rank<T>>,
    same: Arc<Same<T>>,
}

impl<T> TopN<T> {
    /// The `n` records that rank first (`Less` is better). Where `same` holds, the newer record replaces the
    /// older: a count that is sent again after a late record is not ranked twice.
    pub fn new(
        n: usize,
        rank: impl Fn(&T, &T) -> Ordering + Send + Sync + 'static,
        same: impl Fn(&T, &T) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { n, rank: Arc::new(rank), same: Arc::new(same) }
    }
}

impl<T> Clone for TopN<T> {
    fn clone(&self) -> Self {
        Self { n: self.n, rank: Arc::clone(&self.rank), same: Arc::clone(&self.same) }
    }
}

impl<T: Record> AggregateFunction<T> for TopN<T> {
    type Acc = Vec<T>;
    type Out = Vec<T>;
    fn create(&self) -> Vec<T> {
        Vec::new()
    }
    fn add(&self, acc: &mut Vec<T>, record: &T) {
        acc.retain(|other| !(self.same)(other, record));
        let place = acc.partition_point(|other| (self.rank)(other, record) != Ordering::Greater);
        if place < self.n {
            acc.insert(place, record.clone());
            acc.truncate(self.n);
        }
    }
    fn merge(&self, acc: &mut Vec<T>, other: Vec<T>) {
        other.iter().for_each(|record| self.add(acc, record));
    }
    fn result(&self, acc: &Vec<T>) -> Vec<T> {
        acc.clone()
    }
}
