//! Two streams of different types as one.

use millstream_record::Key;

use crate::key_selector::{KeySelector, SelectKeys};

/// A record of one of two streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// Of the first stream.
    First(A),
    /// Of the second stream.
    Second(B),
}

impl<A: 'static, B: 'static> Either<A, B> {
    /// The key of a record of either stream.
    pub fn key_selector<K: Key>(first: KeySelector<A, K>, second: KeySelector<B, K>) -> KeySelector<Self, K> {
        KeySelector::of(EitherKeys { first, second })
    }

    fn is_first(&self) -> bool {
        matches!(self, Self::First(_))
    }

    fn first(&self) -> Option<&A> {
        if let Self::First(record) = self { Some(record) } else { None }
    }

    fn second(&self) -> Option<&B> {
        if let Self::Second(record) = self { Some(record) } else { None }
    }
}

struct EitherKeys<A, B, K> {
    first: KeySelector<A, K>,
    second: KeySelector<B, K>,
}

impl<A: 'static, B: 'static, K: Key> EitherKeys<A, B, K> {
    // All records of a run are of one stream.
    fn keys_of_run<'r>(&self, run: impl Iterator<Item = &'r Either<A, B>> + Clone, keys: &mut Vec<K>) {
        let first: Vec<_> = run.clone().filter_map(Either::first).collect();
        if first.is_empty() {
            self.second.keys_of(&run.filter_map(Either::second).collect::<Vec<_>>(), keys);
        } else {
            self.first.keys_of(&first, keys);
        }
    }
}

impl<A: 'static, B: 'static, K: Key> SelectKeys<Either<A, B>, K> for EitherKeys<A, B, K> {
    fn keys(&self, records: &[Either<A, B>], keys: &mut Vec<K>) {
        for run in records.chunk_by(|left, right| left.is_first() == right.is_first()) {
            self.keys_of_run(run.iter(), keys);
        }
    }

    fn keys_of(&self, records: &[&Either<A, B>], keys: &mut Vec<K>) {
        for run in records.chunk_by(|left, right| left.is_first() == right.is_first()) {
            self.keys_of_run(run.iter().copied(), keys);
        }
    }

    fn hashes(&self, records: &[Either<A, B>], hashes: &mut Vec<u64>) {
        let mut keys = Vec::with_capacity(records.len());
        self.keys(records, &mut keys);
        hashes.extend(keys.iter().map(Key::key_hash));
    }
}
