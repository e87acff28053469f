//! `file://`: the conformance list, and what can happen to a disk.

mod small_disk;
mod storage_list;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use millstream_record::ErrorKind;
use millstream_storage::{Storage, StorageOptions};

use crate::storage_list::refused;

fn options() -> StorageOptions {
    StorageOptions { part_bytes: 5 << 20, max_retries: 2, ..StorageOptions::default() }
}

fn open(dir: &Path) -> Result<Storage> {
    Ok(Storage::open(&format!("file://{}", dir.display()), &options())?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_conforms() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let storage = open(&dir.path().join("made/when needed"))?;
    storage_list::conforms(&storage).await?;
    assert_eq!(fs::read_dir(dir.path().join("made/when needed"))?.count(), 0, "no empty directories stay");
    Ok(())
}

const SMALL_DISK: &str = "MILLSTREAM_TEST_SMALL_DISK";

/// Runs itself again in a mount namespace of its own, where it may mount a small disk that ends with it.
#[test]
fn a_full_disk_is_named_and_leaves_nothing() -> Result<()> {
    if let Ok(dir) = std::env::var(SMALL_DISK) {
        return tokio::runtime::Runtime::new()?.block_on(fill(Path::new(&dir)));
    }
    small_disk::run_again(SMALL_DISK, "12m", "a_full_disk_is_named_and_leaves_nothing")
}

/// 12 MB are there: two files of 5 MB fit, a third does not.
async fn fill(dir: &Path) -> Result<()> {
    let storage = open(dir)?;
    let piece = || bytes::Bytes::from(vec![1_u8; 5 << 20]);
    storage.put("a", piece()).await?;
    let mut upload = storage.upload("b").await?;
    upload.write(piece()).await?;
    let error = refused(upload.write(piece()).await)?;
    assert_eq!(error.kind(), ErrorKind::Retry, "{}", error.chain());
    assert!(error.chain().contains("the disk is full"), "{}", error.chain());
    assert!(upload.finish().await.is_err(), "a file with a hole must not become visible");
    storage.put("c", piece()).await.context("the space of the failed file is free again")?;
    let error = refused(storage.create("d", piece()).await)?;
    assert!(error.chain().contains("the disk is full"), "{}", error.chain());
    assert_eq!(storage.list("").await?.len(), 2);
    storage.delete(&["a"]).await?;
    Ok(storage.put("d", piece()).await?)
}

#[tokio::test]
async fn a_file_in_the_way_is_a_configuration_error() -> Result<()> {
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("file"), "")?;
    let error = refused(open(&dir.path().join("file"))?.probe().await)?;
    assert_eq!(error.kind(), ErrorKind::Configuration, "{}", error.chain());
    assert!(error.to_string().contains("a file is where a directory should be"), "{}", error.chain());
    Ok(())
}

#[tokio::test]
async fn what_a_dead_writer_left_is_invisible_and_swept() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let storage = open(dir.path())?;
    let mut upload = storage.upload("chk-1/file").await?;
    upload.write(vec![1; 6 << 20].into()).await?;
    std::mem::forget(upload); // the process died
    let drafts = || fs::read_dir(dir.path().join("chk-1")).map(Iterator::count);
    assert_eq!(drafts()?, 1);
    assert!(storage.list("").await?.is_empty());
    let now = storage_list::now();
    assert_eq!(storage.sweep("", now - Duration::from_secs(3600)).await?, 0, "too young");
    assert_eq!(storage.sweep("", now + Duration::from_secs(3600)).await?, 1);
    assert_eq!(drafts()?, 0);
    Ok(())
}

#[test]
fn opening_touches_nothing() -> Result<()> {
    let storage = open(Path::new("/nowhere/at/all"))?;
    assert_eq!(storage.child("a/b").url(), "file:///nowhere/at/all/a/b");
    assert!(!Path::new("/nowhere").exists());
    let error = Storage::open("/var/checkpoints", &options()).err().context("it is no URL")?;
    assert_eq!(error.kind(), ErrorKind::Configuration);
    Ok(())
}

/// Whoever calls this may do so from a task that moves between threads.
#[test]
fn every_call_can_be_awaited_in_a_task() -> Result<()> {
    fn movable<T: Send>(_: T) {}
    let storage = open(Path::new("/nowhere"))?;
    movable(storage.probe());
    movable(storage.create("a", "".into()));
    movable(storage.put("a", "".into()));
    movable(async { storage.upload("a").await?.finish().await });
    movable(storage.get("a"));
    movable(storage.get_range("a", 0..1));
    movable(storage.size("a"));
    movable(storage.list(""));
    movable(storage.delete(&["a"]));
    movable(storage.copy("a", "b"));
    movable(storage.copy_to("a", &storage, "b"));
    movable(storage.upload_file("a", Path::new("b")));
    movable(storage.download("a", Path::new("b")));
    movable(storage.sweep("", storage_list::now()));
    Ok(())
}
