//! What a named state holds for one key, and the column of all keys.

use std::any::Any;
use std::collections::BTreeMap;

use millstream_record::Result;
use millstream_record::record::{Names, Record};
use millstream_stage::time::Time;

use super::ttl::{Access, Moment, Ttl, UNKNOWN};
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
    /// The fields of this state in the entry of a key, as JSON.
    fn fields(&self, names: &mut Names) -> Vec<String>;
    fn ttl(&self) -> Option<Ttl>;
    fn any(&mut self) -> &mut dyn Any;
    /// Whether there is nothing in a cell, or nothing that is not past its time.
    fn is_empty(&self, slot: Slot, moment: &Moment) -> bool;
    fn encode(&self, slot: Slot, moment: &Moment, out: &mut Vec<u8>);
    fn decode(&mut self, slot: Slot, bytes: &mut &[u8]) -> Result<()>;
    /// Empties a cell.
    fn clear(&mut self, slot: Slot);
    /// Empties a cell that is past its time, and says whether it was.
    fn expire(&mut self, slot: Slot, moment: &Moment) -> bool;
    /// When what is in a cell is past its time; none where it has no time to live.
    fn expiry(&self, slot: Slot) -> Option<Time>;
    /// Bytes of a cell outside of the column.
    fn heap_size(&self, slot: Slot) -> usize;
    /// Bytes of a cell within the column.
    fn cell_size(&self) -> usize;
    /// The column as it is now.
    fn freeze(&mut self) -> Box<dyn Column>;
}

pub(super) struct Cells<C> {
    name: String,
    cells: Segments<C>,
    aging: Option<Aging>,
}

/// When each cell was last touched.
struct Aging {
    ttl: Ttl,
    updated: Segments<Time>,
}

impl Aging {
    fn updated(&self, slot: Slot) -> Time {
        self.updated.get(slot as usize).copied().unwrap_or(UNKNOWN)
    }

    fn is_over(&self, slot: Slot, moment: &Moment) -> bool {
        self.ttl.is_over(self.updated(slot), moment)
    }
}

impl<C: StateCell> Cells<C> {
    pub(super) fn new(name: &str, ttl: Option<Ttl>) -> Self {
        let aging = ttl.map(|ttl| Aging { ttl, updated: Segments::default() });
        Self { name: name.to_owned(), cells: Segments::default(), aging }
    }

    /// A cell, to read and to write; and whether it was past its time, and is empty now.
    pub(super) fn touch(&mut self, slot: Slot, access: Access, moment: &Moment) -> (&mut C, bool) {
        let mut expired = false;
        if self.aging.is_some() {
            expired = self.expire(slot, moment);
            if let Some(aging) = self.aging.as_mut().filter(|aging| aging.ttl.counts(access)) {
                let stamp = moment.stamp(aging.ttl.clock());
                let full = self.cells.get(slot as usize).is_some_and(|cell| !cell.is_empty());
                let updated = aging.updated.at(slot as usize);
                *updated = if full { stamp.max(*updated) } else { stamp };
            }
        }
        (self.cells.at(slot as usize), expired)
    }

    fn cell(&self, slot: Slot) -> Option<&C> {
        self.cells.get(slot as usize).filter(|cell| !cell.is_empty())
    }

    fn living(&self, slot: Slot, moment: &Moment) -> Option<&C> {
        let over = self.aging.as_ref().is_some_and(|aging| aging.is_over(slot, moment));
        if over { None } else { self.cell(slot) }
    }
}

/// The field beside a state with a time to live.
pub(super) fn updated_field(state: &str) -> String {
    format!("{state}_updated")
}

impl<C: StateCell> Column for Cells<C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn fields(&self, names: &mut Names) -> Vec<String> {
        let (name, schema) = (serde_json::Value::from(self.name.as_str()), C::schema(names));
        let mut fields = vec![format!(r#"{{"name":{name},"type":{schema},"default":{}}}"#, C::EMPTY)];
        if self.aging.is_some() {
            let name = serde_json::Value::from(updated_field(&self.name));
            fields.push(format!(r#"{{"name":{name},"type":"long","default":{UNKNOWN}}}"#));
        }
        fields
    }

    fn ttl(&self) -> Option<Ttl> {
        self.aging.as_ref().map(|aging| aging.ttl)
    }

    fn any(&mut self) -> &mut dyn Any {
        self
    }

    fn is_empty(&self, slot: Slot, moment: &Moment) -> bool {
        self.living(slot, moment).is_none()
    }

    fn encode(&self, slot: Slot, moment: &Moment, out: &mut Vec<u8>) {
        let living = self.living(slot, moment);
        match living {
            Some(cell) => cell.encode(out),
            None => C::default().encode(out),
        }
        if let Some(aging) = &self.aging {
            living.map_or(UNKNOWN, |_| aging.updated(slot)).encode(out);
        }
    }

    fn decode(&mut self, slot: Slot, bytes: &mut &[u8]) -> Result<()> {
        *self.cells.at(slot as usize) = C::decode(bytes)?;
        if let Some(aging) = &mut self.aging {
            *aging.updated.at(slot as usize) = Time::decode(bytes)?;
        }
        Ok(())
    }

    fn clear(&mut self, slot: Slot) {
        if self.cell(slot).is_some() {
            *self.cells.at(slot as usize) = C::default();
        }
        if let Some(aging) = &mut self.aging {
            *aging.updated.at(slot as usize) = UNKNOWN;
        }
    }

    fn expire(&mut self, slot: Slot, moment: &Moment) -> bool {
        let full = self.cell(slot).is_some();
        let Some(aging) = self.aging.as_mut().filter(|_| full) else { return false };
        if aging.updated(slot) == UNKNOWN {
            *aging.updated.at(slot as usize) = moment.stamp(aging.ttl.clock());
        }
        let over = aging.is_over(slot, moment);
        if over {
            self.clear(slot);
        }
        over
    }

    fn expiry(&self, slot: Slot) -> Option<Time> {
        let aging = self.aging.as_ref()?;
        let updated = aging.updated(slot);
        (updated != UNKNOWN).then(|| aging.ttl.expiry(updated))
    }

    fn heap_size(&self, slot: Slot) -> usize {
        self.cell(slot).map_or(0, Record::heap_size)
    }

    fn cell_size(&self) -> usize {
        size_of::<C>() + self.aging.as_ref().map_or(0, |_| size_of::<Time>())
    }

    fn freeze(&mut self) -> Box<dyn Column> {
        let aging = self.aging.as_mut();
        let aging = aging.map(|aging| Aging { ttl: aging.ttl, updated: aging.updated.freeze() });
        Box::new(Self { name: self.name.clone(), cells: self.cells.freeze(), aging })
    }
}
