//! Records as rows.

use compact_str::CompactString;
use millstream_delivery::ItemError;
use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::{Error, Result};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};
use serde::Serialize;
use serde_json::Value as Json;

use crate::table::{Column, ColumnType, Table};

/// One column's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// For an integer column.
    Integer(i64),
    /// For a real column.
    Real(f64),
    /// For a text column.
    Text(CompactString),
    /// For a blob column.
    Blob(Vec<u8>),
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}
value_from!(i64 => Integer, i32 => Integer, u32 => Integer, bool => Integer, f64 => Real, &str => Text, String => Text,
    CompactString => Text, Vec<u8> => Blob);

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

impl Value {
    fn fits(&self, kind: ColumnType) -> bool {
        match self {
            Self::Null => true,
            Self::Integer(_) => kind == ColumnType::Integer,
            Self::Real(_) => kind == ColumnType::Real,
            Self::Text(_) => kind == ColumnType::Text,
            Self::Blob(_) => kind == ColumnType::Blob,
        }
    }

    /// Bytes that it holds in memory.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Null | Self::Integer(_) | Self::Real(_) => 0,
                Self::Text(text) => text.len(),
                Self::Blob(bytes) => bytes.len(),
            }
    }

    // In a snapshot: a number for the variant, and its bytes.
    fn to_part(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Null => (0, Vec::new()),
            Self::Integer(value) => (1, value.to_le_bytes().to_vec()),
            Self::Real(value) => (2, value.to_le_bytes().to_vec()),
            Self::Text(text) => (3, text.as_bytes().to_vec()),
            Self::Blob(bytes) => (4, bytes.clone()),
        }
    }

    fn of_part(kind: u8, bytes: Vec<u8>) -> Option<Self> {
        match kind {
            0 => Some(Self::Null),
            1 => bytes.try_into().ok().map(|bytes| Self::Integer(i64::from_le_bytes(bytes))),
            2 => bytes.try_into().ok().map(|bytes| Self::Real(f64::from_le_bytes(bytes))),
            3 => CompactString::from_utf8(bytes).ok().map(Self::Text),
            4 => Some(Self::Blob(bytes)),
            _ => None,
        }
    }

    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Integer(value) => (*value).into(),
            Self::Real(value) => (*value).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Blob(bytes) => bytes.as_slice().into(),
        }
    }
}

/// The row that a record makes, by its field names.
pub(crate) fn row_of<T: Serialize>(record: &T, table: &Table) -> Result<Vec<Value>, ItemError> {
    let json = serde_json::to_value(record).map_err(|error| {
        let value = table.name().as_bytes().to_vec();
        ItemError::Refused { value, reason: format!("it cannot be turned into a row: {error}") }
    })?;
    let Json::Object(mut fields) = json else {
        return Err(misfit::<T>(table, "is no struct: its fields would be the columns"));
    };
    let mut row = Vec::with_capacity(table.columns().len());
    for column in table.columns() {
        let field = fields.remove(&column.name).unwrap_or(Json::Null);
        let value = value_of(field, column.kind).ok_or_else(|| refused(record, column))?;
        row.push(value);
    }
    match fields.keys().next() {
        Some(extra) => Err(misfit::<T>(table, &format!("has a field {extra:?}, which is no column"))),
        None => Ok(row),
    }
}

fn misfit<T>(table: &Table, what: &str) -> ItemError {
    let record = std::any::type_name::<T>();
    let table = table.name();
    ItemError::Stop(Error::configuration(format!(
        "sqlite: {record}, to be written to table {table:?}, {what}"
    )))
}

fn refused<T: Serialize>(record: &T, column: &Column) -> ItemError {
    let value = serde_json::to_vec(record).unwrap_or_default();
    ItemError::Refused {
        value,
        reason: format!("field {} does not fit its column of type {}", column.name, column.kind.sql()),
    }
}

fn value_of(field: Json, kind: ColumnType) -> Option<Value> {
    match (field, kind) {
        (Json::Null, _) => Some(Value::Null),
        (Json::Bool(value), ColumnType::Integer) => Some(Value::Integer(value.into())),
        (Json::Number(number), ColumnType::Integer) => number.as_i64().map(Value::Integer),
        (Json::Number(number), ColumnType::Real) => number.as_f64().map(Value::Real),
        (Json::String(text), ColumnType::Text) => Some(Value::Text(text.into())),
        (nested @ (Json::Array(_) | Json::Object(_)), ColumnType::Text) => {
            Some(Value::Text(nested.to_string().into()))
        }
        _ => None,
    }
}

