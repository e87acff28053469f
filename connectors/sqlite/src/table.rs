//! The table that a sink writes to, and its SQL.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use millstream_record::{Error, Result};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Whole numbers of 64 bits, signed; booleans as 0 and 1; times as milliseconds.
    Integer,
    /// Floating-point numbers of 64 bits.
    Real,
    /// Text; also arrays and nested structs, as JSON.
    Text,
    /// Bytes.
    Blob,
}

impl ColumnType {
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Text => "TEXT",
            Self::Blob => "BLOB",
        }
    }
}

/// A table: its columns in order, and those that name a row.
///
/// ```
/// use millstream_sqlite::Table;
///
/// let table = Table::new("user_clicks")
///     .text("user_id")
///     .integer("window_start")
///     .integer("window_end")
///     .integer("count")
///     .key(["user_id", "window_start"]);
/// assert_eq!(table.name(), "user_clicks");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    name: String,
    columns: Vec<Column>,
    key: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: ColumnType,
}

impl Table {
    /// A table without columns yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), columns: Vec::new(), key: Vec::new() }
    }

    /// Adds a column.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, kind: ColumnType) -> Self {
        self.columns.push(Column { name: name.into(), kind });
        self
    }

    /// Adds a column of whole numbers.
    #[must_use]
    pub fn integer(self, name: impl Into<String>) -> Self {
        self.column(name, ColumnType::Integer)
    }

    /// Adds a column of floating-point numbers.
    #[must_use]
    pub fn real(self, name: impl Into<String>) -> Self {
        self.column(name, ColumnType::Real)
    }

    /// Adds a column of text.
    #[must_use]
    pub fn text(self, name: impl Into<String>) -> Self {
        self.column(name, ColumnType::Text)
    }

    /// Adds a column of bytes.
    #[must_use]
    pub fn blob(self, name: impl Into<String>) -> Self {
        self.column(name, ColumnType::Blob)
    }

    /// The columns that name a row: a second row with the same values in them replaces the first. They are
    /// never null.
    #[must_use]
    pub fn key<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(crate) fn is_key(&self, column: &str) -> bool {
        self.key.iter().any(|key| key == column)
    }

    /// Refuses what SQLite would refuse, and what could not be upserted.
    pub(crate) fn validate(&self) -> Result<()> {
        let wrong = |what: String| Error::configuration(format!("sqlite: table {:?} {what}", self.name));
        if !is_plain(&self.name) || self.name.starts_with("sqlite_") || self.name.starts_with("millstream_") {
            return Err(wrong(
                "needs another name: letters, digits and _, not beginning with a digit, sqlite_ or millstream_".into(),
            ));
        }
        let mut seen = BTreeSet::new();
        for Column { name, .. } in &self.columns {
            if !is_plain(name) || !seen.insert(name.to_ascii_lowercase()) {
                return Err(wrong(format!(
                    "has a column {name:?} twice, or it is not of letters, digits and _"
                )));
            }
        }
        if self.key.is_empty() {
            return Err(wrong("has no key: name the columns that tell its rows apart".into()));
        }
        let missing = self.key.iter().find(|key| !self.columns.iter().any(|column| column.name == **key));
        missing.map_or(Ok(()), |key| Err(wrong(format!("has the key {key:?} but no such column"))))
    }

    pub(crate) fn create_sql(&self) -> String {
        let mut sql = format!("CREATE TABLE IF NOT EXISTS \"{}\" (", self.name);
        for column in &self.columns {
            let not_null = if self.is_key(&column.name) { " NOT NULL" } else { "" };
            let _ = write!(sql, "\"{}\" {}{not_null}, ", column.name, column.kind.sql());
        }
        let _ = write!(sql, "PRIMARY KEY ({})) WITHOUT ROWID", quoted(&self.key));
        sql
    }

    pub(crate) fn upsert_sql(&self) -> String {
        let names: Vec<&String> = self.columns.iter().map(|column| &column.name).collect();
        let places = vec!["?"; names.len()].join(", ");
        let others = names.iter().filter(|name| !self.is_key(name));
        let set: Vec<String> = others.map(|name| format!("\"{name}\" = excluded.\"{name}\"")).collect();
        let action =
            if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
        format!(
            "INSERT INTO \"{}\" ({}) VALUES ({places}) ON CONFLICT ({}) DO {action}",
            self.name,
            quoted(&names),
            quoted(&self.key),
        )
    }
}

fn quoted(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| format!("\"{}\"", name.as_ref())).collect::<Vec<_>>().join(", ")
}

fn is_plain(name: &str) -> bool {
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    begins && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new("t").text("a").integer("b").real("c").key(["a", "b"])
    }

    #[test]
    fn sql_of_a_table() {
        assert_eq!(
            table().create_sql(),
            "CREATE TABLE IF NOT EXISTS \"t\" (\"a\" TEXT NOT NULL, \"b\" INTEGER NOT NULL, \"c\" REAL, \
             PRIMARY KEY (\"a\", \"b\")) WITHOUT ROWID"
        );
        assert_eq!(
            table().upsert_sql(),
            "INSERT INTO \"t\" (\"a\", \"b\", \"c\") VALUES (?, ?, ?) ON CONFLICT (\"a\", \"b\") DO UPDATE SET \
             \"c\" = excluded.\"c\""
        );
        let keys_alone = Table::new("t").text("a").key(["a"]);
        assert!(keys_alone.upsert_sql().ends_with("DO NOTHING"));
    }

    #[test]
    fn what_can_never_work_is_refused() {
        assert!(table().validate().is_ok());
        let wrong = [
            Table::new("t").text("a"),
            Table::new("t").text("a").key(["b"]),
            Table::new("t\"; DROP").text("a").key(["a"]),
            Table::new("t").text("a").integer("A").key(["a"]),
            Table::new("millstream_epochs").text("a").key(["a"]),
            Table::new("t").text("a b").key(["a b"]),
            Table::new("").text("a").key(["a"]),
        ];
        for table in wrong {
            assert!(table.validate().is_err(), "{table:?}");
        }
    }
}
