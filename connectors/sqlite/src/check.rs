//! Looks whether the file can be written to, and changes nothing.

use std::fs::OpenOptions;
use std::path::Path;

use millstream_record::{Error, Result};
use rusqlite::{Connection, OpenFlags};

use crate::client::{columns_of, misfit};
use crate::config::SqliteOptions;
use crate::retry::{ErrorVerdict, of_error};
use crate::table::Table;

/// Looks whether the file is a database that may be written to and whose tables fit these, or can be made;
/// answers what was found. Nothing is written or made. Blocks.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for what a job would refuse,
/// too.
pub fn check(options: &SqliteOptions, tables: &[Table]) -> Result<String> {
    options.validate()?;
    if !options.path.exists() {
        return check_directory(&options.path).map(|()| "the file will be made".to_owned());
    }
    // A pipe would even hold the one up who opens it.
    if !options.path.is_file() {
        let path = options.path.display();
        return Err(Error::configuration(format!("sqlite: {path} is no file: name another one")));
    }
    let opened = OpenOptions::new().write(true).open(&options.path);
    opened.map_err(|error| {
        let path = options.path.display();
        Error::configuration(format!("sqlite: {path} must not be written: check the rights of the file"))
            .caused_by(error)
    })?;
    look(options, tables).map_err(|outcome| match outcome {
        ErrorVerdict::Stop(error) => error,
        ErrorVerdict::Wait(reason) | ErrorVerdict::Refused(reason) => {
            Error::retry(format!("sqlite: {reason}"))
        }
    })?;
    Ok("the file is there, and its tables fit".to_owned())
}

fn check_directory(path: &Path) -> Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let wrong =
        |what: &str| Error::configuration(format!("sqlite: the directory {} {what}", directory.display()));
    match std::fs::metadata(directory) {
        Ok(there) if !there.is_dir() => Err(wrong("is no directory: name another file")),
        Ok(there) if there.permissions().readonly() => Err(wrong("must not be written: check its rights")),
        Ok(_) => Ok(()),
        Err(error) => Err(wrong("must be there: make it, or name another file").caused_by(error)),
    }
}

fn look(options: &SqliteOptions, tables: &[Table]) -> Result<(), ErrorVerdict> {
    let path = options.path.display().to_string();
    let failed = |error| of_error(error, &path);
    let mut connection = open(&options.path).map_err(failed)?;
    let transaction = connection.transaction().map_err(failed)?;
    for table in tables {
        let there = columns_of(&transaction, table.name()).map_err(failed)?;
        if let Some(misfit) = misfit(table, &there, &path).filter(|_| !there.is_empty()) {
            return Err(ErrorVerdict::Stop(misfit));
        }
    }
    Ok(())
}

// Immutable: a reader would otherwise make the files of a write-ahead log beside the database. What is only
// in the log is not seen.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let escape = |c: char| match c {
        '%' => "%25".to_owned(),
        '?' => "%3f".to_owned(),
        '#' => "%23".to_owned(),
        other => other.to_string(),
    };
    let path: String = path.to_string_lossy().chars().map(escape).collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{path}?immutable=1"), flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new("clicks").text("user").integer("count").key(["user"])
    }

    fn names_in(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_that_is_not_there_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.db");
        assert_eq!(check(&SqliteOptions::at(&file), &[table()]).unwrap(), "the file will be made");
        assert_eq!(names_in(dir.path()), [] as [&str; 0]);
        let nowhere = SqliteOptions::at(dir.path().join("b/a.db"));
        assert!(check(&nowhere, &[]).unwrap_err().to_string().contains("must be there"));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path(), Path::new("/dev/null")] {
            let refused = check(&SqliteOptions::at(path), &[]).unwrap_err().to_string();
            assert!(refused.contains("is no file"), "{refused}");
        }
    }

    #[test]
    fn a_database_with_other_tables_fits_and_stays_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("100%?.db");
        let connection = Connection::open(&file).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.execute_batch("CREATE TABLE other (a)").unwrap();
        drop(connection);
        check(&SqliteOptions::at(&file), &[table()]).unwrap();
        assert_eq!(names_in(dir.path()), ["100%?.db"]);
        Connection::open(&file).unwrap().execute_batch("CREATE TABLE clicks (user)").unwrap();
        let misfit = check(&SqliteOptions::at(&file), &[table()]).unwrap_err().to_string();
        assert!(misfit.contains("rename or drop that table"), "{misfit}");
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.db");
        std::fs::write(&file, "this is no database, and longer than the head of one".repeat(9)).unwrap();
        let refused = check(&SqliteOptions::at(&file), &[table()]).unwrap_err().to_string();
        assert!(refused.contains("is no SQLite database"), "{refused}");
    }
}