/// Why a row can never be written, if so.
pub(crate) fn fault_of(row: &[Value], table: &Table) -> Option<String> {
    if row.len() != table.columns().len() {
        return Some(format!("{} values for {} columns", row.len(), table.columns().len()));
    }
    let pairs = row.iter().zip(table.columns());
    pairs.into_iter().find_map(|(value, column)| {
        if *value == Value::Null && table.is_key(&column.name) {
            return Some(format!("column {} is part of the key and has no value", column.name));
        }
        let fault = || format!("the value of column {} is not of type {}", column.name, column.kind.sql());
        (!value.fits(column.kind)).then(fault)
    })
}

/// The row as JSON, for people and for replaying a dead letter.
pub(crate) fn to_json(row: &[Value], table: &Table) -> Vec<u8> {
    let names = table.columns().iter().map(|column| column.name.clone());
    let fields: serde_json::Map<_, _> = names.zip(row.iter().map(Value::to_json)).collect();
    let table = table.name();
    serde_json::json!({ "table": table, "row": fields }).to_string().into_bytes()
}

/// The row as an item of a snapshot.
pub(crate) fn to_item(row: &[Value]) -> Vec<u8> {
    let parts: Vec<(u8, Vec<u8>)> = row.iter().map(Value::to_part).collect();
    to_bytes(&parts)
}

/// What [`to_item`] wrote.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data).
pub(crate) fn from_item(item: &[u8]) -> Result<Vec<Value>> {
    let parts: Vec<(u8, Vec<u8>)> = from_bytes(item)?;
    let damaged = || Error::data("an unacknowledged row in the snapshot is damaged");
    parts.into_iter().map(|(kind, bytes)| Value::of_part(kind, bytes).ok_or_else(damaged)).collect()
}

#[cfg(test)]
mod tests {
    use millstream_record::ErrorKind;

    use super::*;

    #[derive(Serialize)]
    struct Clicks {
        user_id: &'static str,
        count: u64,
        share: Option<f32>,
        tags: Vec<&'static str>,
        new: bool,
    }

    fn clicks() -> Clicks {
        Clicks { user_id: "u", count: 3, share: None, tags: vec!["a", "b"], new: true }
    }

    fn table() -> Table {
        Table::new("clicks")
            .text("user_id")
            .integer("new")
            .real("share")
            .text("tags")
            .integer("count")
            .key(["user_id"])
    }

    #[test]
    fn fields_find_their_columns() {
        let row = row_of(&clicks(), &table()).unwrap();
        let expected: [Value; 5] =
            ["u".into(), true.into(), Value::Null, r#"["a","b"]"#.into(), 3_i64.into()];
        assert_eq!(row, expected);
        assert_eq!(fault_of(&row, &table()), None);
        let text = String::from_utf8(to_json(&row, &table())).unwrap();
        assert!(text.contains(r#""user_id":"u""#) && text.contains(r#""table":"clicks""#), "{text}");
    }

    #[test]
    fn snapshots_bring_every_value_back() {
        let row = [Value::Null, i64::MIN.into(), (-0.5).into(), "é".into(), vec![0, 255].into()];
        assert_eq!(from_item(&to_item(&row)).unwrap(), row);
        assert!(from_item(b"nonsense").is_err());
    }

    #[test]
    fn a_value_that_does_not_fit_is_the_records_fault_and_a_missing_column_the_users() {
        let fault = |record: &Clicks, table: &Table| row_of(record, table).unwrap_err();
        let ItemError::Refused { value, reason } = fault(&Clicks { count: u64::MAX, ..clicks() }, &table())
        else {
            panic!("other records may fit")
        };
        assert!(reason.contains("count") && value.starts_with(b"{\"user_id\":\"u\""), "{reason}");
        let few = Table::new("clicks").text("user_id").key(["user_id"]);
        let ItemError::Stop(error) = fault(&clicks(), &few) else { panic!("no record fits") };
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(matches!(row_of(&7, &few), Err(ItemError::Stop(_))));
    }

    #[test]
    fn rows_of_the_users_own_making_are_checked() {
        let table = Table::new("t").text("a").real("b").key(["a"]);
        assert_eq!(fault_of(&["x".into(), Value::Null], &table), None);
        for wrong in [vec!["x".into()], vec![Value::Null, 1.0.into()], vec!["x".into(), 1_i64.into()]] {
            assert!(fault_of(&wrong, &table).is_some(), "{wrong:?}");
        }
    }
}
