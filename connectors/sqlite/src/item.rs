//! A row on its way: an item of the delivery engine.

use std::sync::Arc;

use millstream_delivery::Item;
use millstream_record::Result;
use millstream_record::key::{combine, hash_bytes};
use millstream_stage::Version;

use crate::encode::{Value, from_item, to_item, to_json};
use crate::table::Table;

/// A table, and where the columns of its key are.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) table: Arc<Table>,
    key: Vec<usize>,
}

impl Layout {
    pub(crate) fn new(table: Arc<Table>) -> Arc<Self> {
        let columns = table.columns().iter().enumerate();
        let key = columns.filter(|(_, column)| table.is_key(&column.name)).map(|(at, _)| at).collect();
        Arc::new(Self { table, key })
    }
}

/// A row that was not committed yet. A transaction shares its values.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    layout: Arc<Layout>,
    values: Arc<[Value]>,
    size: usize,
}

impl Row {
    pub(crate) fn new(layout: &Arc<Layout>, values: impl Into<Arc<[Value]>>) -> Self {
        let values = values.into();
        let size = values.iter().map(Value::size).sum();
        Self { layout: Arc::clone(layout), values, size }
    }

    /// The values, in the order of the columns.
    pub(crate) fn values(&self) -> &Arc<[Value]> {
        &self.values
    }

    /// Reads what [`Item::freeze`] wrote. The form has no version: the file is fenced by epochs.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when it is damaged.
    pub(crate) fn thaw(layout: &Arc<Layout>, item: &[u8]) -> Result<(Self, Version)> {
        Ok((Self::new(layout, from_item(item)?), Version::new(0, 0)?))
    }

    fn key(&self) -> impl Iterator<Item = &Value> {
        self.layout.key.iter().filter_map(|at| self.values.get(*at))
    }
}

impl Item for Row {
    fn hash(&self) -> u64 {
        self.key().fold(0, |hash, value| combine(hash, hash_of(value)))
    }

    fn same_id(&self, other: &Self) -> bool {
        self.key().eq(other.key())
    }

    fn bytes(&self) -> usize {
        self.size
    }

    fn memory(&self) -> usize {
        self.size
    }

    fn title(&self) -> String {
        let key: Vec<_> = self.key().map(Value::to_json).collect();
        format!("row {} of table {:?}", serde_json::Value::Array(key), self.layout.table.name())
    }

    fn value(&self) -> Vec<u8> {
        to_json(&self.values, &self.layout.table)
    }

    fn freeze(&self, _: Version) -> Vec<u8> {
        to_item(&self.values)
    }
}

fn hash_of(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Integer(number) => hash_bytes(&number.to_le_bytes()),
        Value::Real(number) => hash_bytes(&number.to_le_bytes()),
        Value::Text(text) => hash_bytes(text.as_bytes()),
        Value::Blob(bytes) => hash_bytes(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_apart_by_their_key() {
        let layout = Layout::new(Arc::new(Table::new("t").text("a").integer("n").text("b").key(["b", "a"])));
        let row = |a: &str, n: i64, b: &str| Row::new(&layout, vec![a.into(), n.into(), b.into()]);
        let (one, newer) = (row("x", 1, "y"), row("x", 2, "y"));
        assert!(one.same_id(&newer) && one.hash() == newer.hash());
        assert!(!one.same_id(&row("y", 1, "x")));
        assert_eq!(one.title(), r#"row ["x","y"] of table "t""#);
        let (copy, _) = Row::thaw(&layout, &newer.freeze(Version::new(3, 4).unwrap())).unwrap();
        assert_eq!(copy.values(), newer.values());
    }
}
