//! SQLite as a sink: every result is a row, upserted by its key.
//!
//! A [`Table`] says what the columns are and which of them name a row. It is made if it is missing; one that
//! differs stops the job before anything is written. Rows are written in transactions by the delivery engine,
//! one at a time per subtask; several subtasks, sinks and programs may write to one file at once and wait for
//! each other. Readers never wait (write-ahead log).
//!
//! **What readers can rely on:** idempotent and fenced. Each transaction checks, in the table
//! `millstream_epochs`, that no newer attempt of the job has written through this sink; an older attempt is
//! refused and stops. A row that is written again replaces itself.
//!
//! **Failures.** A locked file and a full disk are tried again for as long as `retry-for` says. A row that
//! breaks a rule of the table is a dead letter. A read-only file, a missing directory, a file that is no
//! database, and a table of other columns stop the job with an error that says so.
//!
//! **A reader that is left open** keeps the write-ahead log from being emptied, so that the log grows with
//! every write. Above `wal-size` this is said in the log and on the page; the log is cut once the reader is
//! gone.
//!
//! Metrics: `bytes_out` and `latency` when a transaction was committed; `retries`, rows whose transaction
//! found the file locked or the disk full; `folded`, rows that a newer one of the same key has replaced
//! before they were written.

mod check;
mod client;
mod config;
mod encode;
mod forget;
mod item;
mod retry;
mod sink;
mod store;
mod table;
mod wal;

pub use check::check;
pub use config::{SqliteOptions, Synchronous};
pub use encode::Value;
pub use forget::forget;
pub use sink::SqliteSink;
pub use table::{ColumnType, Table};
