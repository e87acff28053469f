//! Rows that wait for their transaction.

use std::sync::Arc;

use millstream_core::time::{Nanos, Time};

use crate::encode::{Fault, Value, fault_of, to_item, to_json};
use crate::table::Table;

/// Rows in the order in which they came, for one transaction.
#[derive(Debug)]
pub(crate) struct Batch {
    table: Arc<Table>,
    values: Vec<Value>,
    bytes: usize,
    /// How many neighbours entered the job at the same time.
    ingests: Vec<(Nanos, u64)>,
    since: Option<Time>,
}

impl Batch {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        Self { table, values: Vec::new(), bytes: 0, ingests: Vec::new(), since: None }
    }

    /// Adds the row that `fill` appends; on a fault the batch is as before.
    pub(crate) fn push(
        &mut self,
        ingest: Nanos,
        now: Time,
        fill: impl FnOnce(&Table, &mut Vec<Value>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let start = self.values.len();
        let checked = fill(&self.table, &mut self.values).and_then(|()| self.check(start));
        let Ok(size) = checked else {
            self.values.truncate(start);
            return checked.map(drop);
        };
        self.bytes += size;
        self.since.get_or_insert(now);
        match self.ingests.last_mut() {
            Some((last, count)) if *last == ingest => *count += 1,
            _ => self.ingests.push((ingest, 1)),
        }
        Ok(())
    }

    // The size of the row that begins there.
    fn check(&self, start: usize) -> Result<usize, Fault> {
        let row = &self.values[start..];
        match fault_of(row, &self.table) {
            Some(reason) => Err(Fault::Refused { raw: to_json(row, &self.table), reason }),
            None => Ok(row.iter().map(Value::size).sum()),
        }
    }

    /// The rows in order.
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &[Value]> {
        self.values.chunks_exact(self.table.columns().len())
    }

    /// One row, as a dead letter shows it.
    pub(crate) fn json_of(&self, row: usize) -> Vec<u8> {
        self.rows().nth(row).map(|row| to_json(row, &self.table)).unwrap_or_default()
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows().len()
    }

    /// Bytes that they hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Since when the first one has waited.
    pub(crate) fn since(&self) -> Option<Time> {
        self.since
    }

    /// When they entered the job, and how many at once.
    pub(crate) fn ingests(&self) -> &[(Nanos, u64)] {
        &self.ingests
    }

    /// Items of a snapshot.
    pub(crate) fn items(&self) -> impl Iterator<Item = Vec<u8>> {
        self.rows().map(to_item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_rows_leave_no_trace() {
        let table = Table::new("t").text("a").integer("b").key(["a"]);
        let mut batch = Batch::new(Arc::new(table));
        let mut push = |row: Vec<Value>| {
            batch.push(5, 9, |_, out| {
                out.extend(row);
                Ok(())
            })
        };
        push(vec!["x".into(), 1_i64.into()]).unwrap();
        assert!(
            matches!(push(vec!["x".into()]), Err(Fault::Refused { raw, .. }) if raw.starts_with(b"{\"row\":{\"a\":\"x\""))
        );
        push(vec!["y".into(), Value::Null]).unwrap();
        let failed = batch.push(5, 9, |_, out| {
            out.push("z".into());
            Err(Fault::Stop(millstream_core::Error::bug("no")))
        });
        assert!(failed.is_err());
        let rows: Vec<_> = batch.rows().map(<[Value]>::to_vec).collect();
        assert_eq!(rows, [["x".into(), Value::Integer(1)], ["y".into(), Value::Null]]);
        assert_eq!((batch.len(), batch.ingests(), batch.since()), (2, &[(5, 2)][..], Some(9)));
    }
}
