//! The states and timers of all keys as they were at a barrier.

use millstream_record::key_group::key_group;
use millstream_record::record::{Names, Record};
use millstream_record::{Key, Result};
use millstream_stage::snapshot::{Emit, FrozenState, TableSchema};
use millstream_stage::time::Time;

use super::cell::Column;
use super::rows;
use super::timers::KeyTimers;
use super::ttl::Moment;
use crate::group_watermarks::GroupWatermarks;
use crate::table::FrozenEntries;

pub(super) struct FrozenKeys<K> {
    pub(super) watermarks: GroupWatermarks,
    pub(super) groups: u16,
    pub(super) keys: FrozenEntries<K, KeyTimers>,
    pub(super) columns: Vec<Box<dyn Column>>,
    pub(super) moment: Moment,
}

impl<K: Key> FrozenState for FrozenKeys<K> {
    fn tables(&self) -> Vec<TableSchema> {
        tables::<K>(&self.columns)
    }

    fn entries(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.watermarks.entries(emit)?;
        let mut bytes = Vec::new();
        for (slot, entry) in (0..).zip(self.keys.iter()) {
            let Some(entry) = entry else { continue };
            if entry.value.is_empty() && self.columns.iter().all(|column| column.is_empty(slot, &self.moment))
            {
                continue;
            }
            bytes.clear();
            rows::encode(slot, entry, &self.columns, &self.moment, &mut bytes);
            emit(key_group(entry.hash, self.groups), 1, &bytes)?;
        }
        Ok(())
    }
}

/// The tables of a keyed function with these states.
pub(super) fn tables<K: Key>(columns: &[Box<dyn Column>]) -> Vec<TableSchema> {
    let names = &mut Names::default();
    let mut fields = vec![format!(r#"{{"name":"key","type":{}}}"#, K::schema(names))];
    for timers in ["event_timers", "processing_timers"] {
        let times = Vec::<Time>::schema(names);
        fields.push(format!(r#"{{"name":"{timers}","type":{times},"default":[]}}"#));
    }
    fields.extend(columns.iter().flat_map(|column| column.fields(names)));
    let schema = format!(r#"{{"type":"record","name":"KeyedState","fields":[{}]}}"#, fields.join(","));
    vec![GroupWatermarks::table(), TableSchema { name: "keys".to_owned(), schema }]
}
