//! Which key a record has.

use std::fmt;
use std::sync::Arc;

use millstream_record::Key;

/// Reads the key of each record, as Flink's `KeySelector`.
///
/// The function's own type is hidden, so that a keyed stream can be named. Keys are read a batch at a time:
/// one virtual call for the batch, and a loop within it that the compiler sees through.
///
/// ```
/// use millstream_operators::KeySelector;
///
/// let parity = KeySelector::new(|number: &i64| number % 2);
/// let mut keys = Vec::new();
/// parity.keys(&[4, 7], &mut keys);
/// assert_eq!(keys, [0, 1]);
/// ```
pub struct KeySelector<T, K>(Arc<dyn SelectKeys<T, K>>);

/// The loops over a batch, which are compiled for each key function.
pub(crate) trait SelectKeys<T, K>: Send + Sync {
    fn keys(&self, records: &[T], keys: &mut Vec<K>);
    fn keys_of(&self, records: &[&T], keys: &mut Vec<K>);
    fn hashes(&self, records: &[T], hashes: &mut Vec<u64>);
}

impl<T, K: Key, F: Fn(&T) -> K + Send + Sync> SelectKeys<T, K> for F {
    fn keys(&self, records: &[T], keys: &mut Vec<K>) {
        keys.extend(records.iter().map(self));
    }

    fn keys_of(&self, records: &[&T], keys: &mut Vec<K>) {
        keys.extend(records.iter().map(|record| self(record)));
    }

    fn hashes(&self, records: &[T], hashes: &mut Vec<u64>) {
        hashes.extend(records.iter().map(|record| self(record).key_hash()));
    }
}

impl<T: 'static, K: Key> KeySelector<T, K> {
    /// The key that a function reads from a record.
    pub fn new(key: impl Fn(&T) -> K + Send + Sync + 'static) -> Self {
        Self(Arc::new(key))
    }

    pub(crate) fn of(select: impl SelectKeys<T, K> + 'static) -> Self {
        Self(Arc::new(select))
    }

    /// Appends the key of each record.
    pub fn keys(&self, records: &[T], keys: &mut Vec<K>) {
        self.0.keys(records, keys);
    }

    /// Appends the key of each record, where the records do not lie side by side.
    pub fn keys_of(&self, records: &[&T], keys: &mut Vec<K>) {
        self.0.keys_of(records, keys);
    }

    /// Appends the hash of each record's key.
    pub fn hashes(&self, records: &[T], hashes: &mut Vec<u64>) {
        self.0.hashes(records, hashes);
    }
}

impl<T, K> Clone for KeySelector<T, K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, K> fmt::Debug for KeySelector<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySelector")
    }
}
