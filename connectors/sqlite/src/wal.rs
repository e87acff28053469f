//! Keeps the write-ahead log small.
//!
//! SQLite copies the log into the file by itself, but only up to the oldest state that somebody still reads,
//! and it never gives the log's space back. A reader that is left open lets the log grow with every write.
//! This cannot be prevented without holding up the job, so it is said, and as soon as the reader is gone the
//! log is cut.

use std::path::PathBuf;
use std::sync::Arc;

use millstream_stage::OpenContext;
use millstream_stage::time::{Clock, Nanos};
use millstream_stage::trouble::Reporter;
use rusqlite::Connection;

use crate::config::SqliteOptions;

/// A log that is too long is looked at this often.
const PAUSE: Nanos = 1_000_000_000;

/// One writer's view of the log.
pub(crate) struct Wal {
    options: Arc<SqliteOptions>,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    reporter: Reporter,
    next_look: Nanos,
}

/// What came of emptying the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Emptied {
    Done,
    /// Somebody writes at this moment; whoever writes next begins the log anew.
    Later,
    /// Somebody reads an old state.
    HeldBack,
}

impl Wal {
    pub(crate) fn new(options: &Arc<SqliteOptions>, cx: &OpenContext) -> Self {
        let mut path = options.path.clone().into_os_string();
        path.push("-wal");
        let reporter = cx.reporter_of(format!("write-ahead log of {}", options.path.display()));
        let (options, clock) = (Arc::clone(options), Arc::clone(&cx.clock));
        Self { options, path: path.into(), clock, reporter, next_look: 0 }
    }

    /// From now on SQLite cuts the log to this size whenever it begins it anew.
    pub(crate) fn limit(&self, connection: &Connection) -> rusqlite::Result<()> {
        let bytes = i64::try_from(self.options.wal_bytes).unwrap_or(i64::MAX);
        connection
            .pragma_update_and_check(None, "journal_size_limit", bytes, |limit| limit.get::<_, i64>(0))?;
        Ok(())
    }

    /// Empties the log if it is too long. Called after each transaction.
    pub(crate) fn keep_small(&mut self, connection: &Connection) {
        let now = self.clock.nanos();
        let bytes = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        if bytes <= self.options.wal_bytes as u64 {
            self.reporter.recovered(now);
            return;
        }
        if now < self.next_look {
            return;
        }
        self.next_look = now + PAUSE;
        match self.empty(connection) {
            Ok(Emptied::Done) => self.reporter.recovered(now),
            Ok(Emptied::HeldBack) => self.reporter.failed(
                now,
                format!(
                    "it has grown to {} MB and cannot be emptied, as another program reads an old state of the file: end its transaction \
                     or its query, such as one in a sqlite3 shell",
                    bytes >> 20
                ),
            ),
            // The next transaction says what is wrong with the file.
            Ok(Emptied::Later) | Err(_) => {}
        }
    }

    // Waits for nobody: the transactions of other subtasks and all readers go on.
    fn empty(&self, connection: &Connection) -> rusqlite::Result<Emptied> {
        connection.busy_timeout(std::time::Duration::ZERO)?;
        let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            Ok(emptied(row.get(0)?, row.get(1)?, row.get(2)?))
        });
        connection.busy_timeout(self.options.busy_timeout)?;
        emptied
    }
}

fn emptied(busy: bool, pages: i64, copied: i64) -> Emptied {
    match busy {
        false => Emptied::Done,
        true if copied < pages => Emptied::HeldBack,
        true => Emptied::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_told_from_a_writer() {
        assert_eq!(emptied(false, 0, 0), Emptied::Done);
        assert_eq!(emptied(true, 90, 90), Emptied::Later);
        assert_eq!(emptied(true, 90, 12), Emptied::HeldBack);
    }
}
