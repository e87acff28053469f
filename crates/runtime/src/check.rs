//! Tries the storages of a job's checkpoints and savepoints without starting the job.

use std::path::Path;
use std::time::Duration;

use millstream_record::Result;
use millstream_storage::{Storage, StorageOptions};

use crate::io;
use crate::options::RuntimeOptions;

/// Somebody waits for the answer: what does not come soon is an answer, too.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRIES: u32 = 2;

/// What became of the try of a storage.
#[derive(Debug)]
pub struct CheckedStorage {
    /// What it is for: `checkpoints` or `savepoints`.
    pub purpose: &'static str,
    /// The storage, or none where checkpoints are kept in memory.
    pub url: Option<String>,
    /// Whether it can do what checkpoints need.
    pub outcome: Result<()>,
}

/// Tries the storages as a start does: a file is made, read, listed, raced for and removed. Nothing stays; a
/// local directory that is not there yet is not made, but the nearest one above it is tried.
pub fn check_storages(options: &RuntimeOptions) -> Vec<CheckedStorage> {
    let checkpoints = match options.checkpoints_url() {
        Ok(None) => CheckedStorage { purpose: "checkpoints", url: None, outcome: Ok(()) },
        Ok(Some(url)) => {
            let outcome = try_storage(&url, &options.storage);
            CheckedStorage { purpose: "checkpoints", url: Some(url), outcome }
        }
        Err(error) => CheckedStorage { purpose: "checkpoints", url: None, outcome: Err(error) },
    };
    let savepoints = options.savepoints_dir.iter().filter(|url| checkpoints.url.as_ref() != Some(*url));
    let savepoints = savepoints.map(|url| CheckedStorage {
        purpose: "savepoints",
        url: Some(url.clone()),
        outcome: try_storage(url, &options.storage),
    });
    let savepoints: Vec<_> = savepoints.collect();
    std::iter::once(checkpoints).chain(savepoints).collect()
}

fn try_storage(url: &str, options: &StorageOptions) -> Result<()> {
    let options = StorageOptions {
        timeout: options.timeout.min(PATIENCE),
        max_retries: options.max_retries.min(RETRIES),
        ..options.clone()
    };
    // What is wrong with the URL is said of it as it was written.
    let storage = Storage::open(url, &options)?;
    let storage = match existing(url) {
        Some(existing) => Storage::open(&existing, &options)?,
        None => storage,
    };
    io::runtime(1)?.block_on(storage.probe())
}

// Of a local directory that is not there, the nearest one above it that is.
fn existing(url: &str) -> Option<String> {
    let path = Path::new(url.strip_prefix("file://")?);
    let there = path.ancestors().find(|above| above.exists())?;
    (there != path).then(|| format!("file://{}", there.display()))
}

#[cfg(test)]
mod tests {
    use millstream_record::ErrorKind;

    use super::*;

    fn options(url: &str) -> RuntimeOptions {
        RuntimeOptions { checkpoints_dir: Some(url.to_owned()), ..RuntimeOptions::default() }
    }

    #[test]
    fn nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("file://{}/a/b", dir.path().display());
        let checked = check_storages(&options(&url));
        assert!(checked.iter().all(|checked| checked.outcome.is_ok()), "{checked:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_work_is_said_of_the_place_that_was_named() {
        let [checked] = &check_storages(&options("ftp://a/b"))[..] else { panic!("one storage") };
        let error = checked.outcome.as_ref().unwrap_err();
        assert_eq!((error.kind(), checked.url.as_deref()), (ErrorKind::Configuration, Some("ftp://a/b")));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let [checked] = &check_storages(&options(&format!("file://{}/a", file.display())))[..] else {
            panic!()
        };
        assert!(checked.outcome.is_err());
    }
}
