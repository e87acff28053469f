//! The sink: settings, a table, and how a record becomes a row.

use std::sync::Arc;

use millstream_delivery::Writers;
use millstream_record::{Data, Result};
use millstream_stage::OpenContext;
use millstream_stage::sink::{Guarantee, OutputLocation, Sink, SinkWriter};
use serde::Serialize;

use crate::config::SqliteOptions;
use crate::encode::{Value, row_of};
use crate::item::Layout;
use crate::store::{RowOf, Rows};
use crate::table::Table;

/// Writes each record as one row of a table.
///
/// ```
/// use millstream_sqlite::{SqliteOptions, SqliteSink, Table};
///
/// #[derive(Clone, serde::Serialize)]
/// struct Clicks { user_id: String, window_end: i64, count: u64 }
///
/// let table = Table::new("clicks").text("user_id").integer("window_end").integer("count").key(["user_id", "window_end"]);
/// let sink = SqliteSink::<Clicks>::new(SqliteOptions::at("clicks.db"), table);
/// # use millstream_stage::sink::Sink;
/// assert!(sink.validate().is_ok());
/// ```
pub struct SqliteSink<T> {
    options: Arc<SqliteOptions>,
    table: Arc<Table>,
    writers: Writers<Rows<T>>,
}

impl<T: Data + Serialize> SqliteSink<T> {
    /// A sink for a struct whose fields are named like the columns. A column without a field is null; a field
    /// without a column stops the job. All rows of one key must come from one subtask: key the stream by the
    /// table's key, or by a part of it.
    pub fn new(options: SqliteOptions, table: Table) -> Self {
        Self::with_mapping(options, table, Box::new(row_of))
    }
}

impl<T: Data> SqliteSink<T> {
    /// A sink for records of any kind: `row` gives a value for each column, in the table's order.
    pub fn with_row(
        options: SqliteOptions,
        table: Table,
        row: impl Fn(&T) -> Vec<Value> + Send + Sync + 'static,
    ) -> Self {
        Self::with_mapping(options, table, Box::new(move |record, _| Ok(row(record))))
    }

    fn with_mapping(options: SqliteOptions, table: Table, map: RowOf<T>) -> Self {
        let (options, table) = (Arc::new(options), Arc::new(table));
        let layout = Layout::new(Arc::clone(&table));
        let writers = Writers::new(Rows { options: Arc::clone(&options), layout, map });
        Self { options, table, writers }
    }
}

impl<T: Data> Sink<T> for SqliteSink<T> {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::IdempotentFenced
    }

    fn validate(&self) -> Result<()> {
        self.options.validate()?;
        self.table.validate()
    }

    fn outputs(&self) -> Vec<OutputLocation> {
        vec![OutputLocation::File(self.options.path.to_string_lossy().into_owned())]
    }

    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>> {
        self.writers.writer(name, cx)
    }
}
