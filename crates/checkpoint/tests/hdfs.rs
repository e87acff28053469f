//! `hdfs://` on a real NameNode and DataNodes: the conformance list, and what happens when one of them dies.

mod storage_list;

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use millstream_checkpoint::storage::{Created, Storage, StorageOptions};
use millstream_core::ErrorKind;
use millstream_testkit::{Hdfs, wait};

use crate::storage_list::{pattern, refused};

const LARGE: usize = (20 << 20) + 3;

fn options() -> StorageOptions {
    StorageOptions {
        part_bytes: 5 << 20,
        hdfs_user: Some("millstream".to_owned()),
        ..StorageOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hdfs_conforms() -> Result<()> {
    let hdfs = Hdfs::start()?;
    let storage = Storage::open(&format!("{}/flink/checkpoints", hdfs.url()), &options())?;
    storage_list::conforms(&storage).await?;
    let root = Storage::open(hdfs.url(), &options())?;
    assert_eq!(root.create("top", "1".into()).await?, Created::New);
    let all: Vec<String> = root.list("").await?.into_iter().map(|file| file.path).collect();
    assert_eq!(all, ["top"], "directories and drafts are no files, and empty directories go");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_servers_delay_and_lose_nothing() -> Result<()> {
    let mut hdfs = Hdfs::start()?;
    let storage = Storage::open(&format!("{}/job", hdfs.url()), &options())?;
    let content = pattern(LARGE, 9);
    storage.put("before", Bytes::from(content.clone())).await?;
    let mut upload = storage.upload("streamed").await?;
    upload.write(Bytes::from(content.clone())).await?;

    // One DataNode less: the NameNode offers it for a while, and each block that it should take fails.
    hdfs.datanode(0)?.kill9()?;
    upload.finish().await?;
    assert_eq!(storage.create("log/1", "entry".into()).await?, Created::New);
    assert_eq!(storage.get("before").await?.as_deref(), Some(&content[..]), "the other replica");
    hdfs.datanode(0)?.restart()?;
    hdfs.wait_for(2)?;

    // The NameNode dies while a file is being written, and comes back.
    let sent = tokio::spawn({
        let (storage, content) = (storage.clone(), Bytes::from(content.clone()));
        async move { storage.put("after", content).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    hdfs.namenode()?.kill9()?;
    hdfs.namenode()?.restart()?;
    sent.await??;
    for name in ["streamed", "after"] {
        let stored = storage.get(name).await?.context("it was written")?;
        assert!(stored == content, "{name} differs");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_costs_a_bounded_time() -> Result<()> {
    let mut hdfs = Hdfs::start()?;
    let hasty = StorageOptions {
        timeout: Duration::from_secs(1),
        max_retries: 2,
        retry_delay: Duration::from_millis(10),
        ..options()
    };
    let storage = Storage::open(&format!("{}/job", hdfs.url()), &hasty)?;
    storage.put("file", "content".into()).await?;
    let group = hdfs.namenode()?.group().context("it runs")?;
    group.pause();
    let frozen = refused(storage.get("file").await);
    group.resume();
    assert_eq!(frozen?.kind(), ErrorKind::Retry);
    hdfs.namenode()?.kill9()?;
    for error in [refused(storage.get("file").await)?, refused(storage.probe().await)?] {
        assert_eq!(error.kind(), ErrorKind::Retry, "{}", error.chain());
        assert!(error.to_string().contains("3 attempts failed"), "{}", error.chain());
    }
    hdfs.namenode()?.restart()?;
    hdfs.wait_for(2)?;
    let read = || futures::executor::block_on(storage.get("file")).is_ok_and(|file| file.is_some());
    assert!(tokio::task::block_in_place(|| wait::until(Duration::from_secs(20), read)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_is_named_and_not_tried_again() -> Result<()> {
    let hdfs = Hdfs::start()?;
    let storage = Storage::open(&format!("{}/job", hdfs.url()), &options())?;
    storage.put("log/1", "entry".into()).await?;
    // Two replicas of a block of 8 MB are reserved when it is begun: one file fits, three blocks do not.
    hdfs.admin(&["-setSpaceQuota", "32m", "/job"])?;
    let error = refused(storage.put("large", Bytes::from(pattern(LARGE, 3))).await)?;
    assert_eq!(error.kind(), ErrorKind::Retry, "{}", error.chain());
    assert!(error.to_string().contains("the quota of the directory is used up"), "{}", error.chain());
    assert!(!error.chain().contains("attempts"), "{}", error.chain());
    assert_eq!(storage.list("").await?.len(), 1, "nothing of it is visible");
    storage.put("small", "fits".into()).await.context("the space of the failed file is free again")?;
    hdfs.admin(&["-clrSpaceQuota", "/job"])?;
    Ok(storage.put("large", Bytes::from(pattern(LARGE, 3))).await?)
}
