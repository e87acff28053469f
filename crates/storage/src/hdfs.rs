//! `hdfs://`, by the crate `hdfs-native`: no JVM.
//!
//! Every file is written as a draft beside its place and renamed when it is complete, since a file that is
//! still being written is visible and reads as empty. A rename that must not overwrite is HDFS' atomic step.

mod draft;
mod refusal;
mod spool;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use hdfs_native::client::FileStatus;
use hdfs_native::{Client, ClientBuilder, HdfsError};
use millstream_record::{Error, Result};

use self::draft::{Content, Draft};
use self::refusal::failure;
use self::spool::Spool;
use super::path::{is_draft, join};
use super::patience::Patience;
use super::store::{StorageFailure, StorageResult, Store, StoreUpload};
use super::{Created, Listed, StorageOptions};

/// A directory of HDFS.
#[derive(Clone, Debug)]
pub(super) struct HdfsStore {
    client: Client,
    /// Absolute, without a slash at the end; empty for `/`.
    root: String,
    patience: Arc<Patience>,
}

impl HdfsStore {
    pub(super) fn new(
        authority: &str,
        path: &str,
        options: &StorageOptions,
        patience: &Arc<Patience>,
    ) -> Result<Self> {
        let wrong = |cause: HdfsError| {
            let advice =
                "the settings for HDFS do not fit together: check the URL, hdfs.config-dir and hdfs.config";
            Error::configuration(advice).caused_by(cause)
        };
        let client = builder(authority, options).build().map_err(wrong)?;
        let root = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { client, root, patience: Arc::clone(patience) })
    }

    fn at(&self, path: &str) -> String {
        let full = join(&self.root, path);
        if full.starts_with('/') { full } else { format!("/{full}") }
    }

    /// Files below a directory, drafts among them; none if the directory is not there.
    async fn walk(&self, directory: &str) -> StorageResult<Vec<FileStatus>> {
        let directory = self.at(directory);
        let entries = self.client.list_status_iter(&directory, true);
        let mut files = Vec::new();
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) if entry.isdir => {}
                Ok(entry) => files.push(entry),
                Err(error) if refusal::is_missing(&error) => return self.vanished(&directory).await,
                Err(error) => return Err(failure(error)),
            }
        }
        Ok(files)
    }

    /// A directory below may have vanished while all was being listed; then once more.
    async fn vanished(&self, directory: &str) -> StorageResult<Vec<FileStatus>> {
        match self.status(directory).await? {
            None => Ok(Vec::new()),
            Some(_) => Err(StorageFailure::passing(Error::retry("a directory vanished while it was listed"))),
        }
    }

    async fn status(&self, full: &str) -> StorageResult<Option<FileStatus>> {
        match self.client.get_file_info(full).await {
            Ok(status) => Ok(Some(status)),
            Err(error) if refusal::is_missing(&error) => Ok(None),
            Err(error) => Err(failure(error)),
        }
    }

    fn relative<'a>(&self, file: &'a FileStatus) -> &'a str {
        file.path.strip_prefix(&self.root).unwrap_or(&file.path).trim_start_matches('/')
    }

    /// Removes the directories above `full` that are empty now.
    async fn prune(&self, full: &str) {
        let mut directory = full;
        while let Some((above, _)) = directory.rsplit_once('/') {
            let inside = above.len() > self.root.len();
            if !inside || !self.client.delete(above, false).await.unwrap_or(false) {
                break; // not empty
            }
            directory = above;
        }
    }

    /// A file from a local one, as a whole: HDFS cannot repeat a part of it.
    async fn write_whole(&self, path: &str, content: &Content) -> Result<()> {
        let target = self.at(path);
        let attempt = || async {
            let draft = Draft::write(&self.client, &target, content, &self.patience).await?;
            draft.replace().await
        };
        self.patience.repeated(attempt).await
    }
}

#[async_trait]
impl Store for HdfsStore {
    async fn create(&self, path: &str, bytes: Bytes) -> StorageResult<Created> {
        let content = Content::Bytes(bytes);
        Draft::write(&self.client, &self.at(path), &content, &self.patience).await?.claim().await
    }

    async fn put(&self, path: &str, bytes: Bytes) -> StorageResult<()> {
        let content = Content::Bytes(bytes);
        Draft::write(&self.client, &self.at(path), &content, &self.patience).await?.replace().await
    }

    async fn upload(&self, path: &str) -> StorageResult<Box<dyn StoreUpload>> {
        Ok(Box::new(Spool::new(self.clone(), path).await?))
    }

