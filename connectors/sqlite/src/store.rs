//! The file as the delivery engine sees it: a mapping, one transaction, and the claim at the start.

use std::sync::Arc;
use std::time::Duration;

use millstream_delivery::{
    ItemError, Items, Limits, Mapping, Names, NotReady, Reply, Restoring, Store, Verdict, Work,
};
use millstream_record::{Data, Error, Result};
use millstream_stage::{OpenContext, Version};
use parking_lot::Mutex;

use crate::client::{Database, Identity, TransactionFailure};
use crate::config::SqliteOptions;
use crate::encode::{Value, fault_of, to_json};
use crate::item::{Layout, Row};
use crate::table::Table;
use crate::wal::Wal;

/// What makes a row of a record, and where that goes.
pub(crate) struct Rows<T> {
    pub(crate) options: Arc<SqliteOptions>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) map: RowOf<T>,
}

/// Appends the row of a record.
pub(crate) type RowOf<T> = Box<dyn Fn(&T, &Table) -> Result<Vec<Value>, ItemError> + Send + Sync>;

impl<T: Data> Mapping<T> for Rows<T> {
    type Store = File;

    fn open(&self, name: &str, cx: &OpenContext) -> Result<(File, Limits)> {
        let epoch = i64::try_from(cx.epoch).map_err(|_| Error::bug("the epoch is above 2^63"))?;
        let identity = Identity { job: cx.job.clone(), sink: name.to_owned(), epoch };
        let database = Database::new(
            Arc::clone(&self.options),
            Arc::clone(&self.layout.table),
            identity,
            Wal::new(&self.options, cx),
        );
        let file = File {
            options: Arc::clone(&self.options),
            layout: Arc::clone(&self.layout),
            database: Arc::new(Mutex::new(database)),
        };
        Ok((file, limits(&self.options)))
    }

    fn item(&self, record: &T, _: Version) -> Result<Row, ItemError> {
        let table = &self.layout.table;
        let row = (self.map)(record, table)?;
        match fault_of(&row, table) {
            Some(reason) => Err(ItemError::Refused { value: to_json(&row, table), reason }),
            None => Ok(Row::new(&self.layout, row)),
        }
    }
}

// One transaction at a time, with all that waits. The call itself has waited for `busy-timeout` already:
// short pauses are enough.
fn limits(options: &SqliteOptions) -> Limits {
    Limits {
        batch_items: options.batch_records,
        request_items: usize::MAX,
        request_bytes: options.buffer_bytes,
        linger: options.linger,
        in_flight: 1,
        buffer_bytes: options.buffer_bytes,
        first_pause: Duration::from_millis(50),
        longest_pause: Duration::from_secs(1),
        give_up: Some(options.retry_for),
        start_timeout: options.retry_for,
        answer_timeout: Duration::MAX,
    }
}

/// One writer's way into the file.
pub(crate) struct File {
    options: Arc<SqliteOptions>,
    layout: Arc<Layout>,
    // One call at a time has it.
    database: Arc<Mutex<Database>>,
}

impl Store for File {
    type Item = Row;

    fn names(&self) -> Names {
        Names {
            kind: "sqlite",
            product: "SQLite",
            stale: "stale",
            overloaded: None,
            start_timeout: "retry-for",
            give_up: "retry-for",
        }
    }

    fn subject(&self) -> String {
        format!("SQLite file {}", self.options.path.display())
    }

    fn restoring(&self) -> Restoring {
        Restoring::AtStart
    }

    fn start(&mut self, restored: &Arc<Vec<Row>>) -> Work<Result<(), NotReady>> {
        let (database, restored) = (Arc::clone(&self.database), Arc::clone(restored));
        Work::blocking(move || {
            let rows = restored.iter().map(|row| row.values().as_ref());
            let mut database = database.lock();
            database.prepare(rows).map_err(|failure| match failure {
                TransactionFailure::Wait(reason) => NotReady::Wait(reason),
                TransactionFailure::Stop(error) => NotReady::Stop(error),
            })
        })
    }

    fn request(&mut self, items: Items<'_, Row>) -> Work<Reply> {
        let rows: Vec<_> = items.iter().map(|(row, _)| Arc::clone(row.values())).collect();
        let database = Arc::clone(&self.database);
        Work::blocking(move || {
            let mut database = database.lock();
            match database.write(&rows) {
                Err(TransactionFailure::Wait(reason)) => Reply::Wait { reason, overloaded: false },
                Err(TransactionFailure::Stop(error)) => Reply::Stop(error),
                Ok(refused) => {
                    let mut verdicts: Vec<_> = rows.iter().map(|_| Verdict::Written).collect();
                    refused.into_iter().for_each(|(at, reason)| verdicts[at] = Verdict::Refused(reason));
                    Reply::Items(verdicts)
                }
            }
        })
    }

    fn thaw(&self, item: &[u8]) -> Result<(Row, Version)> {
        Row::thaw(&self.layout, item)
    }
}
