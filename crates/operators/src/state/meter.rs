//! How large an operator's state is, measured by samples every second.

use std::sync::Arc;

use millstream_record::Key;
use millstream_stage::metrics::{OperatorMetrics, StateMetrics};
use millstream_stage::time::{MIN_TIME, Time};

use crate::cold::Cache;
use crate::table::{Entry, KeyedTable, Slot};

/// Milliseconds between two measurements.
const PERIOD: Time = 1000;

/// Slots that are looked at.
const SAMPLES: Slot = 64;

/// A state's index takes about as much of memory per key.
const INDEX: usize = 12;

/// Says when to measure.
pub(crate) struct Meter {
    next: Time,
}

impl Default for Meter {
    fn default() -> Self {
        Self { next: MIN_TIME }
    }
}

impl Meter {
    pub(crate) fn is_due(&mut self, now: Time) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now.saturating_add(PERIOD);
        }
        due
    }

    /// Measures a state that is in tables of its own.
    pub(crate) fn measure<'t, K: Key, V: Clone + 't>(
        metrics: &StateMetrics,
        tables: impl Iterator<Item = &'t KeyedTable<K, V>>,
        cold: Option<&Cache>,
        heap_size: impl Fn(&Entry<K, V>) -> usize,
    ) {
        let (mut keys, mut bytes) = (0, 0);
        for table in tables {
            let entry = size_of::<Option<Entry<K, V>>>() + INDEX;
            keys += table.len();
            bytes += table.slots() as usize * entry + table.len() * mean(table, &heap_size);
        }
        set(metrics, keys, bytes, cold);
    }
}

/// Slots spread evenly over a table.
pub(crate) fn samples(slots: Slot) -> impl Iterator<Item = Slot> {
    (0..slots).step_by((slots / SAMPLES).max(1) as usize)
}

fn mean<K: Key, V: Clone>(table: &KeyedTable<K, V>, heap_size: impl Fn(&Entry<K, V>) -> usize) -> usize {
    let found = samples(table.slots()).filter_map(|slot| table.entry(slot));
    let (count, sum) =
        found.fold((0, 0), |(count, sum), entry| (count + 1, sum + heap_size(entry) + entry.key.heap_size()));
    usize::checked_div(sum, count).unwrap_or_default()
}

/// Sets the size of a state; for one in a cold store, the size that the store reports.
pub(crate) fn set(metrics: &StateMetrics, keys: usize, bytes: usize, cold: Option<&Cache>) {
    let sizes = cold.map(Cache::sizes);
    metrics.keys.set(sizes.map_or(keys as i64, |sizes| sizes.keys as i64));
    metrics.bytes.set(sizes.map_or(bytes as i64, |sizes| sizes.bytes as i64));
}

/// The metrics of the states with these names.
pub(crate) fn of<'n>(
    operator: &OperatorMetrics,
    names: impl Iterator<Item = &'n str>,
) -> Vec<Arc<StateMetrics>> {
    names.map(|name| operator.state(name)).collect()
}
