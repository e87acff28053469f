//! The files that Flink's metadata names, as files of a storage.

mod inline;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use millstream_record::{Error, Result};
use millstream_storage::{Storage, StorageOptions};

use self::inline::InlineStore;
use super::handles::Handle;

/// How many folders are listed at a time.
const PARALLEL: usize = 8;

/// A file, and how long it is.
#[derive(Clone, Debug)]
pub(crate) struct StoredFile {
    pub(crate) storage: Storage,
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

impl StoredFile {
    /// All of it.
    ///
    /// # Errors
    /// Returns the errors of the storage, and an error for a file that is missing.
    pub(super) async fn read(&self) -> Result<Bytes> {
        let bytes = self.storage.get_range(&self.name, 0..self.bytes).await?;
        bytes.ok_or_else(|| self.missing())
    }

    /// The error for a file that is not there.
    pub(crate) fn missing(&self) -> Error {
        Error::data(format!("{}/{} is missing", self.storage.url(), self.name))
    }
}

/// Finds files, and remembers them.
pub(super) struct Files<'a> {
    folder: &'a Storage,
    options: &'a StorageOptions,
    /// By URL.
    folders: BTreeMap<String, Folder>,
}

struct Folder {
    storage: Storage,
    /// By name: their lengths.
    files: HashMap<String, u64>,
}

impl<'a> Files<'a> {
    /// Files of the checkpoint or savepoint in this folder.
    pub(super) fn new(folder: &'a Storage, options: &'a StorageOptions) -> Self {
        Self { folder, options, folders: BTreeMap::new() }
    }

    /// Finds the bytes of a handle. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for a path that names no
    /// storage which this program can read.
    pub(super) fn find(&mut self, handle: &Handle) -> Result<StoredFile> {
        match handle {
            Handle::Inline(data) => InlineStore::file(data, self.options),
            Handle::Relative { name, bytes } => {
                let storage = self.folder.clone();
                Ok(self.remember(self.folder.url(), || Ok(storage), name, *bytes)?)
            }
            Handle::File { path, bytes } => {
                let (folder, name) = folder_and_name(path);
                let options = self.options;
                self.remember(folder.clone(), || Storage::open(&folder, options), name, *bytes)
            }
        }
    }

    fn remember(
        &mut self,
        url: String,
        open: impl FnOnce() -> Result<Storage>,
        name: &str,
        bytes: u64,
    ) -> Result<StoredFile> {
        let folder = match self.folders.entry(url) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(Folder { storage: open()?, files: HashMap::new() })
            }
        };
        folder.files.insert(name.to_owned(), bytes);
        Ok(StoredFile { storage: folder.storage.clone(), name: name.to_owned(), bytes })
    }

    /// The bytes of all files.
    pub(super) fn total(&self) -> u64 {
        self.folders.values().flat_map(|folder| folder.files.values()).sum()
    }

    /// Refuses a checkpoint of which a file is missing or was cut: that shows before a job starts from it.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data), naming the file.
    pub(super) async fn complete(&self) -> Result<()> {
        // Collected first: else the compiler does not see that the whole can be sent to another thread.
        let checks: Vec<_> = self.folders.values().map(Folder::complete).collect();
        stream::iter(checks).buffered(PARALLEL).try_collect().await
    }
}

impl Folder {
    async fn complete(&self) -> Result<()> {
        let listed = self.storage.list("").await?;
        let found: HashMap<_, _> = listed.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
        let url = self.storage.url();
        for (name, bytes) in &self.files {
            match found.get(name.as_str()) {
                Some(found) if found == bytes => {}
                Some(found) => {
                    return Err(Error::data(format!("{url}/{name} has {found} bytes instead of {bytes}")));
                }
                None => {
                    return Err(Error::data(format!(
                        "{url}/{name} is missing: a savepoint can be moved to another folder, a retained checkpoint cannot"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The URL of the folder, and the name, of a file whose path Flink has written.
fn folder_and_name(path: &str) -> (String, &str) {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    (folder_url(folder), name)
}

/// Flink writes one slash where there is no host, and characters of paths as they are.
fn folder_url(folder: &str) -> String {
    let (scheme, path) = match folder.split_once(':') {
        Some((scheme, path)) if !scheme.contains('/') => (scheme, path),
        _ => ("file", folder),
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    if scheme != "file" {
        return format!("{scheme}://{path}");
    }
    let path = path.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    format!("file://{path}")
}

#[cfg(test)]
mod tests {
    use super::folder_and_name;

    #[test]
    fn paths_of_flink_become_urls() {
        for (path, folder) in [
            ("file:/var/chk/shared/1-2", "file:///var/chk/shared"),
            ("file:///var/chk/1-2", "file:///var/chk"),
            ("/var/a b/50%#1/1-2", "file:///var/a b/50%25%231"),
            ("hdfs://namenode:8020/flink/1-2", "hdfs://namenode:8020/flink"),
            ("hdfs:/flink/1-2", "hdfs:///flink"),
            ("s3p://bucket/flink/1-2", "s3p://bucket/flink"),
        ] {
            assert_eq!(folder_and_name(path), (folder.to_owned(), "1-2"), "{path}");
        }
    }
}
