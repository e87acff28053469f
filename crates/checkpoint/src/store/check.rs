//! Whether all files of a checkpoint are there with the sizes that they should have: what is missing shows
//! before a job starts from it.

use std::collections::{BTreeSet, HashMap};

use millstream_record::{Error, Result};
use millstream_storage::Storage;

use crate::manifest::Manifest;

/// Refuses a checkpoint of which a file is missing or was cut.
pub(super) async fn complete(base: &Storage, manifest: &Manifest) -> Result<()> {
    let folders: BTreeSet<_> = manifest.files().map(|file| folder(&file.path)).collect();
    let mut found = HashMap::new();
    for folder in folders {
        found.extend(base.list(folder).await?.into_iter().map(|file| (file.path, file.bytes)));
    }
    let wrong = manifest.files().find_map(|file| match found.get(&file.path) {
        None => Some(format!("{}/{} is missing", base.url(), file.path)),
        Some(bytes) if *bytes != file.bytes => {
            Some(format!("{}/{} has {bytes} bytes instead of {}", base.url(), file.path, file.bytes))
        }
        Some(_) => None,
    });
    wrong.map_or(Ok(()), |wrong| Err(Error::data(wrong)))
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
