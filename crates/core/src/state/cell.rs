//! What a named state holds for one key, and the column of all keys.

use std::any::Any;
use std::collections::BTreeMap;

use crate::Result;
use crate::plan::Kept;
use crate::record::{Names, Record};
use crate::table::Slot;
use crate::table::segments::Segments;

/// The contents of a state for one key. Empty contents are not stored.
pub trait StateCell: Record + Default {
    /// Its Avro default, as JSON: what a key has of a state that is newer than the snapshot.
    const EMPTY: &'static str;
    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool;
}

impl<T: Record> StateCell for Option<T> {
    const EMPTY: &'static str = "null";
    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

impl<T: Record> StateCell for Vec<T> {
    const EMPTY: &'static str = "[]";
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<K: Record + Ord, V: Record> StateCell for BTreeMap<K, V> {
    const EMPTY: &'static str = "[]";
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// One state of all keys, by slot.
pub(super) trait Column: Send {
    fn name(&self) -> &str;
    /// The field of this state in the entry of a key, as JSON.
    fn field(&self, names: &mut Names) -> String;
    fn kept(&self) -> Kept;
    fn any(&mut self) -> &mut dyn Any;
    fn is_empty(&self, slot: Slot) -> bool;
    fn encode(&self, slot: Slot, out: &mut Vec<u8>);
    fn decode(&mut self, slot: Slot, bytes: &mut &[u8]) -> Result<()>;
    /// Empties a cell.
    fn clear(&mut self, slot: Slot);
    /// The column as it is now.
    fn freeze(&mut self) -> Box<dyn Column>;
}

pub(super) struct Cells<C> {
    name: String,
    cells: Segments<C>,
}

impl<C: StateCell> Cells<C> {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), cells: Segments::default() }
    }

    pub(super) fn cell(&mut self, slot: Slot) -> &mut C {
        self.cells.at(slot as usize)
    }
}

impl<C: StateCell> Column for Cells<C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn field(&self, names: &mut Names) -> String {
        let (name, schema) = (serde_json::Value::from(self.name.as_str()), C::schema(names));
        format!(r#"{{"name":{name},"type":{schema},"default":{}}}"#, C::EMPTY)
    }

    fn kept(&self) -> Kept {
        Kept::UntilCleared
    }

    fn any(&mut self) -> &mut dyn Any {
        self
    }

    fn is_empty(&self, slot: Slot) -> bool {
        self.cells.get(slot as usize).is_none_or(StateCell::is_empty)
    }

    fn encode(&self, slot: Slot, out: &mut Vec<u8>) {
        match self.cells.get(slot as usize) {
            Some(cell) => cell.encode(out),
            None => C::default().encode(out),
        }
    }

    fn decode(&mut self, slot: Slot, bytes: &mut &[u8]) -> Result<()> {
        *self.cell(slot) = C::decode(bytes)?;
        Ok(())
    }

    fn clear(&mut self, slot: Slot) {
        if let Some(cell) = self.cells.get_mut(slot as usize) {
            *cell = C::default();
        }
    }

    fn freeze(&mut self) -> Box<dyn Column> {
        Box::new(Self { name: self.name.clone(), cells: self.cells.freeze() })
    }
}
