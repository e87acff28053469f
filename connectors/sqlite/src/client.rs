//! The connection to the file, and its transactions. All of this blocks.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use millstream_record::{Error, ErrorKind};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params, params_from_iter};

use crate::config::{SqliteOptions, Synchronous};
use crate::encode::Value;
use crate::retry::{ErrorVerdict, of_error};
use crate::table::{Column, Table};
use crate::wal::Wal;

/// The table in which each sink of each job leaves the number of its last attempt.
pub(crate) const EPOCHS: &str = "millstream_epochs";

/// The job, sink and attempt that write.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) job: String,
    pub(crate) sink: String,
    pub(crate) epoch: i64,
}

/// Rows that were refused: their index in the request, and why.
pub(crate) type RefusedRows = Vec<(usize, String)>;

/// Why a transaction did not take place.
#[derive(Debug)]
pub(crate) enum TransactionFailure {
    /// Somebody else writes to the file.
    Wait(String),
    /// Nothing can be written.
    Stop(Error),
}

/// One writer's way into the file.
pub(crate) struct Database {
    options: Arc<SqliteOptions>,
    table: Arc<Table>,
    identity: Identity,
    connection: Option<Connection>,
    // What the connection leads to.
    file: Option<FileId>,
    wal: Wal,
}

impl Database {
    pub(crate) fn new(options: Arc<SqliteOptions>, table: Arc<Table>, identity: Identity, wal: Wal) -> Self {
        Self { options, table, identity, connection: None, file: None, wal }
    }

