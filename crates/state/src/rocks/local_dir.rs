//! A folder that this process has for itself.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use millstream_record::{Error, Result};

const LOCK: &str = "lock";
// More processes on one folder than this is a mistake.
const MOST: usize = 1000;

/// A numbered folder below the local directory, held by a lock that ends with the process.
pub(crate) struct LocalDir {
    path: PathBuf,
    // Released by the system when the process dies, however it dies.
    _lock: File,
}

impl LocalDir {
    /// Takes the first free number and empties what dead processes left.
    pub(crate) fn claim(parent: &Path) -> Result<Self> {
        let mut mine = None;
        for number in 0..MOST {
            let path = parent.join(number.to_string());
            if mine.is_some() && !path.exists() {
                break;
            }
            if let Some(lock) = try_claim(&path).map_err(|error| unusable(&path, error))? {
                mine.get_or_insert(Self { path, _lock: lock });
            }
        }
        mine.ok_or_else(|| {
            Error::configuration(format!("{MOST} processes use {}: give each a folder", parent.display()))
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn try_claim(path: &Path) -> std::io::Result<Option<File>> {
    fs::create_dir_all(path)?;
    let lock = File::create(path.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() != LOCK {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(Some(lock))
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    let message = format!(
        "state.backend.rocksdb.localdir: {} cannot be used; name a folder that this user may write to",
        path.display()
    );
    Error::configuration(message).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_folder_is_left_alone_and_a_dead_one_is_emptied() {
        let parent = tempfile::tempdir().unwrap();
        let first = LocalDir::claim(parent.path()).unwrap();
        let second = LocalDir::claim(parent.path()).unwrap();
        for dir in [&first, &second] {
            fs::create_dir(dir.path().join("db")).unwrap();
        }
        let (one, two) = (first.path().to_owned(), second.path().to_owned());
        drop(second);
        let third = LocalDir::claim(parent.path()).unwrap();
        assert!(one.join("db").exists(), "its process lives");
        assert_eq!(third.path(), two);
        assert!(!two.join("db").exists());
        drop(first);
        let _fourth = LocalDir::claim(parent.path()).unwrap();
        assert!(!one.join("db").exists());
    }

    #[test]
    fn an_unusable_folder_is_a_matter_of_configuration() {
        let parent = tempfile::NamedTempFile::new().unwrap();
        let error = LocalDir::claim(parent.path()).err().unwrap();
        assert_eq!(error.kind(), millstream_record::ErrorKind::Configuration);
    }
}
