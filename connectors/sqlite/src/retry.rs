//! What to do about an error of SQLite. Decides only; the writer acts.

use millstream_record::{Error, ErrorKind};
use rusqlite::{ErrorCode, ffi};

/// What an error means.
#[derive(Debug)]
pub(crate) enum ErrorVerdict {
    /// Somebody else writes to the file, or there is no room: the same transaction may succeed later.
    Wait(String),
    /// This row can never be written, others can.
    Refused(String),
    /// Nothing can be written.
    Stop(Error),
}

/// What an error of SQLite means. `path` is for the message.
pub(crate) fn of_error(error: rusqlite::Error, path: &str) -> ErrorVerdict {
    let code = error.sqlite_error_code();
    let stop = |kind, what: &str| ErrorVerdict::Stop(Error::new(kind, format!("sqlite: {path} {what}")));
    let outcome = match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            return ErrorVerdict::Wait(format!("{path}: another program has locked the file: {error}"));
        }
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
            return ErrorVerdict::Refused(error.to_string());
        }
        _ if is_full(&error) => {
            return ErrorVerdict::Wait(format!(
                "{path}: the disk, or the file's quota, is full; free some space: {error}"
            ));
        }
        Some(
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied,
        ) => stop(
            ErrorKind::Configuration,
            "must not be written: check the rights of the file and of its directory",
        ),
        Some(ErrorCode::CannotOpen) => stop(
            ErrorKind::Configuration,
            "cannot be opened: its directory must be there, and the job must be allowed to write to it",
        ),
        Some(ErrorCode::NotADatabase) => {
            stop(ErrorKind::Configuration, "is no SQLite database: name another file")
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            stop(ErrorKind::Data, "is damaged: restore it, or name another file")
        }
        // Input and output, memory, a table that somebody has dropped: a new attempt opens everything anew.
        _ => stop(ErrorKind::Restart, "could not be written"),
    };
    match outcome {
        ErrorVerdict::Stop(stop) => ErrorVerdict::Stop(stop.caused_by(error)),
        other => other,
    }
}

// The shared memory beside the write-ahead log lies on the same disk, and has an error of its own.
fn is_full(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || extended == Some(ffi::SQLITE_IOERR_SHMSIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(code: i32) -> ErrorVerdict {
        of_error(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None), "clicks.db")
    }

    #[test]
    fn errors_by_kind() {
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_LOCKED, ffi::SQLITE_BUSY_SNAPSHOT, ffi::SQLITE_PROTOCOL] {
            assert!(matches!(outcome(code), ErrorVerdict::Wait(_)), "{code}");
        }
        for code in [ffi::SQLITE_CONSTRAINT_CHECK, ffi::SQLITE_TOOBIG, ffi::SQLITE_MISMATCH] {
            assert!(matches!(outcome(code), ErrorVerdict::Refused(_)), "{code}");
        }
        for (code, kind) in [
            (ffi::SQLITE_IOERR_FSYNC, ErrorKind::Restart),
            (ffi::SQLITE_ERROR, ErrorKind::Restart),
            (ffi::SQLITE_READONLY, ErrorKind::Configuration),
            (ffi::SQLITE_CANTOPEN, ErrorKind::Configuration),
            (ffi::SQLITE_NOTADB, ErrorKind::Configuration),
            (ffi::SQLITE_CORRUPT, ErrorKind::Data),
        ] {
            let ErrorVerdict::Stop(error) = outcome(code) else { panic!("{code}") };
            assert_eq!(error.kind(), kind, "{code}");
            assert!(error.to_string().contains("clicks.db"), "{error}");
        }
    }

    #[test]
    fn a_full_disk_is_recognised() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let database = rusqlite::Connection::open(file.path()).unwrap();
        database.execute_batch("CREATE TABLE t(a); PRAGMA max_page_count = 4").unwrap();
        let full = database.execute("INSERT INTO t VALUES (zeroblob(100000))", []).unwrap_err();
        let no_shared_memory = outcome(ffi::SQLITE_IOERR_SHMSIZE);
        for outcome in [of_error(full, "clicks.db"), no_shared_memory] {
            let ErrorVerdict::Wait(reason) = outcome else { panic!("there may be room later") };
            assert!(reason.contains("full"), "{reason}");
        }
    }
}
