//! `s3://` on a real server: the conformance list, and what can happen to a store that is far away.

mod small_disk;
mod storage_list;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use millstream_record::ErrorKind;
use millstream_storage::{Storage, StorageOptions};
use millstream_testkit::server::{Home, Server};
use millstream_testkit::{MinIo, S3Proxy, unique_name};

use crate::storage_list::{pattern, refused};

fn options(minio: &MinIo) -> StorageOptions {
    StorageOptions {
        s3_endpoint: Some(minio.endpoint().to_owned()),
        s3_access_key: Some(minio.access_key().into()),
        s3_secret_key: Some(minio.secret_key().into()),
        part_bytes: 5 << 20,
        ..StorageOptions::default()
    }
}

/// Gives up soon.
fn hasty(minio: &MinIo) -> StorageOptions {
    StorageOptions {
        timeout: Duration::from_millis(500),
        max_retries: 2,
        retry_delay: Duration::from_millis(10),
        ..options(minio)
    }
}

/// Outlasts a server that restarts on a busy machine.
fn patient(minio: &MinIo) -> StorageOptions {
    StorageOptions { max_retries: 200, ..options(minio) }
}

fn bucket(minio: &MinIo) -> Result<String> {
    let name = unique_name("checkpoints");
    minio.create_bucket(&name)?;
    Ok(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn minio_conforms() -> Result<()> {
    let minio = MinIo::start()?;
    let bucket = bucket(&minio)?;
    let storage = Storage::open(&format!("s3://{bucket}/some/prefix"), &options(&minio))?;
    storage_list::conforms(&storage).await?;
    // The root of a bucket is a place, too.
    let root = Storage::open(&format!("s3a://{bucket}"), &options(&minio))?;
    root.put("a/b", "1".into()).await?;
    assert_eq!(root.list("").await?.len(), 1);
    root.delete(&["a/b"]).await?;
    let aborted = || minio.open_uploads().is_ok_and(|open| open == 0);
    assert!(millstream_testkit::wait::until(Duration::from_secs(120), aborted), "parts stay behind");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_bucket_is_not_an_empty_one() -> Result<()> {
    let minio = MinIo::start()?;
    let bucket = bucket(&minio)?;
    let storage = Storage::open(&format!("s3://{bucket}/job"), &options(&minio))?;
    storage.put("log/1", "entry".into()).await?;
    let mut upload = storage.upload("large").await?;
    upload.write(Bytes::from(pattern(11 << 20, 1))).await?;
    minio.delete_bucket(&bucket)?;
    let errors = [
        ("get", refused(storage.get("log/1").await)?),
        ("size", refused(storage.size("log/1").await)?),
        ("list", refused(storage.list("log").await)?),
        ("put", refused(storage.put("log/2", "x".into()).await)?),
        ("create", refused(storage.create("log/2", "x".into()).await)?),
        ("upload", refused(upload.finish().await)?),
        ("probe", refused(storage.probe().await)?),
    ];
    for (call, error) in errors {
        assert_eq!(error.kind(), ErrorKind::Configuration, "{call}: {}", error.chain());
        assert!(error.to_string().contains("the bucket does not exist"), "{call}: {}", error.chain());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_named_and_not_tried_again() -> Result<()> {
    let minio = MinIo::start()?;
    let bucket = bucket(&minio)?;
    let wrong = [
        StorageOptions { s3_secret_key: Some("wrong-secret".into()), ..options(&minio) },
        StorageOptions { s3_access_key: Some("nobody".into()), ..options(&minio) },
        StorageOptions { s3_session_token: Some("expired".into()), ..options(&minio) },
    ];
    for options in wrong {
        let storage = Storage::open(&format!("s3://{bucket}"), &options)?;
        for error in [refused(storage.probe().await)?, refused(storage.get("a").await)?] {
            assert_eq!(error.kind(), ErrorKind::Configuration, "{}", error.chain());
            assert!(error.to_string().contains("credentials"), "{}", error.chain());
            assert!(!error.chain().contains("attempts"), "{}", error.chain());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_mid_upload_loses_nothing() -> Result<()> {
    let mut minio = MinIo::start()?;
    let bucket = bucket(&minio)?;
    let storage = Storage::open(&format!("s3://{bucket}/job"), &patient(&minio))?;
    let content = pattern((32 << 20) + 17, 5);
    let dir = tempfile::tempdir()?;
    let local = dir.path().join("000012.sst");
    std::fs::write(&local, &content)?;
    let mut upload = storage.upload("streamed").await?;
    let (before, after) = content.split_at(16 << 20);
    upload.write(Bytes::copy_from_slice(before)).await?;
    minio.kill9()?;
    let sent = tokio::spawn({
        let (storage, after) = (storage.clone(), Bytes::copy_from_slice(after));
        async move {
            upload.write(after).await?;
            upload.finish().await?;
            storage.upload_file("whole", &local).await
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    minio.restart()?;
    sent.await??;
    for name in ["streamed", "whole"] {
        let stored = storage.get(name).await?.context("it was uploaded")?;
        assert!(stored == content, "{name} differs");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_or_hangs_costs_a_bounded_time() -> Result<()> {
    let mut minio = MinIo::start()?;
    let bucket = bucket(&minio)?;
    let url = format!("s3://{bucket}/job");
    let (storage, hasty) = (Storage::open(&url, &options(&minio))?, Storage::open(&url, &hasty(&minio))?);
    storage.create("log/1", "entry".into()).await?;
    let group = minio.server().and_then(Server::group).context("it runs")?;
    group.pause();
    let frozen = refused(hasty.put("a", "x".into()).await);
    group.resume();
    assert_eq!(frozen?.kind(), ErrorKind::Retry);
    minio.kill9()?;
    for error in [refused(hasty.get("log/1").await)?, refused(hasty.probe().await)?] {
        assert_eq!(error.kind(), ErrorKind::Retry, "{}", error.chain());
        assert!(error.to_string().contains("3 attempts failed"), "{}", error.chain());
    }
    minio.restart()?;
    assert_eq!(storage.get("log/1").await?.as_deref(), Some(&b"entry"[..]));
    Ok(())
}

/// S3Proxy takes the condition and ignores it.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_atomic_creation_is_refused() -> Result<()> {
    let careless = S3Proxy::start()?;
    careless.create_bucket("bucket")?;
    let options = StorageOptions {
        s3_endpoint: Some(careless.endpoint().to_owned()),
        s3_access_key: Some(careless.access_key().into()),
        s3_secret_key: Some(careless.secret_key().into()),
        ..StorageOptions::default()
    };
    let storage = Storage::open("s3://bucket/job", &options)?;
    let error = refused(storage.probe().await)?;
    assert_eq!(error.kind(), ErrorKind::Configuration, "{}", error.chain());
    assert!(
        error.to_string().contains("exactly-once rests on atomic exclusive creation"),
        "{}",
        error.chain()
    );
    Ok(())
}

const SMALL_DISK: &str = "MILLSTREAM_TEST_SMALL_S3_DISK";

/// Runs itself again in a mount namespace of its own, where the server gets a small disk.
#[test]
fn a_full_store_is_named_and_not_tried_again() -> Result<()> {
    if let Ok(dir) = std::env::var(SMALL_DISK) {
        return tokio::runtime::Runtime::new()?.block_on(fill(Path::new(&dir)));
    }
    small_disk::run_again(SMALL_DISK, "64m", "a_full_store_is_named_and_not_tried_again")
}

async fn fill(dir: &Path) -> Result<()> {
    let minio = MinIo::builder().home(Home::lasting(dir)?).start()?;
    let bucket = bucket(&minio)?;
    let storage = Storage::open(&format!("s3://{bucket}/job"), &options(&minio))?;
    storage.probe().await?;
    let mut upload = storage.upload("large").await?;
    let written = async {
        upload.write(Bytes::from(pattern(80 << 20, 1))).await?;
        upload.finish().await
    };
    let error = refused(written.await)?;
    let stopped = minio.server().and_then(Server::group).context("it runs")?.kill9();
    assert_eq!(error.kind(), ErrorKind::Retry, "{}", error.chain());
    assert!(error.chain().contains("the store is full"), "{}", error.chain());
    stopped
}
