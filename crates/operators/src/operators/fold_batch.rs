//! Folds records of one key within an outgoing batch, before they are exchanged.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashTable;

use millstream_record::{Data, Key, Result};
use millstream_stage::time::{Time, millis};
use millstream_stage::{Context, Operator, Output, Rows, Step};

/// Batches to send as they are after folding has not paid, before it is tried again.
const REST: u32 = 64;

/// Folds rows of equal key and equal tumbling window of event time into one; nothing is held back beyond the
/// batch.
///
/// Where keys are skewed this saves the exchange most of its rows. Where they are not, it finds that out by
/// itself: when a batch shrinks by less than a fifth, the next 64 batches pass untouched.
pub struct FoldBatch<T, K, F, M> {
    key: Arc<F>,
    merge: Arc<M>,
    window: Time,
    rest: u32,
    index: HashTable<u32>,
    keys: Vec<(K, Time)>,
    of: std::marker::PhantomData<fn(T)>,
}

impl<T, K, F, M> FoldBatch<T, K, F, M> {
    /// Folds by `key` and by windows of this length; `merge` adds the second record to the first.
    pub fn new(key: Arc<F>, merge: Arc<M>, window: Duration) -> Self {
        let (index, keys) = (HashTable::new(), Vec::new());
        Self { key, merge, window: millis(window).max(1), rest: 0, index, keys, of: std::marker::PhantomData }
    }
}

impl<T, K, F, M> FoldBatch<T, K, F, M>
where
    T: Data,
    K: Key,
    F: Fn(&T) -> K,
    M: Fn(&mut T, T),
{
    fn fold(&mut self, record: T, ts: Time, out: &mut Rows<T>) {
        let id = ((self.key)(&record), ts.div_euclid(self.window));
        let hash = millstream_record::key::combine(id.0.key_hash(), id.1 as u64);
        match self.index.find(hash, |index| self.keys[*index as usize] == id) {
            Some(index) => {
                let index = *index as usize;
                (self.merge)(&mut out.rec[index], record);
                out.ts[index] = out.ts[index].max(ts);
            }
            None => {
                let keys = &self.keys;
                let rehash = |index: &u32| {
                    let (key, window) = &keys[*index as usize];
                    millstream_record::key::combine(key.key_hash(), *window as u64)
                };
                self.index.insert_unique(hash, out.len() as u32, rehash);
                self.keys.push(id);
                out.push(record, ts);
            }
        }
    }
}

impl<T, K, F, M> Operator for FoldBatch<T, K, F, M>
where
    T: Data,
    K: Key,
    F: Fn(&T) -> K + Send + Sync + 'static,
    M: Fn(&mut T, T) + Send + Sync + 'static,
{
    type In = T;
    type Out = T;

    fn rows(&mut self, _: &mut Context<'_>, rows: &mut Rows<T>, out: &mut Output<T>) -> Result<Step> {
        if self.rest > 0 {
            self.rest -= 1;
            rows.append_to(&mut out.rows);
            return Ok(Step::DONE);
        }
        let before = rows.len();
        for (record, ts) in rows.drain() {
            self.fold(record, ts, &mut out.rows);
        }
        if out.rows.len() * 5 > before * 4 && before > 16 {
            self.rest = REST;
        }
        self.index.clear();
        self.keys.clear();
        Ok(Step::DONE)
    }
}
