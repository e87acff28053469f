//! `hdfs://` on a real NameNode and DataNodes: the conformance list, and what happens when one of them dies.

mod storage_list;

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use millstream_record::ErrorKind;
use millstream_storage::{Created, Storage, StorageOptions};
use millstream_testkit::{Hdfs, wait};

use crate::storage_list::{pattern, refused};

const LARGE: usize = (20 << 20) + 3;
const PATIENCE: Duration = Duration::from_secs(120);

fn options() -> StorageOptions {
    StorageOptions {
        part_bytes: 5 << 20,
        hdfs_user: Some("millstream".to_owned()),
        ..StorageOptions::default()
    }
}

/// Outlasts a NameNode that restarts on a busy machine.
fn patient() -> StorageOptions {
    StorageOptions { max_retries: 200, ..options() }
}

/// Fails with the first failure.
fn strict() -> StorageOptions {
    StorageOptions { max_retries: 0, ..options() }
}

/// A cluster that takes a dead DataNode for alive as long as the defaults of HDFS do: for more than ten
/// minutes.
fn slow_to_notice() -> Result<Hdfs> {
    let builder = Hdfs::builder().setting("dfs.heartbeat.interval", "3");
    builder.setting("dfs.namenode.heartbeat.recheck-interval", "300000").start()
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
async fn a_dead_datanode_is_left_out() -> Result<()> {
    let mut hdfs = slow_to_notice()?;
    let url = format!("{}/job", hdfs.url());
    let storage = Storage::open(&url, &strict())?;
    let content = Bytes::from(pattern(LARGE, 9));
    storage.put("before", content.clone()).await?;
    let mut upload = storage.upload("streamed").await?;
    upload.write(content.clone()).await?;
    hdfs.datanode(0)?.kill9()?;
    upload.finish().await.context("its blocks are offered to the dead node")?;
    assert_eq!(storage.create("log/1", "entry".into()).await?, Created::New);
    // A client that knows nothing yet meets the dead node as the first one of a block, or as the second.
    for file in 0..12 {
        let fresh = Storage::open(&url, &strict())?;
        fresh.put(&format!("new/{file}"), content.clone()).await.with_context(|| format!("file {file}"))?;
    }
    for name in ["before", "streamed", "new/0", "new/11"] {
        assert!(storage.get(name).await?.context("it was written")? == content, "{name} differs");
    }
    // The other one dies instead: what was left out is used again.
    hdfs.datanode(0)?.restart()?;
    hdfs.datanode(1)?.kill9()?;
    Storage::open(&url, &patient())?.put("turned", content.clone()).await?;
    let knowing = Storage::open(&url, &patient())?;
    knowing.put("again", content.clone()).await?;
    hdfs.datanode(1)?.restart()?;
    hdfs.datanode(0)?.kill9()?;
    Ok(knowing.put("back", content).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_datanode_is_left_out() -> Result<()> {
    let mut hdfs = slow_to_notice()?;
    let group = hdfs.datanode(0)?.group().context("it runs")?;
    group.pause();
    let storage = Storage::open(&format!("{}/job", hdfs.url()), &options())?;
    let written = async {
        for file in 0..4 {
            storage.put(&format!("{file}"), "content".into()).await?;
        }
        storage.get("3").await
    };
    let written = written.await;
    group.resume();
    assert_eq!(written?.as_deref(), Some(&b"content"[..]));
    Ok(())
}

/// The connection to a DataNode breaks off in the midst of a block, and the block goes on at the other one.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_whole_although_datanodes_stall() -> Result<()> {
    let mut hdfs = Hdfs::start()?;
    let impatient = StorageOptions { timeout: Duration::from_secs(1), ..patient() };
    let storage = Storage::open(&format!("{}/job", hdfs.url()), &impatient)?;
    let groups = [0, 1].map(|number| hdfs.datanode(number).ok().and_then(|node| node.group()));
    let stalls = tokio::spawn(async move {
        for group in groups.iter().cycle().take(8).flatten() {
            group.pause();
            tokio::time::sleep(Duration::from_millis(700)).await;
            group.resume();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    for number in 0.. {
        if stalls.is_finished() {
            break;
        }
        let content = Bytes::from(pattern(1_000_003, number));
        storage.put("file", content.clone()).await?;
        let read = storage.get("file").await?.context("it was written")?;
        let differs = read.iter().zip(&content).position(|(read, written)| read != written);
        assert!(read == content, "file {number}: {} bytes, which differ at {differs:?}", read.len());
    }
    Ok(stalls.await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_namenode_delays_and_loses_nothing() -> Result<()> {
    let mut hdfs = Hdfs::start()?;
    let storage = Storage::open(&format!("{}/job", hdfs.url()), &patient())?;
    let content = Bytes::from(pattern(LARGE, 9));
    storage.put("before", "content".into()).await?;
    let sent = tokio::spawn({
        let (storage, content) = (storage.clone(), content.clone());
        async move { storage.put("after", content).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    hdfs.namenode()?.kill9()?;
    hdfs.namenode()?.restart()?;
    sent.await??;
    assert!(storage.get("after").await?.context("it was written")? == content, "it differs");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_costs_a_bounded_time() -> Result<()> {
    let mut hdfs = Hdfs::start()?;
    let url = format!("{}/job", hdfs.url());
    let storage = Storage::open(&url, &patient())?;
    let hasty = StorageOptions {
        timeout: Duration::from_secs(1),
        max_retries: 2,
        retry_delay: Duration::from_millis(10),
        ..options()
    };
    let hasty = Storage::open(&url, &hasty)?;
    storage.put("file", "content".into()).await?;
    let group = hdfs.namenode()?.group().context("it runs")?;
    group.pause();
    let frozen = refused(hasty.get("file").await);
    group.resume();
    assert_eq!(frozen?.kind(), ErrorKind::Retry);
    hdfs.namenode()?.kill9()?;
    for error in [refused(hasty.get("file").await)?, refused(hasty.probe().await)?] {
        assert_eq!(error.kind(), ErrorKind::Retry, "{}", error.chain());
        assert!(error.to_string().contains("3 attempts failed"), "{}", error.chain());
    }
    hdfs.namenode()?.restart()?;
    hdfs.wait_for(2)?;
    assert!(storage.get("file").await?.is_some());
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
    // The draft is removed in the background.
    let mut fits = || futures::executor::block_on(storage.put("small", "fits".into())).is_ok();
    let freed = tokio::task::block_in_place(|| wait::until(PATIENCE, &mut fits));
    assert!(freed, "the space of the failed file is free again");
    hdfs.admin(&["-clrSpaceQuota", "/job"])?;
    Ok(storage.put("large", Bytes::from(pattern(LARGE, 3))).await?)
}
