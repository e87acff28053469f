//! A cold store at a barrier, as an operator's frozen state.

use super::FrozenCold;
use super::keys::{FIRST_INDEX, entry_of};
use crate::key::KeyGroup;
use crate::snapshot::{Emit, FrozenState, NativeState, TableSchema};
use crate::{Error, Result};

pub(super) struct FrozenTables {
    pub(super) tables: Vec<TableSchema>,
    pub(super) store: Box<dyn FrozenCold>,
}

impl FrozenState for FrozenTables {
    fn tables(&self) -> Vec<TableSchema> {
        self.tables.clone()
    }

    fn entries(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.store.scan(&mut |key, value| match key {
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