    /// Opens the file and claims it for this attempt, if that is still to do. `restored` is what the attempt
    /// before had not written, of all its subtasks.
    pub(crate) fn prepare<'a>(
        &mut self,
        restored: impl Iterator<Item = &'a [Value]>,
    ) -> Result<(), TransactionFailure> {
        if self.connection.is_none() {
            let mut connection = self.connect()?;
            self.claim(&mut connection, restored)?;
            self.file = FileId::of(&self.options.path);
            self.connection = Some(connection);
        }
        Ok(())
    }

    // SQLite goes on writing to a file that was deleted or replaced, and nobody would ever see that.
    fn check_place(&mut self) -> Result<(), TransactionFailure> {
        if self.connection.is_none() || self.file == FileId::of(&self.options.path) {
            return Ok(());
        }
        self.connection = None;
        Err(TransactionFailure::Wait(format!(
            "{}: the file was deleted or replaced, and with it what was written before; the file that is there now is opened",
            self.path()
        )))
    }

    /// Writes rows in one transaction.
    pub(crate) fn write(&mut self, rows: &[Arc<[Value]>]) -> Result<RefusedRows, TransactionFailure> {
        self.check_place()?;
        self.prepare(std::iter::empty())?;
        let Some(mut connection) = self.connection.take() else {
            return Err(TransactionFailure::Stop(Error::bug(
                "sqlite: the file is not open after it was opened",
            )));
        };
        let written = self.transact(&mut connection, rows.iter().map(AsRef::as_ref));
        if written.is_ok() {
            self.wal.keep_small(&connection);
        }
        // After any other failure the file is opened anew.
        if matches!(written, Ok(_) | Err(TransactionFailure::Wait(_))) {
            self.connection = Some(connection);
        }
        written
    }

    fn connect(&self) -> Result<Connection, TransactionFailure> {
        let connection = Connection::open(&self.options.path).map_err(|error| self.failure(error))?;
        let synchronous = match self.options.synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        };
        self.set_up(&connection, synchronous).map_err(|error| self.failure(error))?;
        Ok(connection)
    }

    fn set_up(&self, connection: &Connection, synchronous: &str) -> rusqlite::Result<()> {
        connection.busy_timeout(self.options.busy_timeout)?;
        // Readers then never wait for writers. Some file systems cannot do it; all else works there too.
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |mode| mode.get::<_, String>(0))?;
        self.wal.limit(connection)?;
        connection.pragma_update(None, "synchronous", synchronous)
    }

    // Whoever claims the attempt's number first also writes what the attempt before had left over, all of it,
    // in the same transaction: no subtask can write a row of its own before that, so nothing old comes after
    // something new.
    fn claim<'a>(
        &self,
        connection: &mut Connection,
        restored: impl Iterator<Item = &'a [Value]>,
    ) -> Result<(), TransactionFailure> {
        let transaction = self.begin(connection)?;
        let created = transaction.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {EPOCHS} (job TEXT NOT NULL, sink TEXT NOT NULL, epoch INTEGER NOT NULL, \
             PRIMARY KEY (job, sink)) WITHOUT ROWID"
        ));
        created.map_err(|error| self.failure(error))?;
        let first = self.fence(&transaction)?;
        transaction.execute(&self.table.create_sql(), []).map_err(|error| self.failure(error))?;
        self.compare(&transaction)?;
        if first {
            self.upsert(&transaction, restored)?;
        }
        transaction.commit().map_err(|error| self.failure(error))
    }

    fn transact<'a>(
        &self,
        connection: &mut Connection,
        rows: impl Iterator<Item = &'a [Value]>,
    ) -> Result<RefusedRows, TransactionFailure> {
        let transaction = self.begin(connection)?;
        self.fence(&transaction)?;
        let refused = self.upsert(&transaction, rows)?;
        transaction.commit().map_err(|error| self.failure(error))?;
        Ok(refused)
    }

    // Immediate: a transaction that reads first and then wants to write could deadlock with another one.
    fn begin<'a>(&self, connection: &'a mut Connection) -> Result<Transaction<'a>, TransactionFailure> {
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        begun.map_err(|error| self.failure(error))
    }

    // Whether this attempt is new to the file.
    fn fence(&self, transaction: &Transaction<'_>) -> Result<bool, TransactionFailure> {
        let Identity { job, sink, epoch } = &self.identity;
        let there = self.last_epoch(transaction).map_err(|error| self.failure(error))?;
        match there {
            Some(there) if there > *epoch => Err(TransactionFailure::Stop(Error::new(
                ErrorKind::Fenced,
                format!(
                    "sqlite: {} was written by attempt {there} of job {job}, sink {sink}; this is attempt {epoch}: a newer attempt runs, or \
                     the job was given an empty directory while its old results are still there (then delete the row in {EPOCHS})",
                    self.path()
                ),
            ))),
            Some(there) if there == *epoch => Ok(false),
            _ => {
                let sql = format!("INSERT OR REPLACE INTO {EPOCHS} (job, sink, epoch) VALUES (?, ?, ?)");
                let claimed = transaction.execute(&sql, params![job, sink, epoch]);
                claimed.map_err(|error| self.failure(error))?;
                Ok(true)
            }
        }
    }

    fn last_epoch(&self, transaction: &Transaction<'_>) -> rusqlite::Result<Option<i64>> {
        let sql = format!("SELECT epoch FROM {EPOCHS} WHERE job = ? AND sink = ?");
        let mut select = transaction.prepare_cached(&sql)?;
        select.query_row(params![self.identity.job, self.identity.sink], |row| row.get(0)).optional()
    }

    fn upsert<'a>(
        &self,
        transaction: &Transaction<'_>,
        rows: impl Iterator<Item = &'a [Value]>,
    ) -> Result<RefusedRows, TransactionFailure> {
        let upsert = transaction.prepare_cached(&self.table.upsert_sql());
        let mut upsert = upsert.map_err(|error| self.failure(error))?;
        let mut refused = RefusedRows::new();
        for (index, row) in rows.enumerate() {
            // A row that breaks a rule of the table is undone alone; the transaction goes on.
            let Err(error) = upsert.execute(params_from_iter(row)) else {
                continue;
            };
            match of_error(error, &self.path()) {
                ErrorVerdict::Refused(reason) => refused.push((index, reason)),
                ErrorVerdict::Wait(reason) => return Err(TransactionFailure::Wait(reason)),
                ErrorVerdict::Stop(error) => return Err(TransactionFailure::Stop(error)),
            }
        }
        Ok(refused)
    }

    fn compare(&self, transaction: &Transaction<'_>) -> Result<(), TransactionFailure> {
        let there = columns_of(transaction, self.table.name()).map_err(|error| self.failure(error))?;
        misfit(&self.table, &there, &self.path())
            .map_or(Ok(()), |misfit| Err(TransactionFailure::Stop(misfit)))
    }

    fn path(&self) -> String {
        self.options.path.display().to_string()
    }

    fn failure(&self, error: rusqlite::Error) -> TransactionFailure {
        match of_error(error, &self.path()) {
            ErrorVerdict::Wait(reason) => TransactionFailure::Wait(reason),
            ErrorVerdict::Refused(reason) => TransactionFailure::Stop(
                Error::bug(format!("sqlite: {} refused a statement that writes no row", self.path()))
                    .caused_by(reason),
            ),
            ErrorVerdict::Stop(error) => TransactionFailure::Stop(error),
        }
    }
}

/// Which file is at a path: device and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|file| Self(file.dev(), file.ino()))
    }
}

/// How the columns of a table that is there differ from those that the job writes.
pub(crate) fn misfit(table: &Table, there: &BTreeMap<String, String>, path: &str) -> Option<Error> {
    let column =
        |column: &Column| (column.name.clone(), describe(column.kind.sql(), table.is_key(&column.name)));
    let wanted: BTreeMap<_, _> = table.columns().iter().map(column).collect();
    if *there == wanted {
        return None;
    }
    let text = |columns: &BTreeMap<String, String>| {
        columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect::<Vec<_>>().join(", ")
    };
    Some(Error::configuration(format!(
        "sqlite: table {} of {path} has the columns ({}), the job writes ({}): rename or drop that table, or write to another one",
        table.name(),
        text(there),
        text(&wanted)
    )))
}

/// The columns of a table, by name; none where it is not there.
pub(crate) fn columns_of(
    transaction: &Transaction<'_>,
    table: &str,
) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut columns = transaction.prepare("SELECT name, type, pk > 0 FROM pragma_table_info(?)")?;
    let rows = columns.query_map([table], |row| {
        let kind: String = row.get(1)?;
        Ok((row.get(0)?, describe(&kind.to_ascii_uppercase(), row.get(2)?)))
    })?;
    rows.collect()
}

fn describe(kind: &str, key: bool) -> String {
    if key { format!("{kind} KEY") } else { kind.to_owned() }
}
