//! A cold store at a barrier, as an operator's frozen state.

use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::{Emit, FrozenState, NativeState, TableSchema};
use millstream_stage::state_backend::FIRST_INDEX;
use millstream_stage::state_backend::FrozenCold;
use millstream_stage::time::Time;

use super::keys::entry_of;

pub(super) struct FrozenTables {
    pub(super) tables: Vec<TableSchema>,
    // A table, and until when its values have expired: the store may still have them.
    pub(super) expired: Option<(u8, Time)>,
    pub(super) store: Box<dyn FrozenCold>,
}

impl FrozenTables {
    fn is_over(&self, table: u8, value: &[u8]) -> bool {
        let expiry = value.first_chunk().map_or(Time::MAX, |bytes| Time::from_be_bytes(*bytes));
        expiry != Time::MAX && self.expired.is_some_and(|(of, now)| of == table && expiry <= now)
    }
}

impl FrozenState for FrozenTables {
    fn tables(&self) -> Vec<TableSchema> {
        self.tables.clone()
    }

    fn entries(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.store.scan(&mut |key, value| match key {
            [_, _, table, ..] if self.is_over(*table, value) => Ok(()),
            [high, low, table, ..] if *table < FIRST_INDEX => {
                emit(KeyGroup::from_be_bytes([*high, *low]), u16::from(*table), entry_of(value)?)
            }
            [_, _, _, ..] => Ok(()),
            _ => Err(Error::data("a cold key is shorter than its key group and table")),
        })
    }

    fn native(&self) -> Option<NativeState<'_>> {
        Some(self.store.native())
    }
}