    async fn size(&self, path: &str) -> StorageResult<Option<u64>> {
        let status = self.status(&self.at(path)).await?;
        Ok(status.filter(|file| !file.isdir).map(|file| file.length as u64))
    }

    async fn get(&self, path: &str, range: Option<Range<u64>>) -> StorageResult<Option<Bytes>> {
        let reader = match self.client.read(&self.at(path)).await {
            Ok(reader) => reader,
            Err(error) if refusal::is_missing(&error) => return Ok(None),
            Err(error) => return Err(failure(error)),
        };
        let length = reader.file_length() as u64;
        let wanted = range.unwrap_or(0..length);
        if wanted.end > length {
            return Err(StorageFailure::too_short(path, &wanted));
        }
        let (start, bytes) = (position(wanted.start)?, position(wanted.end - wanted.start)?);
        let read = reader.read_range(start, bytes).await.map_err(failure)?;
        if read.len() != bytes {
            return Err(StorageFailure::passing(cut_off(path, read.len(), bytes)));
        }
        Ok(Some(read))
    }

    async fn list(&self, directory: &str) -> StorageResult<Vec<Listed>> {
        let files = self.walk(directory).await?;
        let visible = files.iter().filter(|file| !is_draft(name(file)));
        let listed = visible.map(|file| Listed {
            path: self.relative(file).to_owned(),
            bytes: file.length as u64,
            modified: modified(file),
        });
        Ok(listed.collect())
    }

    async fn delete(&self, path: &str) -> StorageResult<()> {
        let full = self.at(path);
        self.client.delete(&full, false).await.map_err(failure)?;
        self.prune(&full).await;
        Ok(())
    }

    /// Through this machine: HDFS has no copy.
    async fn copy(&self, from: &str, to: &str) -> StorageResult<()> {
        let reader = match self.client.read(&self.at(from)).await {
            Ok(reader) => reader,
            Err(error) if refusal::is_missing(&error) => return Err(StorageFailure::nothing_to_copy(from)),
            Err(error) => return Err(failure(error)),
        };
        let content = Content::Remote(Box::new(reader));
        Draft::write(&self.client, &self.at(to), &content, &self.patience).await?.replace().await
    }

    /// A file being written has the time at which it was begun.
    async fn sweep(&self, directory: &str, before: SystemTime) -> StorageResult<u64> {
        let files = self.walk(directory).await?;
        let mut removed = 0;
        for file in files.iter().filter(|file| is_draft(name(file)) && modified(file) < before) {
            removed += u64::from(self.client.delete(&file.path, false).await.map_err(failure)?);
            self.prune(&file.path).await;
        }
        Ok(removed)
    }

    async fn upload_file(&self, path: &str, local: &Path, part_bytes: usize) -> Result<()> {
        self.write_whole(path, &Content::Local { path: local.to_owned(), part_bytes }).await
    }
}

/// How many DataNodes may keep silent, one after the other, before a request's time is up: two find out which
/// of two it is.
const SILENT_DATANODES: u32 = 2;

/// What Hadoop's files say, over that our own needs, over that the options.
fn builder(authority: &str, options: &StorageOptions) -> ClientBuilder {
    let silence = options.timeout / (SILENT_DATANODES + 1);
    let mut config = vec![("dfs.client.socket-timeout".to_owned(), silence.as_millis().max(1).to_string())];
    let one_namenode = authority.contains(':');
    if one_namenode {
        // Nothing to fail over to: repeating is ours.
        config.push(("dfs.client.failover.max.attempts".to_owned(), "0".to_owned()));
    }
    config.extend(options.hdfs_config.clone());
    let mut builder = ClientBuilder::new().with_config(config);
    if !authority.is_empty() {
        builder = builder.with_url(format!("hdfs://{authority}"));
    }
    if let Some(user) = &options.hdfs_user {
        builder = builder.with_user(user);
    }
    if let Some(dir) = &options.hdfs_config_dir {
        builder = builder.with_config_dir(dir.display().to_string());
    }
    builder
}

/// The client may leave a block out that the file's length counts.
fn cut_off(path: &str, read: usize, wanted: usize) -> Error {
    Error::retry(format!("HDFS gave {read} of {wanted} bytes of {path}"))
}

fn name(file: &FileStatus) -> &str {
    file.path.rsplit('/').next().unwrap_or_default()
}

fn modified(file: &FileStatus) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(file.modification_time)
}

fn position(bytes: u64) -> StorageResult<usize> {
    usize::try_from(bytes).map_err(|_| StorageFailure::lasting(Error::bug("a range is larger than memory")))
}
