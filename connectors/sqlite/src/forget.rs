//! Deletes what a job has written, so that it can begin anew.

use millstream_record::{Error, Result};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use crate::client::EPOCHS;
use crate::config::SqliteOptions;
use crate::retry::{ErrorVerdict, of_error};

/// Deletes all rows of a table, and the note about the last attempt of this job and sink, which would fence a
/// job that begins anew; answers how many rows there were. A `dry_run` only counts. Blocks.
///
/// # Errors
/// Returns an error when the file cannot be read or written.
pub fn forget(options: &SqliteOptions, table: &str, job: &str, sink: &str, dry_run: bool) -> Result<u64> {
    options.validate()?;
    if !options.path.exists() {
        return Ok(0);
    }
    let path = options.path.display().to_string();
    forget_in(options, table, (job, sink), dry_run).map_err(|error| match of_error(error, &path) {
        ErrorVerdict::Stop(error) => error,
        ErrorVerdict::Wait(reason) | ErrorVerdict::Refused(reason) => {
            Error::retry(format!("sqlite: {path} could not be written")).caused_by(reason)
        }
    })
}

fn forget_in(
    options: &SqliteOptions,
    table: &str,
    (job, sink): (&str, &str),
    dry_run: bool,
) -> rusqlite::Result<u64> {
    let flags = if dry_run { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
    let mut connection = Connection::open_with_flags(&options.path, flags)?;
    connection.busy_timeout(options.busy_timeout)?;
    let behavior = if dry_run { TransactionBehavior::Deferred } else { TransactionBehavior::Immediate };
    let transaction = connection.transaction_with_behavior(behavior)?;
    let quoted = format!("\"{}\"", table.replace('"', "\"\""));
    let rows = match has_table(&transaction, table)? {
        true => transaction
            .query_row(&format!("SELECT count(*) FROM {quoted}"), [], |row| row.get::<_, i64>(0))?,
        false => 0,
    };
    if !dry_run {
        if rows > 0 {
            transaction.execute(&format!("DELETE FROM {quoted}"), [])?;
        }
        if has_table(&transaction, EPOCHS)? {
            let sql = format!("DELETE FROM {EPOCHS} WHERE job = ? AND sink = ?");
            transaction.execute(&sql, params![job, sink])?;
        }
        transaction.commit()?;
    }
    Ok(rows.unsigned_abs())
}

fn has_table(transaction: &Transaction<'_>, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = ?";
    transaction.query_row(sql, [table], |row| row.get(0))
}
