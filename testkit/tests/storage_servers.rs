//! MinIO and HDFS come up, and come back after a crash and a pause.

use std::time::Duration;

use anyhow::{Context, Result};
use millstream_testkit::server::Server;
use millstream_testkit::{Hdfs, MinIo, http};

#[test]
fn minio_comes_back_after_a_crash() -> Result<()> {
    let mut minio = MinIo::start()?;
    minio.create_bucket("bucket")?;
    let port: u16 = minio.endpoint().rsplit(':').next().context("no port")?.parse()?;
    let status = || http::get(port, "/bucket", None).map(|answer| answer.status);
    assert_eq!(status()?, 403, "a request without a key is refused");
    minio.kill9()?;
    assert!(status().is_err());
    minio.restart()?;
    assert_eq!(status()?, 403);
    minio.delete_bucket("bucket")
}

#[test]
fn hdfs_comes_back_after_crashes() -> Result<()> {
    let mut hdfs = Hdfs::start()?;
    assert!(hdfs.url().starts_with("hdfs://127.0.0.1:"));
    hdfs.datanode(0)?.kill9()?;
    hdfs.wait_for(1)?;
    hdfs.datanode(0)?.restart()?;
    hdfs.wait_for(2)?;
    hdfs.namenode()?.kill9()?;
    hdfs.namenode()?.restart()?;
    hdfs.wait_for(2)?;
    // A frozen DataNode is as good as dead, until it goes on.
    let group = hdfs.datanode(1)?.group().context("it runs")?;
    group.pause();
    hdfs.wait_for(1)?;
    group.resume();
    hdfs.wait_for(2)?;
    let pid = hdfs.server().and_then(Server::pid).context("it runs")?;
    drop(hdfs);
    let gone = || !std::path::Path::new(&format!("/proc/{pid}")).exists();
    assert!(millstream_testkit::wait::until(Duration::from_secs(10), gone));
    Ok(())
}
